"""Which proxy, if any, stands before an origin.

:class:`ProxyConfig` is read from the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY``,
``NO_PROXY``; lower case wins) or set for one provider, and answers one question: :meth:`ProxyConfig.choose`.
It opens nothing. A proxy's credentials are kept out of every text and repr.
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
    """One HTTP proxy, reached by ``http`` or ``https``."""

    origin: Origin
    authorization: bytes | None = field(default=None, repr=False)
    """Value of ``Proxy-Authorization``, made of the user and password in the proxy's address."""

    def __str__(self) -> str:
        return f"the proxy {self.origin}"


def parse_proxy(url: str, name: str = "proxy") -> Proxy:
    """The proxy at ``[http[s]://][user:password@]host[:port]``; ``name`` is the setting it came from.

    Raises ValueError, without the address, since that may hold a password.
    """
    scheme, mark, rest = url.strip().partition("://")
    if not mark:
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
    name_, _, password = user.partition(":")
    token = base64.b64encode(f"{unquote(name_)}:{unquote(password)}".encode())
    return Proxy(origin, b"Basic " + token)


@dataclass(frozen=True, slots=True)
class _Exception:
    """One entry of ``NO_PROXY``: a name with everything below it, or a network; perhaps a single port."""

    name: str
    network: IPv4Network | IPv6Network | None
    port: int | None

    def covers(self, origin: Origin, address: IPv4Address | IPv6Address | None) -> bool:
        if self.port is not None and self.port != origin.port:
            return False
        if self.network is not None:
            return address is not None and address in self.network
        host = origin.host.rstrip(".")
        return host == self.name or host.endswith("." + self.name)


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """Proxies by the target's scheme. ``ProxyConfig()`` means: none at all."""

    http: Proxy | None = None
    https: Proxy | None = None
    exceptions: tuple[_Exception, ...] = ()
    loopback: bool = False
    """Whether even this machine's own addresses are asked for through the proxy."""

    @classmethod
    def explicit(cls, url: str) -> ProxyConfig:
        """One proxy for everything, as a provider's setting has it. Raises ValueError."""
        proxy = parse_proxy(url)
        return cls(proxy, proxy, loopback=True)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> ProxyConfig:
        """What the usual variables say. Raises ValueError, which names the variable."""
        env = os.environ if environ is None else environ
        exceptions = _value(env, "no_proxy")[1]
        if "*" in _entries(exceptions):
            return cls()
        chosen: dict[str, Proxy | None] = {}
        for scheme in ("http", "https"):
            name, url = _value(env, f"{scheme}_proxy")
            if not url:
                name, url = _value(env, "all_proxy")
            chosen[scheme] = parse_proxy(url, name) if url else None
        return cls(chosen["http"], chosen["https"], tuple(map(_exception, _entries(exceptions))))

    def choose(self, origin: Origin) -> Proxy | None:
        """The proxy through which ``origin`` is to be reached."""
        proxy = self.https if origin.scheme == "https" else self.http
        if proxy is None:
            return None
        address = _address(origin.host)
        if not self.loopback and _is_here(origin.host, address):
            return None
        if any(exception.covers(origin, address) for exception in self.exceptions):
            return None
        return proxy


_LOCALHOST: Final = "localhost"


def _value(env: Mapping[str, str], name: str) -> tuple[str, str]:
    """The variable that counts, and what it says."""
    for spelling in (name, name.upper()):
        value = env.get(spelling, "").strip()
        if value:
            return spelling, value
    return name, ""


def _entries(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _exception(entry: str) -> _Exception:
    host, port = _split_port(entry)
    host = host.lower().lstrip("*").strip(".")
    try:
        return _Exception("", ip_network(host, strict=False), port)
    except ValueError:
        return _Exception(host, None, port)


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


def _is_here(host: str, address: IPv4Address | IPv6Address | None) -> bool:
    if address is not None:
        return address.is_loopback or address.is_unspecified
    host = host.rstrip(".")
    return host == _LOCALHOST or host.endswith("." + _LOCALHOST)
