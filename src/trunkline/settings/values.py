"""Parsers for single values of settings: addresses, lists, levels, names.

These are pure functions from the text of an environment variable or a YAML file to a validated Python value.
For an invalid value they raise ValueError. Its text is the rest of a sentence that begins with the value
("… has no host; write http://host:port"), and it never contains the credentials of an address. The functions
do not know which setting a value belongs to.
"""

from __future__ import annotations

import ipaddress
import json
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

OLLAMA_PORT: Final = 11434
"""The port that an Ollama server listens on by default."""

LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
"""Host names that mean this machine without a DNS lookup."""

RESERVED_NAMES: Final = frozenset({"v1", "api", "admin", "key", "ui", "docs", "health", "healthz", "metrics"})
"""First path segments of the gateway's own routes. No provider may have one of these names."""

_PROVIDER_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PYTHON_PATH: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_QUOTES: Final = "\"'"
_HEADER_TEXT: Final = re.compile(r"[\x21-\x7e]+")


def suggest(name: str, valid: Iterable[str], what: str = "valid") -> str:
    """The closest valid name, as the end of an error text, or all valid names if none is close.

    Args:
        name: the name that is not valid.
        valid: the valid names.
        what: the word before the list of all valid names.
    """
    names = {each.lower(): each for each in sorted(valid)}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.65)
    return f"did you mean {names[close[0]]!r}?" if close else f"{what}: {', '.join(names.values())}"


def unbracket(host: str) -> str:
    """``host`` lower-cased, without the brackets of an IPv6 literal and without a trailing dot."""
    return host.strip("[]").rstrip(".").lower()


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or a literal address, can only mean this machine."""
    host = unbracket(host)
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_wildcard(host: str) -> bool:
    """Whether ``host`` is the unspecified address (0.0.0.0, ::), which means all of this machine."""
    try:
        return ipaddress.ip_address(unbracket(host)).is_unspecified
    except ValueError:
        return False


def port_of(url: SplitResult) -> int:
    """The port of ``url``, or the default port of its scheme."""
    return url.port or (443 if url.scheme == "https" else 80)


def base_url(text: str) -> str:
    """An upstream's address: http(s) and a host, without credentials, query, fragment and trailing slash."""
    text = text.strip()
    if re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("has a space in it; write http://host:port")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("is not an address; write http://host:port") from None
    if url.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if not url.hostname:
        raise ValueError("has no host; write http://host:port")
    if port == 0:
        raise ValueError("has port 0; give the port that the server listens on")
    if url.username is not None or url.password is not None:
        raise ValueError("holds credentials; give them as api_key or under headers in trunkline.yaml")
    if url.query or url.fragment:
        raise ValueError("has a query or fragment; give the base address only")
    return text.rstrip("/")


def ollama_url(text: str) -> str:
    """One Ollama server's address, from any form that Ollama's own tools accept.

    As in Ollama, an address without a scheme is http, and one without a scheme and a port is port 11434. An
    address with a scheme means what a URL means (``http://gpu1`` is port 80). A server can listen on 0.0.0.0
    but a client cannot connect to it, so it becomes 127.0.0.1.
    """
    text = text.strip()
    if "://" not in text:
        text = _with_scheme(text)
    address = base_url(text)
    url = urlsplit(address)
    if url.path.rstrip("/").endswith(("/v1", "/api")):
        raise ValueError("ends in /v1 or /api; give the server's address only, as in http://host:11434")
    if is_wildcard(url.hostname or ""):
        loopback = "[::1]" if ":" in (url.hostname or "") else "127.0.0.1"
        port = "" if url.port is None else f":{url.port}"
        address = url._replace(netloc=loopback + port).geturl()
    return address


def ollama_fleet(text: str) -> str:
    """One Ollama address or a comma list of them, each in the form of :func:`ollama_url`, as a comma list."""
    addresses = [ollama_url(item) for item in text.split(",") if item.strip()]
    if not addresses:
        raise ValueError("names no server; write http://host:11434")
    return ",".join(dict.fromkeys(addresses))


def _with_scheme(text: str) -> str:
    """An http URL from ``host``, ``host:port``, ``:port`` or ``::1``, each with an optional path."""
    authority, slash, path = text.partition("/")
    try:
        bare_ipv6 = ipaddress.ip_address(authority).version == 6
    except ValueError:
        bare_ipv6 = False
    if bare_ipv6:
        authority = f"[{authority}]"
    if authority.startswith(":"):
        authority = "127.0.0.1" + authority
    if authority and not re.search(r":\d+$", authority.rpartition("]")[2]):
        authority = f"{authority}:{OLLAMA_PORT}"
    return f"http://{authority}{slash}{path}"


