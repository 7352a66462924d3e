"""The base classes of inspectors, which read what passes through for usage, errors and the end of the answer.

Of a stream only whole records go on, so that a stream which is cut never hands a client half of one. Almost
every record is an ordinary one: it brings content, only its form is checked, and it mostly comes alone. A
whole answer is held until all of it is there. What a record says is read by each dialect. An error is not
passed on: what the client is told of it is decided by whoever reads ``error``.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.error_words import quote
from trunkline.dialects.generous import decode_generously
from trunkline.dialects.odd_records import split_records
from trunkline.dialects.other_form import (
    USUAL_BEGIN,
    OtherForm,
    begins_events,
    refuse_body,
    refuse_text,
    without_comments,
)
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TOO_LARGE, GatewayError, ProviderError
from trunkline.framing import SSEForwarder, extract_payload, is_heartbeat, split_events
from trunkline.model import Usage

_Record = TypeVar("_Record")

_LONGEST_NAME: Final = 256
"""Bytes of a line with an event's name."""


class Findings:
    """What every inspector has found so far."""

    error: GatewayError | None = None
    complete: bool = False
    records: int = 0
    usage: Usage | None = None
    model: str | None = None
    request: bytes = b""
    """The body that the upstream was sent."""

    def passes_alone(self, data: bytes) -> bool:
        """Whether ``data`` is one ordinary record, whole, which was counted."""
        return False


class InspectorBase(Findings):
    """What the inspectors of upstreams' answers share.

    Args:
        upstream_name: The upstream's name in error texts.
    """

    _may_end: bool = False
    """What came so far of a stream is a whole answer, even if its terminal record does not come."""

    def __init__(self, upstream_name: str) -> None:
        self._upstream_name = upstream_name

    def _end(self) -> None:
        """Nothing more comes of a stream. A record at the end that could not be decoded was half of one."""
        if self.error is None or self.error.kind is UPSTREAM_PROTOCOL:
            self.complete = self.complete or self._may_end
            self.error = None if self.complete else self._truncated()

    def _decode(self, decoder: msgspec.json.Decoder[_Record], data: bytes) -> _Record | None:
        """Return the decoded ``data``, as far as it fits; None, with ``error`` set, if it cannot be read."""
        try:
            if not data.isascii():
                data.decode()  # decoding checks only the fields of the struct; a client will read all of it
            try:
                return decoder.decode(data)
            except UNREADABLE:
                return decode_generously(data, decoder.type)
        except UNREADABLE as error:
            self.error = self._malformed(quote(data) or error)
            return None

    def _malformed(self, error: Exception | str) -> GatewayError:
        """The error for a record that cannot be decoded."""
        return malformed(self._upstream_name, error)

    def _truncated(self) -> GatewayError:
        """The error for a stream that was cut off."""
        return truncated(self._upstream_name)


