"""The steps that send a response."""

from __future__ import annotations

import pytest

from trunkline_mock import Script
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.steps import (
    End,
    Framing,
    Step,
    Write,
    choose_framing,
    encode_head,
    response_steps,
)

_WHOLE = Response(records=(Record(b"{}", RecordKind.CONTENT, 3),))
_STREAM = Response(
    records=(
        Record(b"role", RecordKind.START),
        Record(b"one", RecordKind.CONTENT, 1),
        Record(b"two", RecordKind.CONTENT, 2),
        Record(b"end", RecordKind.FINISH),
    ),
    content_type="text/event-stream",
    streamed=True,
)
_CHUNKED = Framing(chunked=True, close=False)
_LENGTH = Framing(chunked=False, close=False)


def steps(response: Response, framing: Framing, **script: object) -> list[Step]:
    return list(response_steps(response, Script(**script), framing))  # type: ignore[arg-type]


def test_a_whole_response_is_one_write() -> None:
    sent = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    assert steps(_WHOLE, _LENGTH) == [Write(sent, 3, 1), End.KEEP]


def test_a_stream_is_one_write_per_record() -> None:
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


def test_pauses_come_before_the_response_and_between_content_records() -> None:
    planned = steps(_STREAM, _CHUNKED, delay_first_s=2.0, delay_chunk_s=1.0)
    assert [step if isinstance(step, float) else type(step).__name__ for step in planned] == [
        2.0,
        "Write",
        "Write",
        1.0,
        "Write",
        "Write",
        "End",
    ]


def test_the_head_may_be_sent_before_the_first_delay() -> None:
    first, pause, second, *_ = steps(_WHOLE, _LENGTH, delay_first_s=2.0, early_head=True)
    assert isinstance(first, Write)
    assert first.data.endswith(b"\r\n\r\n")
    assert (pause, second) == (2.0, Write(b"{}", 3, 1))


def test_a_head_request_gets_only_a_head() -> None:
    framing = choose_framing(_WHOLE, keep_alive=True, http_1_0=False, head_only=True)
    sent = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n"
    assert steps(_WHOLE, framing) == [Write(sent), End.KEEP]


def test_a_response_without_a_body() -> None:
    sent = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n"
    assert steps(Response(records=(), status=201), _LENGTH) == [Write(sent), End.KEEP]


@pytest.mark.parametrize(
    ("response", "keep_alive", "http_1_0", "framing"),
    [
        (_WHOLE, True, False, Framing(chunked=False, close=False)),
        (_WHOLE, False, False, Framing(chunked=False, close=True)),
        (_STREAM, True, False, Framing(chunked=True, close=False)),
        (_STREAM, True, True, Framing(chunked=False, close=True)),
    ],
)
def test_choosing_a_framing(response: Response, keep_alive: bool, http_1_0: bool, framing: Framing) -> None:
    assert choose_framing(response, keep_alive=keep_alive, http_1_0=http_1_0, head_only=False) == framing


def test_an_unknown_status_and_additional_headers() -> None:
    response = Response(records=(), status=529, headers=(("retry-after", "3"),))
    assert encode_head(response, Framing(chunked=False, close=True), extra=(("x-a", "b"),)) == (
        b"HTTP/1.1 529 Unknown\r\ncontent-type: application/json\r\ncontent-length: 0\r\n"
        b"connection: close\r\nretry-after: 3\r\nx-a: b\r\n\r\n"
    )
