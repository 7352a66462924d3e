"""What passes through unchanged, watched: usage, errors and the terminal marker, and no more.

Whole events only go on, so that a stream which is cut never hands a client half of one. Almost every event
of a stream is an ordinary one, and what makes it so is said by a type: only it fits :class:`_Ordinary`.
Decoding into that skips all the rest and costs no more than searching the bytes would.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from trunkline.dialects.envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.openai.faults import find_error
from trunkline.dialects.openai.replies import Chunk, UsageIn, decode_chunk
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.framing import SSEForwarder, is_heartbeat, payload, split_events
from trunkline.model import Usage


class _OrdinaryChoice(msgspec.Struct, gc=False):
    finish_reason: None = None
    error: None = None


class _Ordinary(msgspec.Struct, gc=False):
    """A chunk that brings content and nothing else that must be known."""

    choices: list[_OrdinaryChoice]
    usage: None = None
    error: None = None


_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode


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
        self._whole = SSEForwarder()

    def feed(self, data: bytes) -> bytes:
        """The whole events that are there now, unchanged but for those that the client must not see."""
        try:
            data = self._whole.feed(data)
        except ProviderError as error:
            self.error = error
            return b""
        if data.find(b"\n") == len(data) - 2 and self._is_ordinary(data[6:]):
            return data  # one event of one line, behind its "data: ", as it mostly comes
        return self._look(data) if data else b""

    def _look(self, data: bytes) -> bytes:
        """Event by event."""
        events, kept = split_events(data), []
        for event in events:
            if self._passes(payload(event)):
                kept.append(event + b"\n\n")
            if self.complete or self.error is not None:
                break
        return data if kept and len(kept) == len(events) else b"".join(kept)

    def _passes(self, said: bytes) -> bool:
        """Take note of one event's payload; whether the event may go on."""
        if not said:
            return self.records > 0  # a comment is not worth a first byte
        return self._is_ordinary(said) or self._note(said)

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
        """Read a payload that is not an ordinary one, or the first."""
        if said.startswith(b"[DONE]"):
            self._end()
            return self.error is None
        try:
            chunk = _decode(said)
            _check_text(said)
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
            return False
        self.error = find_error(chunk, self._who)
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical()
        if self.error is not None:
            return False
        self.records += 1
        self.model = self.model or chunk.model
        choices = chunk.choices or ()
        self._finished = self._finished or any(choice.finish_reason for choice in choices)
        return bool(choices) or chunk.usage is None or not self._drop_usage

    def close(self) -> bytes:
        """The body ended: complete if the terminal marker, or at least a finish reason, was seen."""
        if self.complete or self.error is not None:
            return b""
        rest = self._whole.close().strip(b"\r\n")
        says = any(payload(event) for event in split_events(rest))  # more than half of its head
        out = self._look(rest + b"\n\n") if says else b""
        self._end()
        return out

    def _end(self) -> None:
        """Nothing more comes. What could not be read at the very end was half a record: a cut."""
        if self.error is None or self.error.kind is UPSTREAM_PROTOCOL:
            self.complete = self._finished
            self.error = None if self.complete else truncated(self._who)


def _check_text(said: bytes) -> None:
    """Decoding looks only at what it keeps; a client will look at all of it.

    Raises:
        UnicodeDecodeError: it is not UTF-8.
    """
    if not said.isascii():
        said.decode()


def _decode(said: bytes) -> Chunk:
    """A chunk; also one that ends in half of a surrogate pair, which is JSON by RFC 8259 if no text."""
    try:
        return decode_chunk(said)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(said), Chunk)


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: UsageIn | None = None


_decode_whole: Final = msgspec.json.Decoder(_Whole).decode


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
        if not is_heartbeat(data):
            self.records += 1
        self._pieces.append(data)
        return b""

    def close(self) -> bytes:
        """The body, if it is whole and no error hides in it."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        try:
            seen = _decode_whole(body)
            _check_text(body)
            if b'"error"' in body or b'"choices"' not in body:
                self.error = find_error(decode_chunk(body), self._who)
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
        if self.error is not None:
            return b""
        self.model = seen.model
        self.usage = None if seen.usage is None else seen.usage.canonical()
        self.complete = True
        return body
