"""The base classes of readers: one for streams, one for answers that come as a whole.

A reader holds the bytes of one answer until they make a record, and turns records into events. It raises
nothing: a malformed record, an error record and a missing end are stored in ``error``, and the events before
them still count. How a record becomes events is each dialect's own.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.error_words import quote
from trunkline.dialects.generous import HalfJoiner, decode_generously, has_halves
from trunkline.dialects.other_form import (
    USUAL_BEGIN,
    OtherForm,
    begins_events,
    refuse_body,
    refuse_text,
    without_comments,
)
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TOO_LARGE, GatewayError, ProviderError
from trunkline.events import StreamEvent
from trunkline.framing import NDJSONSplitter, SSESplitter

_Record = TypeVar("_Record")


class Reader:
    """What every reader has found so far."""

    error: GatewayError | None = None
    complete: bool = False
    _upstream_name: str
    _halves: HalfJoiner | None = None
    """Set once half of a character has come alone."""

    def _decode_generously(self, payload: bytes, type: type[_Record]) -> _Record:
        """Decode what does not fit its struct.

        Raises:
            ValueError: It is not JSON, or its content cannot be read.
        """
        if self._halves is None and has_halves(payload):
            self._halves = HalfJoiner()
        try:
            return decode_generously(payload, type)
        except UNREADABLE as error:
            raise ValueError(quote(payload) or error) from None

    def _malformed(self, error: Exception | str) -> GatewayError:
        """The error for a record that cannot be decoded."""
        return malformed(self._upstream_name, error)


class StreamReader(Reader, ABC):
    """Reads a streamed answer, record by record.

    Args:
        upstream_name: The upstream's name in error texts.
        splitter: Splits the stream into records.
    """

    def __init__(self, upstream_name: str, splitter: SSESplitter | NDJSONSplitter) -> None:
        self._upstream_name = upstream_name
        self._splitter = splitter
        self._unseen = isinstance(splitter, SSESplitter)
        """Nothing has come yet that tells a stream of events from a JSON body."""

    @abstractmethod
    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        """Append the events of ``records``, up to the terminal one, which sets ``complete``.

        Raises:
            ValueError: A record cannot be decoded.
            GatewayError: A record is an error, or holds one.
        """

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events of the records that ``data`` completes.

        Raises:
            OtherForm: The upstream sends no stream of events, but one JSON body.
        """
        events: list[StreamEvent] = []
        if self.complete or self.error is not None:
            return events
        if self._unseen and data[:1] != b":":
            self._unseen = data[:1] not in USUAL_BEGIN
            if self._unseen and self._splitter.is_empty:
                refuse_body(data)
        try:
            self._read(self._splitter.feed(data), events)
        except UNREADABLE as error:
            self.error = self._malformed(error)
        except GatewayError as error:
            self.error = error
        return events if self._halves is None else self._halves.join(events)

    def close(self) -> list[StreamEvent]:
        """Return the events of a last record without its end. The answer is complete if its terminal marker
        was read, or if it may do without one; otherwise it was cut off."""
        events: list[StreamEvent] = []
        if self.complete or self.error is not None:
            return events
        if self._unseen:
            refuse_text(self._splitter.held)
        try:
            self._read(self._splitter.close(), events)
        except UNREADABLE as error:
            self.error = self._malformed(error)
        except GatewayError as error:
            self.error = error
        self._end()
        return events if self._halves is None else self._halves.join(events)

    def _end(self) -> None:
        """Nothing more comes. A record at the very end that could not be decoded was half of one."""
        if self.error is None or self.error.kind is UPSTREAM_PROTOCOL:
            self.complete = self.complete or self._may_end()
            self.error = None if self.complete else self._truncated()

    def _may_end(self) -> bool:
        """Whether what was read so far is a whole answer, even without the terminal marker."""
        return False

    def _truncated(self) -> GatewayError:
        """The error for a stream that was cut off."""
        return truncated(self._upstream_name)


class WholeReader(Reader, ABC):
    """Reads an answer that comes as one JSON body: its pieces are gathered, and decoded at its end.

    Args:
        upstream_name: The upstream's name in error texts.
    """

    max_size: int = sys.maxsize
    """Bytes of the longest body that is taken."""

    def __init__(self, upstream_name: str) -> None:
        self._upstream_name = upstream_name
        self._pieces: list[bytes] = []
        self._size = 0

    @abstractmethod
    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        """Append the events of the whole answer.

        Raises:
            ValueError: The body cannot be decoded.
            GatewayError: The body is an error, or no answer.
        """

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Gather ``data``; a JSON body has no events before its end."""
        self._size += len(data)
        if self._size <= self.max_size:
            self._pieces.append(data)
        elif self.error is None:
            text = f"The upstream sent an answer of more than {self.max_size} bytes"
            self.error = ProviderError(text, UPSTREAM_TOO_LARGE)
        return []

    def close(self) -> list[StreamEvent]:
        """Return all events of the answer.

        Raises:
            OtherForm: The upstream has sent a stream.
        """
        events: list[StreamEvent] = []
        if self.error is not None:
            return events
        body = b"".join(self._pieces)
        if body[:1] == b":":
            body = without_comments(body)
        try:
            self._read(body, events)
        except UNREADABLE as error:
            if self._is_stream(body):
                raise OtherForm(body) from None
            self.error = self._malformed(quote(body) or error)
        except GatewayError as error:
            self.error = error
        else:
            self.complete = True
        return events if self._halves is None else self._halves.join(events)

    def _is_stream(self, body: bytes) -> bool:
        """Whether a body that cannot be decoded is a stream."""
        return begins_events(body)
