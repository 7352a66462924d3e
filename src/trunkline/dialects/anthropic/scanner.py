"""What passes through unchanged in Anthropic's dialect, watched.

Almost every event of a stream is a block's delta, of which only its form is looked at.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trunkline.dialects.anthropic.faults import said_error
from trunkline.dialects.anthropic.reader import read_message
from trunkline.dialects.anthropic.replies import MessageIn, UsageIn, decode_record
from trunkline.dialects.watching import BodyScanner, EventScanner
from trunkline.errors import GatewayError, redact_body


class _Ordinary(msgspec.Struct, gc=False):
    """An event that brings content and nothing else that must be known."""

    type: Literal["content_block_delta"]
    error: None = None


_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode


class StreamScanner(EventScanner):
    """A stream; pings pass only behind something that was said."""

    def __init__(self, who: str) -> None:
        super().__init__(who, _decode_ordinary)
        self._said: UsageIn | None = None

    def _note(self, said: bytes) -> bool:
        record = self._read(decode_record, said)
        if record is None:
            return False
        if record.error is not None or record.type == "error":
            self.error = said_error(record.error, self._who)
            self.error.body = redact_body(said)
            return False
        if record.type == "ping":
            return self.records > 0
        self.records += 1
        usage = record.usage
        if isinstance(record.message, MessageIn):
            self.model = self.model or record.message.model
            usage = usage or record.message.usage
        if usage is not None:
            self._said = usage.over(self._said)
            self.usage = self._said.canonical()
        self.complete = record.type == "message_stop"
        return True


class WholeScanner(BodyScanner):
    """A whole message."""

    def _note(self, body: bytes) -> None:
        try:
            message = read_message(body, self._who)
        except GatewayError as error:
            self.error = error
            return
        self.model = message.model
        self.usage = None if message.usage is None else message.usage.canonical()
