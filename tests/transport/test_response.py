from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from math import inf

import pytest

from trunkline.transport import failures
from trunkline.transport.failures import Fault
from trunkline.transport.response import (
    BROKEN,
    COUNT_LIMIT,
    DONE,
    HEAD,
    HEAD_LIMIT,
    INFLATE_LIMIT,
    OVERHEAD_LIMIT,
    ResponseReader,
    find_body,
    split_fields,
)

L = b"HTTP/1.1 200 OK\r\n"
LEN2 = L + b"Content-Length: 2\r\n\r\nhi"
CHUNKED = L + b"Transfer-Encoding: chunked\r\n\r\n"
TEXT = b"The quick brown fox. " * 40
ZIPPED = gzip.compress(TEXT, mtime=0)
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(TEXT) + RAW.flush()


def sized(headers: bytes, body: bytes) -> bytes:
    return L + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


@dataclass(frozen=True)
class Case:
    wire: bytes
    body: bytes = b""
    status: int = 200
    reusable: bool = True
    eof: bool = False
    """Whether the connection ends after the bytes."""
    no_body: bool = False
    max_body: int = 0
    fault: Fault | None = None


def read(case: Case, *, step: int) -> tuple[ResponseReader, bytes]:
    reader = ResponseReader()
    reader.begin(no_body=case.no_body, max_body=case.max_body)
    body = b""
    for start in range(0, len(case.wire), step):
        body += reader.feed(case.wire[start : start + step])
        if reader.state == BROKEN:
            break
    if case.eof:
        reader.eof()
    return reader, body


