"""Asks one upstream for its models, and follows up on what it answers. All of it is free of charge: requests
for lists, and looks at ports.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import msgspec

from trunkline.cli.doctor import findings, peek
from trunkline.cli.doctor.findings import Finding, Place
from trunkline.cli.doctor.paths import likely_bases, what_was_wrong
from trunkline.errors import redact
from trunkline.providers.vendors import VENDORS
from trunkline.settings.exposure import is_own_host
from trunkline.settings.values import is_loopback
from trunkline.transport import Timeouts, TransportError
from trunkline.transport.failures import diagnose

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trunkline.providers.base import Upstream
    from trunkline.providers.http import HttpProvider
    from trunkline.transport import Response, UpstreamRequest

MAX_LISTING: Final = 32 * 1024 * 1024
_SHARE_OF_ONE: Final = 0.6
"""How much of the time limit one step may take, so that the failure of one says which it was, and leaves time
to follow it up."""
_TLS_WORDS: Final = ("https", "ssl", "tls")
"""Words in the answer of an HTTPS server that was asked in plain HTTP (nginx, Apache, Go)."""


class UpstreamCheck:
    """The check of one upstream: what is wrong with it, and which models it has."""

    def __init__(self, provider: HttpProvider, upstream: Upstream, place: Place, limit_s: float) -> None:
        """Check nothing yet.

        Args:
            provider: whose upstream it is.
            upstream: the address, with one key.
            place: the same for people.
            limit_s: the longest time in seconds that all of the check may take.
        """
        self.findings: list[Finding] = []
        self.models: list[str] | None = None
        """The names in its list; None if it gave none."""
        self._provider = provider
        self._client = provider.client
        self._place = place
        self._limit_s = limit_s
        self._deadline = 0.0
        each_s = limit_s * _SHARE_OF_ONE
        timeouts = Timeouts(connect=each_s, first_byte=each_s, idle=each_s)
        request = provider.request_to(upstream, "GET", provider.list_path, timeouts=timeouts)
        self._request = replace(request, max_body=MAX_LISTING)
        self._base = request.target.decode().removesuffix(provider.list_path)

    async def run(self) -> None:
        """Ask the upstream. This takes no longer than the limit."""
        self._deadline = asyncio.get_running_loop().time() + self._limit_s
        try:
            async with asyncio.timeout_at(self._deadline):
                await self._run()
        except TimeoutError:
            if self.models is None:
                problem = f"{self._place.title} did not answer within {self._limit_s:g} s"
                self.findings.append(findings.no_answer(self._place, problem))

    async def has(self, model: str) -> bool:
        """Whether the upstream knows a model that its list does not name: an alias, or a tuned one. It is
        asked within what is left of the limit."""
        if self._place.is_ollama:
            return False
        base = self._request.target.decode().partition("?")[0]
        try:
            async with asyncio.timeout_at(self._deadline):
                answer = await self._fetch(f"{base}/{quote(model, safe='/:')}")
        except (TransportError, TimeoutError):
            return False
        found = _decode(answer.body)
        return answer.status == 200 and isinstance(found, dict) and "id" in found

    async def _run(self) -> None:
        origin = self._request.origin
        try:
            if not self._client.has_proxy(origin):
                await self._find_host()
            if self.findings:
                return
            answer = await self._client.fetch(self._request)
        except TransportError as error:
            self.findings.append(await self._follow_up(error))
            return
        off = findings.clock_off(answer.headers, time.time(), self._place)
        if off is not None:
            self.findings.append(off)
        if 200 <= answer.status < 300 and (models := names_in(answer.body)) is not None:
            self.models = models
            await self._read_other_lists()
            await self._check_key()
        else:
            self.findings.append(await self._explain(answer))

    async def _find_host(self) -> None:
        """Resolve the host's name first: the system may wait for a name server far longer than the limit."""
        try:
            async with asyncio.timeout(self._limit_s * _SHARE_OF_ONE):
                await peek.find_host(self._place.host, self._place.port)
        except TimeoutError:
            self.findings.append(findings.name_server_silent(self._place))
        except OSError as error:
            raise diagnose(error, str(self._request.origin)) from None

    async def _follow_up(self, error: TransportError) -> Finding:
        """What is behind a failure."""
        place, reason = self._place, error.reason
        broke_off = reason in ("reset", "truncated", "malformed")
        if self._client.has_proxy(self._request.origin):
            return findings.of_failure(error, place)
        if self._is_tls and (broke_off or reason == "tls") and await peek.get_head(place.host, place.port):
            return findings.tls_to_plain_port(place)
        if not self._is_tls and broke_off and await peek.speaks_tls(place.host, place.port):
            return findings.plain_to_tls_port(place)
        if reason == "certificate":
            head = await peek.get_head(place.host, place.port, tls=True)
            if off := findings.clock_off(headers_in(head), time.time(), place):
                return off
        if reason == "refused" and await self._is_ollama_on_loopback():
            return findings.ollama_only_on_loopback(place)
        return findings.of_failure(error, place)

    @property
    def _is_tls(self) -> bool:
        return self._request.origin.scheme == "https"

    async def _is_ollama_on_loopback(self) -> bool:
        """Whether the address is this machine's, and something listens at its loopback address instead."""
        place = self._place
        if not place.is_ollama or is_loopback(place.host) or not is_own_host(place.host):
            return False
        return await peek.accepts("127.0.0.1", place.port)

    async def _explain(self, answer: Response) -> Finding:
        """What is behind an answer that is no list of models."""
        place, status = self._place, answer.status
        if 300 <= status < 400:
            return findings.redirected(place, status, self._target_of(answer))
        if status == 400 and not self._is_tls and not self._client.has_proxy(self._request.origin):
            text = answer.body[:4096].decode("latin-1").lower()
            wants_tls = any(word in text for word in _TLS_WORDS)
            if wants_tls and await peek.speaks_tls(place.host, place.port):
                return findings.plain_to_tls_port(place)
        if status in (400, 404, 405, 410) or status < 300:
            return await self._search(status)
        return findings.of_status(status, place)

    async def _search(self, status: int) -> Finding:
        """Look for the API at other paths of the same server."""
        place, provider = self._place, self._provider
        bases = likely_bases(self._base, is_ollama=place.is_ollama)
        tries = [(base, provider.list_path) for base in bases]
        if place.is_ollama:
            tries += [(base, "/models") for base in likely_bases(self._base, is_ollama=False)]
        answers = await asyncio.gather(*(self._try(base + path) for base, path in tries))
        for wanted in ((200,), (401, 403)):
            for (base, path), found in zip(tries, answers, strict=True):
                if found in wanted:
                    code = what_was_wrong(self._base, base) if path == provider.list_path else "not_ollama"
                    return findings.elsewhere(place, code, self._url_of(base))
        if status == 400:
            return findings.of_status(status, place)
        return findings.no_list(place, status)

    async def _try(self, target: str) -> int:
        """The status at another path: 200 only where a list of models is."""
        try:
            answer = await self._fetch(target)
        except TransportError:
            return 0
        if answer.status == 200 and names_in(answer.body) is None:
            return 0
        return answer.status

    async def _fetch(self, target: str) -> Response:
        """Ask the same server for something else."""
        request: UpstreamRequest = replace(self._request, target=target.encode())
        return await self._client.fetch(request)

    async def _read_other_lists(self) -> None:
        spec = VENDORS.get(self._place.kind)
        for path in () if spec is None else spec.other_lists:
            try:
                answer = await self._fetch(self._base + path)
            except TransportError:
                continue
            if answer.status == 200 and self.models is not None:
                self.models += names_in(answer.body) or ()

    async def _check_key(self) -> None:
        """Have the vendor judge the key, where the list of models is for everybody."""
        spec, place = VENDORS.get(self._place.kind), self._place
        if spec is None or spec.key_path is None or not place.has_key:
            return
        try:
            answer = await self._fetch(self._base + spec.key_path)
        except TransportError:
            return
        if answer.status in (401, 402, 403):
            self.findings.append(findings.of_status(answer.status, place))
        elif answer.status == 200:
            found = _decode(answer.body)
            data = found.get("data") if isinstance(found, dict) else None
            left = data.get("limit_remaining") if isinstance(data, dict) else None
            if isinstance(left, int | float) and left <= 0:
                self.findings.append(findings.no_credit(place, f"{place.title} answers"))

    def _url_of(self, base: str) -> str:
        """The base address that a user would write for a path on this server."""
        spec = VENDORS.get(self._place.kind)
        url = urlsplit(self._place.url)
        return f"{url.scheme}://{url.netloc}{base.removesuffix('' if spec is None else spec.path)}"

    def _target_of(self, answer: Response) -> str:
        """The base address that a redirect leads to; empty if it names none."""
        location = next((value for name, value in answer.headers if name.lower() == b"location"), b"")
        try:
            url = urlsplit(location.decode("latin-1"))
            here = urlsplit(self._place.url)
            netloc = url.netloc.rpartition("@")[2] or here.netloc
            path = url.path.removesuffix("/").removesuffix(self._provider.list_path.partition("?")[0])
            spec = VENDORS.get(self._place.kind)
            path = path.removesuffix("" if spec is None else spec.path)
        except ValueError:
            return ""
        return redact(f"{url.scheme or here.scheme}://{netloc}{path}", 200) if location else ""


def names_in(body: bytes) -> list[str] | None:
    """The names of the models in a list, of OpenAI's, Anthropic's or Ollama's form; None if it is none."""
    found = _decode(body)
    if isinstance(found, dict):
        found = found.get("data", found.get("models"))
    if not isinstance(found, list):
        return None
    return list(_names(found))


def _names(items: list[Any]) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict):
            name = item.get("id") or item.get("model") or item.get("name")
            if isinstance(name, str):
                yield name


def headers_in(head: bytes) -> list[tuple[bytes, bytes]]:
    """The headers of a response that came as it is."""
    lines = head.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(name, value) for name, colon, value in (line.partition(b":") for line in lines) if colon]


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
