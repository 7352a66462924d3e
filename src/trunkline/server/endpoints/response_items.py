"""Items of kept responses: what of an output goes back as input, and the list of an input.

Plain values in, plain values out; what is kept where is :mod:`.responses`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from trunkline.errors import INVALID_REQUEST, CallerError

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


_PREFIXES: Final = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_MOST: Final = 100
_LIMITS: Final = {str(number): number for number in range(1, _MOST + 1)}


def listed(items: Sequence[Any], response: str) -> list[Item]:
    """The input of the response with the id ``response`` as a list shows it: every item with an id, a type
    and a status, every message's text in parts."""
    return [_shown(item, at, response.partition("_")[2]) for at, item in enumerate(items)]


def _shown(item: Any, at: int, root: str) -> Item:
    shown = dict(item) if isinstance(item, dict) else {"content": item}
    kind = shown["type"] = shown.get("type") or "message"
    shown["id"] = shown.get("id") or f"{_PREFIXES.get(kind, 'msg')}_{root}i{at:02x}"
    if kind == "message":
        said = shown.get("content")
        if isinstance(said, str):
            part: Item = {"type": "input_text", "text": said}
            if shown.get("role") == "assistant":
                part |= {"type": "output_text", "annotations": []}
            shown["content"] = [part]
    elif kind == "reasoning":
        shown.setdefault("summary", [])
    shown["status"] = shown.get("status") or "completed"
    return shown


def page(items: Sequence[Item], query: Mapping[str, str]) -> dict[str, Any]:
    """The page of a list that ``query`` asks for (``order``, ``limit``, ``after``), the last item first
    unless it says otherwise.

    Raises:
        CallerError: one of these is wrong.
    """
    order, limit, after = query.get("order", "desc"), query.get("limit", "20"), query.get("after")
    if order not in ("asc", "desc"):
        raise _invalid("order", "'asc' or 'desc'")
    if limit not in _LIMITS:
        raise _invalid("limit", f"a number from 1 to {_MOST}")
    found = list(items if order == "asc" else reversed(items))
    if after:
        names = [item["id"] for item in found]
        if after not in names:
            raise _invalid("after", "the id of an item of this list")
        found = found[names.index(after) + 1 :]
    data = found[: _LIMITS[limit]]
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > len(data),
    }


def _invalid(name: str, expected: str) -> CallerError:
    return CallerError(f"Invalid '{name}': it must be {expected}", INVALID_REQUEST, param=name)


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