GOOD = {
    "length": Case(LEN2, b"hi"),
    "length zero": Case(L + b"Content-Length: 0\r\n\r\n"),
    "chunked": Case(CHUNKED + b"2\r\nhi\r\n3;a=b\r\n th\r\n0\r\n\r\n", b"hi th"),
    "chunked, in capitals": Case(L + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
    "trailers": Case(CHUNKED + b"1\r\nx\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"x"),
    "until close": Case(L + b"\r\nall there is", b"all there is", reusable=False, eof=True),
    "until close, empty": Case(L + b"\r\n", reusable=False, eof=True),
    "eof after the end": Case(LEN2, b"hi", eof=True),
    "interim": Case(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + LEN2, b"hi"),
    "interim with framing": Case(b"HTTP/1.1 103 Early\r\nContent-Encoding: br\r\n\r\n" + LEN2, b"hi"),
    "head": Case(L + b"Content-Length: 9\r\n\r\n", no_body=True, reusable=False),
    "head, chunked": Case(CHUNKED, no_body=True, reusable=False),
    "head with a body": Case(L + b"Content-Length: 2\r\n\r\nhi", no_body=True, reusable=False),
    "head, surplus": Case(L + b"\r\nHTTP/1.1 200 OK\r\n\r\n", no_body=True, reusable=False),
    "204": Case(b"HTTP/1.1 204 No Content\r\n\r\n", status=204),
    "204 with length": Case(b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", status=204),
    "304 with length": Case(b"HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\n", status=304),
    "304 with encoding": Case(b"HTTP/1.1 304 Same\r\nContent-Encoding: br\r\n\r\n", status=304),
    "close": Case(L + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", reusable=False),
    "1.0": Case(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", reusable=False),
    "1.0 kept": Case(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "upgrade offered": Case(L + b"Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "surplus": Case(LEN2 + b"more", b"hi", reusable=False),
    "surplus response": Case(LEN2 + LEN2, b"hi", reusable=False),
    "surplus after close": Case(
        L + b"Connection: close\r\nContent-Length: 2\r\n\r\nhimore", b"hi", reusable=False
    ),
    "surplus after 204": Case(
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", status=204, reusable=False
    ),
    "error status": Case(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy", b"busy", status=503),
    "no reason": Case(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    "gzip": Case(sized(b"Content-Encoding: gzip\r\n", ZIPPED), TEXT),
    "x-gzip": Case(sized(b"content-encoding: X-GZIP\r\n", ZIPPED), TEXT),
    "gzip until close": Case(L + b"Content-Encoding: gzip\r\n\r\n" + ZIPPED, TEXT, eof=True, reusable=False),
    "gzip chunked": Case(
        L
        + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ZIPPED)
        + ZIPPED
        + b"\r\n0\r\n\r\n",
        TEXT,
    ),
    "gzip, empty": Case(sized(b"Content-Encoding: gzip\r\n", b"")),
    "deflate": Case(sized(b"Content-Encoding: deflate\r\n", zlib.compress(TEXT)), TEXT),
    "deflate, raw": Case(sized(b"Content-Encoding: deflate\r\n", DEFLATED), TEXT),
    "identity": Case(sized(b"Content-Encoding: identity\r\n", b"abc"), b"abc"),
    "limit met": Case(LEN2, b"hi", max_body=2),
    "limit met by gzip": Case(sized(b"Content-Encoding: gzip\r\n", ZIPPED), TEXT, max_body=len(TEXT)),
}

BAD = {
    "both framings": Case(
        L + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        fault=failures.MALFORMED,
    ),
    "both framings, turned": Case(
        CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n", fault=failures.MALFORMED
    ),
    "two lengths": Case(
        L + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi", fault=failures.MALFORMED
    ),
    "negative length": Case(L + b"Content-Length: -1\r\n\r\n", fault=failures.MALFORMED),
    "huge length": Case(L + b"Content-Length: %d\r\n\r\n" % 10**30, fault=failures.MALFORMED),
    "odd transfer encoding": Case(
        L + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", fault=failures.MALFORMED
    ),
    "chunked twice": Case(
        CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", fault=failures.MALFORMED
    ),
    "not HTTP": Case(b"SSH-2.0-OpenSSH_9.6\r\n", fault=failures.MALFORMED),
    "TLS": Case(b"\x15\x03\x01\x00\x02\x02\x46", fault=failures.MALFORMED),
    "bare LF": Case(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", fault=failures.MALFORMED),
    "folded": Case(L + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n", fault=failures.MALFORMED),
    "upgraded": Case(
        b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", fault=failures.MALFORMED
    ),
    "101 alone": Case(b"HTTP/1.1 101 Go\r\n\r\n", fault=failures.MALFORMED),
    "status 99": Case(b"HTTP/1.1 099 Odd\r\n\r\n", fault=failures.MALFORMED),
    "status 999": Case(b"HTTP/1.1 999 Odd\r\n\r\n", fault=failures.MALFORMED),
    "bad chunk": Case(CHUNKED + b"2\r\nhi\r\nzz\r\n", b"hi", fault=failures.MALFORMED),
    "nothing": Case(b"", eof=True, fault=failures.RESET),
    "cut in the head": Case(L + b"Content-Le", eof=True, fault=failures.TRUNCATED),
    "cut after the head": Case(L + b"Content-Length: 2\r\n\r\n", eof=True, fault=failures.TRUNCATED),
    "cut in the body": Case(L + b"Content-Length: 3\r\n\r\nhi", b"hi", eof=True, fault=failures.TRUNCATED),
    "cut in a chunk": Case(CHUNKED + b"5\r\nhi", b"hi", eof=True, fault=failures.TRUNCATED),
    "cut before the last chunk": Case(
        CHUNKED + b"2\r\nhi\r\n", b"hi", eof=True, fault=failures.TRUNCATED
    ),
    "too many headers": Case(L + b"X: y\r\n" * (COUNT_LIMIT + 1) + b"\r\n", fault=failures.HEAD_TOO_LARGE),
    "large headers": Case(
        L + (b"X: " + b"y" * 1000 + b"\r\n") * (HEAD_LIMIT // 1000 + 1) + b"\r\n",
        fault=failures.HEAD_TOO_LARGE,
    ),
    "endless interim responses": Case(
        b"HTTP/1.1 103 Early\r\n\r\n" * (OVERHEAD_LIMIT // 22 + 1), fault=failures.HEAD_TOO_LARGE
    ),
    "longer than the limit": Case(
        sized(b"", b"abc"), max_body=2, fault=failures.TOO_LARGE
    ),
    "brotli": Case(sized(b"Content-Encoding: br\r\n", b"abc"), fault=failures.ENCODING),
    "two encodings": Case(
        sized(b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", b"abc"), fault=failures.ENCODING
    ),
    "not gzip": Case(sized(b"Content-Encoding: gzip\r\n", b"abcdef"), fault=failures.ENCODING),
}  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 1 << 30])
@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_good_responses(case: Case, step: int) -> None:
    reader, body = read(case, step=step)
    assert reader.fault is None
    assert (reader.state, reader.status, body) == (DONE, case.status, case.body)
    assert reader.reusable is case.reusable


@pytest.mark.parametrize("step", [1, 7, 1 << 30])
@pytest.mark.parametrize("case", BAD.values(), ids=BAD.keys())
def test_bad_responses(case: Case, step: int) -> None:
    reader, body = read(case, step=step)
    assert reader.fault == case.fault
    assert (reader.state, body, reader.reusable) == (BROKEN, case.body, False)


@pytest.mark.parametrize("step", [1, 1 << 30])
@pytest.mark.parametrize(
    ("encoding", "wire", "max_body", "fault"),
    [
        (b"gzip", ZIPPED[:-12], 0, failures.ENCODING),
        (b"gzip", ZIPPED + b"and on", 0, failures.ENCODING),
        (b"gzip", ZIPPED[:-8] + b"badcheck", 0, failures.ENCODING),
        (b"gzip", ZIPPED, len(TEXT) - 1, failures.TOO_LARGE),
        (b"deflate", DEFLATED[:-3], 0, failures.ENCODING),
    ],
    ids=["cut short", "bytes on", "bad sum", "over the limit", "cut short, raw"],
)
def test_bad_compression(step: int, encoding: bytes, wire: bytes, max_body: int, fault: Fault) -> None:
    case = Case(sized(b"Content-Encoding: %b\r\n" % encoding, wire), max_body=max_body)
    reader, body = read(case, step=step)
    assert (reader.state, reader.fault) == (BROKEN, fault)
    assert TEXT.startswith(body)  # the length before the fault depends on the reads


def test_a_chunked_body_over_the_limit() -> None:
    reader, body = read(Case(CHUNKED + b"2\r\nhi\r\n3\r\nfoo\r\n0\r\n\r\n", max_body=4), step=1)
    assert (reader.fault, reader.detail, body) == (failures.TOO_LARGE, 4, b"hifo")


def test_a_compression_bomb_in_one_read() -> None:
    bomb = gzip.compress(bytes(INFLATE_LIMIT + 1))
    reader, body = read(Case(sized(b"Content-Encoding: gzip\r\n", bomb)), step=1 << 30)
    assert (reader.fault, body) == (failures.TOO_LARGE, b"")


def test_several_responses_in_turn() -> None:
    reader = ResponseReader()
    for body in (b"one", b"three", b""):
        reader.begin()
        assert reader.nothing_received
        assert reader.feed(sized(b"", body)) == body
        assert (reader.state, reader.reusable, reader.nothing_received) == (DONE, True, False)
        assert reader.headers == [(b"content-length", b"%d" % len(body))]


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_header_names_are_lower_case_and_values_stripped(step: int) -> None:
    wire = L + b"X-One: \t a b \t\r\nx-TWO:\r\nX-One: 2\r\nContent-Length: 0\r\n\r\n"
    reader, _ = read(Case(wire), step=step)
    assert reader.headers == [
        (b"x-one", b"a b"),
        (b"x-two", b""),
        (b"x-one", b"2"),
        (b"content-length", b"0"),
    ]


def test_headers_that_describe_the_compressed_body_are_left_out() -> None:
    reader, _ = read(Case(sized(b"Content-Encoding: gzip\r\nX: y\r\n", ZIPPED)), step=1 << 30)
    assert reader.headers == [(b"x", b"y")]


def test_trailers_are_not_headers() -> None:
    reader, _ = read(Case(CHUNKED + b"0\r\nX: y\r\n\r\n"), step=1)
    assert reader.headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"Keep-Alive: timeout=5, max=100\r\n", 5.0),
        (b"Keep-Alive: max=1, Timeout = 7\r\n", 7.0),
        (b"Keep-Alive: max=1\r\n", inf),
        (b"", inf),
    ],
)
def test_keep_alive_header(header: bytes, seconds: float) -> None:
    reader, _ = read(Case(sized(header, b"")), step=1 << 30)
    assert reader.keep_alive == seconds


@pytest.mark.parametrize("start", [L + b"X: ", CHUNKED + b"1;x=", CHUNKED + b"0\r\nX: "])
def test_endless_lines_are_refused(start: bytes) -> None:
    reader = ResponseReader()
    reader.feed(start)
    for _ in range(OVERHEAD_LIMIT // 1000 + 1):
        assert reader.fault is None
        reader.feed(b"y" * 1000)
    assert reader.fault == failures.HEAD_TOO_LARGE


def test_overhead_is_counted_between_pieces_of_body_only() -> None:
    reader = ResponseReader()
    reader.feed(CHUNKED)
    for _ in range(OVERHEAD_LIMIT // 10):
        assert reader.feed(b"1\r\nx") == b"x"
        assert reader.feed(b"\r\n") == b""
    assert reader.fault is None
    assert reader.state != HEAD


# Responses that need no parser, and those that look like it and do

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
