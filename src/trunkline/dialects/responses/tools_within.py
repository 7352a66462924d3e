"""Tools that a Responses client offers within its input: those that its search has found, or that come later.

OpenAI's models may call them from there on. Other upstreams are offered them with all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE

TOOLS_WITHIN: Final = (b'"tool_search_output"', b'"additional_tools"')
"""One of these is in a body that has such tools."""


class _Item(msgspec.Struct):
    type: str | None = None
    tools: list[msgspec.Raw] | None = None


_ITEM: Final = msgspec.json.Decoder(_Item)


def tools_within(items: Sequence[msgspec.Raw]) -> list[msgspec.Raw]:
    """Return the tools that ``items`` offer, each once."""
    found = {bytes(tool): tool for item in items for tool in _tools_of(item)}
    return list(found.values())


def _tools_of(item: msgspec.Raw) -> list[msgspec.Raw]:
    try:
        found = _ITEM.decode(item)
    except UNREADABLE:  # another item, whose field of this name is something else
        return []
    return (found.tools or []) if found.type in ("tool_search_output", "additional_tools") else []
