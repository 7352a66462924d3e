"""Runs coroutines without a task for each.

An asyncio task starts in the next turn of the event loop, and resumes one turn after what it awaited. For a
request that is forwarded and answered in two turns that is most of the cost. :func:`run` starts a coroutine
at once, on the caller's stack. An :class:`ImmediateFuture` resumes the coroutine that awaits it on the
stack of whoever settles it. Futures and tasks can be awaited as usual. Code that needs a current task
(``asyncio.timeout``) must run in one: ``await asyncio.ensure_future(…)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class ImmediateFuture(Generic[_T]):
    """A future that resumes its waiter at once, without a turn of the event loop. It is settled once."""

    __slots__ = ("_result", "_resume", "settled")

    _result: _T

    def __init__(self) -> None:
        self.settled = False
        self._resume: Callable[[], None] | None = None

    def settle(self, result: _T) -> None:
        """Set the result and resume the waiter. Later calls do nothing."""
        if self.settled:
            return
        self.settled = True
        self._result = result
        if self._resume is not None:
            self._resume()

    def __await__(self) -> Generator[ImmediateFuture[_T], None, _T]:
        if not self.settled:
            yield self
        return self._result

    def set_waiter(self, resume: Callable[[], None]) -> None:
        """Have ``resume`` called when the future is settled."""
        self._resume = resume


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine until it first has to wait. What it awaits resumes it.

    The coroutine must handle its own exceptions: one that leaves it goes to the event loop's handler.
    """
    _Runner(coroutine).step()


class _Runner:
    """Resumes one coroutine."""

    __slots__ = ("_send",)

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._send = coroutine.send

    def step(self, _: object = None) -> None:
        try:
            awaited = self._send(None)
        except StopIteration:
            return
        except Exception as error:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "a request's coroutine failed", "exception": error})
            return
        if isinstance(awaited, ImmediateFuture):
            awaited.set_waiter(self.step)
        elif awaited is None:  # a bare yield: asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
        else:
            awaited._asyncio_future_blocking = False
            awaited.add_done_callback(self.step)
