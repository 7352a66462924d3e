"""Findings: what can be wrong with a provider, in one sentence, and what mends it in another.

Pure functions over failures, statuses and dates. No text holds anything that an upstream has said: it may
repeat a key.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from trunkline.settings.values import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trunkline.transport import TransportError

CLOCK_TOLERANCE_S: Final = 60.0
"""Seconds by which two clocks may differ. An answer's ``Date`` is in whole seconds and takes a while."""
DOCKER_HOST: Final = "host.docker.internal"
"""The name under which Docker's containers reach the machine that they run on."""

_ADD_HOST: Final = "on Linux, start the container with --add-host=host.docker.internal:host-gateway"
_ALL_ADDRESSES: Final = "have Ollama listen on more than loopback: start it with OLLAMA_HOST=0.0.0.0"


class Finding(NamedTuple):
    """One thing that is wrong."""

    code: str
    """A name for programs."""
    problem: str
    fix: str
    is_serious: bool = True
    """Whether requests fail because of it. Otherwise it is only worth knowing."""


class Place(NamedTuple):
    """One upstream, as a person knows it."""

    kind: str
    """The provider's type."""
    title: str
    """The vendor's name in texts."""
    url: str
    """The base address, as it is configured."""
    host: str
    port: int
    url_setting: str
    """The setting that has the address."""
    key_setting: str
    """The setting that has the key, or should have."""
    has_key: bool
    own_url: str | None
    """The vendor's own address, if it has one."""
    in_container: bool
    """Whether this process runs in a container."""

    @property
    def is_ollama(self) -> bool:
        """Whether an Ollama server should be there."""
        return self.kind == "ollama"


def of_failure(error: TransportError, place: Place) -> Finding:
    """What a failure of the transport means.

    Args:
        error: the failure.
        place: where it happened.
    """
    match error.reason:
        case "refused":
            return _refused(place)
        case "dns":
            return _unknown_host(place, error.message)
        case "certificate":
            return _certificate(place, error.message)
        case "tls":
            fix = f"check that {place.url_setting} names a port that serves HTTPS"
            return Finding("tls_failed", error.message, fix)
        case "connect" | "system" | "unreachable":
            fix = f"check the host and port in {place.url_setting}, and the firewalls on the way"
            if place.in_container and place.host == DOCKER_HOST:
                fix += "; the machine's firewall must let containers in"
            return Finding("unreachable", error.message, fix)
        case "proxy":
            fix = "check HTTP_PROXY, HTTPS_PROXY and the provider's proxy; NO_PROXY lists hosts without one"
            return Finding("proxy_failed", error.message, fix)
        case "reset" | "malformed" | "truncated" | "head_too_large" | "encoding":
            fix = f"check that {place.url_setting} names the port of an HTTP server"
            return Finding("not_http", error.message, fix)
        case "too_large":
            return no_list(place, 200)
        case _:
            return no_answer(place, error.message)


def no_answer(place: Place, problem: str) -> Finding:
    """The server took the connection, and did not answer in time."""
    fix = "see whether the server is overloaded or still starts; --timeout waits longer"
    return Finding("no_answer", problem, fix)


def _refused(place: Place) -> Finding:
    where = f"{place.host}:{place.port}"
    loopback = is_loopback(place.host)
    if loopback and place.in_container:
        problem = f"nothing listens at {where}, which is this container itself and not the machine it runs on"
        url = urlsplit(place.url)
        there = url._replace(netloc=DOCKER_HOST + (f":{url.port}" if url.port else "")).geturl()
        fix = f"set {place.url_setting} to {there} ({_ADD_HOST}), or to the other container's name"
        if place.is_ollama:
            fix += f", and {_ALL_ADDRESSES}; if it is to run in this container, start it with `ollama serve`"
        return Finding("loopback_in_container", problem, fix)
    if place.is_ollama and not loopback:
        problem = f"{where} refuses connections: Ollama is not running there, or listens on loopback only"
        return Finding("ollama_bound_to_loopback", problem, f"start Ollama there, or {_ALL_ADDRESSES}")
    if place.is_ollama:
        fix = f"start it with `ollama serve`, or set {place.url_setting} to where it runs"
        return Finding("ollama_not_running", f"Ollama is not running: nothing listens at {where}", fix)
    fix = f"start the server, or correct the host and port in {place.url_setting}"
    return Finding("refused", f"nothing listens at {where}", fix)


