"""Items of kept responses: what of an output goes back as input.

Plain values in, plain values out; what is kept where is :mod:`.responses`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

Item: TypeAlias = dict[str, Any]

_encode: Final = msgspec.json.encode
_KEPT_FIELDS: Final = {
    "message": ("type", "role", "content", "phase"),
    "function_call": ("type", "call_id", "name", "namespace", "arguments"),
    "reasoning": ("type", "summary", "content", "encrypted_content"),
    "custom_tool_call": ("type", "call_id", "name", "namespace", "input"),
    "shell_call": ("type", "call_id", "action", "environment", "status"),
    "apply_patch_call": ("type", "call_id", "operation", "status"),
    "local_shell_call": ("type", "id", "call_id", "action", "status"),
    "computer_call": ("type", "id", "call_id", "action", "actions", "pending_safety_checks", "status"),
    "mcp_approval_request": ("type", "id", "server_label", "name", "arguments"),
}
"""What of an item of an output goes back as input: of words and thoughts, and of whatever a client has to
answer. Ids do not, but where the item is none without: they are their server's."""


def items_of(given: Any) -> list[Any]:
    """Input as items; a text is a message of the user's."""
    if given is None:
        return []
    if isinstance(given, list):
        return given
    return [{"type": "message", "role": "user", "content": given}]


def again(item: Item, response: str) -> Item | None:
    """An item of the output of the response with the id ``response`` as input; None for what means nothing
    there. A thought in plain words that another server wrote itself goes back as it came."""
    kind = str(item.get("type"))
    names = _KEPT_FIELDS.get(kind)
    if names is None:
        return None
    if kind == "reasoning" and not item.get("encrypted_content"):
        if not item.get("content") and not item.get("summary"):
            return None
        if item.get("content") and response_of(str(item.get("id"))) != response:
            return {name: value for name, value in item.items() if value is not None}
    return {name: item[name] for name in names if item.get(name) is not None}


def reference(item: Any) -> str | None:
    """The id of the item that ``item`` refers to, if it is a reference."""
    if not isinstance(item, dict) or item.get("type", "item_reference") != "item_reference" or "role" in item:
        return None
    number = item.get("id")
    return number if isinstance(number, str) else None


def response_of(number: str) -> str:
    """The id of the response that would have the item called ``number``, had it been made here."""
    return f"resp_{number.partition('_')[2][:-2]}"


def apart(items: Sequence[tuple[Any, bool]]) -> tuple[list[Any], tuple[tuple[int, bytes], ...]]:
    """Items, each with whether it was kept here, without such thoughts in plain words, and these with their
    places. They go to upstreams that are asked by translation; one that has this very API takes none but its
    own."""
    plain: list[Any] = []
    thoughts = []
    for at, (item, kept) in enumerate(items):
        if kept and _is_thought(item):
            thoughts.append((at, _encode(item)))
        else:
            plain.append(item)
    return plain, tuple(thoughts)


def _is_thought(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    return not item.get("encrypted_content") and "id" not in item
