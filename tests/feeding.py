"""How bytes may arrive: whole, byte by byte, line by line, and cut in two at every place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def bytewise(data: bytes) -> Sequence[bytes]:
    """Return one byte at a time."""
    return [data[index : index + 1] for index in range(len(data))]


def linewise(data: bytes) -> Sequence[bytes]:
    """Return a line at a time, as Ollama flushes."""
    return data.splitlines(keepends=True)


def ways(data: bytes) -> Iterator[Sequence[bytes]]:
    """Yield every way in which a case is fed, as its pieces."""
    yield [data]
    yield bytewise(data)
    yield linewise(data)
    for index in range(1, len(data)):
        yield [data[:index], data[index:]]
