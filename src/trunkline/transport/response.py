"""One response after another, from bytes to (status, headers), pieces of body, and the end. No I/O.

httptools parses; this module owns what it leaves to its caller: answers to HEAD, interim 1xx answers, bodies
that run until the connection closes, bytes after the end of a message, limits on heads and bodies, and
content encodings. It does not know sockets, requests or who reads. After each :meth:`ResponseReader.feed`
look at ``status`` (0 until the head is complete), ``state`` and ``fault``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Final, NoReturn

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from trunkline.transport import failures
from trunkline.transport.failures import Fault

HEAD: Final = 0
BODY: Final = 1
DONE: Final = 2
BROKEN: Final = 3

HEAD_LIMIT: Final = 64 * 1024
"""Most bytes of header names and values in one head."""
COUNT_LIMIT: Final = 256
"""Most header fields in one head."""
DRY_LIMIT: Final = 2 * HEAD_LIMIT
"""Most bytes in a row that bring no body: bounds header lines, chunk lines and trailers that never end."""
INFLATE_LIMIT: Final = 16 * 1024 * 1024
"""Most bytes that one read may decompress to when the body itself has no limit."""

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_BODYLESS: Final = frozenset({204, 304})
_INFLATED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
_DESCRIBE_ENCODED: Final = frozenset({b"content-encoding", b"content-length"})


class _Stop(Exception):  # noqa: N818 - a signal to httptools, not an error
    """Raised in a callback to stop the parser; why is already in the reader."""


class ResponseReader:
    """Reads the responses of one connection, in order. Call :meth:`begin` before each."""

    __slots__ = (
        "_checked",
        "_decoder",
        "_dry",
        "_encoding",
        "_feed",
        "_fields",
        "_framed",
        "_max_body",
        "_no_body",
        "_parser",
        "_pieces",
        "_size",
        "detail",
        "fault",
        "headers",
        "keep_alive",
        "on_body",
        "on_header",
        "reusable",
        "state",
        "status",
    )

    state: int
    """HEAD, BODY, DONE or BROKEN (then ``fault`` says why)."""
    status: int
    headers: list[tuple[bytes, bytes]]
    """Names in lower case. A body that was decompressed has lost its encoding and its length here."""
    fault: Fault | None
    detail: object
    """Goes into the fault's sentence."""
    reusable: bool
    """Once DONE: the connection may carry another request."""
    keep_alive: float
    """Seconds for which the upstream says it keeps an idle connection; infinite if it did not say."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._fields: list[tuple[bytes, bytes]] = []
        # The parser takes its callbacks from attributes once, so a piece of body costs no Python frame, and
        # a header field as little as can be.
        self.on_body = self._pieces.append
        keep = self._fields.append
        self.on_header: Callable[[bytes, bytes], None] = lambda name, value: keep((name, value))
        self._parser = HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self.begin()

    def begin(self, *, no_body: bool = False, max_body: int = 0) -> None:
        """Expect the next response. ``no_body``: the request was HEAD (or CONNECT)."""
        self.state = HEAD
        self.status = 0
        self.headers = []
        self.fault = None
        self.detail = ""
        self.reusable = False
        self.keep_alive = float("inf")
        self._no_body = no_body
        self._max_body = max_body
        self._checked = no_body or max_body > 0
        self._decoder: zlib._Decompress | None = None
        self._encoding = b""
        self._framed = False
        self._fields.clear()
        self._dry = 0
        self._size = 0

    @property
    def untouched(self) -> bool:
        """Whether not one byte of this response has arrived."""
        return self.state == HEAD and self._dry == 0

    def feed(self, data: bytes) -> bytes:
        """Read on; returns what ``data`` holds of the body, decoded, in one piece. Never raises."""
        dry = self._dry = self._dry + len(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._stopped(error)
        pieces = self._pieces
        if not pieces:
            body = b""
            if dry > DRY_LIMIT and self.state < DONE:
                self._break(failures.HEAD_TOO_LARGE)
        else:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._dry = 0
        return self._check(body) if self._checked else body

    def eof(self) -> None:
        """The connection has ended: that is the end of a body without a length, else a fault."""
        if self.state == BODY and not self._framed:
            self.state = DONE
            self._check(b"")
        elif self.state < DONE:
            self._break(failures.RESET if self.untouched else failures.TRUNCATED)

    # What httptools calls

    def on_message_begin(self) -> None:
        if self.state != HEAD:
            raise _Stop  # bytes after the message: an answer to nobody's question

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not 100 <= status <= 599 or status == 101:
            self._refuse(failures.MALFORMED, f"status {status}")
        fields = self._fields
        if len(fields) > COUNT_LIMIT or (self._dry > HEAD_LIMIT and _size(fields) > HEAD_LIMIT):
            self._refuse(failures.HEAD_TOO_LARGE, "")
        if status < 200:
            fields.clear()
            return
        # httptools leaves blanks at the end of a value in which a read ended
        self.headers = [(name.lower(), value.strip(b" \t")) for name, value in fields]
        if self._no_body:
            self.state = DONE
        else:
            if status not in _BODYLESS:
                for name, value in self.headers:
                    rule = _RULES.get(name)
                    if rule is not None:
                        rule(self, value)
            self.state = BODY
            if self._encoding:
                self._checked = True
                self.headers = [field for field in self.headers if field[0] not in _DESCRIBE_ENCODED]
        self.status = status

    def on_message_complete(self) -> None:
        if self.state == BODY:  # not after an interim answer
            self.state = DONE
            self.reusable = self._parser.should_keep_alive()

    # Rules for the headers that decide how a body is read

    def _transfer_encoding(self, value: bytes) -> None:
        if value.lower() != b"chunked" or self._framed:
            self._refuse(failures.MALFORMED, "a transfer encoding other than chunked")
        self._framed = True

    def _content_length(self, value: bytes) -> None:
        self._framed = True
        if 0 < self._max_body < int(value):
            self._refuse(failures.TOO_LARGE, self._max_body)

    def _content_encoding(self, value: bytes) -> None:
        value = value.lower()
        if value in _INFLATED and not self._encoding:
            self._encoding = value
        elif value not in _PLAIN:
            self._refuse(failures.ENCODING, "it is neither gzip nor deflate")

    def _keep_alive(self, value: bytes) -> None:
        match = _KEEP_ALIVE.search(value)
        if match:
            self.keep_alive = float(match[1])

    # What the body goes through when it is not simply passed on

    def _check(self, body: bytes) -> bytes:
        if self._no_body:
            return b""
        if self._encoding:
            body = self._inflate(body)
        if self._max_body:
            self._size += len(body)
            if self._size > self._max_body:
                self._break(failures.TOO_LARGE, self._max_body)
                return b""
        return body

    def _inflate(self, data: bytes) -> bytes:
        decoder = self._decoder
        if decoder is None:
            if not data:
                return b""  # nothing was sent, so nothing was encoded
            # "deflate" should be wrapped in zlib's header, and from many servers is not (RFC 9110, 8.4.1.2)
            raw = self._encoding == b"deflate" and data[0] & 0x0F != zlib.DEFLATED
            self._decoder = decoder = zlib.decompressobj(-zlib.MAX_WBITS if raw else _GZIP_OR_ZLIB)
        limit = self._max_body - self._size if self._max_body else INFLATE_LIMIT
        try:
            body = decoder.decompress(data, limit + 1)
        except zlib.error:
            self._break(failures.ENCODING, "its compressed form is broken")
            return b""
        if len(body) > limit:
            self._break(failures.TOO_LARGE, self._max_body or INFLATE_LIMIT)
            return b""
        if decoder.unused_data:
            self._break(failures.ENCODING, "bytes follow its compressed form")
        elif self.state == DONE and not decoder.eof:
            self._break(failures.ENCODING, "its compressed form is cut short")
        return body

    # Ends

    def _break(self, fault: Fault, detail: object = "") -> None:
        if self.fault is None:
            self.fault = fault
            self.detail = detail
        self.state = BROKEN
        self.reusable = False

    def _refuse(self, fault: Fault, detail: object) -> NoReturn:
        self._break(fault, detail)
        raise _Stop

    def _stopped(self, error: Exception) -> None:
        if self.state < DONE:
            self._break(failures.MALFORMED, str(error) or "it wants to speak another protocol")
        self.reusable = False


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


_PLAIN: Final = frozenset({b"", b"identity"})
_KEEP_ALIVE: Final = re.compile(rb"(?i)\btimeout\s*=\s*(\d{1,9})")
_RULES: Final[dict[bytes, Callable[[ResponseReader, bytes], None]]] = {
    b"transfer-encoding": ResponseReader._transfer_encoding,
    b"content-length": ResponseReader._content_length,
    b"content-encoding": ResponseReader._content_encoding,
    b"keep-alive": ResponseReader._keep_alive,
}
