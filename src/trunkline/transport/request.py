"""A request to an upstream: its origin, its timeouts, its head and body.

Values only. Nothing here knows sockets, pools or proxies; ``route.py`` encodes requests.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

PORTS: Final = {"http": 80, "https": 443}
"""The schemes that the transport supports, and their default ports."""

_FORBIDDEN: Final = re.compile(r"[^\x21-\x7e]|[\\\"<>^`{|}]")
_HOST: Final = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")


class Origin(NamedTuple):
    """Scheme, host and port of a server. Each origin has its own host pool."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """The name or address in lower case; an IPv6 address without its brackets."""
    port: int

    @property
    def authority(self) -> str:
        """``host:port``, IPv6 addresses in brackets, as CONNECT has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def parse_origin(url: str) -> tuple[Origin, str]:
    """Parse a base address.

    Returns:
        The origin, and the path that comes before those of all requests (``""`` or ``/v1``).

    Raises:
        ValueError: it is not of the form ``http(s)://host[:port][/path]``. The text does not repeat an
            address with a user, password, query or fragment, which may be secrets.
    """
    if "@" in url:
        raise ValueError("An address must not hold a user name or password (there is an '@' in it)")
    if "?" in url or "#" in url:
        raise ValueError("A base address must not hold a query or a fragment (there is a '?' or '#' in it)")
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in PORTS or not rest:
        raise ValueError(f"Not an http:// or https:// address: {url!r}")
    authority, slash, path = rest.partition("/")
    if not authority.isascii():
        url = f"{scheme}://{_to_ascii(authority, url)}{slash}{path}"
    if _FORBIDDEN.search(url):
        raise ValueError(f"An address must not hold spaces or other characters foreign to it: {url!r}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = IPv6Address(host).compressed
        elif not _HOST.fullmatch(host):
            raise ValueError("not a host name")
        if port == 0:
            raise ValueError("port 0 cannot be connected to")
    except ValueError as error:
        raise ValueError(f"Bad host or port in the address {url!r}") from error
    return Origin(parts.scheme, host, port or PORTS[parts.scheme]), parts.path.rstrip("/")


def _to_ascii(authority: str, url: str) -> str:
    """An international host name in its ASCII form (IDNA), which DNS uses."""
    try:
        return authority.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError(f"Bad host or port in the address {url!r}") from error


class LimitNames(NamedTuple):
    """What the caller calls each of its timeouts, for the text of a failure. Empty: it has no name."""

    connect: str = ""
    first_byte: str = ""
    idle: str = ""
    total: str = ""
    queue: str = ""


NO_NAMES: Final = LimitNames()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long an upstream may be silent, in seconds. They are accurate to about a quarter of a second."""

    connect: float = 10.0
    """To establish a connection, TLS and proxies included."""
    first_byte: float = 300.0
    """From the request to the first record that counts as one (see ``Sink.progress``). Does not run while the
    upstream continues to take a large request."""
    idle: float = 120.0
    """Between two records; in an upload, while the upstream takes nothing of the body. Does not run while the
    request is paused."""
    total: float | None = None
    """From ``send`` to the end of the response."""
    queue: float = 30.0
    """Until a connection is free, where the host pool has no slot left."""
    names: LimitNames = NO_NAMES
    """Whoever reads that a timeout has passed learns by its name where to change it."""


@dataclass(slots=True)
class UpstreamRequest:
    """One request to an upstream.

    ``Host``, ``Content-Length`` and ``Accept-Encoding: identity`` are added when it is sent, unless they are
    among its headers.
    """

    origin: Origin
    method: bytes
    target: bytes
    """Path and query, as they are on the request line."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = field(default=b"", repr=False)
    timeouts: Timeouts = Timeouts()
    max_body: int = 0
    """The most bytes of the response's body, after decompression; 0 for a stream, which has no limit."""
