"""Parses the responses of a connection: bytes to status, headers, pieces of body, and the end. No I/O.

httptools parses. This module does what httptools leaves to its caller: responses to HEAD, interim 1xx
responses, bodies that end with the connection, bytes after the end of a message, limits on heads and
bodies, and content encodings. It knows nothing of sockets and requests. After each
:meth:`ResponseReader.feed` the caller reads ``status`` (0 until the head is complete), ``state`` and
``fault``.
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
"""The most bytes of header names and values in one head."""
COUNT_LIMIT: Final = 256
"""The most header fields in one head."""
OVERHEAD_LIMIT: Final = 2 * HEAD_LIMIT
"""The most bytes in a row without any body. Limits header lines, chunk lines and trailers that never end."""
INFLATE_LIMIT: Final = 16 * 1024 * 1024
"""The most bytes to which one read may decompress, if the body itself has no limit."""

_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_STATUSES_WITHOUT_BODY: Final = frozenset({204, 304})
_COMPRESSED: Final = frozenset({b"gzip", b"x-gzip", b"deflate"})
_HEADERS_OF_COMPRESSED: Final = frozenset({b"content-encoding", b"content-length"})

# A whole response in one read, with nothing unusual in its head, is told apart by one expression: it needs no
# parser, and its header fields are split only if somebody looks at them. Most answers come like that.
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""A character of a field's name (RFC 9110, 5.6.2)."""
_VALUE: Final = rb"[\t -~\x80-\xff]"
"""A character of a field's value (RFC 9110, 5.5)."""
_HEAD: Final = re.compile(
    rb"HTTP/1\.1 200 (?:%(value)b)*+\r\n"
    rb"(?:"
    rb"(?i:content-length): ?(?P<length>\d{1,15})\r\n"
    rb"|(?i:connection): ?(?i:keep-alive)\r\n"
    rb"|(?!(?i:content-length|connection|transfer-encoding|content-encoding|keep-alive|upgrade)\b)"
    rb"%(token)b++:(?:%(value)b)*+\r\n"
    rb"){1,64}+\r\n" % {b"token": _TOKEN, b"value": _VALUE}
)
_FIELD: Final = re.compile(rb"\n([^:\r]+):[ \t]*([^\r]*?)[ \t]*(?=\r)")
_LENGTHS: Final = re.compile(rb"(?i)\ncontent-length:")


class _Stop(Exception):  # noqa: N818 - a signal to httptools, not an error
    """Raised in a callback to stop the parser. The reader has the reason."""


