"""Items of kept responses: what of an output goes back as input.

Plain values in, plain values out; what is kept where is :mod:`.responses`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import msgspec

Item: TypeAlias = dict[str, Any]

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


def again(item: Item, root: str) -> Item | None:
    """An item of the output of the response ``root`` as input; None for what means nothing there. A thought
    in plain words that its server wrote itself goes back as it came."""
    kind = str(item.get("type"))
    names = _KEPT_FIELDS.get(kind)
    if names is None:
        return None
    if kind == "reasoning" and not item.get("encrypted_content"):
        if not item.get("content") and not item.get("summary"):
            return None
        if item.get("content") and not str(item.get("id")).startswith(f"rs_{root}"):
            return {name: value for name, value in item.items() if value is not None}
    return {name: item[name] for name in names if item.get(name) is not None}


def apart(items: Sequence[Any]) -> tuple[list[Any], tuple[tuple[int, bytes], ...]]:
    """``items`` of kept responses without thoughts in plain words, and these with their places. They go to
    upstreams that are asked by translation; one that has this very API takes none but its own."""
    thoughts = [(at, item) for at, item in enumerate(items) if _is_thought(item)]
    plain = [item for item in items if not _is_thought(item)]
    return plain, tuple((at, msgspec.json.encode(item)) for at, item in thoughts)


def _is_thought(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.get("type") == "reasoning"
        and not item.get("encrypted_content")
        and "id" not in item
    )
