"""Whom a request is from, where a proxy that is trusted says so in ``X-Forwarded-For``.

It does no more than name the client in the log: what may be done is decided by keys.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"
_ANYBODY: Final = "*"
HEADER: Final = b"x-forwarded-for"


class Proxies:
    """Those whose word is taken.

    Args:
        trusted: addresses or networks; ``*`` is everybody.
    """

    def __init__(self, trusted: Sequence[str]) -> None:
        self._everybody = _ANYBODY in trusted
        self._networks = [ipaddress.ip_network(each, strict=False) for each in trusted if each != _ANYBODY]

    def client(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The nearest address on the way from ``peer`` back to the client that no trusted proxy has; the
        farthest one if all are trusted. What is no address ends the way: anybody could have written it."""
        found = peer
        header = b",".join(value for name, value in headers if name == HEADER).decode("latin-1")
        for text in reversed(header.split(",")):
            if not self._trusts(found):
                break
            address = _address(text.strip())
            if address is None:
                break
            found = str(address)
        return found

    def _trusts(self, text: str) -> bool:
        if self._everybody:
            return True
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> _Address | None:
    """An address, which some write with its port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
