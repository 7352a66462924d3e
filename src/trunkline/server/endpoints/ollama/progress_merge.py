"""One progress of several servers' work, such as clients draw: a bar a file, and one end.

A file's ``completed`` is the mean over the servers, so that its bar shows the true size and is full when the
last server has it. Every other status is told once, when the first server comes to it; ``success`` when all
have ended well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, NamedTuple, TypeAlias

from trunkline.errors import GatewayError, ProviderError

Line = dict[str, Any]
Work: TypeAlias = Callable[[str], AsyncGenerator[Line, None]]
"""A server's name → the lines of its work."""

_MOST_WAITING: Final = 64
"""Lines that may wait for the reader."""


class Failure(NamedTuple):
    """A server that did not end well."""

    server: str
    error: GatewayError


class Merged:
    """What is known of several servers' progress. Pure: lines in, lines out."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._working = set(servers)
        self._ended: set[str] = set()
        self._layers: dict[str, dict[str, int]] = {}
        self._totals: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._said: set[str] = set()

    def note(self, server: str, line: Line) -> Line | None:
        """The line to send, now that ``server`` has said this one; None if it changes nothing."""
        digest, status = line.get("digest"), str(line.get("status"))
        if status == "success":
            return None
        if not digest:
            if status in self._said:
                return None
            self._said.add(status)
            return line
        total, completed = _count(line.get("total")), _count(line.get("completed"))
        self._totals[digest] = total = max(total, self._totals.get(digest, 0))
        self._layers.setdefault(digest, {})[server] = completed
        return self._progress(digest, status, total)

    def end(self, server: str, well: bool) -> None:
        """``server`` has ended its work; if not ``well`` it does not count any more."""
        if well:
            self._ended.add(server)
        else:
            self._working.discard(server)

    def _progress(self, digest: str, status: str, total: int) -> Line | None:
        layers = self._layers[digest]
        counts = [total if each in self._ended else layers.get(each, 0) for each in self._working]
        completed = sum(counts) // max(1, len(counts))
        if self._told.get(digest) == completed:
            return None
        self._told[digest] = completed
        line: Line = {"status": status, "digest": digest}
        if total:
            line["total"] = total
        if completed:  # Ollama leaves zeros out
            line["completed"] = completed
        return line


async def merge(servers: Sequence[str], work: Work) -> AsyncGenerator[Line, None]:
    """The merged lines of ``work`` at all ``servers`` at once, ``success`` excepted.

    Raises:
        GatewayError: after the last line, when not every server ended well: the only server's own error, or
            one that names those that failed.
    """
    if len(servers) == 1:
        async with aclosing(work(servers[0])) as only:
            async for line in only:
                if line.get("status") != "success":
                    yield line
        return
    lines: asyncio.Queue[tuple[str, Line | GatewayError | None]] = asyncio.Queue(_MOST_WAITING)
    merged, failures = Merged(servers), []
    tasks = [asyncio.ensure_future(_work(server, work, lines)) for server in servers]
    try:
        going = len(servers)
        while going:
            server, said = await lines.get()
            if isinstance(said, dict):
                if (news := merged.note(server, said)) is not None:
                    yield news
                continue
            going -= 1
            merged.end(server, well=said is None)
            if said is not None:
                failures.append(Failure(server, said))
    finally:
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
    if failures:
        raise _failed(failures, servers)


async def _work(
    server: str,
    work: Work,
    lines: asyncio.Queue[tuple[str, Line | GatewayError | None]],
) -> None:
    try:
        async with aclosing(work(server)) as told:
            async for line in told:
                await lines.put((server, line))
    except GatewayError as error:
        await lines.put((server, error))
    else:
        await lines.put((server, None))


def _failed(failures: Sequence[Failure], servers: Sequence[str]) -> GatewayError:
    first = failures[0].error
    if len(failures) == len(servers) and len({failure.error.message for failure in failures}) == 1:
        return first
    told = "; ".join(f"{failure.server}: {failure.error.message}" for failure in failures)
    well = [server for server in servers if server not in {failure.server for failure in failures}]
    rest = f". Done at {', '.join(well)}" if well else ""
    return ProviderError(f"{told}{rest}", first.kind, status=first.status)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
