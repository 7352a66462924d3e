"""Writes to a file descriptor without blocking."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.observe.sink import Sink

LINE = b"x" * 99 + b"\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def read_all(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := os.read(fd, 1 << 16)):
        data += more
    return data


def test_a_regular_file_takes_everything(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as file:
        sink = Sink(file.fileno())
        sink.write(LINE * 10_000)
        assert sink.is_empty
    assert (tmp_path / "log").read_bytes() == LINE * 10_000


def test_a_full_pipe_neither_blocks_nor_loses_lines(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    total = LINE * 10_000
    sink.write(total)
    assert not sink.is_empty
    assert not sink.drain()
    received = os.read(reader, 1 << 16)
    assert received.endswith(b"\n")
    while not sink.drain():
        received += os.read(reader, 1 << 16)
    received += read_all(reader, len(total) - len(received))
    assert received == total
    assert sink.lost == 0


def test_a_line_that_is_longer_than_a_piece_is_split(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    sink.write(b"y" * 10_000 + b"\n")
    assert sink.is_empty
    assert read_all(reader, 10_001) == b"y" * 10_000 + b"\n"


def test_lines_that_cannot_be_written_are_counted(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    sink = Sink(writer)
    os.close(reader)
    sink.write(LINE * 3)
    assert (sink.is_empty, sink.lost) == (True, 3)
