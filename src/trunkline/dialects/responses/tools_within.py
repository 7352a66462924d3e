"""Tools that a Responses client offers within its input: those that its search has found, or that come later.

OpenAI's models may call them from there on. Other upstreams are offered them with all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE

TOOLS_WITHIN: Final = (b'"tool_search_output"', b'"additional_tools"')
"""One of these is in a body that has such tools."""


class _Item(msgspec.Struct):
    type: str | None = None
    tools: list[msgspec.Raw] | None = None


_ITEM: Final = msgspec.json.Decoder(_Item)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])


def tools_within(items: Sequence[msgspec.Raw], given: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the tools that ``items`` offer besides those that are ``given``."""
    known = {_key(tool) for tool in given}
    found: list[msgspec.Raw] = []
    for item in items:
        for tool in _tools_of(item):
            key = _key(tool)
            if key not in known:
                known.add(key)
                found.append(tool)
    return found


def _tools_of(item: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        found = _ITEM.decode(item)
    except UNREADABLE:  # another item, whose field of this name is something else
        return []
    return (found.tools or []) if found.type in ("tool_search_output", "additional_tools") else []


def _key(tool: msgspec.Raw) -> tuple[Any, ...]:
    """What tells two tools apart: a namespace may come again with other tools in it."""
    try:
        fields = _FIELDS.decode(tool)
    except UNREADABLE:
        return (bytes(tool),)
    inner = fields.get("tools")
    names = [each.get("name") for each in inner if isinstance(each, dict)] if isinstance(inner, list) else []
    return (fields.get("type"), fields.get("name"), *names)
