"""What passes through unchanged, watched: usage, errors and the terminal marker, and no more.

Whole records only go on, so that a stream which is cut never hands a client half of one. An ordinary chunk
is not parsed at all: a few byte searches say that it holds nothing of interest. A quoted key such as
``"usage"`` cannot stand inside a JSON string (its quotes would be escaped), so a search for it is exact.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.openai.reading import (
    Chunk,
    UsageIn,
    find_error,
    malformed,
    truncated,
)
from trunkline.errors import GatewayError
from trunkline.framing import MAX_RECORD, SSESplitter
from trunkline.model import Usage

_CHUNK: Final = msgspec.json.Decoder(Chunk)


class SSEScanner:
    """A stream of chat or completion chunks on its way to a client of the same dialect."""

    def __init__(self, who: str, drop_usage: bool) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self._who = who
        self._drop_usage = drop_usage
        self._finished = False
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The whole records that are there now, unchanged."""
        if self._held:
            data = self._held + data
            self._held = b""
        if not data.endswith(b"\n\n"):
            end = _last_boundary(data)
            self._held = data[end:]
            if len(self._held) > MAX_RECORD:
                self.error = malformed(self._who, ValueError("a record without end"))
                return b""
            data = data[:end]
            if not data:
                return b""
        if (
            self.records
            and b'"usage"' not in data
            and b'"error"' not in data
            and b"[DONE]" not in data
            and not _mentions_finish(data)
        ):
            self.records += 1
            return data
        return self._look(data)

    def _look(self, data: bytes) -> bytes:
        """The slow way: record by record. Comments before the first record are not worth a first byte."""
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        out = []
        for block in data.split(b"\n\n"):
            if not block:
                continue
            keep = self._record(block)
            if self.error is not None:
                break
            if keep and self.records:
                out.append(block + b"\n\n")
            if self.complete:
                break
        return b"".join(out)

    def _record(self, block: bytes) -> bool:
        payloads = SSESplitter().feed(block + b"\n\n")
        if not payloads:
            return True
        payload = payloads[0]
        if payload.startswith(b"[DONE]"):
            if self._finished:
                self.complete = True
            else:
                self.error = truncated(self._who)
            return True
        try:
            chunk = _CHUNK.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.error = malformed(self._who, error)
            return False
        self.error = find_error(chunk, self._who)
        if self.error is not None:
            return False
        self.records += 1
        self.model = self.model or chunk.model
        choices = chunk.choices or ()
        self._finished = self._finished or any(choice.finish_reason for choice in choices)
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical()
            return not (self._drop_usage and not choices)
        return True

    def close(self) -> bytes:
        """The body ended: complete if the terminal marker, or at least a finish reason, was seen."""
        if self.complete or self.error is not None:
            return b""
        held, self._held = self._held, b""
        out = self._look(held) if held.strip() else b""
        if not self.complete and self.error is None:
            self.complete = self._finished
            self.error = None if self._finished else truncated(self._who)
        return out


def _last_boundary(data: bytes) -> int:
    """Where the last whole record ends: after a blank line, in either newline style."""
    lf = data.rfind(b"\n\n")
    crlf = data.rfind(b"\r\n\r\n")
    return max(lf + 2 if lf >= 0 else 0, crlf + 4 if crlf >= 0 else 0)


def _mentions_finish(data: bytes) -> bool:
    """A finish reason other than null is in there, as far as a search can tell."""
    at = data.find(b'"finish_reason"')
    while at >= 0:
        if data[at + 15 : at + 22].lstrip(b" :")[:1] != b"n":
            return True
        at = data.find(b'"finish_reason"', at + 15)
    return False


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: UsageIn | None = None


_WHOLE: Final = msgspec.json.Decoder(_Whole)


class JSONScanner:
    """A whole JSON answer: held until it is all there, so that a broken one can still become an error."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self._who = who
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Gathers."""
        self.records += 1
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        """The body, if it is whole and no error hides in it."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        try:
            if b'"error"' in body or b'"choices"' not in body:
                self.error = find_error(_CHUNK.decode(body), self._who)
            seen = _WHOLE.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.error = malformed(self._who, error)
        if self.error is not None:
            return b""
        self.model = seen.model
        self.usage = None if seen.usage is None else seen.usage.canonical()
        self.complete = True
        return body
