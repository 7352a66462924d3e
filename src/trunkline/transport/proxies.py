"""The choice of a proxy for an origin.

A :class:`ProxyConfig` is read from the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``,
``NO_PROXY``; lower case wins) or set for one provider. :meth:`ProxyConfig.proxy_for` chooses; nothing here
does I/O. A proxy's credentials are kept out of every message and repr.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from trunkline.transport.request import Origin, parse_origin


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy, with an ``http`` or ``https`` address."""

    origin: Origin
    authorization: bytes | None = field(default=None, repr=False)
    """The value of ``Proxy-Authorization``: the user and password of the proxy's address, encoded."""

    def __str__(self) -> str:
        return f"the proxy {self.origin}"


def parse_proxy(url: str, name: str = "proxy") -> Proxy:
    """Parse ``[http[s]://][user:password@]host[:port]``.

    Args:
        url: The proxy's address.
        name: The setting that it came from, for messages.

    Raises:
        ValueError: it is no such address. The text does not repeat it, since it may hold a password.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator:
        scheme, rest = "http", scheme
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"{name}: only http:// and https:// proxies are known, not {scheme}://")
    user, _, address = rest.rpartition("@")
    try:
        origin, _ = parse_origin(f"{scheme}://{address}")
    except ValueError:
        raise ValueError(f"{name}: not the address of a proxy (http://host:port)") from None
    if not user:
        return Proxy(origin)
    user_name, _, password = user.partition(":")
    token = base64.b64encode(f"{unquote(user_name)}:{unquote(password)}".encode())
    return Proxy(origin, b"Basic " + token)


@dataclass(frozen=True, slots=True)
class _NoProxyEntry:
    """One entry of ``NO_PROXY``: a name with its subdomains, or a network; either may be limited to a
    port."""

    name: str
    network: IPv4Network | IPv6Network | None
    port: int | None

    def matches(self, origin: Origin, address: IPv4Address | IPv6Address | None) -> bool:
        if self.port is not None and self.port != origin.port:
            return False
        if self.network is not None:
            return address is not None and address in self.network
        host = origin.host.rstrip(".")
        return host == self.name or host.endswith("." + self.name)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """The proxies, by the scheme of the origin. ``ProxyConfig()`` has none."""

    http: Proxy | None = None
    https: Proxy | None = None
    no_proxy: tuple[_NoProxyEntry, ...] = ()
    """Origins that are reached directly."""
    includes_loopback: bool = False
    """Whether the proxy is used even for this machine's own addresses."""

    @classmethod
    def explicit(cls, url: str) -> ProxyConfig:
        """One proxy for all origins, from a provider's setting.

        Raises:
            ValueError: it is not the address of a proxy.
        """
        proxy = parse_proxy(url)
        return cls(proxy, proxy, includes_loopback=True)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> ProxyConfig:
        """The proxies of the environment.

        Raises:
            ValueError: a variable does not hold the address of a proxy. The text names the variable.
        """
        env = os.environ if environ is None else environ
        entries = _split(_value(env, "no_proxy")[1])
        if "*" in entries:
            return cls()
        chosen: dict[str, Proxy | None] = {}
        for scheme in ("http", "https"):
            name, url = _value(env, f"{scheme}_proxy")
            if not url:
                name, url = _value(env, "all_proxy")
            chosen[scheme] = parse_proxy(url, name) if url else None
        return cls(chosen["http"], chosen["https"], tuple(map(_parse_entry, entries)))

    def proxy_for(self, origin: Origin) -> Proxy | None:
        """The proxy through which ``origin`` is reached. None: it is reached directly."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None:
            return None
        address = _address(origin.host)
        if not self.includes_loopback and _is_loopback(origin.host, address):
            return None
        if any(entry.matches(origin, address) for entry in self.no_proxy):
            return None
        return proxy


_LOCALHOST: Final = "localhost"


def _value(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that is used, and its value."""
    for spelling in (name, name.upper()):
        value = env.get(spelling, "").strip()
        if value:
            return spelling, value
    return name, ""


def _split(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _parse_entry(entry: str) -> _NoProxyEntry:
    host, port = _split_port(entry)
    host = host.lower().lstrip("*").strip(".")
    try:
        return _NoProxyEntry("", ip_network(host, strict=False), port)
    except ValueError:
        return _NoProxyEntry(host, None, port)


def _split_port(entry: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]`` and ``[v6]:port``; a bare IPv6 address has no port."""
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, int(rest[1:]) if rest[1:].isdecimal() else None
    host, colon, port = entry.rpartition(":")
    if colon and ":" not in host and port.isdecimal():
        return host, int(port)
    return entry, None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str, address: IPv4Address | IPv6Address | None) -> bool:
    if address is not None:
        return address.is_loopback or address.is_unspecified
    host = host.rstrip(".")
    return host == _LOCALHOST or host.endswith("." + _LOCALHOST)
