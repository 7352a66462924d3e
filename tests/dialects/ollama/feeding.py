"""How bytes may arrive: the ways in which every reader and scanner case is fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def whole(data: bytes) -> Iterator[bytes]:
    """All at once."""
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """One byte at a time."""
    return (data[at : at + 1] for at in range(len(data)))


def linewise(data: bytes) -> Iterator[bytes]:
    """A line at a time, as Ollama flushes."""
    return iter(data.splitlines(keepends=True))


Pieces = Callable[[bytes], Iterator[bytes]]
WAYS: tuple[Pieces, ...] = (whole, bytewise, linewise)
