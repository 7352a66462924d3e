"""Stored responses: what ``previous_response_id`` goes on from, and what ``/v1/responses/{id}`` shows.

Nothing is stored unless the settings say so. Of each response two things are stored: the response as its
client got it, and all of the conversation's input up to there, so that a later turn can be sent whole to any
upstream. Only the key that made the request can see the response. Facts: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from trunkline.dialects.responses import ResponsesFront
from trunkline.errors import INVALID_REQUEST, NOT_FOUND, CallerError, GatewayError, redact
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.cache import AnswerStore, RecordingResponder
from trunkline.pipeline.pipeline import Pipeline
from trunkline.pipeline.request import Request
from trunkline.pipeline.responder import CachedAnswer
from trunkline.server.endpoints.response_items import (
    InputItem,
    Item,
    as_input,
    input_items_of,
    list_input,
    paginate,
    referenced_id,
    response_id_of,
    separate_reasoning,
)
from trunkline.server.http.page import JSON, Page

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.http.async_handler import RequestContext
    from trunkline.settings.sections import ResponsesRule

_SHARE: Final = 16
"""The largest response that is stored is the memory divided by this."""
_UPSTREAM_INPUT: Final = ("conversation", "prompt")
"""Fields that stand for input which only the upstream has: a response to it is not stored, since a later turn
could not be sent whole."""
_FINAL_EVENTS: Final = frozenset({"response.completed", "response.incomplete"})
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class ResponseStore:
    """The stored responses of a gateway. It serves the requests whose responses are to be stored."""

    def __init__(self, store: AnswerStore, pipeline: Pipeline, rule: ResponsesRule) -> None:
        """Store responses.

        Args:
            store: where they are stored.
            pipeline: answers the requests.
            rule: the settings' section on stored responses.
        """
        self.store = store
        self._pipeline = pipeline
        self.reconfigure(rule)

    def reconfigure(self, rule: ResponsesRule) -> None:
        """Use this rule from the next request on."""
        self.rule = rule
        self.store.resize(rule.max_bytes)

    async def serve(self, active: ActiveRequest) -> None:
        """Like :meth:`.Pipeline.serve`, with the conversation so far put before the request's input."""
        request, response = active.request, active.response
        try:
            if request.problem is not None:
                raise request.problem
            fields = _decode(request.body)
            earlier, given = await asyncio.ensure_future(self._resolve(request, fields))
            if earlier or any(each.stored for each in given):
                plain, reasoning = separate_reasoning([*earlier, *given])
                # An upstream that stores responses too must not put the conversation so far there once more.
                previous = fields.pop("previous_response_id", None)
                front = ResponsesFront(stored=True, previous_response_id=previous, reasoning_items=reasoning)
                active.replace(front, _encode({**fields, "input": plain}))
        except GatewayError as error:
            response.refuse(error)
            self._pipeline.settle(active)
            return
        items = [each.item for each in (*earlier, *given)]
        if fields.get("store") is False or any(fields.get(name) is not None for name in _UPSTREAM_INPUT):
            await self._pipeline.serve(active)
            return
        recording = RecordingResponder(response.responder, self.rule.max_bytes // _SHARE)
        response.responder = recording
        await self._pipeline.serve(active)
        answered = response.error is None and response.status == 200 and not response.client_gone
        if answered and not recording.full:
            self._keep(active, recording, items)

    async def _resolve(
        self, request: Request, fields: dict[str, Any]
    ) -> tuple[list[InputItem], list[InputItem]]:
        """The items of the conversation before this request, and the request's own."""
        earlier = [InputItem(item, stored=True) for item in await self._conversation(request, fields)]
        given = []
        for item in input_items_of(fields.get("input")):
            item_id = referenced_id(item)
            stored = None if item_id is None else await self._stored_item(request.key, item_id)
            given.append(InputItem(item, stored=False) if stored is None else InputItem(stored, stored=True))
        return earlier, given

    async def _stored_item(self, key: ApiKey | None, item_id: str) -> Item | None:
        """An item of a stored response's output, as input."""
        response_id = response_id_of(item_id)
        response = await self._find(key, response_id)
        output = () if response is None else _decode(response.body).get("output", ())
        found = next((item for item in output if item.get("id") == item_id), None)
        return None if found is None else as_input(found, response_id)

    async def _conversation(self, request: Request, fields: dict[str, Any]) -> list[Any]:
        """The items of the conversation up to this request."""
        previous = fields.get("previous_response_id")
        if previous is None:
            return []
        response = await self._find(request.key, str(previous))
        items = await self.store.find(_name(request.key, f"{previous}:input"), time.time())
        if response is None or items is None:
            raise CallerError(
                f"Previous response with id '{redact(str(previous), 100)}' not found",
                INVALID_REQUEST,
                param="previous_response_id",
                code="previous_response_not_found",
            )
        output = (as_input(item, str(previous)) for item in _decode(response.body).get("output", ()))
        return [*_decode(items.body), *(item for item in output if item is not None)]

    def _keep(self, active: ActiveRequest, recording: RecordingResponder, items: list[Any]) -> None:
        body = b"".join(recording.pieces)
        response = _final_response(body) if recording.streaming else body
        if response is None:
            return
        response_id = _decode(response).get("id")
        now = time.time()
        for name, data in ((f"{response_id}", response), (f"{response_id}:input", _encode(items))):
            answer = CachedAnswer(
                streaming=False,
                content_type=JSON,
                lines=b"",
                body=data,
                provider="",
                model=active.model or "",
            )
            self.store.keep(_name(active.request.key, name), answer, self.rule.ttl_s, now)

    async def _find(self, key: ApiKey | None, response_id: str) -> CachedAnswer | None:
        return await self.store.find(_name(key, response_id), time.time())

    async def show(self, key: ApiKey | None, response_id: str) -> Page:
        """A stored response.

        Raises:
            CallerError: 404.
        """
        found = await self._find(key, response_id)
        if found is None:
            raise _not_found(response_id)
        return Page(found.body)

    async def show_input(self, key: ApiKey | None, response_id: str, query: Mapping[str, str]) -> Page:
        """A page of the list of a stored response's input, the conversation before it included.

        Args:
            key: the one that asks.
            response_id: of the response.
            query: which page (see :func:`.paginate`).

        Raises:
            CallerError: 404; or the query is wrong.
        """
        await self.show(key, response_id)
        items = await self.store.find(_name(key, f"{response_id}:input"), time.time())
        if items is None:
            raise _not_found(response_id)
        return Page(_encode(paginate(list_input(_decode(items.body), response_id), query)))

    async def delete(self, key: ApiKey | None, response_id: str) -> Page:
        """Forget a stored response.

        Raises:
            CallerError: 404.
        """
        await self.show(key, response_id)
        for name in (response_id, f"{response_id}:input"):
            await self.store.drop(_name(key, name))
        return Page(_encode({"id": response_id, "object": "response", "deleted": True}))


class StoredResponses(Protocol):
    """What the endpoints below ``/v1/responses`` need."""

    responses: ResponseStore


async def show(context: RequestContext[StoredResponses], response_id: str, only: str | None = None) -> Page:
    """``GET /v1/responses/{id}``.

    Raises:
        CallerError: it is to be streamed, which the vendor does only with what ran in the background.
    """
    if context.query.get("stream", "").lower() in ("true", "1"):
        text = "This response cannot be streamed because it was not created with background=true."
        raise CallerError(text, INVALID_REQUEST, param="stream")
    return await _store_of(context).show(context.key, response_id)


async def delete(context: RequestContext[StoredResponses], response_id: str, only: str | None = None) -> Page:
    """``DELETE /v1/responses/{id}``."""
    return await _store_of(context).delete(context.key, response_id)


async def input_items(
    context: RequestContext[StoredResponses], response_id: str, only: str | None = None
) -> Page:
    """``GET /v1/responses/{id}/input_items``."""
    return await _store_of(context).show_input(context.key, response_id, context.query)


async def cancel(context: RequestContext[StoredResponses], response_id: str, only: str | None = None) -> Page:
    """``POST /v1/responses/{id}/cancel``.

    Raises:
        CallerError: always: nothing that is stored here is still under way.
    """
    await _store_of(context).show(context.key, response_id)
    raise CallerError("Cannot cancel a response that is not in the background", INVALID_REQUEST)


async def count_input_tokens(context: RequestContext[object], only: str | None = None) -> Page:
    """``POST /v1/responses/input_tokens``.

    Raises:
        CallerError: always.
    """
    text = "This gateway counts no input tokens ahead; a response's `usage` says how many there were"
    raise CallerError(text, NOT_FOUND)


async def compact(context: RequestContext[object], only: str | None = None) -> Page:
    """``POST /v1/responses/compact``.

    Raises:
        CallerError: always.
    """
    text = (
        "This gateway compacts no conversations; have a model summarise this one, and go on from its summary"
    )
    raise CallerError(text, NOT_FOUND)


def _store_of(context: RequestContext[StoredResponses]) -> ResponseStore:
    store = context.services.responses
    if not store.rule.store:
        text = "This gateway keeps no responses; `responses: {store: true}` in trunkline.yaml would"
        raise CallerError(text, NOT_FOUND)
    return store


def _not_found(response_id: str) -> CallerError:
    return CallerError(f"Response with id '{redact(response_id, 100)}' not found", NOT_FOUND)


def _name(key: ApiKey | None, response_id: str) -> str:
    return f"response:{'' if key is None else key.id}:{response_id}"


def _final_response(stream: bytes) -> bytes | None:
    """The response in the last event of a stream."""
    for line in reversed(stream.split(b"\n")):
        if line.startswith(b"data: {"):
            event = _decode(line[6:], type=dict[str, msgspec.Raw])
            if _decode(event.get("type", b"null")) in _FINAL_EVENTS and "response" in event:
                return bytes(event["response"])
    return None
