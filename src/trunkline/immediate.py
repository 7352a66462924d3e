"""A coroutine per request without a task per request.

An asyncio task begins a turn of the event loop later and wakes a turn after what it awaited; for a request
that is forwarded and answered in two turns that is most of its cost. :func:`run` takes a coroutine's first
steps at once, on the caller's stack, and a :class:`ImmediateFuture` resumes it on the stack of whoever
settles it. Futures and tasks can be awaited as usual. What needs a current task (``asyncio.timeout``) must
be put into one: ``await asyncio.ensure_future(…)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class ImmediateFuture(Generic[_T]):
    """Something to await that a callback settles once; like a future, without a turn in between."""

    __slots__ = ("_result", "_resume", "settled")

    _result: _T

    def __init__(self) -> None:
        self.settled = False
        self._resume: Callable[[], None] | None = None

    def settle(self, result: _T) -> None:
        """Give the result and resume whoever awaits it; later calls do nothing."""
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

    def attend(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` when it is settled."""
        self._resume = resume


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """Take the coroutine as far as it goes now; what it awaits takes it further.

    It must deal with its own exceptions: one that leaves it goes to the event loop's handler.
    """
    _Run(coroutine).step()


class _Run:
    __slots__ = ("_send",)

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._send = coroutine.send

    def step(self, _: object = None) -> None:
        try:
            waiting = self._send(None)
        except StopIteration:
            return
        except Exception as error:
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "a request's coroutine failed", "exception": error})
            return
        if isinstance(waiting, ImmediateFuture):
            waiting.attend(self.step)
        elif waiting is None:  # a bare yield: asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
        else:
            waiting._asyncio_future_blocking = False
            waiting.add_done_callback(self.step)
