"""What passes through unchanged, watched: usage, errors and the terminal event, and no more.

Whole events only go on, so that a stream which is cut never hands a client half of one. Almost every event
of a stream is a block's delta, of which only its form is looked at. An error goes no further: what the client
is told of it is for whoever reads ``error`` to say.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from trunkline.dialects.anthropic.faults import UNREADABLE, malformed, said_error, truncated
from trunkline.dialects.anthropic.reader import read_message
from trunkline.dialects.anthropic.replies import MessageIn, UsageIn, decode_record
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError, redact_body
from trunkline.framing import SSEForwarder, is_heartbeat, payload, split_events
from trunkline.model import Usage


class _Ordinary(msgspec.Struct, gc=False):
    """An event that brings content and nothing else that must be known."""

    type: Literal["content_block_delta"]
    error: None = None


_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode
_HEAD: Final = b"event: content_block_delta\ndata: "


class StreamScanner:
    """A stream on its way to a client of the same dialect."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self._who = who
        self._said: UsageIn | None = None
        self._whole = SSEForwarder()

    def feed(self, data: bytes) -> bytes:
        """The whole events that are there now, unchanged; pings only behind something that was said."""
        if self.complete or self.error is not None:
            return b""
        try:
            data = self._whole.feed(data)
        except ProviderError as error:
            self.error = error
            return b""
        one = data.startswith(_HEAD) and data.find(b"\n", len(_HEAD)) == len(data) - 2
        if one and self._is_ordinary(data[len(_HEAD) : -2]):
            return data  # as it mostly comes
        return self._look(data) if data else b""

    def close(self) -> bytes:
        """The body ended: complete if the terminal event was seen, else cut."""
        if self.complete or self.error is not None:
            return b""
        rest = self._whole.close().strip(b"\r\n")
        says = any(payload(event) for event in split_events(rest))  # more than half of its head
        out = self._look(rest + b"\n\n") if says else b""
        self._end()
        return out

    def _end(self) -> None:
        """Nothing more comes. What could not be read at the very end was half a record: a cut."""
        cut = self.error is None or self.error.kind is UPSTREAM_PROTOCOL
        if cut and not self.complete:
            self.error = truncated(self._who)

    def _look(self, data: bytes) -> bytes:
        """Event by event."""
        events, kept = split_events(data), []
        for event in events:
            said = payload(event)
            if self._note(said) if said else self.records > 0:
                kept.append(event + b"\n\n")
            if self.complete or self.error is not None:
                break
        return data if kept and len(kept) == len(events) else b"".join(kept)

    def _is_ordinary(self, said: bytes) -> bool:
        if not self.records:
            return False  # the first one names the model
        try:
            _decode_ordinary(said)
            _check_text(said)
        except UNREADABLE:
            return False
        self.records += 1
        return True

    def _note(self, said: bytes) -> bool:
        """Take note of one event's payload; whether the event may go on."""
        if self._is_ordinary(said):
            return True
        try:
            record = decode_record(said)
            _check_text(said)
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
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


def _check_text(said: bytes) -> None:
    """Decoding looks only at what it keeps; a client will look at all of it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    if not said.isascii():
        said.decode()


class WholeScanner:
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
        if not is_heartbeat(data):
            self.records += 1
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        """The body, if it is whole and no error hides in it."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        try:
            message = read_message(body, self._who)
        except GatewayError as error:
            self.error = error
            return b""
        self.model = message.model
        self.usage = None if message.usage is None else message.usage.canonical()
        self.complete = True
        return body