class ResponseReader:
    """Reads the responses of one connection, in order. Call :meth:`begin` before each."""

    __slots__ = (
        "_decoder",
        "_decodes",
        "_encoding",
        "_feed",
        "_fields",
        "_framed",
        "_headers",
        "_max_body",
        "_no_body",
        "_overhead",
        "_parser",
        "_pieces",
        "_plain_head",
        "_size",
        "detail",
        "fault",
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
    fault: Fault | None
    detail: object
    """The ``{detail}`` of the fault's text."""
    reusable: bool
    """Whether the connection may carry another request; valid once DONE."""
    keep_alive: float
    """Seconds for which the upstream keeps an idle connection, by its ``Keep-Alive``; infinite without
    one."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._fields: list[tuple[bytes, bytes]] = []
        # The parser reads its callbacks from these attributes once. So a piece of body costs no Python frame,
        # and a header field only the frame of the lambda.
        self.on_body = self._pieces.append
        append = self._fields.append
        self.on_header: Callable[[bytes, bytes], None] = lambda name, value: append((name, value))
        self._parser = HttpResponseParser(self)
        self._feed: Callable[[bytes], None] = self._parser.feed_data
        self.begin()

    def begin(self, *, no_body: bool = False, max_body: int = 0) -> None:
        """Expect the next response. ``no_body``: the request was HEAD (or CONNECT)."""
        self.state = HEAD
        self.status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._plain_head = b""
        self.fault = None
        self.detail = ""
        self.reusable = False
        self.keep_alive = float("inf")
        self._no_body = no_body
        self._max_body = max_body
        self._decodes = no_body or max_body > 0
        self._decoder: zlib._Decompress | None = None
        self._encoding = b""
        self._framed = False
        self._fields.clear()
        self._overhead = 0
        self._size = 0

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case. If the body is decompressed, its encoding and length are left out."""
        if self._plain_head:
            self._headers, self._plain_head = split_fields(self._plain_head), b""
        return self._headers

    @property
    def nothing_received(self) -> bool:
        """Whether no byte of this response has arrived."""
        return self.state == HEAD and self._overhead == 0

    def feed(self, data: bytes) -> bytes:
        """Parse ``data``. Returns the bytes of the body in it, decoded, in one piece. Never raises."""
        if self.state == HEAD and not self._overhead and not self._no_body:
            start = find_body(data, self._max_body)
            if start:
                self._plain_head, self.status, self.state, self.reusable = data[:start], 200, DONE, True
                return data[start:]
        overhead = self._overhead = self._overhead + len(data)
        try:
            self._feed(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self._stop(error)
        pieces = self._pieces
        if not pieces:
            body = b""
            if overhead > OVERHEAD_LIMIT and self.state < DONE:
                self._fail(failures.HEAD_TOO_LARGE)
        else:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._overhead = 0
        return self._decode(body) if self._decodes else body

    def eof(self) -> None:
        """The connection is closed. That ends a body without a length; elsewhere it is a fault."""
        if self.state == BODY and not self._framed:
            self.state = DONE
            self._decode(b"")
        elif self.state < DONE:
            self._fail(failures.RESET if self.nothing_received else failures.TRUNCATED)

    # The callbacks of httptools

    def on_message_begin(self) -> None:
        if self.state != HEAD:
            raise _Stop  # bytes after the message: they answer no request

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if not 100 <= status <= 599 or status == 101:
            self._reject(failures.MALFORMED, f"status {status}")
        fields = self._fields
        if len(fields) > COUNT_LIMIT or (self._overhead > HEAD_LIMIT and _size(fields) > HEAD_LIMIT):
            self._reject(failures.HEAD_TOO_LARGE, "")
        if status < 200:
            fields.clear()
            return
        # httptools leaves blanks at the end of a value that was split between two reads.
        self._headers = [(name.lower(), value.strip(b" \t")) for name, value in fields]
        if self._no_body:
            self.state = DONE
        else:
            if status not in _STATUSES_WITHOUT_BODY:
                for name, value in self._headers:
                    handler = _HEADER_HANDLERS.get(name)
                    if handler is not None:
                        handler(self, value)
            self.state = BODY
            if self._encoding:
                self._decodes = True
                self._headers = [field for field in self._headers if field[0] not in _HEADERS_OF_COMPRESSED]
        self.status = status

    def on_message_complete(self) -> None:
        if self.state == BODY:  # not after an interim response
            self.state = DONE
            self.reusable = self._parser.should_keep_alive()

    # The headers that decide how a body is read

    def _transfer_encoding(self, value: bytes) -> None:
        if value.lower() != b"chunked" or self._framed:
            self._reject(failures.MALFORMED, "a transfer encoding other than chunked")
        self._framed = True

    def _content_length(self, value: bytes) -> None:
        self._framed = True
        if 0 < self._max_body < int(value):
            self._reject(failures.TOO_LARGE, self._max_body)

    def _content_encoding(self, value: bytes) -> None:
        value = value.lower()
        if value in _COMPRESSED and not self._encoding:
            self._encoding = value
        elif value not in _PLAIN:
            self._reject(failures.ENCODING, "it is neither gzip nor deflate")

    def _keep_alive(self, value: bytes) -> None:
        match = _KEEP_ALIVE.search(value)
        if match:
            self.keep_alive = float(match[1])

    # Decoding and limits of a body

    def _decode(self, body: bytes) -> bytes:
        if self._no_body:
            return b""
        if self._encoding:
            body = self._inflate(body)
        if self._max_body:
            self._size += len(body)
            if self._size > self._max_body:
                self._fail(failures.TOO_LARGE, self._max_body)
                return b""
        return body

    def _inflate(self, data: bytes) -> bytes:
        decoder = self._decoder
        if decoder is None:
            if not data:
                return b""  # an empty body has no compressed form
            # "deflate" should have zlib's header, but many servers send it without (RFC 9110, section
            # 8.4.1.2).
            raw = self._encoding == b"deflate" and data[0] & 0x0F != zlib.DEFLATED
            self._decoder = decoder = zlib.decompressobj(-zlib.MAX_WBITS if raw else _GZIP_OR_ZLIB)
        limit = self._max_body - self._size if self._max_body else INFLATE_LIMIT
        try:
            body = decoder.decompress(data, limit + 1)
        except zlib.error:
            self._fail(failures.ENCODING, "its compressed form is broken")
            return b""
        if len(body) > limit:
            self._fail(failures.TOO_LARGE, self._max_body or INFLATE_LIMIT)
            return b""
        if decoder.unused_data:
            self._fail(failures.ENCODING, "bytes follow its compressed form")
        elif self.state == DONE and not decoder.eof:
            self._fail(failures.ENCODING, "its compressed form is cut short")
        return body

    # Faults

    def _fail(self, fault: Fault, detail: object = "") -> None:
        if self.fault is None:
            self.fault = fault
            self.detail = detail
        self.state = BROKEN
        self.reusable = False

    def _reject(self, fault: Fault, detail: object) -> NoReturn:
        self._fail(fault, detail)
        raise _Stop

    def _stop(self, error: Exception) -> None:
        if self.state < DONE:
            self._fail(failures.MALFORMED, str(error) or "it wants to speak another protocol")
        self.reusable = False


def find_body(data: bytes, longest: int) -> int:
    """Where the body begins in ``data``, if that is one such response, whole; else 0.

    Args:
        data: what came in one read, from the first byte of a response on.
        longest: bytes of a body that is taken; 0 is any number.
    """
    head = _HEAD.match(data)
    if head is None:
        return 0
    length, start = head["length"], head.end()
    if length is None or len(data) - start != int(length) or 0 < longest < int(length):
        return 0
    return start if len(_LENGTHS.findall(data, 0, start)) == 1 else 0


def split_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """The header fields of such a head, with names in lower case."""
    return [(name.lower(), value) for name, value in _FIELD.findall(head)]


def _size(fields: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in fields)


_PLAIN: Final = frozenset({b"", b"identity"})
_KEEP_ALIVE: Final = re.compile(rb"(?i)\btimeout\s*=\s*(\d{1,9})")
_HEADER_HANDLERS: Final[dict[bytes, Callable[[ResponseReader, bytes], None]]] = {
    b"transfer-encoding": ResponseReader._transfer_encoding,
    b"content-length": ResponseReader._content_length,
    b"content-encoding": ResponseReader._content_encoding,
    b"keep-alive": ResponseReader._keep_alive,
}
