"""What passes through unchanged, watched: usage, errors and the terminal event, and no more.

Of a stream, whole events only go on, so that one which is cut never hands a client half of an event. Almost
every event is an ordinary one: it brings content, only its form is looked at, and it mostly comes alone. A
whole answer is held until it is all there. What a record tells, each dialect knows for itself. An error goes
no further: what the client is told of it is for whoever reads ``error`` to say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.framing import SSEForwarder, is_heartbeat, payload, split_events
from trunkline.model import Usage

_Record = TypeVar("_Record")


class _Inspector:
    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self._who = who

    def _read(self, decode: Callable[[bytes], _Record], said: bytes) -> _Record | None:
        """What ``said`` is; None, with ``error`` set, if it cannot be read."""
        try:
            record = decode(said)
            if not said.isascii():
                said.decode()  # decoding looks only at what it keeps; a client will look at all of it
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
            return None
        return record


class EventInspector(_Inspector, ABC):
    """A stream of server-sent events on its way to a client of the same dialect.

    Args:
        who: the upstream's name in error texts.
        decode_ordinary: raises for every payload that is not an ordinary event's.
    """

    def __init__(self, who: str, decode_ordinary: Callable[[bytes], object]) -> None:
        super().__init__(who)
        self._decode_ordinary = decode_ordinary
        self._may_end = False
        """What has been said is an answer, even if the terminal event does not come."""
        self._whole = SSEForwarder()

    @abstractmethod
    def _note(self, said: bytes) -> bool:
        """Take note of a payload that is not an ordinary one, or the first; whether its event may go on."""

    def feed(self, data: bytes) -> bytes:
        """The whole events that are there now, unchanged but for those that the client must not see."""
        if self.complete or self.error is not None:
            return b""
        try:
            data = self._whole.feed(data)
        except ProviderError as error:
            self.error = error
            return b""
        named, end = data.find(b"\n"), len(data) - 2
        if named == end:  # one event of a line, as it mostly comes
            if self._is_ordinary(data[6:]):
                return data
        elif (  # or of two, with its name in the first
            data.startswith(b"\ndata: ", named)
            and data.find(b"\n", named + 7) == end
            and data.startswith(b"event: ")
            and self._is_ordinary(data[named + 7 : -2])
        ):
            return data
        return self._look(data) if data else b""

    def close(self) -> bytes:
        """The body ended: complete if the terminal event was seen, or what was said may do without it."""
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
            self.complete = self.complete or self._may_end
            self.error = None if self.complete else truncated(self._who)

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
        decode = self._decode_ordinary
        try:
            decode(said)
            if not said.isascii():
                said.decode()
        except UNREADABLE:
            return False
        self.records += 1
        return True


class BodyInspector(_Inspector, ABC):
    """A whole JSON answer: held until it is all there, so that a broken one can still become an error."""

    def __init__(self, who: str) -> None:
        super().__init__(who)
        self._pieces: list[bytes] = []

    @abstractmethod
    def _note(self, body: bytes) -> None:
        """Take note of what the body tells; ``error`` is set if it may not go on."""

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
        self._note(body)
        self.complete = self.error is None
        return body if self.complete else b""