def ollama_only_on_loopback(place: Place) -> Finding:
    """Ollama runs on this machine, but not at this address."""
    problem = f"Ollama listens at 127.0.0.1:{place.port} only, and not at {place.host}"
    fix = f"set {place.url_setting} to http://127.0.0.1:{place.port}, or {_ALL_ADDRESSES}"
    return Finding("ollama_bound_to_loopback", problem, fix)


def _unknown_host(place: Place, problem: str) -> Finding:
    if place.host == DOCKER_HOST:
        fix = (
            _ADD_HOST if place.in_container else f"outside of Docker, write 127.0.0.1 in {place.url_setting}"
        )
    elif place.own_url is not None and place.url != place.own_url:
        fix = f"check the spelling in {place.url_setting}; {place.title}'s own address is {place.own_url}"
    elif place.own_url is not None:
        fix = "check this machine's network and name server"
    elif place.in_container and "." not in place.host:
        fix = f"check the spelling in {place.url_setting}; both containers must be in one Docker network"
    else:
        fix = f"check the spelling in {place.url_setting}, and this machine's name server"
    return Finding("unknown_host", problem, fix)


def name_server_silent(place: Place) -> Finding:
    """No name server has answered in time."""
    return _unknown_host(place, f"no name server has said in time what {place.host} is")


def _certificate(place: Place, problem: str) -> Finding:
    text = problem.lower()
    if "expired" in text or "not yet valid" in text:
        fix = "compare this machine's clock (`date -u`); if it is right, the server needs a new certificate"
    elif "mismatch" in text or "doesn't match" in text:
        fix = f"write the name in {place.url_setting} that the server's certificate has"
    else:
        fix = (
            "give the provider's section a ca_file with the authority's certificate, "
            "or set SSL_CERT_FILE to a file that has it"
        )
    return Finding("certificate", problem, fix)


def tls_to_plain_port(place: Place) -> Finding:
    """The address says https, and the server speaks plain HTTP."""
    better = "http" + place.url.removeprefix("https")
    problem = f"{place.host}:{place.port} speaks plain HTTP, and the address says https"
    return Finding("tls_to_plain_port", problem, f"set {place.url_setting} to {better}")


def plain_to_tls_port(place: Place) -> Finding:
    """The address says http, and the server speaks TLS."""
    better = "https" + place.url.removeprefix("http")
    problem = f"{place.host}:{place.port} speaks TLS, and the address says http"
    return Finding("plain_to_tls_port", problem, f"set {place.url_setting} to {better}")


def of_status(status: int, place: Place) -> Finding:
    """What the status of an answer to the request for the models means, unless it is 404."""
    said = f"{place.title} answered {status}"
    match status:
        case 401 | 403 if not place.has_key:
            return Finding(
                "key_missing", f"{said}: it wants a key, and none is set", f"set {place.key_setting}"
            )
        case 401:
            fix = (
                f"put a valid key into {place.key_setting}; it may be mistyped, revoked, or another vendor's"
            )
            return Finding("key_refused", f"{said}: it refuses the key", fix)
        case 403:
            fix = (
                f"give the key in {place.key_setting} the permission to list models and to use them; "
                "some vendors also refuse whole countries and networks"
            )
            return Finding("key_refused", f"{said}: it does not permit this key", fix)
        case 402:
            return no_credit(place, said)
        case 407:
            fix = "give the proxy's address a user and password (HTTPS_PROXY, or the provider's proxy)"
            return Finding("proxy_failed", f"a proxy before {place.host} answered 407: it wants a login", fix)
        case 429:
            fix = "wait, or ask for a higher limit; with several keys in a list requests are spread"
            return Finding("rate_limited", f"{said}: too many requests for now", fix, is_serious=False)
        case _ if status >= 500:
            fix = "look into the server's own log, or the vendor's status page; a proxy in front may say this"
            return Finding("server_error", f"{said}: it fails itself", fix)
        case _:
            fix = f"check that {place.url_setting} is the base address of its API"
            return Finding("refused_request", f"{said} to the request for its models", fix)


