"""The connections to one origin: which request gets which of them. Decisions only, no I/O.

A :class:`HostPool` keeps the idle connections (the last one in is the first one out, so that the rest may
expire), counts the slots that are taken, and queues the requests that have to wait for one. ``client.py``
acts on what it decides: it opens, writes and closes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from trunkline.transport.route import Route

_EXPIRY_MARGIN: Final = 1.0
"""Seconds before the upstream's own expiry at which a connection is not used any more. Without it the
upstream would close connections while requests are written to them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of each host pool."""

    per_origin: int = 1000
    """The maximum number of connections to one origin: busy, idle and being opened."""
    idle_per_origin: int = 1000
    """How many of these may be idle."""
    keep_alive: float = 60.0
    """Seconds for which an idle connection is kept; less if the upstream says less."""

    def __post_init__(self) -> None:
        if self.per_origin < 1:
            raise ValueError("per_origin must be at least 1")


class PooledConnection(Protocol):
    """The part of a connection that a host pool uses."""

    expires_at: float
    """The loop time from which on it must not be used; 0 when it is closed."""


C = TypeVar("C", bound=PooledConnection)
R = TypeVar("R")


class HostPool(Generic[C, R]):
    """The connections to one origin, of the type ``C``, for requests of the type ``R``."""

    __slots__ = ("_limits", "expired", "idle", "open_count", "route", "waiting")

    def __init__(self, route: Route, limits: Limits) -> None:
        self.route = route
        self._limits = limits
        self.idle: list[C] = []
        self.expired: list[C] = []
        """Connections that are not used any more and are still to be closed."""
        self.open_count = 0
        """Slots taken: connections that are established or being opened."""
        self.waiting: deque[R] = deque()
        """Requests that wait for a connection or a slot, the oldest first."""

    def take_idle(self, now: float) -> C | None:
        """Take an idle connection that may be used, the most recent first."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.expires_at > now:
                return connection
            self.expired.append(connection)
        return None

    def take_slot(self) -> bool:
        """Take a slot for a new connection, if one is free."""
        if self.open_count >= self._limits.per_origin:
            return False
        self.open_count += 1
        return True

    def put(self, connection: C, now: float, keep_alive: float) -> R | None:
        """Give back a connection that has become free.

        Args:
            now: The loop time.
            keep_alive: Seconds for which the upstream says it keeps the connection.

        Returns:
            The request that has waited longest, which gets the connection. If none waits, the connection is
            idle from now on, or has to be closed: then its ``expires_at`` is 0.
        """
        if self.waiting:
            return self.waiting.popleft()
        limits = self._limits
        seconds = min(limits.keep_alive, keep_alive - _EXPIRY_MARGIN)
        if seconds <= 0 or len(self.idle) >= limits.idle_per_origin:
            connection.expires_at = 0.0
        else:
            connection.expires_at = now + seconds
            self.idle.append(connection)
        return None

    def free_slot(self) -> R | None:
        """Give back the slot of a connection that is closed or could not be opened.

        Returns:
            The request that has waited longest, which gets the slot. None if the slot is free now.
        """
        if self.waiting:
            return self.waiting.popleft()
        self.open_count -= 1
        return None

    def discard(self, connection: C) -> None:
        """Forget a connection that was closed by the upstream."""
        for connections in (self.idle, self.expired):
            if connection in connections:
                connections.remove(connection)

    def stop_waiting(self, request: R) -> None:
        """Take a request out of the queue."""
        self.waiting.remove(request)

    def take_expired(self, now: float) -> list[C]:
        """Take all connections that have to be closed by ``now``."""
        expired, self.expired = self.expired, []
        if any(connection.expires_at <= now for connection in self.idle):
            expired += [connection for connection in self.idle if connection.expires_at <= now]
            self.idle = [connection for connection in self.idle if connection.expires_at > now]
        return expired

    def unused_connections(self) -> Iterator[C]:
        """All connections that carry no request."""
        yield from self.idle
        yield from self.expired
