"""How bytes may arrive: whole, byte by byte, and cut in two at every place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def ways(data: bytes) -> Iterator[Sequence[bytes]]:
    """Every way in which a case is fed."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
