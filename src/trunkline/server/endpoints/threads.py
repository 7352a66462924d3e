"""Message threads: conversations that Anthropic's clients have the server hold (``thread`` in a request).

A request creates a thread, and later ones continue it from the latest answer with nothing but what is new.
The gateway stores every thread, so that it can be continued at any upstream. The provider that holds the
thread itself is sent the request as it came. Only the key that created a thread can continue it.

Unlike Anthropic, the gateway lets an answer be continued more than once. Facts: Anthropic's published schema
of the beta ``message-threads-2026-08-12``, and what its SDKs do about the errors.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.dialects.anthropic import ThreadFront, read_message
from trunkline.dialects.base import HeldState
from trunkline.errors import INVALID_REQUEST, NOT_FOUND, CallerError, GatewayError, redact
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.cache import RecordingResponder, record
from trunkline.pipeline.unforeseen import unforeseen
from trunkline.server.state.store import owner_of

if TYPE_CHECKING:
    from trunkline.pipeline.pipeline import Pipeline
    from trunkline.server.state.store import StateStore

_CREATED_WITH: Final = ("system", "tools")
"""Fields that a thread is created with and that later requests do not repeat."""
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class Thread(msgspec.Struct):
    """A thread up to one answer."""

    messages: list[Any]
    created_with: dict[str, Any] = {}
    holder: str = ""
    """The provider that holds the thread too."""


class MessageThreads:
    """Serves the requests that create or continue a thread."""

    def __init__(self, store: StateStore, pipeline: Pipeline) -> None:
        """Keep threads.

        Args:
            store: where they are stored.
            pipeline: answers the requests.
        """
        self.store = store
        self.is_on = True
        """Whether threads are stored. Otherwise only upstreams that hold them can answer."""
        self._pipeline = pipeline

    async def serve(self, active: ActiveRequest) -> None:
        """Like :meth:`.Pipeline.serve`, with the thread so far put before the request's messages."""
        if not self.is_on or active.request.summary is None:
            await self._pipeline.serve(active)
            return
        request, response = active.request, active.response
        owner = owner_of(request.key)
        try:
            thread = await asyncio.ensure_future(self._complete(active, owner))
        except Exception as error:
            if not isinstance(error, GatewayError):
                error = unforeseen(error, request.body, request.request_id)
            response.refuse(error)
            self._pipeline.settle(active)
            return
        recording = record(response, self.store.largest)
        await self._pipeline.serve(active)
        if recording.has_answer(response):
            try:
                self._keep(active, recording, owner, thread)
            except Exception as error:  # the client has its answer already
                unforeseen(error, request.body, request.request_id)

    async def _complete(self, active: ActiveRequest, owner: str) -> Thread:
        """Put the thread so far into a request.

        Raises:
            CallerError: it is not stored, or the request is wrong.
        """
        body = active.request.body
        fields = _decode(body)
        wanted = fields.pop("thread")
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        thread, holder = Thread([]), None
        if kind == "continue":
            thread = await self._find(owner, wanted.get("previous_message_id"))
            fields = self._continue(fields, thread)
            holder = thread.holder
        elif kind != "create":
            text = "thread.type: Input should be 'create' or 'continue'"
            raise CallerError(text, INVALID_REQUEST, param="thread.type")
        thread.created_with = {name: fields[name] for name in _CREATED_WITH if fields.get(name)}
        thread.messages = [*thread.messages, *(fields.get("messages") or ())]
        fields["messages"] = thread.messages
        held = None if holder == "" else HeldState(provider=holder, body=body, fields=("thread",))
        active.replace(ThreadFront(f"msg_{uuid.uuid4().hex}", held), _encode(fields))
        return thread

    async def _find(self, owner: str, message_id: Any) -> Thread:
        if not isinstance(message_id, str):
            name = "thread.previous_message_id"
            raise CallerError(f"{name}: Input should be a valid string", INVALID_REQUEST, param=name)
        data = await self.store.get(owner, f"thread:{message_id}")
        if data is None:
            error = CallerError(
                f"No usable thread state was found for '{redact(message_id, 100)}'. Replay the full "
                'conversation with `thread: {"type": "create"}` to start a new thread.',
                NOT_FOUND,
                param="thread.previous_message_id",
            )
            error.details = {"error_code": "thread_not_found"}
            raise error
        return _decode(data, type=Thread)

    def _continue(self, fields: dict[str, Any], thread: Thread) -> dict[str, Any]:
        """The fields of a request with those that its thread was created with.

        Raises:
            CallerError: it has others than the thread.
        """
        created_with = thread.created_with
        changed = [
            name for name in _CREATED_WITH if fields.get(name) and fields[name] != created_with.get(name)
        ]
        if changed:
            error = CallerError(
                f"{', '.join(changed)}: must stay the same across a thread's turns. Send the stored values, "
                'or replay the full conversation with `thread: {"type": "create"}` to change them.',
                INVALID_REQUEST,
                param=changed[0],
            )
            error.details = {"error_code": "thread_fingerprint_mismatch"}
            raise error
        return fields | created_with

    def _keep(self, active: ActiveRequest, recording: RecordingResponder, owner: str, thread: Thread) -> None:
        """Store the thread with the answer that the request has got, unless the model has refused."""
        message = read_message(b"".join(recording.pieces), streamed=recording.streaming)
        if message is None or message.get("stop_reason") == "refusal":
            return
        attempt = active.current
        holds = attempt is not None and "thread" in attempt.exchange.holds
        thread.holder = attempt.candidate.provider.name if attempt is not None and holds else ""
        thread.messages = [*thread.messages, {"role": "assistant", "content": message["content"]}]
        self.store.put(owner, f"thread:{message['id']}", _encode(thread))
