"""Requests for responses, read into what an answer may depend on; and the responses that a server keeps."""

from __future__ import annotations

import base64
import binascii
from collections import OrderedDict
from typing import Any, Final, TypeAlias

from trunkline_mock.answers import Ask, Image, Tool, count_words, image_of, seed_of
from trunkline_mock.shapes.base import Call, RefusalError

Item: TypeAlias = dict[str, Any]

_MOST_KEPT: Final = 1024


class Memory:
    """The conversations that may be gone on with, by the ids of their last responses; the oldest are
    forgotten."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Item, ...]] = OrderedDict()

    def keep(self, id: str, items: tuple[Item, ...]) -> None:
        """Remember a conversation, its last answer included."""
        self._kept[id] = items
        self._kept.move_to_end(id)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    def conversation(self, data: dict[str, Any]) -> tuple[Item, ...]:
        """All items of a request that was checked: what went before, and its own.

        Raises:
            RefusalError: it goes on from a response that is not known, or refers to such an item.
        """
        before: tuple[Item, ...] = ()
        previous = data.get("previous_response_id")
        if previous is not None:
            if previous not in self._kept:
                raise RefusalError(
                    404,
                    f"Previous response with id '{previous}' not found.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            before = self._kept[previous]
        given = data["input"]
        own = [{"role": "user", "content": given}] if isinstance(given, str) else given
        return (*before, *(self._find(item) for item in own))

    def _find(self, item: Item) -> Item:
        if item.get("type") != "item_reference":
            return item
        for items in self._kept.values():
            for kept in items:
                if kept.get("id") == item["id"]:
                    return kept
        raise RefusalError(404, f"Item with id '{item['id']}' not found.", param="input")


def stands_alone(data: dict[str, Any]) -> bool:
    """A request that was checked refers to nothing that the server keeps."""
    given = data["input"]
    own = () if isinstance(given, str) else given
    alone = all(item.get("type") != "item_reference" for item in own)
    return alone and data.get("previous_response_id") is None


def response_ask(call: Call, model: str, items: tuple[Item, ...]) -> Ask:
    """Summarise a request that was checked; ``items`` are its whole conversation."""
    data = call.data
    texts = [_text(item) for item in items]
    users = [text for item, text in zip(items, texts, strict=True) if item.get("role") == "user"]
    return Ask(
        model=model,
        seed=seed_of(call.body),
        last=users[-1] if users else "",
        prompt_words=sum(count_words(text) for text in (data.get("instructions") or "", *texts)),
        images=tuple(image for item in items for image in _images(item)),
        tools=tuple(
            Tool(tool["name"], tool.get("parameters"))
            for tool in data.get("tools") or ()
            if tool["type"] == "function"
        ),
        after_tool=items[-1].get("type") == "function_call_output",
        schema=_schema((data.get("text") or {}).get("format")),
        limit=data.get("max_output_tokens"),
        think=_think(data.get("reasoning")),
    )


def _parts(item: Item) -> list[Item]:
    """The parts of a message's content or of a call's result; text alone is one of them."""
    content = item.get("content") if "role" in item else item.get("output")
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return content if isinstance(content, list) else []


def _text(item: Item) -> str:
    return "".join(part["text"] for part in _parts(item) if part.get("type") in ("input_text", "output_text"))


def _images(item: Item) -> list[Image]:
    return [_image(part.get("image_url")) for part in _parts(item) if part.get("type") == "input_image"]


def _image(url: str | None) -> Image:
    if url is None or not url.startswith("data:"):
        return Image("url", 0)
    try:
        return image_of(base64.b64decode(url.partition(",")[2], validate=True))
    except binascii.Error:
        raise RefusalError(400, "Invalid base64 image_url.", param="input", code="invalid_base64") from None


def _schema(format: dict[str, Any] | None) -> Any:
    kind = (format or {}).get("type")
    if format is not None and kind == "json_schema":
        return format["schema"]
    return {} if kind == "json_object" else None


def _think(reasoning: dict[str, Any] | None) -> bool | None:
    """Whether thinking is asked for."""
    if not reasoning:
        return None
    return reasoning.get("effort") != "none"
