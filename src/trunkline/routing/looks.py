"""Looks at the local providers that an unknown model name causes: the model may have been made since.

A look serves everybody who waits for it. One begins at most every :data:`LOOK_INTERVAL_S`, and not before the
one before it is over, so that unknown names cannot be used to flood a server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from trunkline.errors import MODEL_NOT_FOUND, CallerError

_Found = TypeVar("_Found")

LOOK_INTERVAL_S: Final = 1.0
"""The minimum time in seconds between the beginnings of two looks."""
LOOK_TIMEOUT_S: Final = 5.0
"""The maximum number of seconds that a look takes, and that a request waits for looks."""


class Look:
    """One look, from when somebody waits for it."""

    __slots__ = ("ended", "news", "task")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.news: asyncio.Future[None] = loop.create_future()
        """Done when the first servers have answered, or the look has ended."""
        self.ended: asyncio.Future[None] = loop.create_future()
        self.task: asyncio.Task[None] | None = None
        """Held so that it is not collected while it runs."""

    def publish(self) -> None:
        """Tell those who wait that there is news."""
        if not self.news.done():
            self.news.set_result(None)


class Looks:
    """The looks of one catalog."""

    def __init__(self, ask: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """``ask`` asks the local providers for their models, and calls its argument at the first answers."""
        self._ask = ask
        self._coming: Look | None = None
        """The look that is to begin next."""
        self._running: Look | None = None
        self._began_at = -LOOK_INTERVAL_S

    async def find(self, find: Callable[[], _Found]) -> _Found:
        """Call ``find`` after each look that may know more than the one before; returns what it finds.

        First that is the look which is under way, if one is; then one that began after this call.

        Args:
            find: looks a model up. It raises ``MODEL_NOT_FOUND`` while no provider lists it.

        Raises:
            CallerError: the model was not found by any of these looks, or may not be used.
        """
        ends_at = time.monotonic() + LOOK_TIMEOUT_S
        looks = [self._running] if self._running is not None else []
        looks.append(self._next())
        error: CallerError | None = None
        for look in looks:
            for event in (look.news, look.ended):
                if event is look.ended and event.done() and error is not None:
                    continue  # its end brought nothing after its first news
                await asyncio.wait([event], timeout=max(0.0, ends_at - time.monotonic()))
                try:
                    return find()
                except CallerError as failure:
                    if failure.kind is not MODEL_NOT_FOUND:
                        raise
                    error = failure
        assert error is not None
        raise error

    def _next(self) -> Look:
        """The look that begins next."""
        if self._coming is None:
            self._coming = look = Look()
            look.task = asyncio.get_running_loop().create_task(self._run(look, self._running))
        return self._coming

    async def _run(self, look: Look, before: Look | None) -> None:
        try:
            if before is not None:
                await asyncio.wait([before.ended])
            wait = self._began_at + LOOK_INTERVAL_S - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._coming, self._running, self._began_at = None, look, time.monotonic()
            asking = asyncio.ensure_future(self._ask(look.publish))
            try:
                await asyncio.wait([asking], timeout=LOOK_TIMEOUT_S)
            finally:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
        finally:
            for each in ("_coming", "_running"):
                if getattr(self, each) is look:
                    setattr(self, each, None)
            look.publish()
            if not look.ended.done():
                look.ended.set_result(None)

    async def aclose(self) -> None:
        """End the looks that are under way or to come."""
        tasks = [each.task for each in (self._coming, self._running) if each is not None and each.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
