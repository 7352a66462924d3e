"""Where the gateway listens and whether requests need a key; settings that are unsafe to start with.

These are pure functions of the settings. The caller passes in what they need from outside (whether there are
keys, which addresses belong to this machine), except in :func:`is_own_host`, which asks the operating system.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from trunkline.settings.problems import SettingsError
from trunkline.settings.resolve import resolve_providers
from trunkline.settings.values import is_loopback, is_wildcard, port_of, unbracket

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.settings.model import Settings

_ALL_ADDRESSES = "0.0.0.0"
_LOOPBACK = "127.0.0.1"


class Exposure(NamedTuple):
    """Where the gateway listens, and whether requests need a key."""

    host: str
    """The address to bind."""
    ports: tuple[int, ...]
    """The ports to bind, the main one first."""
    auth_required: bool
    """Whether every request needs a key. A few paths are always open."""
    open_network: bool
    """Whether requests need no key and the address is not loopback. The start warns about that."""

    @property
    def summary(self) -> str:
        """One line that describes it for a person."""
        access = "keys required" if self.auth_required else "open: no key needed"
        reach = "this machine only" if is_loopback(self.host) else "reachable from the network"
        return f"{access}; {reach}"


def exposure(settings: Settings, has_keys: bool) -> Exposure:
    """Derive the address and the authentication mode from ``settings``.

    Args:
        settings: the settings to start with.
        has_keys: whether any key exists, in the settings or in the store.

    Raises:
        SettingsError: the settings would leave the gateway open by accident, or let nobody in.
    """
    allow_open_network = settings.allow_open_network
    match settings.require_auth, settings.development_mode:
        case True, False:
            if not has_keys:
                raise SettingsError(
                    "ALLOWED_API_KEYS must not be empty when REQUIRE_AUTH=True and DEVELOPMENT_MODE=False; "
                    "run `trunkline init` to make a key, set ALLOWED_API_KEYS, or set DEVELOPMENT_MODE=true "
                    "to serve this machine only"
                )
            auth, host = True, settings.host or _ALL_ADDRESSES
        case False, False:
            if not allow_open_network:
                raise SettingsError(
                    "REQUIRE_AUTH=false would let anybody in; set DEVELOPMENT_MODE=true to serve this "
                    "machine only, or ALLOW_OPEN_NETWORK=true if everybody on the network may use the gateway"
                )
            auth, host = False, settings.host or _ALL_ADDRESSES
        case required, _:
            auth, host = required and has_keys, settings.host or _LOOPBACK
            if not is_loopback(host) and not allow_open_network:
                raise SettingsError(
                    f"HOST: {host!r} is not this machine only, which DEVELOPMENT_MODE=true asks for; "
                    "leave HOST out, set DEVELOPMENT_MODE=false, or set ALLOW_OPEN_NETWORK=true"
                )
    return Exposure(host, settings.ports, auth, open_network=not auth and not is_loopback(host))


def is_own_host(host: str) -> bool:
    """Whether ``host`` is this machine's name or one of its addresses. It asks no name server."""
    name = socket.gethostname().lower()
    if host in (name, name.partition(".")[0]):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # It refuses names. Looking one up could block, and would tell a name server about it.
            socket.inet_pton(family, host)
            probe.bind((host, 0))  # succeeds only for addresses of this machine
    except OSError:
        return False
    return True


def check_self_loop(
    settings: Settings, listening: Exposure, is_own: Callable[[str], bool] = is_own_host
) -> None:
    """Refuse settings under which the gateway would be its own upstream.

    Args:
        settings: the settings to start with.
        listening: where the gateway would listen.
        is_own: tells whether a host name or address belongs to this machine. The default asks the system.

    Raises:
        SettingsError: a provider's address is one that the gateway listens on. The text names both.
    """
    problems = []
    for name, provider in resolve_providers(settings).items():
        for address in provider.addresses:
            url = urlsplit(address)
            host = unbracket(url.hostname or "")
            if port_of(url) in listening.ports and _reaches(host, unbracket(listening.host), is_own):
                problems.append(
                    f"provider {name!r}: {address} is this gateway itself; "
                    "give the upstream's own address, or set PORT to another port"
                )
    if problems:
        raise SettingsError(*problems)


def _reaches(host: str, bound: str, is_own: Callable[[str], bool]) -> bool:
    """Whether a connection to ``host`` arrives at a socket that is bound to the address ``bound``."""
    if is_loopback(host) or is_wildcard(host):
        return is_loopback(bound) or is_wildcard(bound)
    return host == bound or (is_wildcard(bound) and is_own(host))