class EventInspector(InspectorBase, ABC):
    """Inspects a stream of server-sent events on its way to a client of the same dialect.

    Args:
        upstream_name: The upstream's name in error texts.
        decode_ordinary: Raises for every payload that is not an ordinary event's.
    """

    splits_records: ClassVar[bool] = False
    """Its servers are of many makers, some of whom put several records, or none, into one event."""

    def __init__(self, upstream_name: str, decode_ordinary: Callable[[bytes], object]) -> None:
        super().__init__(upstream_name)
        self._decode_ordinary = decode_ordinary
        self._forwarder = SSEForwarder()
        self._held = self._forwarder.pieces
        self._replacement: bytes | None = None
        """The payload that goes on in place of the one that was inspected."""

    @abstractmethod
    def _inspect(self, payload: bytes) -> bool:
        """Read the payload of the first event, or of one that is not ordinary. Return whether its event may
        go on; as another one if ``_replacement`` is set."""

    def passes_alone(self, data: bytes) -> bool:
        """Whether ``data`` is one ordinary event, of one line or of two with its name in the first. Most
        reads of a stream bring just that."""
        if self._held or not self.records or self.complete or self.error is not None:
            return False
        if not data.endswith(b"\n\n"):
            return False
        if data.startswith(b"data: "):
            start = 6
        else:
            start = data.find(b"\ndata: ", 0, _LONGEST_NAME) + 7
            if start < 7 or not data.startswith(b"event: ") or data.find(b"\n", 0, start - 7) >= 0:
                return False
        end = len(data) - 2
        if data.find(b"\n", start) != end:
            return False
        return self._is_ordinary(data[start:end])

    def feed(self, data: bytes) -> bytes:
        """Return the events that are whole now, unchanged but for those that the client must not see.

        Raises:
            OtherForm: The upstream sends no stream of events, but one JSON body.
        """
        if self.complete or self.error is not None:
            return b""
        if not self.records and data[:1] not in USUAL_BEGIN and self._forwarder.is_empty:
            refuse_body(data)
        try:
            data = self._forwarder.feed(data)
        except ProviderError as error:
            self.error = error
            return b""
        return self._inspect_events(data) if data else b""

    def close(self) -> bytes:
        """Return a last event without its end. The answer is complete if the terminal event was seen, or if
        it may do without one; otherwise it was cut off."""
        if self.complete or self.error is not None:
            return b""
        rest = self._forwarder.close().strip(b"\r\n")
        if not self.records:
            refuse_text(rest)
        has_payload = any(extract_payload(event) for event in split_events(rest))
        out = self._inspect_events(rest + b"\n\n") if has_payload else b""
        self._end()
        return out

    def _inspect_events(self, data: bytes) -> bytes:
        """Inspect event by event, and return those that may go on."""
        events, passed, changed = split_events(data), [], False
        for event in events:
            if self._passes(extract_payload(event)):
                if self._replacement is not None:
                    event, self._replacement, changed = b"data: " + self._replacement, None, True
                passed.append(event + b"\n\n")
            elif self.splits_records and self.error is not None and self.error.kind is UPSTREAM_PROTOCOL:
                records = split_records(extract_payload(event))
                if records is not None:
                    self.error, changed = None, True
                    passed.append(self._inspect_events(b"".join(b"data: %b\n\n" % each for each in records)))
            if self.complete or self.error is not None:
                break
        return data if passed and not changed and len(passed) == len(events) else b"".join(passed)

    def _passes(self, payload: bytes) -> bool:
        """Inspect one event's payload, and return whether the event may go on."""
        if not payload:
            return self.records > 0  # a comment must not be the first byte of an answer
        return self._is_ordinary(payload) or self._inspect(payload)

    def _is_ordinary(self, payload: bytes) -> bool:
        if not self.records:
            return False  # the first one names the model
        decode = self._decode_ordinary
        try:
            decode(payload)
            if not payload.isascii():
                payload.decode()
        except UNREADABLE:
            return False
        self.records += 1
        return True


class BodyInspector(InspectorBase, ABC):
    """Inspects a whole JSON answer. It is held until all of it is there, so that a broken one can still
    become an error."""

    max_size: int = sys.maxsize
    """Bytes of the longest body that is taken."""
    counts_pieces: bool = True
    """Each piece of the body counts as a record, unless it is a heartbeat."""
    answer_decoder: ClassVar[msgspec.json.Decoder[Any]]
    """Decodes the body."""
    _replacement: bytes | None = None
    """The body that goes on in place of the one that was inspected."""

    def __init__(self, upstream_name: str) -> None:
        self._upstream_name = upstream_name
        self._pieces: list[bytes] = []
        self._size = 0

    @abstractmethod
    def _inspect(self, answer: Any, body: bytes) -> None:
        """Inspect the decoded answer; set ``error`` if it may not go on."""

    def feed(self, data: bytes) -> bytes:
        """Gather ``data``; nothing goes on yet."""
        if self.counts_pieces and (data[:1] == b"{" or not is_heartbeat(data)):
            self.records += 1
        self._size += len(data)
        if self._size <= self.max_size:
            self._pieces.append(data)
        elif self.error is None:
            text = f"The upstream sent an answer of more than {self.max_size} bytes"
            self.error = ProviderError(text, UPSTREAM_TOO_LARGE)
        return b""

    def close(self) -> bytes:
        """Return the body, if it is whole and no error hides in it.

        Raises:
            OtherForm: The upstream has sent a stream.
        """
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self.error is None:
            if body[:1] == b":":
                body = without_comments(body)
            answer = self._decode(self.answer_decoder, body)
            if answer is not None:
                self._inspect(answer, body)
            elif self._is_stream(body):
                self.error = None
                raise OtherForm(body)
        self.complete = self.error is None
        return (self._replacement or body) if self.complete else b""

    def _is_stream(self, body: bytes) -> bool:
        """Whether a body that cannot be decoded is a stream."""
        return begins_events(body)
