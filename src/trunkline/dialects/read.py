"""The base classes of readers: one for streams, one for answers that come as a whole.

A reader holds the bytes of one answer until they make a record, and turns records into events. It raises
nothing: a malformed record, an error record and a missing end are stored in ``error``, and the events before
them still count. How a record becomes events is each dialect's own.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence

from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TOO_LARGE, GatewayError, ProviderError
from trunkline.events import StreamEvent
from trunkline.framing import NDJSONSplitter, SSESplitter


class _Reader:
    error: GatewayError | None = None
    complete: bool = False
    _upstream_name: str

    def _malformed(self, error: Exception) -> GatewayError:
        """The error for a record that cannot be decoded."""
        return malformed(self._upstream_name, error)


class StreamReader(_Reader, ABC):
    """Reads a streamed answer, record by record.

    Args:
        upstream_name: The upstream's name in error texts.
        splitter: Splits the stream into records.
    """

    def __init__(self, upstream_name: str, splitter: SSESplitter | NDJSONSplitter) -> None:
        self._upstream_name = upstream_name
        self._splitter = splitter

    @abstractmethod
    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        """Append the events of ``records``, up to the terminal one, which sets ``complete``.

        Raises:
            ValueError: A record cannot be decoded.
            GatewayError: A record is an error, or holds one.
        """

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events of the records that ``data`` completes."""
        events: list[StreamEvent] = []
        if self.complete or self.error is not None:
            return events
        try:
            self._read(self._splitter.feed(data), events)
        except UNREADABLE as error:
            self.error = self._malformed(error)
        except GatewayError as error:
            self.error = error
        return events

    def close(self) -> list[StreamEvent]:
        """Return the events of a last record without its end. The answer is complete if its terminal marker
        was read, or if it may do without one; otherwise it was cut off."""
        events: list[StreamEvent] = []
        if self.complete or self.error is not None:
            return events
        try:
            self._read(self._splitter.close(), events)
        except UNREADABLE as error:
            self.error = self._malformed(error)
        except GatewayError as error:
            self.error = error
        self._end()
        return events

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


class WholeReader(_Reader, ABC):
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
        """Return all events of the answer."""
        events: list[StreamEvent] = []
        if self.error is not None:
            return events
        try:
            self._read(b"".join(self._pieces), events)
        except UNREADABLE as error:
            self.error = self._malformed(error)
        except GatewayError as error:
            self.error = error
        else:
            self.complete = True
        return events
