"""Inspects what passes through unchanged in Anthropic's dialect.

Almost every event of a stream belongs to a block, and only its form is checked: what a client asks of the
vendor directly, and the vendor answers, may be of types that the gateway does not know.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.anthropic.answer_schema import RECORD, MessageIn, Record, UsageIn
from trunkline.dialects.anthropic.errors import find_error
from trunkline.dialects.error_envelope import malformed
from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.errors import redact_body


class _Ordinary(msgspec.Struct, gc=False):
    """An event that brings content and nothing else that must be known."""

    type: Literal["content_block_delta", "content_block_start", "content_block_stop"]
    error: None = None


class _Typed(msgspec.Struct):
    """Any event, as far as every event has the same fields."""

    type: str | None = None
    error: Any = None


class _Whole(msgspec.Struct):
    """A whole message, or an error in its place. The content itself is not decoded."""

    type: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    usage: UsageIn | None = None
    error: Any = None


_MESSAGE_EVENTS: Final = frozenset({"message_start", "message_delta", "message_stop"})
"""Events that are about the answer as a whole."""

_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode
_TYPED: Final = msgspec.json.Decoder(_Typed)


class StreamInspector(EventInspector):
    """Inspects a stream. A ping passes only after an event of another type."""

    def __init__(self, upstream_name: str) -> None:
        super().__init__(upstream_name, _decode_ordinary)
        self._usage: UsageIn | None = None

    def _inspect(self, payload: bytes) -> bool:
        typed = self._decode(_TYPED, payload)
        if typed is None:
            return False
        if typed.error is not None or typed.type in ("error", None):
            self.error = find_error(typed.type, typed.error, payload, self._upstream_name)
            if self.error is not None:
                self.error.body = redact_body(payload) if typed.type == "error" else None
                return False
        if typed.type == "ping":
            return self.records > 0
        if typed.type in _MESSAGE_EVENTS:
            record = self._decode(RECORD, payload)
            if record is None:
                return False
            self._inspect_record(record)
        self.records += 1
        return True

    def _inspect_record(self, record: Record) -> None:
        usage = record.usage
        if isinstance(record.message, MessageIn):
            self.model = self.model or record.message.model
            usage = usage or record.message.usage
        if usage is not None:
            self._usage = usage.over(self._usage)
            self.usage = self._usage.canonical()
        self.complete = record.type == "message_stop"


class WholeInspector(BodyInspector):
    """Inspects a whole message."""

    answer_decoder = msgspec.json.Decoder(_Whole)

    def _inspect(self, answer: _Whole, body: bytes) -> None:
        if answer.error is not None or answer.content is None:
            kind = "error" if answer.type == "error" else None
            self.error = find_error(kind, answer.error, body, self._upstream_name)
            if self.error is None and answer.content is None:
                self.error = malformed(self._upstream_name, "it has no content")
        self.model = answer.model
        self.usage = None if answer.usage is None else answer.usage.canonical()
