from __future__ import annotations

import asyncio

import pytest

from trunkline.pipe import HIGH_WATER, Pipe


class Source:
    """Counts how often it is paused and resumed."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def make_pipe(self) -> Pipe:
        return Pipe(lambda: self.calls.append("pause"), lambda: self.calls.append("resume"))


async def test_pieces_are_read_in_order_as_they_come() -> None:
    pipe = Source().make_pipe()
    pieces: list[bytes] = []

    async def read() -> None:
        pieces.extend([piece async for piece in pipe])

    reading = asyncio.ensure_future(read())
    pipe.feed(b"a")
    await asyncio.sleep(0)
    pipe.feed(b"b")
    pipe.feed(b"c")
    pipe.end()
    await reading
    assert pieces == [b"a", b"b", b"c"]


async def test_read_joins_the_pieces() -> None:
    pipe = Source().make_pipe()
    pipe.feed(b"a")
    pipe.feed(b"b")
    pipe.end()
    pipe.end(ValueError("too late"))
    assert await pipe.read() == b"ab"
    assert await pipe.read() == b""


async def test_a_failure_is_raised_after_the_last_piece() -> None:
    pipe = Source().make_pipe()
    pipe.feed(b"a")
    pipe.end(ValueError("broken"))
    assert await anext(pipe) == b"a"
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            await anext(pipe)


async def test_a_slow_reader_pauses_the_source() -> None:
    source = Source()
    pipe = source.make_pipe()
    half = bytes(HIGH_WATER // 2)
    pipe.feed(half)
    pipe.feed(half)
    assert source.calls == []
    pipe.feed(b"x")
    pipe.feed(b"x")
    assert source.calls == ["pause"]
    await anext(pipe)
    assert source.calls == ["pause"]
    await anext(pipe)
    assert source.calls == ["pause", "resume"]
