"""A client that is paced: it sends when it is told to, and notes when the answer is there.

Plain sockets and ``select``, whose timeouts are exact to some 50 µs (those of ``epoll``, and of event loops
on it, to 1 ms). It knows as much HTTP as the bench's answers need: one status, a length or chunks.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from typing import Final, NamedTuple

from bench.machine import BenchError

_GUARD_S: Final = 10.0
"""Silence after which a run has failed."""
_RECEIVE: Final = 256 * 1024
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"


class Ask(NamedTuple):
    """A request, and where to send it."""

    port: int
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def raw(self) -> bytes:
        """The bytes on the wire."""
        fields = (
            ("Host", f"127.0.0.1:{self.port}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(self.body))),
            *self.headers,
        )
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


class Wire:
    """One connection that is kept alive, with at most one request under way."""

    def __init__(self, ask: Ask, guard_s: float = _GUARD_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", ask.port), timeout=guard_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        """When the request at hand should have been sent."""
        self.left = 0
        """Requests still to be sent on it."""
        self.body = b""
        """What came of the body so far: all of one with a length, the last bytes of a chunked one."""
        self._raw = ask.raw
        self._head: bytes | None = b""
        self._length: int | None = None

    def send(self) -> None:
        """Ask."""
        self._head, self._length, self.body = b"", None, b""
        self.socket.sendall(self._raw)

    def receive(self) -> bool:
        """Take what has come; tells whether the answer is whole.

        Raises:
            BenchError: the connection was closed, or the answer is not 200.
        """
        data = self.socket.recv(_RECEIVE)
        if not data:
            raise BenchError("an answer was cut short")
        if self._head is not None:
            data = self._read_head(self._head + data)
        if self._length is not None:
            self.body += data
            return len(self.body) >= self._length
        self.body = (self.body + data)[-len(_LAST_CHUNK) :]
        return self.body == _LAST_CHUNK

    def _read_head(self, data: bytes) -> bytes:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            self._head = data
            return b""
        if not head.startswith(b"HTTP/1.1 200 "):
            raise BenchError(f"not a 200: {data[:500].decode(errors='replace')}")
        self._head = None
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._length = int(line.partition(b":")[2])
        return rest

    @property
    def begun(self) -> bool:
        """A byte of the body is there."""
        return self._head is None and self.body != b""

    def close(self) -> None:
        """Close."""
        self.socket.close()


class Paced(NamedTuple):
    """What came of a paced run."""

    latencies: list[float]
    """Seconds from when each request was due to the end of its answer, in the order of the ends."""
    seconds: float


def at_rate(ask: Ask, *, rate: int, seconds: float, connections: int) -> Paced:
    """Send ``rate`` requests a second, evenly and whatever the answers do, over ``connections`` in turn.

    A request that finds no connection free waits, and the wait counts.
    """
    total = int(rate * seconds)
    wires = [Wire(ask) for _ in range(connections)]
    selector = selectors.SelectSelector()
    for wire in wires:
        selector.register(wire.socket, selectors.EVENT_READ, wire)
    free = deque(wires)
    latencies: list[float] = []
    sent = 0
    clock = time.perf_counter
    try:
        start = clock()
        while len(latencies) < total:
            while sent < total and free and clock() >= start + sent / rate:
                wire = free.popleft()
                wire.due = start + sent / rate
                wire.send()
                sent += 1
            wait = max(start + sent / rate - clock(), 0.0) if sent < total and free else _GUARD_S
            ready = selector.select(wait)
            if not ready and wait == _GUARD_S:
                raise BenchError(f"no answer within {_GUARD_S} s")
            for key, _ in ready:
                if key.data.receive():
                    latencies.append(clock() - key.data.due)
                    free.append(key.data)
        return Paced(latencies, clock() - start)
    finally:
        selector.close()
        for wire in wires:
            wire.close()


def streams(
    ask: Ask, *, connections: int, each: int, stagger_s: float = 0.0, guard_s: float = _GUARD_S
) -> Paced:
    """Read ``each`` answers, streams or whole ones, one after the other, on every one of ``connections``.

    The first ones start ``stagger_s`` apart, so that the chunks of different streams do not come together.
    Silence of ``guard_s`` is a failure.
    """
    wires = [Wire(ask, guard_s) for _ in range(connections)]
    selector = selectors.SelectSelector()
    for wire in wires:
        wire.left = each
        selector.register(wire.socket, selectors.EVENT_READ, wire)
    clock = time.perf_counter
    latencies: list[float] = []
    waiting = deque(wires)
    try:
        start = clock()
        due = start
        while len(latencies) < connections * each:
            if waiting and clock() >= due:
                _again(waiting.popleft(), clock())
                due += stagger_s
            wait = max(due - clock(), 0.0) if waiting else guard_s
            ready = selector.select(wait)
            if not ready and not waiting:
                raise BenchError(f"no chunk within {guard_s} s")
            for key, _ in ready:
                wire = key.data
                if wire.receive():
                    now = clock()
                    latencies.append(now - wire.due)
                    if wire.left:
                        _again(wire, now)
        return Paced(latencies, clock() - start)
    finally:
        selector.close()
        for wire in wires:
            wire.close()


def _again(wire: Wire, now: float) -> None:
    wire.left -= 1
    wire.due = now
    wire.send()


def first_byte(wire: Wire) -> float:
    """Seconds from sending a request to the first byte of the answer's body; the answer is read whole."""
    start = time.perf_counter()
    wire.send()
    whole = wire.receive()
    while not wire.begun:
        whole = wire.receive()
    seconds = time.perf_counter() - start
    while not whole:
        whole = wire.receive()
    return seconds
