"""Stored responses: what ``previous_response_id`` and ``item_reference`` refer to, and what
``/v1/responses/{id}`` shows.

They are stored unless the settings or the request say otherwise, as the API's clients expect. Of each
response two things are stored: the response as its client got it, and all of the conversation's input up to
there, so that a later turn can be sent whole to any upstream. The provider that stores the conversation
itself is sent the turn as it came. Only the key that made the request can see the response.
Facts: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec

from trunkline.dialects.base import HeldState
from trunkline.dialects.responses import STORE_SETTING, ResponsesFront
from trunkline.errors import INVALID_REQUEST, NOT_FOUND, CallerError, GatewayError, redact
from trunkline.pipeline.active import ActiveRequest
from trunkline.pipeline.cache import RecordingResponder, record
from trunkline.pipeline.pipeline import Pipeline
from trunkline.pipeline.unforeseen import unforeseen
from trunkline.server.endpoints.conversations import Conversations, conversation_id_of
from trunkline.server.endpoints.response_items import (
    InputItem,
    as_input,
    input_items_of,
    list_input,
    paginate,
    referenced_id,
    response_id_of,
    separate_reasoning,
)
from trunkline.server.http.page import Page
from trunkline.server.state.store import StateStore, owner_of

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.http.async_handler import RequestContext

_FINAL_EVENTS: Final = frozenset({"response.completed", "response.incomplete"})
_INPUT_ITEM: Final = re.compile(r"[a-z]+_(.+)i([0-9a-f]{2,})")
"""The id that a list of input gives an item: the response's, and the item's position."""
_MANY_IDS: Final = 200
"""Items of one response whose ids are remembered, where they do not consist of the response's."""
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class StoredResponse(msgspec.Struct, frozen=True, array_like=True):
    """One response."""

    body: bytes
    """As its client got it."""
    input: bytes
    """The items of the conversation before it."""
    holder: str
    """The provider that stores the conversation too; empty if there is none."""


class _Given(msgspec.Struct):
    """What decides of a request's response is stored."""

    input: msgspec.Raw = msgspec.Raw(b"null")
    store: Any = None
    prompt: Any = None


class _References(NamedTuple):
    """What a request refers to."""

    fields: dict[str, Any]
    """The request's."""
    given: list[Any]
    """The items of its input."""
    ids: list[str | None]
    """The id that each of them refers to, if it is a reference."""

    @classmethod
    def of(cls, body: bytes) -> _References:
        """Those of the request with this body."""
        fields = _decode(body)
        given = input_items_of(fields.get("input"))
        return cls(fields, given, [referenced_id(item) for item in given])

    @property
    def exist(self) -> bool:
        """Whether there are any."""
        fields = self.fields
        return bool(fields.get("previous_response_id") or fields.get("conversation") or any(self.ids))


class _Complete(NamedTuple):
    """A request whose input is whole."""

    items: list[Any]
    """The conversation up to the request, and the request's own items."""
    own: list[Any]
    """The latter alone."""
    conversation: str | None
    """The id of the conversation that all of this is added to."""


_decode_given: Final = msgspec.json.Decoder(_Given).decode
_decode_stored: Final = msgspec.msgpack.Decoder(StoredResponse).decode
_encode_stored: Final = msgspec.msgpack.Encoder().encode


