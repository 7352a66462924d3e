"""What passes through unchanged, watched: usage, errors and the terminal event, and no more.

Whole events only go on, so that a stream which is cut never hands a client half of one. Almost every event
of a stream is a delta, of which only its form is looked at. An error goes no further, nor does the event of a
response that failed: what the client is told of it is for whoever reads ``error`` to say.
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.responses.faults import event_error, response_error
from trunkline.dialects.responses.replies import decode_ordinary, decode_record, decode_response
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.framing import SSEForwarder, is_heartbeat, payload, split_events
from trunkline.model import Usage

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
"""Events after which nothing comes; a failure, which is the third, ends the stream as an error."""
_DATA: Final = b"\ndata: "


class StreamScanner:
    """A stream on its way to a client of the same dialect."""

    def __init__(self, who: str) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self._who = who
        self._whole = SSEForwarder()

    def feed(self, data: bytes) -> bytes:
        """The whole events that are there now, unchanged; comments only behind something that was said."""
        if self.complete or self.error is not None:
            return b""
        try:
            data = self._whole.feed(data)
        except ProviderError as error:
            self.error = error
            return b""
        named = data.find(b"\n")
        one = data.startswith(b"event: ") and data.startswith(_DATA, named)
        if one and data.find(b"\n", named + 1) == len(data) - 2 and self._is_ordinary(data[named + 7 : -2]):
            return data  # an event of two lines, as it mostly comes
        return self._look(data) if data else b""

    def close(self) -> bytes:
        """The body ended: complete if a terminal event was seen, else cut."""
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
            decode_ordinary(said)
            _check_text(said)
        except UNREADABLE:
            return False
        self.records += 1
        return True

    def _note(self, said: bytes) -> bool:
        """Take note of one event's payload; whether the event may go on."""
        if self._is_ordinary(said):
            return True
        if said.startswith(b"[DONE]"):  # some servers say it, and only behind the terminal event
            self.error = truncated(self._who)
            return False
        try:
            record = decode_record(said)
            _check_text(said)
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
            return False
        response = record.response
        if response is not None:
            self.model = self.model or response.model
            if response.usage is not None:
                self.usage = response.usage.canonical()
        self.error = event_error(record, self._who)
        if self.error is not None:
            return False
        self.records += 1
        self.complete = record.type in _ENDS
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
        """The body, if it is a whole response that did not fail."""
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        try:
            response = decode_response(body)
            _check_text(body)
        except UNREADABLE as error:
            self.error = malformed(self._who, error)
            return b""
        self.model = response.model
        self.usage = None if response.usage is None else response.usage.canonical()
        self.error = response_error(response, self._who)
        if self.error is None and response.output is None:
            self.error = malformed(self._who, "a response without output")
        self.complete = self.error is None
        return body if self.complete else b""
