"""What passes through unchanged in Anthropic's dialect, watched.

Almost every event of a stream is a block's, of which only its form is looked at: what a client asks of the
vendor directly, and the vendor answers, may be of kinds that nobody here knows.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.anthropic.answer_schema import MessageIn, Record, UsageIn, decode_record
from trunkline.dialects.anthropic.errors import said_error
from trunkline.dialects.error_envelope import malformed
from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.errors import redact_body


class _Ordinary(msgspec.Struct, gc=False):
    """An event that brings content and nothing else that must be known."""

    type: Literal["content_block_delta", "content_block_start", "content_block_stop"]
    error: None = None


class _Typed(msgspec.Struct):
    """Any event, as far as one may know it."""

    type: str | None = None
    error: Any = None


class _Whole(msgspec.Struct):
    """A whole message, or an error in its place; what it says goes by unread."""

    type: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    usage: UsageIn | None = None
    error: Any = None


_TELLING: Final = frozenset({"message_start", "message_delta", "message_stop"})
"""Events that tell something of the answer as a whole."""

_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode
_decode_typed: Final = msgspec.json.Decoder(_Typed).decode
_decode_whole: Final = msgspec.json.Decoder(_Whole).decode


class StreamInspector(EventInspector):
    """A stream; pings pass only behind something that was said."""

    def __init__(self, who: str) -> None:
        super().__init__(who, _decode_ordinary)
        self._said: UsageIn | None = None

    def _note(self, said: bytes) -> bool:
        typed = self._read(_decode_typed, said)
        if typed is None:
            return False
        if typed.error is not None or typed.type == "error":
            self.error = said_error(typed.error, self._who)
            self.error.body = redact_body(said)
            return False
        if typed.type == "ping":
            return self.records > 0
        if typed.type in _TELLING:
            record = self._read(decode_record, said)
            if record is None:
                return False
            self._tell(record)
        self.records += 1
        return True

    def _tell(self, record: Record) -> None:
        usage = record.usage
        if isinstance(record.message, MessageIn):
            self.model = self.model or record.message.model
            usage = usage or record.message.usage
        if usage is not None:
            self._said = usage.over(self._said)
            self.usage = self._said.canonical()
        self.complete = record.type == "message_stop"


class WholeInspector(BodyInspector):
    """A whole message."""

    def _note(self, body: bytes) -> None:
        message = self._read(_decode_whole, body)
        if message is None:
            return
        if message.error is not None or message.type == "error":
            self.error = said_error(message.error, self._who)
        elif message.content is None:
            self.error = malformed(self._who, "it has no content")
        self.model = message.model
        self.usage = None if message.usage is None else message.usage.canonical()
