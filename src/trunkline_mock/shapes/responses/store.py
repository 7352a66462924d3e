"""The responses that a server keeps, so that later requests can continue their conversations."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from trunkline_mock.shapes.base import VendorError

_MAX_RESPONSES: Final = 1024


class ResponseStore:
    """The conversations by the ids of their last responses. The oldest ones are dropped."""

    def __init__(self) -> None:
        self._conversations: OrderedDict[str, tuple[dict[str, Any], ...]] = OrderedDict()

    def save(self, id: str, items: tuple[dict[str, Any], ...]) -> None:
        """Keep a conversation.

        Args:
            id: The id of its last response.
            items: All items of the conversation, including the output of that response.
        """
        self._conversations[id] = items
        self._conversations.move_to_end(id)
        if len(self._conversations) > _MAX_RESPONSES:
            self._conversations.popitem(last=False)

    def conversation(self, data: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """All items of the conversation of a validated request: the previous ones and its own.

        Raises:
            VendorError: The request continues a response, or refers to an item, that is not stored.
        """
        previous_items: tuple[dict[str, Any], ...] = ()
        previous = data.get("previous_response_id")
        if previous is not None:
            if previous not in self._conversations:
                raise VendorError(
                    404,
                    f"Previous response with id '{previous}' not found.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            previous_items = self._conversations[previous]
        request_input = data["input"]
        if isinstance(request_input, str):
            request_input = [{"role": "user", "content": request_input}]
        return (*previous_items, *(self._resolve(item) for item in request_input))

    def has_item(self, id: str) -> bool:
        """Whether an item of that id is stored."""
        return any(item.get("id") == id for items in self._conversations.values() for item in items)

    def _resolve(self, item: dict[str, Any]) -> dict[str, Any]:
        """The stored item to which ``item`` refers, or ``item`` itself if it is not a reference."""
        if item.get("type") != "item_reference":
            return item
        for items in self._conversations.values():
            for stored in items:
                if stored.get("id") == item["id"]:
                    return stored
        raise VendorError(404, f"Item with id '{item['id']}' not found.", param="input")
