"""Several processes behind one address: each is a whole gateway, and all accept from the same sockets.

The parent opens the sockets, starts the workers and watches over them: it starts a worker again that has
died, and passes signals on to all. It serves nothing itself. The workers share limits, budgets and the cache
through Redis, as nodes do.
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

from trunkline.server.app.drain import Drain

SOCKETS: Final = "TRUNKLINE_WORKER_SOCKETS"
"""In a worker's environment: the numbers of the sockets to accept from."""
PARENT: Final = "TRUNKLINE_WORKER_PARENT"
"""In a worker's environment: the number of the socket to its parent, on which it writes a byte when it
listens."""
RESTART_S: Final = 1.0
"""Seconds between the death of a worker and the start of its successor."""
_POLL_S: Final = 0.05
"""Seconds between two looks at the workers."""
_HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TERMINATING: Final = (signal.SIGTERM, signal.SIGINT)
_BLOCKED_AT_START: Final = (signal.SIGHUP, signal.SIGINT)
"""Signals that wait while a worker starts: one would end it for nothing, the other with a traceback."""

log: Final = structlog.stdlib.get_logger(__name__)


def is_worker() -> bool:
    """Whether this process was started by a parent of workers."""
    return SOCKETS in os.environ


def inherited_sockets() -> list[socket.socket]:
    """The sockets that the parent has opened."""
    return [socket.socket(fileno=int(number)) for number in os.environ[SOCKETS].split(",")]


def report_ready(loop: asyncio.AbstractEventLoop) -> None:
    """Tell the parent that this worker listens, and end this worker when the parent has ended."""
    parent = int(os.environ[PARENT])
    os.write(parent, b".")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED_AT_START)

    def parent_ended() -> None:
        loop.remove_reader(parent)
        log.error("the parent of this worker is gone")
        os.kill(os.getpid(), signal.SIGINT)  # without a delay: the next parent needs the address

    loop.add_reader(parent, parent_ended)


def supervise(
    command: Sequence[str], count: int, sockets: Sequence[socket.socket], on_ready: Callable[[], None]
) -> int:
    """Keep workers running until a signal ends it; returns the process's exit code.

    Args:
        command: starts a worker.
        count: how many workers.
        sockets: what they accept from.
        on_ready: called once all of them accept.
    """
    supervisor = _Supervisor(command, sockets)
    before = {number: signal.signal(number, supervisor.take) for number in _HANDLED}
    try:
        return supervisor.run(count, on_ready)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        supervisor.close()


class _Supervisor:
    """Keeps the workers running, in the parent process."""

    def __init__(self, command: Sequence[str], sockets: Sequence[socket.socket]) -> None:
        self._command = command
        self._sockets = sockets
        self._parent_end, self._worker_end = socket.socketpair()
        self._parent_end.setblocking(False)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._ending = False
        self._drain = Drain(0)
        """Which signal is the second one; the delay is the workers'."""
        self._told: set[int] = set()
        """The ids of the workers that know of the end."""

    def take(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: pass it on, or end the workers."""
        if number not in _TERMINATING:
            self._send(number)
            return
        step = self._drain.take(number)
        if step == "begin" and number == signal.SIGTERM:
            self._ending = True
            self._send(signal.SIGTERM)
        elif step != "nothing":
            self.end_workers()

    def end_workers(self) -> None:
        """Have the workers end without a delay, or at once if they are about to end."""
        self._ending = True
        # A worker that serves takes SIGINT and ignores a SIGTERM after it. In one that starts SIGINT waits,
        # and SIGTERM ends it.
        self._send(signal.SIGINT, signal.SIGTERM)

    def _send(self, *numbers: int) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                for number in numbers:
                    worker.send_signal(number)
                if self._ending:
                    self._told.add(worker.pid)

    def run(self, count: int, on_ready: Callable[[], None]) -> int:
        """Run until a signal comes, or until a worker cannot even start."""
        self._workers = [self._start() for _ in range(count)]
        listening, code = 0, 0
        while not self._ending:
            if listening < count:
                listening += self._count_ready()
                if listening >= count:
                    on_ready()
            for index, worker in enumerate(self._workers):
                if worker.poll() is None:
                    continue
                if listening < count:
                    code = worker.returncode or 1
                    self.end_workers()
                    break
                log.error("a worker has died and is started again", code=worker.returncode)
                time.sleep(RESTART_S)
                if not self._ending:
                    self._workers[index] = self._start()
            time.sleep(_POLL_S)
        for each in self._sockets:  # else clients would still connect here when no worker accepts any more
            each.close()
        for worker in self._workers:
            if worker.pid not in self._told:  # it was just being started when the signal came
                worker.terminate()
        for worker in self._workers:
            worker.wait()
        return code

    def close(self) -> None:
        self._parent_end.close()
        self._worker_end.close()

    def _count_ready(self) -> int:
        try:
            return len(self._parent_end.recv(4096))
        except BlockingIOError:
            return 0

    def _start(self) -> subprocess.Popen[bytes]:
        numbers = [each.fileno() for each in self._sockets]
        worker_end = self._worker_end.fileno()
        environment = {SOCKETS: ",".join(map(str, numbers)), PARENT: str(worker_end)}
        signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED_AT_START)  # a worker inherits the mask
        try:
            return subprocess.Popen(
                self._command,
                env=os.environ | environment,
                pass_fds=[*numbers, worker_end],
                start_new_session=True,  # a terminal's signal comes to the parent, which passes it on once
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _BLOCKED_AT_START)
