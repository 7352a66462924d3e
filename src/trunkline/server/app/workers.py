"""Several processes behind one address: each is a whole gateway, and all accept from the same sockets.

The parent opens the sockets, starts the workers and watches over them: one that dies is started again, a
signal goes to all. It serves nothing itself. Limits, budgets and the cache are shared through Redis, as
between nodes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Final

import structlog

SOCKETS: Final = "TRUNKLINE_WORKER_SOCKETS"
"""In a worker's environment: the numbers of the sockets to accept from."""
PARENT: Final = "TRUNKLINE_WORKER_PARENT"
"""In a worker's environment: the number of the socket to its parent, on which it writes a byte when it
listens."""
RESTART_S: Final = 1.0
"""Seconds between the death of a worker and its next life."""
_TICK_S: Final = 0.05
"""Seconds between two looks at the workers."""
_ALL: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_ENDS: Final = (signal.SIGTERM, signal.SIGINT)
_LATER: Final = (signal.SIGHUP,)
"""Signals that wait for a worker that has only just been started: they would end it."""

log: Final = structlog.stdlib.get_logger(__name__)


def is_worker() -> bool:
    """Whether this process was started by a parent of workers."""
    return SOCKETS in os.environ


def inherited() -> list[socket.socket]:
    """The sockets that the parent has opened."""
    return [socket.socket(fileno=int(number)) for number in os.environ[SOCKETS].split(",")]


def report_ready(loop: asyncio.AbstractEventLoop) -> None:
    """Tell the parent that this worker listens; end this worker when the parent is gone."""
    parent = int(os.environ[PARENT])
    os.write(parent, b".")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)

    def gone() -> None:
        loop.remove_reader(parent)
        log.error("the parent of this worker is gone")
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent, gone)


def supervise(
    command: Sequence[str], count: int, sockets: Sequence[socket.socket], ready: Callable[[], None]
) -> int:
    """Keep ``count`` workers running until a signal ends it; returns the process's exit code.

    Args:
        command: starts a worker.
        count: how many.
        sockets: what they accept from.
        ready: called once all of them do.
    """
    parent = _Parent(command, sockets)
    before = {number: signal.signal(number, parent.take) for number in _ALL}
    try:
        return parent.run(count, ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        parent.close()


class _Parent:
    """The process that keeps the workers running."""

    def __init__(self, command: Sequence[str], sockets: Sequence[socket.socket]) -> None:
        self._command = command
        self._sockets = sockets
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ending = False

    def take(self, number: int, _frame: FrameType | None) -> None:
        """A signal: the workers get it too."""
        self._ending = self._ending or number in _ENDS
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM if number in _ENDS else number)

    def run(self, count: int, ready: Callable[[], None]) -> int:
        """Until a signal, or until a worker cannot even start."""
        self._workers = [self._start() for _ in range(count)]
        listening, code = 0, 0
        while not self._ending:
            if listening < count:
                listening += self._count_ready()
                if listening >= count:
                    ready()
            for at, worker in enumerate(self._workers):
                if worker.poll() is None:
                    continue
                if listening < count:
                    code = worker.returncode or 1
                    self.take(signal.SIGTERM, None)
                    break
                log.error("a worker has died and is started again", code=worker.returncode)
                time.sleep(RESTART_S)
                if not self._ending:
                    self._workers[at] = self._start()
            time.sleep(_TICK_S)
        self.take(signal.SIGTERM, None)  # again, for one that was just being started
        for worker in self._workers:
            worker.wait()
        return code

    def close(self) -> None:
        self._here.close()
        self._there.close()

    def _count_ready(self) -> int:
        try:
            return len(self._here.recv(4096))
        except BlockingIOError:
            return 0

    def _start(self) -> subprocess.Popen[bytes]:
        numbers = [each.fileno() for each in self._sockets]
        there = self._there.fileno()
        environment = {SOCKETS: ",".join(map(str, numbers)), PARENT: str(there)}
        signal.pthread_sigmask(signal.SIG_BLOCK, _LATER)  # which a worker inherits
        try:
            return subprocess.Popen(
                self._command,
                env=os.environ | environment,
                pass_fds=[*numbers, there],
                start_new_session=True,  # a terminal's signal comes to the parent, who passes it on once
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _LATER)