def no_credit(place: Place, said: str) -> Finding:
    """The account has no money left."""
    fix = f"add credit at {place.title}, or raise the limit of the key in {place.key_setting}"
    return Finding("no_credit", f"{said}: the key has no credit left", fix)


def redirected(place: Place, status: int, target: str) -> Finding:
    """The server points elsewhere. ``target`` is a base address without query and credentials, or empty."""
    problem = f"{place.title} answered {status} and points to {target or 'another address'}"
    fix = f"set {place.url_setting} to {target or 'the address that it points to'}"
    return Finding("redirected", problem, fix)


def elsewhere(place: Place, code: str, better: str) -> Finding:
    """The API lies at another path of the same server, which has answered there."""
    problem = {
        "v1_missing": f"/v1 is missing: there is no API at {place.url}",
        "v1_doubled": f"/v1 is there twice: there is no API at {place.url}",
        "not_ollama": f"the server at {place.url} speaks OpenAI's API and not Ollama's",
    }.get(code, f"there is no API at {place.url}")
    fix = f"set {place.url_setting} to {better}"
    if code == "not_ollama":
        fix = f"write a provider of type openai-compatible with url: {better}"
    return Finding(code, problem, fix)


def no_list(place: Place, status: int) -> Finding:
    """There is no list of models at the address, and none was found near it."""
    what = f"answered {status}" if status >= 400 else "sent no list of models"
    problem = f"{place.host}:{place.port} {what} where {place.title} lists its models"
    fix = f"check the path in {place.url_setting}: it is what stands before /models"
    if place.is_ollama:
        fix = f"check that {place.url_setting} is the address of an Ollama server"
    return Finding("no_list", problem, fix)


def model_missing(place: Place, model: str, setting: str, suggestion: str | None) -> Finding:
    """A model that the settings name is not in the provider's list.

    Args:
        place: where the list is from.
        model: the name at the provider.
        setting: what names it.
        suggestion: a name in the list that is close to it.
    """
    fix = f"correct {setting}"
    if suggestion is not None:
        fix += f"; did you mean {suggestion!r}?"
    if place.is_ollama:
        fix = f"run `ollama pull {model}` there, or {fix}"
    return Finding("model_missing", f"{place.title} has no model {model!r}, which {setting} names", fix)


def no_models(place: Place) -> Finding:
    """The server works and has no model."""
    fix = "run `ollama pull llama3.2` there" if place.is_ollama else "load a model there"
    return Finding("no_models", f"{place.title} has no models", fix, is_serious=False)


def clock_off(headers: Sequence[tuple[bytes, bytes]], now: float, place: Place) -> Finding | None:
    """What the date of an answer says of this machine's clock.

    Args:
        headers: the answer's.
        now: the Unix time here when it came.
        place: who sent it.

    Returns:
        None if the clocks agree, or nothing is said.
    """
    values = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    try:
        sent = parsedate_to_datetime(values[b"date"]).timestamp()
        age = int(values.get(b"age", "0"))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    ahead = now - sent - age
    if abs(ahead) <= CLOCK_TOLERANCE_S:
        return None
    direction = "ahead of" if ahead > 0 else "behind"
    problem = f"this machine's clock is {_span(abs(ahead))} {direction} that of {place.host}"
    fix = (
        "set this machine's clock (`timedatectl set-ntp true`), or that of the server if it is yours; "
        "certificates and budgets depend on it"
    )
    return Finding("clock_off", problem, fix)


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