def unquote(text: str) -> str:
    """``text`` without spaces around it and without one pair of quotes, which some tools leave there.

    ``docker run --env-file`` is one of them. Text that has more quotes inside is one value only where it is a
    JSON list; ``"a","b"`` stays as it is.
    """
    text = text.strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in _QUOTES:
        return text
    inside = text[1:-1].strip()
    plain = inside.replace(f"\\{text[0]}", text[0])
    return plain if text[0] not in inside or plain.startswith("[") else text


def split_list(value: Any) -> Any:
    """A list from comma-separated text or a JSON list in text. A value that is not text is unchanged."""
    if value is None:
        return ()
    if not isinstance(value, str):
        return value
    text = unquote(value)
    if text.startswith("["):
        try:
            items = json.loads(text)
        except ValueError:
            raise ValueError('is not a JSON list; write ["one","two"] or one,two') from None
        return items
    return [item for part in text.split(",") if (item := unquote(part))]


def one_or_more(value: Any) -> Any:
    """A tuple from one text or a list of texts, without empty ones: ``api_key: x`` or ``[x, y]``."""
    if value is None:
        return ()
    items = (value,) if isinstance(value, str) else value
    return tuple(item for item in items if item != "") if isinstance(items, list | tuple) else items


def key_text(key: str) -> str:
    """A key that a header can carry: visible ASCII without spaces, and without quotes around it."""
    key = unquote(key)
    if not _HEADER_TEXT.fullmatch(key):
        raise ValueError("holds a key that is empty or has characters which no header can carry")
    if key[0] in _QUOTES or key[-1] in _QUOTES:
        raise ValueError("holds a key that begins or ends with a quote; write the key without quotes")
    return key


def origin(text: str) -> str:
    """One entry of CORS_ALLOWED_ORIGINS: ``*`` or ``scheme://host[:port]``."""
    if text == "*":
        return text
    url = urlsplit(text)
    if not (url.scheme and url.netloc) or url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError(f"holds {text!r}, which is no origin; write https://host[:port] or *")
    return f"{url.scheme}://{url.netloc}".lower()


def host_name(text: str) -> str:
    """One entry of ALLOWED_HOSTS: a name, ``*.`` before a name, an address, or ``*``."""
    name = unbracket(text)
    if not re.fullmatch(r"\*|(?:\*\.)?[a-z0-9._-]+|[0-9a-f:.]+", name):
        raise ValueError(f"holds {text!r}, which is no name; write ai.example.com, *.example.com or *")
    return name


def log_level(value: Any) -> Any:
    """A log level from its name in any case, or from ``warn`` and ``fatal``."""
    if not isinstance(value, str):
        return value
    name = value.strip().upper()
    return {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(name, name)


def lowered(value: Any) -> Any:
    """A text in lower case, without spaces around it. A value that is not text is unchanged."""
    return value.strip().lower() if isinstance(value, str) else value


def provider_name(name: str) -> str:
    """A provider's name, which is used in paths, and before ``:`` and ``/`` in model names."""
    if not _PROVIDER_NAME.fullmatch(name):
        raise ValueError("cannot be a provider's name; use lower-case letters, digits, - and _")
    if name in RESERVED_NAMES:
        raise ValueError(f"cannot be a provider's name; /{name} is a path of the gateway")
    return name


def python_path(path: str) -> str:
    """The dotted path of a Python provider's class: ``package.module:Name``."""
    if not _PYTHON_PATH.fullmatch(path):
        raise ValueError("is not a dotted path; write package.module:ClassName")
    return path


def network(text: str) -> str:
    """The address or network (CIDR) of a proxy whose forwarding headers are trusted, or ``*``."""
    if text != "*":
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError("is no address or network; write 10.0.0.1 or 10.0.0.0/8") from None
    return text


def database_url(text: str) -> str:
    """The URL of a database that Trunkline supports: SQLite or PostgreSQL."""
    if not re.match(r"(sqlite|postgres(ql)?(\+\w+)?)://", text):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    return text


def redis_url(text: str) -> str:
    """The URL of a Redis or Valkey server."""
    if not re.match(r"(rediss?|unix|valkeys?)://.", text):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return text
