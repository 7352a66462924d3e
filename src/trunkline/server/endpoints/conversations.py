"""Conversations of the Responses API: items that requests refer to together and add to, by an id.

Facts: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from trunkline.dialects.responses import STORE_SETTING
from trunkline.errors import INVALID_REQUEST, METHOD_NOT_ALLOWED, NOT_FOUND, CallerError, redact
from trunkline.server.endpoints.request_body import json_object
from trunkline.server.endpoints.response_items import as_input, list_item, paginate
from trunkline.server.http.page import Page
from trunkline.server.state.store import owner_of

if TYPE_CHECKING:
    from trunkline.server.http.async_handler import RequestContext
    from trunkline.server.state.store import StateStore

_MANY_ITEMS: Final = 20
"""Items that may be added in one request."""
_encode: Final = msgspec.json.encode


class Conversation(msgspec.Struct):
    """One conversation."""

    id: str
    created_at: int
    metadata: dict[str, Any]
    items: list[dict[str, Any]] = []
    """As they are listed, each with its id."""
    count: int = 0
    """How many items it has ever had, for their ids."""

    def as_input(self) -> list[Any]:
        """The items as input of a request."""
        found = (as_input(item, "") if _is_output(item) else _without_id(item) for item in self.items)
        return [item for item in found if item is not None]

    def wire(self) -> dict[str, Any]:
        """The object that clients get."""
        shown = {"id": self.id, "object": "conversation", "created_at": self.created_at}
        return shown | {"metadata": self.metadata}


class Conversations:
    """The conversations of a gateway."""

    def __init__(self, store: StateStore) -> None:
        """Keep them in ``store``."""
        self._store = store

    async def find(self, owner: str, conversation_id: str) -> Conversation:
        """A conversation of this owner's.

        Raises:
            CallerError: 404.
        """
        data = await self._store.get(owner, f"conversation:{conversation_id}")
        if data is None:
            text = f"Conversation with id '{redact(conversation_id, 100)}' not found."
            raise CallerError(text, NOT_FOUND, param="conversation")
        return msgspec.json.decode(data, type=Conversation)

    def save(self, owner: str, conversation: Conversation) -> None:
        """Store a conversation.

        Raises:
            CallerError: it is too large.
        """
        data = _encode(conversation)
        if len(data) > self._store.largest:
            raise _too_large()
        self._store.put(owner, f"conversation:{conversation.id}", data)

    def extend(self, owner: str, conversation: Conversation, items: Sequence[Any]) -> list[dict[str, Any]]:
        """Add items to a conversation.

        Returns:
            The items as they are listed.
        """
        root, added = conversation.id.partition("_")[2], []
        for item in items:
            added.append(list_item(item, conversation.count, root))
            conversation.count += 1
        conversation.items += added
        self.save(owner, conversation)
        return added

    def check_room(self, conversation: Conversation, size: int) -> None:
        """See whether another ``size`` bytes go into a conversation, before a request is sent for them.

        Raises:
            CallerError: they do not.
        """
        if len(_encode(conversation)) + size > self._store.largest:
            raise _too_large()

    async def add(self, owner: str, conversation_id: str, items: Sequence[Any]) -> None:
        """Add a request's items and its answer's, if the conversation is still there and has room."""
        with suppress(CallerError):
            self.extend(owner, await self.find(owner, conversation_id), items)

    def drop(self, owner: str, conversation_id: str) -> None:
        """Forget a conversation."""
        self._store.drop(owner, f"conversation:{conversation_id}")


def _too_large() -> CallerError:
    text = "This conversation is too large to be stored (`responses` in the configuration); begin another one"
    return CallerError(text, INVALID_REQUEST, param="conversation")


def conversation_id_of(value: Any) -> str:
    """The id in a request's ``conversation``: a text, or an object with an ``id``.

    Raises:
        CallerError: it is neither.
    """
    found = value.get("id") if isinstance(value, dict) else value
    if not isinstance(found, str):
        text = "Invalid 'conversation': it must be an id, or an object with one"
        raise CallerError(text, INVALID_REQUEST, param="conversation")
    return found


def _is_output(item: dict[str, Any]) -> bool:
    return (
        item["type"] in ("reasoning", "function_call", "custom_tool_call") or item.get("role") == "assistant"
    )


def _without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("id", "status")}


class ConversationSource(Protocol):
    """What serves ``/v1/responses``: it has the conversations."""

    conversations: Conversations
    is_on: bool


class ConversationServices(Protocol):
    """What these endpoints need of the gateway."""

    @property
    def responses(self) -> ConversationSource: ...


async def create(context: RequestContext[ConversationServices], only: str | None = None) -> Page:
    """``POST /v1/conversations``."""
    kept, owner = _kept(context)
    body = json_object(context.body) if context.body.strip() else {}
    items = _items_of(body.get("items") or [])
    conversation = Conversation(f"conv_{uuid.uuid4().hex}", int(time.time()), _metadata(body))
    kept.extend(owner, conversation, items)
    return Page(_encode(conversation.wire()))


async def read(
    context: RequestContext[ConversationServices], conversation_path: str, only: str | None = None
) -> Page:
    """``GET`` of a conversation, of the list of its items, or of one item."""
    kept, owner = _kept(context)
    conversation_id, items, item_id = _split(conversation_path)
    conversation = await kept.find(owner, conversation_id)
    if not items:
        return Page(_encode(conversation.wire()))
    if not item_id:
        return Page(_encode(paginate(conversation.items, context.query)))
    return Page(_encode(conversation.items[_position(conversation, item_id)]))


async def change(
    context: RequestContext[ConversationServices], conversation_path: str, only: str | None = None
) -> Page:
    """``POST`` to a conversation: its metadata, or more items."""
    kept, owner = _kept(context)
    conversation_id, items, item_id = _split(conversation_path)
    if item_id:
        raise CallerError("POST is not allowed at an item; use GET, DELETE", METHOD_NOT_ALLOWED)
    conversation, body = await kept.find(owner, conversation_id), json_object(context.body)
    if not items:
        conversation.metadata = _metadata(body)
        kept.save(owner, conversation)
        return Page(_encode(conversation.wire()))
    added = kept.extend(owner, conversation, _items_of(body.get("items")))
    return Page(_encode(paginate(added, {"order": "asc"})))


async def delete(
    context: RequestContext[ConversationServices], conversation_path: str, only: str | None = None
) -> Page:
    """``DELETE`` of a conversation, or of one item, which is answered with the conversation."""
    kept, owner = _kept(context)
    conversation_id, items, item_id = _split(conversation_path)
    conversation = await kept.find(owner, conversation_id)
    if items:
        if not item_id:
            raise CallerError("DELETE is not allowed at a list of items; use GET, POST", METHOD_NOT_ALLOWED)
        del conversation.items[_position(conversation, item_id)]
        kept.save(owner, conversation)
        return Page(_encode(conversation.wire()))
    kept.drop(owner, conversation_id)
    deleted = {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
    return Page(_encode(deleted))


def _kept(context: RequestContext[ConversationServices]) -> tuple[Conversations, str]:
    """The conversations, and whose they are.

    Raises:
        CallerError: nothing is stored here.
    """
    source, key = context.services.responses, context.key
    if not source.is_on:
        raise CallerError(f"This gateway keeps no conversations; {STORE_SETTING} would", NOT_FOUND)
    return source.conversations, owner_of(key)


def _split(path: str) -> tuple[str, bool, str]:
    """A conversation's id, whether the path goes on to its items, and the item's id.

    Raises:
        CallerError: 404, there is nothing at such a path.
    """
    conversation_id, *rest = path.split("/")
    if len(rest) > 2 or (rest and rest[0] != "items"):
        raise CallerError("There is nothing at this path below a conversation", NOT_FOUND)
    return conversation_id, bool(rest), rest[1] if len(rest) == 2 else ""


def _position(conversation: Conversation, item_id: str) -> int:
    for position, item in enumerate(conversation.items):
        if item["id"] == item_id:
            return position
    raise CallerError(f"Item with id '{redact(item_id, 100)}' not found in this conversation.", NOT_FOUND)


def _items_of(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise CallerError("Invalid 'items': it must be a list of items", INVALID_REQUEST, param="items")
    if len(value) > _MANY_ITEMS:
        raise CallerError(f"Invalid 'items': at most {_MANY_ITEMS} at a time", INVALID_REQUEST, param="items")
    return value


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise CallerError("Invalid 'metadata': it must be an object", INVALID_REQUEST, param="metadata")
    return metadata
