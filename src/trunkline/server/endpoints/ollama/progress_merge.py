"""The progress of one operation on several servers, as one stream.

Clients draw such a stream as a bar for each file. A file's ``completed`` is the mean over the servers, so
that its bar shows the true size and is full when the last server has it. Every other status is sent once,
when the first server reaches it; ``success`` is left to the caller, who sends it when all servers have
succeeded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple, TypeAlias

from trunkline.errors import GatewayError, ProviderError

Line: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[str], AsyncGenerator[Line, None]]
"""Takes a server's name, and gives the lines of its progress."""

_MAX_WAITING: Final = 64
"""Lines that may wait for the reader."""


class Failure(NamedTuple):
    """A server that failed."""

    server: str
    error: GatewayError


class ProgressMerge:
    """What is known of the progress of several servers. Lines in, lines out; it does no I/O."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._working = set(servers)
        """Servers that have not failed."""
        self._succeeded: set[str] = set()
        self._completed: dict[str, dict[str, int]] = {}
        """Bytes that each server has of a file, by the file's digest."""
        self._totals: dict[str, int] = {}
        """Bytes of each file."""
        self._sent_completed: dict[str, int] = {}
        """The last ``completed`` that was sent of each file."""
        self._sent_statuses: set[str] = set()

    def add(self, server: str, line: Line) -> Line | None:
        """Take a line of one server; returns the line to send, or None if there is nothing new."""
        digest, status = line.get("digest"), str(line.get("status"))
        if status == "success":
            return None
        if not digest:
            if status in self._sent_statuses:
                return None
            self._sent_statuses.add(status)
            return line
        total, completed = _count(line.get("total")), _count(line.get("completed"))
        self._totals[digest] = total = max(total, self._totals.get(digest, 0))
        self._completed.setdefault(digest, {})[server] = completed
        return self._progress(digest, status, total)

    def end(self, server: str, *, succeeded: bool) -> None:
        """A server has ended its work. One that has failed does not count any more."""
        if succeeded:
            self._succeeded.add(server)
        else:
            self._working.discard(server)

    def _progress(self, digest: str, status: str, total: int) -> Line | None:
        by_server = self._completed[digest]
        counts = [total if each in self._succeeded else by_server.get(each, 0) for each in self._working]
        completed = sum(counts) // max(1, len(counts))
        if self._sent_completed.get(digest) == completed:
            return None
        self._sent_completed[digest] = completed
        line: Line = {"status": status, "digest": digest}
        if total:
            line["total"] = total
        if completed:  # Ollama leaves zeros out
            line["completed"] = completed
        return line


async def merge(
    servers: Sequence[str], work: Work, failures: list[Failure] | None = None
) -> AsyncGenerator[Line, None]:
    """Have all servers work at once, and merge the lines of their progress, without ``success``.

    Args:
        servers: their names.
        work: begins the work of one server.
        failures: takes the servers that failed.

    Raises:
        GatewayError: after the last line, when not every server succeeded: the only server's own error, or
            one that names those that failed.
    """
    failures = [] if failures is None else failures
    if len(servers) == 1:
        try:
            async with aclosing(work(servers[0])) as only:
                async for line in only:
                    if line.get("status") != "success":
                        yield line
        except GatewayError as error:
            failures.append(Failure(servers[0], error))
            raise
        return
    queue: asyncio.Queue[tuple[str, Line | GatewayError | None]] = asyncio.Queue(_MAX_WAITING)
    merged = ProgressMerge(servers)
    tasks = [asyncio.ensure_future(_work(server, work, queue)) for server in servers]
    try:
        remaining = len(servers)
        while remaining:
            server, item = await queue.get()
            if isinstance(item, dict):
                if (news := merged.add(server, item)) is not None:
                    yield news
                continue
            remaining -= 1
            merged.end(server, succeeded=item is None)
            if item is not None:
                failures.append(Failure(server, item))
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise error_of(failures, servers)


async def _work(
    server: str, work: Work, queue: asyncio.Queue[tuple[str, Line | GatewayError | None]]
) -> None:
    """Put a server's lines into the queue, and then its error, or None if it succeeded."""
    try:
        async with aclosing(work(server)) as lines:
            async for line in lines:
                await queue.put((server, line))
    except GatewayError as error:
        await queue.put((server, error))
    else:
        await queue.put((server, None))


def error_of(failures: Sequence[Failure], servers: Sequence[str]) -> GatewayError:
    """The error for an operation that some of the servers have not done.

    Args:
        failures: those servers; at least one.
        servers: the names of all.
    """
    first = failures[0].error
    if len(failures) == len(servers) and len({failure.error.message for failure in failures}) == 1:
        return first
    reasons = "; ".join(f"{failure.server}: {failure.error.message}" for failure in failures)
    failed = {failure.server for failure in failures}
    succeeded = [server for server in servers if server not in failed]
    rest = f". Done at {', '.join(succeeded)}" if succeeded else ""
    return ProviderError(f"{reasons}{rest}", first.kind, status=first.status)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
