"""From an answer to steps."""

from __future__ import annotations

import pytest

from trunkline_mock import Script
from trunkline_mock.delivery import (
    End,
    Frame,
    Framing,
    Mark,
    Reply,
    Step,
    Write,
    deliver,
    framing_of,
    head,
)

_WHOLE = Reply(frames=(Frame(b"{}", Mark.CONTENT, 3),))
_STREAM = Reply(
    frames=(
        Frame(b"role", Mark.START),
        Frame(b"one", Mark.CONTENT, 1),
        Frame(b"two", Mark.CONTENT, 2),
        Frame(b"end", Mark.FINISH),
    ),
    content_type="text/event-stream",
    streamed=True,
)
_CHUNKED = Framing(chunked=True, close=False)
_LENGTH = Framing(chunked=False, close=False)


def steps(reply: Reply, framing: Framing, **script: object) -> list[Step]:
    return list(deliver(reply, Script(**script), framing))  # type: ignore[arg-type]


def test_a_whole_answer_is_one_write() -> None:
    sent = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    assert steps(_WHOLE, _LENGTH) == [Write(sent, 3, 1), End.KEEP]


def test_a_stream_is_a_write_a_record() -> None:
    first, *rest = steps(_STREAM, _CHUNKED)
    assert isinstance(first, Write)
    assert first.data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.data.endswith(b"\r\n\r\n4\r\nrole\r\n")
    assert rest == [
        Write(b"3\r\none\r\n", 1, 1),
        Write(b"3\r\ntwo\r\n", 2, 1),
        Write(b"3\r\nend\r\n0\r\n\r\n"),
        End.KEEP,
    ]


def test_pauses_come_before_the_answer_and_between_contents() -> None:
    played = steps(_STREAM, _CHUNKED, delay_first_s=2.0, delay_chunk_s=1.0)
    assert [step if isinstance(step, float) else type(step).__name__ for step in played] == [
        2.0,
        "Write",
        "Write",
        1.0,
        "Write",
        "Write",
        "End",
    ]


def test_the_head_may_come_before_the_silence() -> None:
    first, pause, second, *_ = steps(_WHOLE, _LENGTH, delay_first_s=2.0, early_head=True)
    assert isinstance(first, Write)
    assert first.data.endswith(b"\r\n\r\n")
    assert (pause, second) == (2.0, Write(b"{}", 3, 1))


def test_a_head_request_gets_a_head() -> None:
    framing = framing_of(_WHOLE, keep_alive=True, old_peer=False, bodiless=True)
    sent = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    assert steps(_WHOLE, framing) == [Write(sent), End.KEEP]


def test_an_answer_without_a_body() -> None:
    sent = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"
    assert steps(Reply(frames=(), status=201), _LENGTH) == [Write(sent), End.KEEP]


@pytest.mark.parametrize(
    ("reply", "keep_alive", "old_peer", "framing"),
    [
        (_WHOLE, True, False, Framing(chunked=False, close=False)),
        (_WHOLE, False, False, Framing(chunked=False, close=True)),
        (_STREAM, True, False, Framing(chunked=True, close=False)),
        (_STREAM, True, True, Framing(chunked=False, close=True)),
    ],
)
def test_framing(reply: Reply, keep_alive: bool, old_peer: bool, framing: Framing) -> None:
    assert framing_of(reply, keep_alive=keep_alive, old_peer=old_peer, bodiless=False) == framing


def test_an_odd_status_and_further_headers() -> None:
    reply = Reply(frames=(), status=529, headers=(("retry-after", "3"),))
    assert head(reply, Framing(chunked=False, close=True), extra=(("x-a", "b"),)) == (
        b"HTTP/1.1 529 Unknown\r\ncontent-type: application/json\r\ncontent-length: 0\r\n"
        b"connection: close\r\nretry-after: 3\r\nx-a: b\r\n\r\n"
    )
