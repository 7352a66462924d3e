"""Responses that need no parser, and those that look like it and do."""

from __future__ import annotations

import pytest

from trunkline.transport.plain_response import find_body, split_fields
from trunkline.transport.response import DONE, ResponseReader

LINE = b"HTTP/1.1 200 OK\r\n"
PLAIN = {
    "length only": LINE + b"Content-Length: 2\r\n\r\nhi",
    "no reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nhi",
    "no blank": LINE + b"content-length:2\r\n\r\nhi",
    "several fields": LINE + b"Date: today\r\nContent-Length: 2\r\nX-A: b c\t\r\nServer:\r\n\r\nhi",
    "kept": LINE + b"Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    "a name that begins like one of those": LINE + b"Connections: 5\r\nContent-Length: 2\r\n\r\nhi",
    "letters beyond ASCII": LINE + b"X: \xe9\r\nContent-Length: 2\r\n\r\nhi",
    "an empty body": LINE + b"Content-Length: 0\r\n\r\n",
}
OTHER = {
    "another status": b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nhi",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    "closing": LINE + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
    "a time to keep it": LINE + b"Keep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nhi",
    "chunked": LINE + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "chunked with a length": LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",
    "compressed": LINE + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
    "no length": LINE + b"Date: today\r\n\r\nhi",
    "two lengths": LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    "two lengths that differ": LINE + b"Content-Length: 3\r\nContent-Length: 2\r\n\r\nhi",
    "a length that is none": LINE + b"Content-Length: +2\r\n\r\nhi",
    "a body that is not all there": LINE + b"Content-Length: 3\r\n\r\nhi",
    "more than the body": LINE + b"Content-Length: 1\r\n\r\nhi",
    "a head that is not all there": LINE + b"Content-Length: 2\r\n",
    "a line that goes on": LINE + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
    "a blank before the colon": LINE + b"X : a\r\nContent-Length: 2\r\n\r\nhi",
    "a line without a colon": LINE + b"nothing\r\nContent-Length: 2\r\n\r\nhi",
    "a bare newline": LINE + b"X: a\nContent-Length: 2\r\n\r\nhi",
    "a bare return": LINE + b"X: a\rb\r\nContent-Length: 2\r\n\r\nhi",
    "a NUL": LINE + b"X: a\0\r\nContent-Length: 2\r\n\r\nhi",
    "no header": LINE + b"\r\nhi",
    "very many headers": LINE + b"X: a\r\n" * 65 + b"Content-Length: 2\r\n\r\nhi",
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_plain_responses(data: bytes) -> None:
    """The parser, which gets them in two pieces, says the same of them."""
    start = find_body(data, 0)
    assert start == data.index(b"\r\n\r\n") + 4
    parsed, plain = ResponseReader(), ResponseReader()
    body = parsed.feed(data[:5]) + parsed.feed(data[5:])
    assert plain.feed(data) == body == data[start:]
    assert plain.headers == parsed.headers == split_fields(data[:start])
    for reader in parsed, plain:
        assert (reader.status, reader.state, reader.reusable, reader.fault) == (200, DONE, True, None)


@pytest.mark.parametrize("data", OTHER.values(), ids=OTHER)
def test_responses_for_the_parser(data: bytes) -> None:
    assert find_body(data, 0) == 0


def test_a_body_that_is_longer_than_may_be_taken() -> None:
    assert find_body(PLAIN["length only"], 2)
    assert not find_body(PLAIN["length only"], 1)


def test_plain_and_other_responses_take_turns() -> None:
    reader = ResponseReader()
    for data in [*PLAIN.values(), OTHER["chunked"], PLAIN["kept"], OTHER["compressed"][:-2], b"hi"]:
        if reader.state == DONE:
            reader.begin()
        reader.feed(data)
    assert reader.fault is not None  # what came last is not compressed