class ResponseStore:
    """The stored responses of a gateway. It serves the requests whose responses are to be stored."""

    def __init__(self, store: StateStore, pipeline: Pipeline) -> None:
        """Store responses.

        Args:
            store: where they are stored.
            pipeline: answers the requests.
        """
        self.store = store
        self.conversations = Conversations(store)
        self.is_on = True
        """Whether anything is to be stored."""
        self._pipeline = pipeline

    async def serve(self, active: ActiveRequest) -> None:
        """Like :meth:`.Pipeline.serve`, with the conversation so far put before the request's input."""
        request, response, complete = active.request, active.response, None
        body, given = request.body, None
        try:
            if request.summary is not None:
                if request.summary.state or b'"id"' in body:
                    references = _References.of(body)
                    if references.exist:  # a task, as a store may need one
                        complete = await asyncio.ensure_future(self._complete(active, references))
                given = _decode_given(body)
        except Exception as error:
            if not isinstance(error, GatewayError):
                error = unforeseen(error, body, request.request_id)
            response.refuse(error)
            self._pipeline.settle(active)
            return
        if given is None or given.store is False or given.prompt is not None:
            # What a stored prompt stands for only the upstream knows: a later turn could not be sent whole.
            await self._pipeline.serve(active)
            return
        recording = record(response, self.store.largest)
        await self._pipeline.serve(active)
        if recording.has_answer(response):
            try:
                output = self._keep(active, recording, given, complete)
                if complete is not None and complete.conversation is not None:
                    added = self.conversations.add(
                        owner_of(request.key), complete.conversation, complete.own + output
                    )
                    await asyncio.ensure_future(added)
            except Exception as error:  # the client has its answer already
                unforeseen(error, body, request.request_id)

    async def _complete(self, active: ActiveRequest, references: _References) -> _Complete:
        """Put what a request refers to in its place.

        Raises:
            CallerError: something of that is not stored here for the request's key.
        """
        request, fields, given = active.request, references.fields, references.given
        previous, conversation = fields.get("previous_response_id"), None
        owner, holders = owner_of(request.key), set[str]()
        earlier: list[InputItem] = []
        if previous and fields.get("conversation"):
            raise CallerError(
                "Mutually exclusive parameters: 'previous_response_id' and 'conversation'",
                INVALID_REQUEST,
                param="conversation",
            )
        if previous:
            stored = await self._find(request.key, str(previous))
            if stored is None:
                raise CallerError(
                    f"Previous response with id '{redact(str(previous), 100)}' not found.",
                    INVALID_REQUEST,
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            holders.add(stored.holder)
            output = (as_input(item, str(previous)) for item in _decode(stored.body).get("output", ()))
            items = [*_decode(stored.input), *(item for item in output if item is not None)]
            earlier = [InputItem(item, stored=True) for item in items]
        elif fields.get("conversation"):
            conversation = await self.conversations.find(owner, conversation_id_of(fields["conversation"]))
            self.conversations.check_room(conversation, len(request.body))
            holders.add("")
            earlier = [InputItem(item, stored=True) for item in conversation.as_input()]
        own: list[InputItem] = []
        for position, (item, item_id) in enumerate(zip(given, references.ids, strict=True)):
            if item_id is None:
                own.append(InputItem(item, stored=False))
                continue
            found = await self._stored_item(request.key, item_id, f"input[{position}]")
            holders.add(found.holder)
            if found.item is not None:
                own.append(InputItem(found.item, stored=True))
        self._replace(active, fields, [*earlier, *own], holders)
        items = [each.item for each in (*earlier, *own)]
        return _Complete(
            items, [each.item for each in own], None if conversation is None else conversation.id
        )

    def _replace(
        self, active: ActiveRequest, fields: dict[str, Any], items: list[InputItem], holders: set[str]
    ) -> None:
        """Go on with the whole conversation, or with the request as it came at the one provider that stores
        all that it refers to."""
        held, holder = None, next(iter(holders)) if len(holders) == 1 else ""
        if holder:
            held = HeldState(provider=holder, body=active.request.body)
        plain, reasoning = separate_reasoning(items)
        # An upstream that stores responses too must not put the conversation so far there once more.
        previous = fields.pop("previous_response_id", None)
        conversation = fields.pop("conversation", None)
        front = ResponsesFront(
            stored=True,
            previous_response_id=previous,
            conversation_id=None if conversation is None else conversation_id_of(conversation),
            reasoning_items=reasoning,
            held=held,
        )
        active.replace(front, _encode({**fields, "input": plain}))

    async def _stored_item(self, key: ApiKey | None, item_id: str, path: str) -> _Found:
        """An item of a stored response's output or input, as input.

        Raises:
            CallerError: it is not stored for this key.
        """
        owner, response_id = owner_of(key), response_id_of(item_id)
        stored = await self._find(key, response_id)
        if stored is None and (named := await self.store.get(owner, f"item:{item_id}")) is not None:
            response_id = named.decode()
            stored = await self._find(key, response_id)
        if stored is not None:
            for item in _decode(stored.body).get("output", ()):
                if item.get("id") == item_id:
                    return _Found(as_input(item, response_id), stored.holder)
        if (listed := _INPUT_ITEM.fullmatch(item_id)) is not None:
            stored = await self._find(key, f"resp_{listed[1]}")
            items, position = [] if stored is None else _decode(stored.input), int(listed[2], 16)
            if position < len(items):
                return _Found(items[position], "")
        raise CallerError(
            f"Item with id '{redact(item_id, 100)}' not found. Items are not persisted when `store` is set "
            "to false. Try again with `store` set to true, or remove this item from your input.",
            INVALID_REQUEST,
            param=path,
        )

    def _keep(
        self,
        active: ActiveRequest,
        recording: RecordingResponder,
        given: _Given,
        complete: _Complete | None,
    ) -> list[Any]:
        """Store the response that the request has got, and return its output."""
        data = b"".join(recording.pieces)
        body = _final_response(data) if recording.streaming else data
        if body is None:
            return []
        response = _decode(body)
        response_id, output = str(response.get("id")), response.get("output") or []
        holder, attempt = "", active.current
        if attempt is not None and response.get("store") is True:
            holds = attempt.exchange.holds
            holder = attempt.candidate.provider.name if "previous_response_id" in holds else ""
        items = input_items_of(_decode(given.input)) if complete is None else complete.items
        owner = owner_of(active.request.key)
        stored = StoredResponse(body, _encode(items), holder)
        self.store.put(owner, f"response:{response_id}", _encode_stored(stored))
        for item in output[:_MANY_IDS]:
            item_id = item.get("id")
            if isinstance(item_id, str) and response_id_of(item_id) != response_id:
                self.store.put(owner, f"item:{item_id}", response_id.encode())
        return list(output)

    async def _find(self, key: ApiKey | None, response_id: str) -> StoredResponse | None:
        data = await self.store.get(owner_of(key), f"response:{response_id}")
        return None if data is None else _decode_stored(data)

    async def show(self, key: ApiKey | None, response_id: str) -> Page:
        """A stored response.

        Raises:
            CallerError: 404.
        """
        return Page((await self._get(key, response_id)).body)

    async def show_input(self, key: ApiKey | None, response_id: str, query: Mapping[str, str]) -> Page:
        """A page of the list of a stored response's input, the conversation before it included.

        Args:
            key: the one that asks.
            response_id: of the response.
            query: which page (see :func:`.paginate`).

        Raises:
            CallerError: 404; or the query is wrong.
        """
        items = _decode((await self._get(key, response_id)).input)
        return Page(_encode(paginate(list_input(items, response_id), query)))

    async def delete(self, key: ApiKey | None, response_id: str) -> Page:
        """Forget a stored response.

        Raises:
            CallerError: 404.
        """
        stored = await self._get(key, response_id)
        owner = owner_of(key)
        for item in _decode(stored.body).get("output", ()):
            if isinstance(item.get("id"), str) and response_id_of(item["id"]) != response_id:
                self.store.drop(owner, f"item:{item['id']}")
        self.store.drop(owner, f"response:{response_id}")
        return Page(_encode({"id": response_id, "object": "response", "deleted": True}))

    async def _get(self, key: ApiKey | None, response_id: str) -> StoredResponse:
        found = await self._find(key, response_id)
        if found is None:
            raise _not_found(response_id)
        return found


class _Found(NamedTuple):
    """A stored item that was referred to."""

    item: Any
    """None if it has no meaning as input."""
    holder: str


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
    if not store.is_on:
        raise CallerError(f"This gateway keeps no responses; {STORE_SETTING} would", NOT_FOUND)
    return store


def _not_found(response_id: str) -> CallerError:
    return CallerError(f"Response with id '{redact(response_id, 100)}' not found", NOT_FOUND)


def _final_response(stream: bytes) -> bytes | None:
    """The response in the last event of a stream."""
    for line in reversed(stream.split(b"\n")):
        if line.startswith(b"data: {"):
            event = _decode(line[6:], type=dict[str, msgspec.Raw])
            if _decode(event.get("type", b"null")) in _FINAL_EVENTS and "response" in event:
                return bytes(event["response"])
    return None
