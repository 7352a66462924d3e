"""Which names and pages may ask where no key is asked for: this machine's own, and those that are listed.

A browser asks whatever address a page names. A page of another site says so in ``Origin``, or is known by
``Sec-Fetch-Site``. A page whose own name was made to lead here (DNS rebinding) is of the same site to its
browser, and is known by that name in ``Host``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection, Mapping
from typing import Final

from trunkline.errors import FORBIDDEN, CallerError
from trunkline.server.http.page import Headers
from trunkline.settings import Settings
from trunkline.settings.values import is_loopback, is_wildcard

_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")
_PROGRAMS: Final = ("app://", "file://", "tauri://", "vscode-webview://", "vscode-file://")
"""Origins of programs on a machine, which no site on the web can have. Ollama allows them too."""
_CONTAINER_HOSTS: Final = frozenset(
    {"host.docker.internal", "gateway.docker.internal", "host.containers.internal"}
)
"""Names by which a container reaches the machine that it runs on."""
_PRIVATE_ENDS: Final = (".local", ".internal", ".lan", ".home.arpa", ".localdomain")
"""Ends of names that nobody can register."""
_MANY: Final = 1000


class OwnSite:
    """The check of requests without a key, for one configuration."""

    def __init__(self, settings: Settings, *, open_network: bool) -> None:
        """``open_network``: other machines may ask as well, by any address and by names of a private net."""
        self._open_network = open_network
        self._listed = frozenset(each.lower() for each in settings.allowed_hosts)
        self._origins = frozenset(settings.cors_allowed_origins)
        self._own_name = socket.gethostname().lower()
        self.known: set[bytes | None] = {None, b""}
        """Values of ``Host`` that may be there; None where there is none, which no browser sends."""

    def refusal(self, method: str, headers: Headers, fields: Mapping[bytes, bytes]) -> CallerError | None:
        """Why a request is refused; None if it may come in.

        Args:
            method: in capitals.
            headers: with names in lower case.
            fields: the same by name; of several with one name, the last.
        """
        for name, value in headers:
            if name == b"host" and value not in self.known:
                if not self._allows_host(value.decode("latin-1")):
                    return CallerError(
                        "This gateway asks for no key, so it answers to this machine's own names only. "
                        "List the name that is in the header Host in ALLOWED_HOSTS, or use keys",
                        FORBIDDEN,
                    )
                if len(self.known) < _MANY:
                    self.known.add(value)
        origin = fields.get(b"origin")
        if origin is not None:
            allowed = self._allows_origin(origin.decode("latin-1"), fields.get(b"host", b""))
        else:
            is_link = method in ("GET", "HEAD") and fields.get(b"sec-fetch-mode") == b"navigate"
            allowed = is_link or fields.get(b"sec-fetch-site") != b"cross-site"
        if allowed:
            return None
        return CallerError(
            "This gateway asks for no key, so pages of other sites may not use it. List the page's origin in "
            "CORS_ALLOWED_ORIGINS, or use keys",
            FORBIDDEN,
        )

    def _allows_host(self, value: str) -> bool:
        found = _HOST.fullmatch(value)
        if found is None:
            return False
        name = found[1].strip("[]").rstrip(".").lower()
        if is_own_name(name) or name in _CONTAINER_HOSTS or name == self._own_name or self._is_listed(name):
            return True
        if not self._open_network:
            return False
        return _is_address(name) or "." not in name or name.endswith(_PRIVATE_ENDS)

    def _is_listed(self, name: str) -> bool:
        return _matches(name, self._listed)

    def _allows_origin(self, origin: str, host: bytes) -> bool:
        if "*" in self._origins or origin in self._origins or origin.startswith(_PROGRAMS):
            return True
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None:
            return False
        same = origin.lower().partition("://")[2] == host.decode("latin-1").lower()
        return same or is_own_name(found[1].strip("[]"))


def is_own_name(name: str) -> bool:
    """Whether a name or an address can only mean the machine that uses it."""
    return is_loopback(name) or is_wildcard(name) or name.endswith(".localhost") or _is_mapped_loopback(name)


def _is_mapped_loopback(name: str) -> bool:
    try:
        mapped = ipaddress.IPv6Address(name).ipv4_mapped
    except ValueError:
        return False
    return mapped is not None and mapped.is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _matches(name: str, listed: Collection[str]) -> bool:
    """Whether a name is listed: itself, as one below ``*.NAME``, or by ``*``."""
    if name in listed or "*" in listed:
        return True
    return any(each.startswith("*.") and name.endswith(each[1:]) for each in listed)
