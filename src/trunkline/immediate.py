"""A coroutine per request without a task per request.

An asyncio task begins one turn of the event loop later, and wakes one turn after what it awaited. For a
request that is forwarded and answered in two turns that is most of its cost. :func:`run` takes the first
steps of a coroutine at once, on the caller's stack, and an :class:`ImmediateFuture` resumes it on the stack
of whoever settles it. Futures and tasks can be awaited as usual. What needs a current task
(``asyncio.timeout``) must be put into one: ``await asyncio.ensure_future(…)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class ImmediateFuture(Generic[_T]):
    """A future that resumes the coroutine that awaits it at once, without a turn of the event loop."""

    __slots__ = ("_result", "resume", "settled")

    _result: _T

    def __init__(self) -> None:
        self.settled = False
        """Whether it has a result."""
        self.resume: Callable[[], None] | None = None
        """Called when it is settled; :func:`run` sets it."""

    def settle(self, result: _T) -> None:
        """Give the result, and resume the coroutine that awaits it. Later calls do nothing."""
        if self.settled:
            return
        self.settled = True
        self._result = result
        if self.resume is not None:
            self.resume()

    def __await__(self) -> Generator[ImmediateFuture[_T], None, _T]:
        if not self.settled:
            yield self
        return self._result


def run(coroutine: Coroutine[Any, Any, None], _: object = None) -> None:
    """Run the coroutine as far as it goes now; what it awaits runs it further.

    The coroutine must handle its own exceptions: one that leaves it goes to the event loop's handler.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return
    except Exception as error:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": "a request's coroutine failed", "exception": error})
        return
    if isinstance(awaited, ImmediateFuture):
        awaited.resume = partial(run, coroutine)
    elif awaited is None:  # a bare yield: asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(run, coroutine)
    else:
        awaited._asyncio_future_blocking = False
        awaited.add_done_callback(partial(run, coroutine))
