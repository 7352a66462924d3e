"""Message threads: conversations that the server holds, so that a request has only what is new.

A thread is continued from its last answer, once, and forgotten five minutes after its last use. A request
with ``thread`` needs the beta header. Source: the vendor's client library.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline_mock.shapes.anthropic.validate_fields import (
    forbid_other_fields,
    invalid_request,
    require_field,
    require_type,
    unknown_type,
)
from trunkline_mock.shapes.base import ParsedRequest, VendorError

BETA: Final = "message-threads-2026-08-12"
_MAX_THREADS: Final = 1024
_LIFETIME_S: Final = 300.0
_KEPT_FIELDS: Final = ("system", "tools")
"""Fields that stand in the request that creates a thread, and in no other one."""
_UNSUPPORTED_FIELDS: Final = ("context_management", "fallbacks")


class _Turn(msgspec.Struct):
    """The conversation up to one answer."""

    messages: list[dict[str, Any]]
    kept: dict[str, Any]
    model: str
    used: float
    continued: bool = False


class ThreadStore:
    """The threads by the ids of their answers. The oldest ones are dropped.

    Args:
        clock: Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        self._count = 0

    def resolve(self, request: ParsedRequest) -> ParsedRequest:
        """The request with the whole conversation, as if there were no threads.

        Its body differs each time, so that every answer has an id of its own.

        Raises:
            VendorError: There is no such thread, it was continued already, or it may not be used like this.
        """
        data = request.data
        thread = data.get("thread")
        if thread is None:
            return request
        if BETA not in request.headers.get("anthropic-beta", ""):
            raise invalid_request("thread: Extra inputs are not permitted")
        _validate(thread)
        _refuse_unsupported(data)
        self._count += 1
        whole = {name: value for name, value in data.items() if name != "thread"}
        if thread["type"] == "continue":
            turn = self._find(thread["previous_message_id"])
            whole = _continued(turn, whole)
        return msgspec.structs.replace(request, data=whole, body=request.body + b"#%d" % self._count)

    def save(self, thread: dict[str, Any], data: dict[str, Any], answer: str, content: list[Any]) -> None:
        """Keep the conversation with its new answer.

        Args:
            thread: The field of the request.
            data: The whole conversation.
            answer: The answer's id.
            content: The answer's blocks.
        """
        if thread["type"] == "continue":
            self._turns[thread["previous_message_id"]].continued = True
        self._turns[answer] = _Turn(
            [*data["messages"], {"role": "assistant", "content": content}],
            {name: data[name] for name in _KEPT_FIELDS if name in data},
            data["model"],
            self._clock(),
        )
        if len(self._turns) > _MAX_THREADS:
            self._turns.popitem(last=False)

    def _find(self, answer: str) -> _Turn:
        turn = self._turns.get(answer)
        if turn is None or self._clock() - turn.used > _LIFETIME_S:
            raise _error(404, "thread_not_found", f"No thread was found for `{answer}`.")
        if turn.continued:
            raise _error(400, "thread_already_continued", f"`{answer}` has already been continued.")
        return turn


def _error(status: int, code: str, message: str, **more: Any) -> VendorError:
    return VendorError(status, f"thread: {message}", details={"error_code": code, **more})


def _validate(thread: Any) -> None:
    require_type(thread, dict, "thread")
    match thread.get("type"):
        case "create":
            forbid_other_fields(thread, ("type",), "thread.create")
        case "continue":
            answer = require_field(thread, "previous_message_id", "thread.continue")
            require_type(answer, str, "thread.continue.previous_message_id")
            forbid_other_fields(thread, ("type", "previous_message_id"), "thread.continue")
        case other:
            raise unknown_type(other, ("create", "continue"), "thread")


def _refuse_unsupported(data: dict[str, Any]) -> None:
    found = [name for name in _UNSUPPORTED_FIELDS if data.get(name) is not None]
    if '"cache_control"' in msgspec.json.encode(data).decode():
        found.append("cache_control")
    if (data.get("thinking") or {}).get("type") == "enabled":
        found.append("thinking")
    if found:
        names = ", ".join(found)
        raise _error(
            400,
            "thread_unsupported_request",
            f"{names} cannot be used with threads.",
            unsupported=sorted(found),
        )


def _continued(turn: _Turn, data: dict[str, Any]) -> dict[str, Any]:
    """The whole conversation of a request that continues ``turn``."""
    given = {name: data[name] for name in _KEPT_FIELDS if name in data}
    different: list[str] = [name for name, value in given.items() if turn.kept.get(name) != value]
    if data.get("model") != turn.model:
        different.append("model")
    if different:
        raise _error(400, "thread_fingerprint_mismatch", f"{', '.join(different)} differs from the thread's.")
    messages = require_type(require_field(data, "messages", ""), list, "messages")
    return {**turn.kept, **data, "messages": [*turn.messages, *messages]}
