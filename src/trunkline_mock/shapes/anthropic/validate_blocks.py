"""Validates the content blocks of Anthropic's messages.

A table has the fields of each type of block. A function covers what the table cannot express.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Collection
from typing import Any, Final

from trunkline_mock.generation import inspect_image
from trunkline_mock.shapes.anthropic.validate_fields import (
    forbid_other_fields,
    invalid_request,
    require_field,
    require_one_of,
    require_type,
    unknown_type,
)
from trunkline_mock.shapes.anthropic.write import is_signed

_MEDIA_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SOURCE_TYPES: Final = ("base64", "url", "file")
_ID_PATTERN: Final = re.compile(r"[a-zA-Z0-9_-]+")
_RESULT_BLOCK_TYPES: Final = ("text", "image", "document", "search_result", "tool_reference", "browser_state")


def validate_blocks(content: Any, path: str, types: Collection[str]) -> None:
    """Validate a list of content blocks.

    Args:
        content: The blocks.
        path: The path of the list, for error messages.
        types: The types of blocks that are allowed.

    Raises:
        VendorError: A block is invalid.
    """
    if not isinstance(content, list):
        raise invalid_request(f"{path}: Input should be a valid list")
    for index, block in enumerate(content):
        _validate_block(block, f"{path}.{index}", types)


def _validate_block(block: Any, path: str, types: Collection[str]) -> None:
    block_type = require_field(require_type(block, dict, path), "type", path)
    if block_type not in types:
        raise unknown_type(block_type, types, path)
    fields = _REQUIRED_FIELDS.get(block_type)
    if fields is None:  # the mock knows only the name of this type
        return
    path = f"{path}.{block_type}"
    for name, kind in fields.items():
        require_type(require_field(block, name, path), kind, f"{path}.{name}")
    optional_fields = _OPTIONAL_FIELDS.get(block_type, ())
    forbid_other_fields(block, {"type", "cache_control", *fields, *optional_fields}, path)
    if block.get("cache_control") is not None:
        cache_control = require_type(block["cache_control"], dict, f"{path}.cache_control")
        require_one_of(cache_control.get("type"), ("ephemeral",), f"{path}.cache_control.type")
    if block_type in _FURTHER_CHECKS:
        _FURTHER_CHECKS[block_type](block, path)


def _validate_text(block: dict[str, Any], path: str) -> None:
    if not block["text"]:
        raise invalid_request("messages: text content blocks must be non-empty")


def _validate_image(block: dict[str, Any], path: str) -> None:
    source = block["source"]
    source_type = source.get("type")
    if source_type not in _SOURCE_TYPES:
        raise unknown_type(source_type, _SOURCE_TYPES, f"{path}.source")
    if source_type == "url":
        url = require_field(source, "url", f"{path}.source.url")
        require_type(url, str, f"{path}.source.url.url")
        forbid_other_fields(source, ("type", "url"), f"{path}.source.url")
        if not url.startswith(("https://", "http://")):
            raise invalid_request(f"{path}.source.url.url: Only HTTP and HTTPS URLs are supported.")
    elif source_type == "base64":
        _validate_base64(source, f"{path}.source.base64")


def _validate_base64(source: dict[str, Any], path: str) -> None:
    media_type = require_field(source, "media_type", path)
    require_one_of(media_type, _MEDIA_TYPES, f"{path}.media_type")
    data = require_type(require_field(source, "data", path), str, f"{path}.data")
    forbid_other_fields(source, ("type", "media_type", "data"), path)
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise invalid_request(f"{path}.data: Invalid base64 data") from None
    if not raw:
        raise invalid_request(f"{path}: image cannot be empty")
    actual_type = f"image/{inspect_image(raw).kind}"
    if actual_type in _MEDIA_TYPES and actual_type != media_type:
        raise invalid_request(
            f"{path}.data: The image was specified using the {media_type} media type, but the image appears"
            f" to be a {actual_type} image"
        )


def _validate_thinking(block: dict[str, Any], path: str) -> None:
    if not is_signed(block["thinking"], block["signature"]):
        raise invalid_request(f"{path.removesuffix('.thinking')}: Invalid `signature` in `thinking` block")


def _validate_tool_use(block: dict[str, Any], path: str) -> None:
    if not _ID_PATTERN.fullmatch(block["id"]):
        raise invalid_request(f"{path}.id: String should match pattern '^{_ID_PATTERN.pattern}$'")
    if not block["name"]:
        raise invalid_request(f"{path}.name: String should have at least 1 character")


def _validate_tool_result(block: dict[str, Any], path: str) -> None:
    if not _ID_PATTERN.fullmatch(block["tool_use_id"]):
        raise invalid_request(f"{path}.tool_use_id: String should match pattern '^{_ID_PATTERN.pattern}$'")
    require_type(block.get("is_error"), bool, f"{path}.is_error", optional=True)
    content = block.get("content")
    if content is not None and not isinstance(content, str):
        validate_blocks(content, f"{path}.content", _RESULT_BLOCK_TYPES)


_REQUIRED_FIELDS: Final[dict[str, dict[str, type]]] = {
    "text": {"text": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "thinking": {"thinking": str, "signature": str},
    "redacted_thinking": {"data": str},
    "tool_use": {"id": str, "name": str, "input": dict},
    "tool_result": {"tool_use_id": str},
}
"""The fields that a block must have, by its type."""

_OPTIONAL_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "text": ("citations",),
    "image": ("transformations",),
    "document": ("title", "context", "citations"),
    "tool_use": ("caller", "toolset_name"),
    "tool_result": ("content", "is_error", "toolset_name"),
}

_FURTHER_CHECKS: Final[dict[str, Callable[[dict[str, Any], str], None]]] = {
    "text": _validate_text,
    "image": _validate_image,
    "thinking": _validate_thinking,
    "tool_use": _validate_tool_use,
    "tool_result": _validate_tool_result,
}
"""The checks of a block that its field types do not cover, by its type."""
