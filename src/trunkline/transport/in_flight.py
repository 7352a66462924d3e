"""One request on its way: what its owner may do with it, and when it is late.

The owner gives a :class:`Sink` and gets a :class:`InFlightRequest`. Which connection carries it, and what
happens to that afterwards, is the client's affair (:class:`InFlightOwner`). Times are those of the event
loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from trunkline.errors import ProviderError
from trunkline.transport import failures
from trunkline.transport.failures import Fault
from trunkline.transport.request import UpstreamRequest

if TYPE_CHECKING:
    import asyncio

    from trunkline.transport.connection import Connection
    from trunkline.transport.host_pool import HostPool

WAITING: Final = 0
"""For a slot in the pool."""
CONNECTING: Final = 1
SENT: Final = 2
RELEASED: Final = 3
"""Nobody listens any more; the rest of the answer is read so that the connection can be kept."""
OVER: Final = 4

LINGER: Final = 1.0
"""Seconds that a released flight has for the rest of its answer."""


class Sink(Protocol):
    """Whom an answer is delivered to, synchronously, on the loop.

    After ``on_end`` or ``on_failure`` nothing more is called. Exactly one of the two is called, unless the
    flight was cancelled or released. A method may cancel, pause, resume or release its flight; it must not
    raise.
    """

    progress: int
    """Raised by the sink with every real record. The transport only reads it: until it has changed for the
    first time, the first byte is outstanding; each change starts the idle time anew."""

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The head of the final answer; names are in lower case. Interim (1xx) answers are not shown."""

    def on_data(self, data: bytes) -> None:
        """The next bytes of the body, dechunked and decompressed; at most one call for each read."""

    def on_end(self) -> None:
        """The answer is complete."""

    def on_failure(self, failure: ProviderError) -> None:
        """There will be no (further) answer. ``failure`` is a :class:`.failures.TransportError`."""


class InFlightOwner(Protocol):
    """The side of the client that flights need."""

    def drop(self, in_flight: InFlightRequest) -> None: ...

    def time(self) -> float: ...


class _Silence:
    """The sink of a flight that nobody listens to."""

    __slots__ = ("progress",)

    def __init__(self) -> None:
        self.progress = 0

    def on_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None: ...

    def on_data(self, data: bytes) -> None: ...

    def on_end(self) -> None: ...

    def on_failure(self, failure: ProviderError) -> None: ...


SILENCE: Final[Sink] = _Silence()


class InFlightRequest:
    """A request that was sent, or is about to be. Made by ``Client.send``."""

    __slots__ = (
        "_owner",
        "connection",
        "deadline",
        "first_byte_at",
        "head",
        "opener",
        "paused",
        "pool",
        "request",
        "reused",
        "seen",
        "sent_at",
        "since",
        "sink",
        "started",
        "state",
        "unsent",
    )

    reused: bool
    """Whether a kept connection carries it. Becomes False when that turns out to be dead and another is
    opened."""
    sent_at: float
    """When the request was written; 0 before."""
    first_byte_at: float
    """When the head of the answer was complete; 0 before."""

    def __init__(
        self,
        keeper: InFlightOwner,
        pool: HostPool[Connection, InFlightRequest],
        request: UpstreamRequest,
        head: bytes,
        sink: Sink,
        now: float,
    ) -> None:
        self._owner = keeper
        self.pool = pool
        self.request = request
        self.head = head
        self.sink = sink
        self.state = WAITING
        self.since = now  # when the present silence began
        total = request.timeouts.total
        self.deadline = None if total is None else now + total
        self.seen = 0  # the sink's progress when last looked at
        self.started = False  # whether that has ever changed
        self.unsent = 0  # bytes of the request that waited for the upstream when last looked at
        self.connection: Connection | None = None
        self.opener: asyncio.Task[None] | None = None
        self.reused = False
        self.paused = False
        self.sent_at = 0.0
        self.first_byte_at = 0.0

    @property
    def sent(self) -> bool:
        """The request was written."""
        return self.sent_at > 0.0

    def cancel(self) -> None:
        """Nobody wants the answer: closes its connection at once, unless the answer is already complete."""
        if self.state != OVER:
            self._owner.drop(self)

    def pause(self) -> None:
        """Stop reading. What has been read already may still be delivered."""
        if self.state < RELEASED and not self.paused:
            self.paused = True
            if self.connection is not None:
                self.connection.transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self.paused:
            self.paused = False
            if self.connection is not None:
                self.connection.transport.resume_reading()
                self.since = self._owner.time()

    def release(self) -> None:
        """The sink has what it needs and is not called any more. The connection is kept if the answer ends
        within a second, else closed."""
        if self.state < SENT:
            self._owner.drop(self)
        elif self.state == SENT:
            self.resume()
            self.sink = SILENCE
            self.state = RELEASED
            self.since = self._owner.time()


def overdue(in_flight: InFlightRequest, now: float) -> tuple[Fault, float] | None:
    """The timeout that has passed, with its seconds, if one has; notes the progress made since last asked."""
    timeouts = in_flight.request.timeouts
    if in_flight.state == RELEASED:
        return (failures.IDLE_TIMEOUT, LINGER) if now - in_flight.since >= LINGER else None
    if in_flight.deadline is not None and now >= in_flight.deadline:
        return failures.TOTAL_TIMEOUT, timeouts.total or 0.0
    if in_flight.state == SENT:
        progress = in_flight.sink.progress
        if progress != in_flight.seen:
            in_flight.seen = progress
            in_flight.started = True
            in_flight.since = now
            return None
        if in_flight.paused:
            in_flight.since = now
            return None
        if not in_flight.started and in_flight.connection is not None:
            unsent = in_flight.connection.transport.get_write_buffer_size()
            if unsent != in_flight.unsent:  # a large request on its way is no silence
                in_flight.unsent = unsent
                in_flight.since = now
                return None
        fault, limit = (
            (failures.IDLE_TIMEOUT, timeouts.idle)
            if in_flight.started
            else (failures.FIRST_BYTE_TIMEOUT, timeouts.first_byte)
        )
    elif in_flight.state == CONNECTING:
        fault, limit = failures.CONNECT_TIMEOUT, timeouts.connect
    else:
        fault, limit = failures.BUSY, timeouts.connect
    return (fault, limit) if now - in_flight.since >= limit else None
