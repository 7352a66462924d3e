"""Who gets which connection: the decisions of the pool, for one origin, without any I/O.

A :class:`HostPool` keeps the idle connections to an origin (the last one in is the first one out, so that the
rest may expire), counts the slots that are taken, and queues flights that have to wait for one. It decides;
``client.py`` then opens, writes and closes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from trunkline.transport.route import Route

_MARGIN: Final = 1.0
"""Seconds before the upstream's own expiry at which we stop using a connection; it closes while we write
otherwise."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and for how long."""

    per_origin: int = 1000
    """Connections to one origin, busy, idle and being opened."""
    idle_per_origin: int = 1000
    """Of these, how many may be idle."""
    keep_alive: float = 60.0
    """Seconds for which an idle connection is kept; less if the upstream says less."""

    def __post_init__(self) -> None:
        if self.per_origin < 1:
            raise ValueError("per_origin must be at least 1")


class Pooled(Protocol):
    """What a lane needs to know of a connection."""

    expires_at: float
    """Loop time from which on it must not be used; 0 when it is closed."""


C = TypeVar("C", bound=Pooled)
F = TypeVar("F")


class HostPool(Generic[C, F]):
    """The connections to one origin."""

    __slots__ = ("_limits", "expired", "idle", "open", "route", "waiting")

    def __init__(self, route: Route, limits: Limits) -> None:
        self.route = route
        self._limits = limits
        self.idle: list[C] = []
        self.expired: list[C] = []
        """Taken out of service, to be closed by whoever looks next."""
        self.open = 0
        """Slots taken: connections that stand or are being opened."""
        self.waiting: deque[F] = deque()

    def take(self, now: float) -> C | None:
        """An idle connection that may be used, the most recent first."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.expires_at > now:
                return connection
            self.expired.append(connection)
        return None

    def take_slot(self) -> bool:
        """Take a slot for a new connection, if one is free."""
        if self.open >= self._limits.per_origin:
            return False
        self.open += 1
        return True

    def put(self, connection: C, now: float, keep_alive: float) -> F | None:
        """A connection has become free. Either the longest waiting flight is returned and gets it, or it is
        idle from now on, or (``expires_at`` is 0 then) it must be closed."""
        if self.waiting:
            return self.waiting.popleft()
        limits = self._limits
        seconds = min(limits.keep_alive, keep_alive - _MARGIN)
        if seconds <= 0 or len(self.idle) >= limits.idle_per_origin:
            connection.expires_at = 0.0
        else:
            connection.expires_at = now + seconds
            self.idle.append(connection)
        return None

    def free_slot(self) -> F | None:
        """A connection is gone, or did not come to be. The flight that is returned inherits the slot."""
        if self.waiting:
            return self.waiting.popleft()
        self.open -= 1
        return None

    def lose(self, connection: C) -> None:
        """A connection has closed; it is not to be handed out any more."""
        for connections in (self.idle, self.expired):
            if connection in connections:
                connections.remove(connection)

    def withdraw(self, in_flight: F) -> None:
        """A waiting flight waits no longer."""
        self.waiting.remove(in_flight)

    def expire(self, now: float) -> list[C]:
        """Everything that is to be closed by ``now``."""
        late, self.expired = self.expired, []
        if any(connection.expires_at <= now for connection in self.idle):
            late += [connection for connection in self.idle if connection.expires_at <= now]
            self.idle = [connection for connection in self.idle if connection.expires_at > now]
        return late

    def everything(self) -> Iterator[C]:
        """All connections that no flight holds."""
        yield from self.idle
        yield from self.expired
