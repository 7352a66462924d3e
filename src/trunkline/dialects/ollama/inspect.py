"""Answers that pass from an Ollama server to an Ollama client as they came, watched for what must be known.

A scanner forwards bytes and reads only what it must: the model once, usage and the terminal marker at the
end, errors. It forwards whole lines, never a blank one, and never an error line: what the client is told of
an error is for whoever reads ``error`` to say, and before the first byte that may be nothing at all.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama.read import BadRecordError, Body, bad_record, said_error, truncated
from trunkline.errors import UPSTREAM_TOO_LARGE, GatewayError, ProviderError
from trunkline.framing import MAX_RECORD
from trunkline.model import Usage


class _Mark(msgspec.Struct, gc=False):
    """The fields of a record that a scanner wants to know."""

    model: str | None = None
    done: bool = False
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


class _Ordinary(msgspec.Struct, gc=False):
    """Of an ordinary record only its form is looked at."""

    done: bool


_decode: Final = msgspec.json.Decoder(_Mark).decode
_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode


def _can_be_read(lines: bytes) -> bool:
    """Whether every line is a record that a client can read."""
    try:
        if not lines.isascii():
            lines.decode()
        for line in lines[:-1].split(b"\n"):
            _decode_ordinary(line)
    except UNREADABLE:
        return False
    return True


class _Inspector:
    __slots__ = ("complete", "error", "model", "records", "usage")

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None

    def _note(self, record: bytes) -> _Mark | None:
        """Look at one record; None, with ``error`` set, if it may not go on."""
        try:
            mark = _decode(record)
            if not record.isascii():
                record.decode()
            if mark.error is not None:
                raise said_error(mark.error)
        except UNREADABLE as error:
            self.error = bad_record(error)
            return None
        except ProviderError as error:
            self.error = error
            return None
        self.records += 1
        self.model = mark.model or self.model
        return mark

    def _finish(self, mark: _Mark) -> None:
        self.complete = True
        self.usage = Usage(prompt_tokens=mark.prompt_eval_count or 0, completion_tokens=mark.eval_count or 0)


class WholeInspector(_Inspector):
    """A whole answer: held back until it has proved to be one, so that a broken one reaches nobody."""

    __slots__ = ("_body",)

    def __init__(self) -> None:
        super().__init__()
        self._body = Body()

    def feed(self, data: bytes) -> bytes:
        """Keep ``data``; nothing goes on yet."""
        if self.error is None:
            try:
                self._body.add(data)
            except ProviderError as error:
                self.error = error
        return b""

    def close(self) -> bytes:
        """The answer as it came, or nothing and ``error``."""
        if self.error is not None:
            return b""
        body = self._body.join()
        mark = self._note(body)
        if mark is None:
            return b""
        self._finish(mark)
        return body


class LineScanner(_Inspector):
    """A streamed answer, line by line."""

    __slots__ = ("_held", "_size")

    def __init__(self) -> None:
        super().__init__()
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """The lines that ``data`` completes."""
        if self.error is not None or self.complete:
            return b""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._hold(data)
            return b""
        if cut == len(data) and not self._held:
            lines = data
        else:
            lines = b"".join(self._held) + data[:cut]
            self._held.clear()
            self._size = 0
            self._hold(data[cut:])
        count = lines.count(b"\n")
        # Ollama marks every ordinary line "done":false. Where there are as many marks as lines, and no other
        # "done", no line can end the answer: quotes inside a text are escaped.
        ordinary = lines.count(b'"done":false') == count == lines.count(b'"done"')
        if ordinary and self.records and b'"error"' not in lines and _can_be_read(lines):
            self.records += count
            return lines
        return self._look(lines)

    def close(self) -> bytes:
        """A last line that lacks its newline, if it is a record."""
        if self.error is not None or self.complete:
            return b""
        rest = b"".join(self._held)
        self._held.clear()
        out = self._look(rest)
        self._check_end()
        return out

    def _check_end(self) -> None:
        cut = isinstance(self.error, BadRecordError)  # explains a bad last line
        if not self.complete and (self.error is None or cut):
            self.error = truncated()

    def _look(self, lines: bytes) -> bytes:
        """Decode each line; those that may go on."""
        going = []
        for line in lines.split(b"\n"):
            if not line or line.isspace():
                continue
            mark = self._note(line)
            if mark is None:
                break
            going.append(line)
            if mark.done:
                self._finish(mark)
                break
        return b"\n".join(going) + b"\n" if going else b""

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._size += len(piece)
            if self._size > MAX_RECORD:
                self.error = ProviderError(
                    f"The upstream sent a record of more than {MAX_RECORD} bytes", UPSTREAM_TOO_LARGE
                )
