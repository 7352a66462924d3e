"""What Anthropic's servers refuse in a block of content, and the words for what is wrong with a value.

A block's fields are a row of a table; what a row cannot say is a function beside it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from trunkline_mock.answers import image_of
from trunkline_mock.shapes.anthropic_forms import is_signed
from trunkline_mock.shapes.base import RefusalError

_NAMES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "dictionary",
}
_MEDIA: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SOURCES: Final = ("base64", "url", "file")
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_IN_RESULT: Final = ("text", "image", "document", "search_result", "tool_reference", "browser_state")

# The words.


def complain(message: str) -> RefusalError:
    """A 400."""
    return RefusalError(400, message)


def wrong_tag(kind: Any, kinds: Collection[str], where: str) -> RefusalError:
    """A 400 for a ``type`` that is none of ``kinds``."""
    expected = ", ".join(f"'{one}'" for one in kinds)
    return complain(
        f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
    )


def required(data: dict[str, Any], name: str, where: str) -> Any:
    """``data[name]``, which must be there."""
    if name not in data:
        raise complain(f"{_at(where, name)}: Field required")
    return data[name]


def typed(value: Any, kind: type, where: str, *, optional: bool = False) -> Any:
    """``value``, which must be of that type (or ``None``)."""
    if (optional and value is None) or isinstance(value, kind):
        return value
    raise complain(f"{where}: Input should be a valid {_NAMES[kind]}")


def number(value: Any, where: str, *, whole: bool = False) -> Any:
    """``value``, which must be a number."""
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise complain(f"{where}: Input should be a valid {_NAMES[int if whole else float]}")
    return value


def one_of(value: Any, allowed: Sequence[str], where: str) -> None:
    """``value`` must be among ``allowed``."""
    if value not in allowed:
        *first, last = (f"'{one}'" for one in allowed)
        raise complain(f"{where}: Input should be {', '.join(first) + ' or ' if first else ''}{last}")


def known(data: dict[str, Any], fields: Collection[str], where: str) -> None:
    """``data`` must have no other fields."""
    for name in data:
        if name not in fields:
            raise complain(f"{_at(where, name)}: Extra inputs are not permitted")


def _at(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


# The blocks.


def check_blocks(content: Any, where: str, kinds: Collection[str]) -> None:
    """A list of blocks of these kinds."""
    if not isinstance(content, list):
        raise complain(f"{where}: Input should be a valid list")
    for index, block in enumerate(content):
        _check_block(block, f"{where}.{index}", kinds)


def _check_block(block: Any, where: str, kinds: Collection[str]) -> None:
    kind = required(typed(block, dict, where), "type", where)
    if kind not in kinds:
        raise wrong_tag(kind, kinds, where)
    fields = _FIELDS.get(kind)
    if fields is None:  # a kind that the mock knows by name only
        return
    for name, type_ in fields.items():
        typed(required(block, name, f"{where}.{kind}"), type_, f"{where}.{kind}.{name}")
    known(block, {"type", "cache_control", *fields, *_OPTIONAL.get(kind, ())}, f"{where}.{kind}")
    if block.get("cache_control") is not None:
        point = typed(block["cache_control"], dict, f"{where}.{kind}.cache_control")
        one_of(point.get("type"), ("ephemeral",), f"{where}.{kind}.cache_control.type")
    if kind in _FURTHER:
        _FURTHER[kind](block, f"{where}.{kind}")


def _check_text(block: dict[str, Any], where: str) -> None:
    if not block["text"]:
        raise complain("messages: text content blocks must be non-empty")


def _check_image(block: dict[str, Any], where: str) -> None:
    source = block["source"]
    kind = source.get("type")
    if kind not in _SOURCES:
        raise wrong_tag(kind, _SOURCES, f"{where}.source")
    if kind == "url":
        address = typed(required(source, "url", f"{where}.source.url"), str, f"{where}.source.url.url")
        known(source, ("type", "url"), f"{where}.source.url")
        if not address.startswith(("https://", "http://")):
            raise complain(f"{where}.source.url.url: Only HTTP and HTTPS URLs are supported.")
    elif kind == "base64":
        _check_data(source, f"{where}.source.base64")


def _check_data(source: dict[str, Any], where: str) -> None:
    media = required(source, "media_type", where)
    one_of(media, _MEDIA, f"{where}.media_type")
    text = typed(required(source, "data", where), str, f"{where}.data")
    known(source, ("type", "media_type", "data"), where)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise complain(f"{where}.data: Invalid base64 data") from None
    if not raw:
        raise complain(f"{where}: image cannot be empty")
    seen = f"image/{image_of(raw).kind}"
    if seen in _MEDIA and seen != media:
        raise complain(
            f"{where}.data: The image was specified using the {media} media type, but the image appears to be"
            f" a {seen} image"
        )


def _check_thinking(block: dict[str, Any], where: str) -> None:
    if not is_signed(block["thinking"], block["signature"]):
        raise complain(f"{where.removesuffix('.thinking')}: Invalid `signature` in `thinking` block")


def _check_use(block: dict[str, Any], where: str) -> None:
    if not _ID.fullmatch(block["id"]):
        raise complain(f"{where}.id: String should match pattern '^{_ID.pattern}$'")
    if not block["name"]:
        raise complain(f"{where}.name: String should have at least 1 character")


def _check_result(block: dict[str, Any], where: str) -> None:
    if not _ID.fullmatch(block["tool_use_id"]):
        raise complain(f"{where}.tool_use_id: String should match pattern '^{_ID.pattern}$'")
    typed(block.get("is_error"), bool, f"{where}.is_error", optional=True)
    content = block.get("content")
    if content is not None and not isinstance(content, str):
        check_blocks(content, f"{where}.content", _IN_RESULT)


_FIELDS: Final[dict[str, dict[str, type]]] = {
    "text": {"text": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "tool_result": {"tool_use_id": str},
}
"""Fields that a block must have."""

_OPTIONAL: Final[dict[str, tuple[str, ...]]] = {
    "text": ("citations",),
    "image": ("transformations",),
    "document": ("title", "context", "citations"),
    "tool_use": ("caller", "toolset_name"),
    "tool_result": ("content", "is_error", "toolset_name"),
}

_FURTHER: Final[dict[str, Callable[[dict[str, Any], str], None]]] = {
    "text": _check_text,
    "image": _check_image,
    "thinking": _check_thinking,
    "tool_use": _check_use,
    "tool_result": _check_result,
}
