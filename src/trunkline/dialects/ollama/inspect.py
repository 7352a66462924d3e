"""Inspects answers that pass from an Ollama server to an Ollama client as they came.

Of a stream only what must be known is decoded: the model once, usage and the terminal record at the end, and
errors. Whole lines go on, and never a blank one: Ollama's own clients fail on one.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.inspect import BodyInspector, InspectorBase
from trunkline.dialects.ollama.errors import OllamaErrors, find_hidden_error, read_error_field
from trunkline.dialects.ollama.read import MAX_ANSWER
from trunkline.dialects.other_form import OtherForm, is_body, is_lines
from trunkline.errors import UPSTREAM_TOO_LARGE, ProviderError
from trunkline.framing import MAX_RECORD
from trunkline.model import Usage


class _Record(msgspec.Struct, gc=False):
    """The fields of a record that an inspector needs."""

    model: str | None = None
    done: bool | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


class _Ordinary(msgspec.Struct, gc=False):
    """Of an ordinary record only the form is checked."""

    done: bool


_RECORD: Final = msgspec.json.Decoder(_Record)
_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode


def _are_readable(lines: bytes) -> bool:
    """Whether every line is a record that a client can read."""
    try:
        if not lines.isascii():
            lines.decode()
        for line in lines[:-1].split(b"\n"):
            _decode_ordinary(line)
    except UNREADABLE:
        return False
    return True


class _RecordInspector(OllamaErrors, InspectorBase):
    def _inspect_record(self, record: _Record, data: bytes) -> bool:
        """Inspect one record. Returns False, with ``error`` set, if it may not go on."""
        if record.error is not None:
            self.error = read_error_field(record.error)
        elif record.model is None:
            self.error = find_hidden_error(data)
        if self.error is not None:
            return False
        self.records += 1
        self.model = record.model or self.model
        return True

    def _finish(self, record: _Record) -> None:
        self.complete = True
        self.usage = Usage(
            prompt_tokens=record.prompt_eval_count or 0, completion_tokens=record.eval_count or 0
        )


class WholeInspector(_RecordInspector, BodyInspector):
    """Inspects a whole answer. Only the whole of it counts as progress."""

    max_size = MAX_ANSWER
    counts_pieces = False

    def __init__(self) -> None:
        super().__init__("Ollama")

    answer_decoder = _RECORD

    def _is_stream(self, body: bytes) -> bool:
        return is_lines(body)

    def _inspect(self, answer: _Record, body: bytes) -> None:
        if not self._inspect_record(answer, body):
            return
        if answer.done is False:  # the server has stopped before the model has
            self.error = self._truncated()
            return
        self._finish(answer)


class StreamInspector(_RecordInspector):
    """Inspects a streamed answer, line by line."""

    def __init__(self) -> None:
        super().__init__("Ollama")
        self._held: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Return the lines that ``data`` completes."""
        if self.error is not None or self.complete:
            return b""
        end = data.rfind(b"\n") + 1
        if not end:
            self._hold(data)
            return b""
        if end == len(data) and not self._held:
            lines = data
        else:
            lines = b"".join(self._held) + data[:end]
            self._held.clear()
            self._size = 0
            self._hold(data[end:])
        count = lines.count(b"\n")
        # Ollama marks every ordinary line "done":false. Where there are as many marks as lines, and no other
        # "done", no line can end the answer: quotes inside a text are escaped.
        ordinary = lines.count(b'"done":false') == count == lines.count(b'"done"')
        if ordinary and self.records and b'"error"' not in lines and _are_readable(lines):
            self.records += count
            return lines
        return self._inspect_lines(lines)

    def close(self) -> bytes:
        """Return a last line that lacks its newline, if it is a record."""
        if self.error is not None or self.complete:
            return b""
        rest = b"".join(self._held)
        self._held.clear()
        out = self._inspect_lines(rest)
        self._end()
        return out

    def _inspect_lines(self, lines: bytes) -> bytes:
        """Inspect line by line, and return those that may go on."""
        passed = []
        for line in lines.split(b"\n"):
            if not line or line.isspace():
                continue
            record = self._decode(_RECORD, line)
            if record is None and not self.records and is_body(line, may_go_on=lines.endswith(b"\n")):
                self.error = None
                raise OtherForm(lines + b"".join(self._held))
            if record is None or not self._inspect_record(record, line):
                break
            passed.append(line)
            if record.done:
                self._finish(record)
                break
        return b"\n".join(passed) + b"\n" if passed else b""

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._held.append(piece)
            self._size += len(piece)
            if self._size > MAX_RECORD:
                self.error = ProviderError(
                    f"The upstream sent a record of more than {MAX_RECORD} bytes", UPSTREAM_TOO_LARGE
                )
