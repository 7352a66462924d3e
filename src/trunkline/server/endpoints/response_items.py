"""Items of stored responses: which items of an output go back as input, and the list of an input.

Plain values in, plain values out. :mod:`.stored_responses` stores the responses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from trunkline.errors import INVALID_REQUEST, CallerError

Item: TypeAlias = dict[str, Any]

_encode: Final = msgspec.json.encode
_INPUT_FIELDS: Final = {
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
"""The fields of an output's item that go back as input, for messages, reasoning, and whatever a client has to
answer. Ids belong to the server that gave them, and go back only where an item is not valid without one."""


class InputItem(NamedTuple):
    """An item of a request's input."""

    item: Any
    stored: bool
    """It comes from the stored responses."""


def input_items_of(given: Any) -> list[Any]:
    """A request's ``input`` as items. A text is a message of the user's."""
    if given is None:
        return []
    if isinstance(given, list):
        return given
    return [{"type": "message", "role": "user", "content": given}]


def as_input(item: Item, response_id: str) -> Item | None:
    """An item of a response's output as input of a later turn; None if it has no meaning there.

    Reasoning in plain text that another server wrote itself goes back as it came.

    Args:
        item: of the output.
        response_id: of the response.
    """
    kind = str(item.get("type"))
    names = _INPUT_FIELDS.get(kind)
    if names is None:
        return None
    if kind == "reasoning" and not item.get("encrypted_content"):
        if not item.get("content") and not item.get("summary"):
            return None
        if item.get("content") and response_id_of(str(item.get("id"))) != response_id:
            return {name: value for name, value in item.items() if value is not None}
    return {name: item[name] for name in names if item.get(name) is not None}


_PREFIXES: Final = {"function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_MAX_LIMIT: Final = 100
_LIMITS: Final = {str(number): number for number in range(1, _MAX_LIMIT + 1)}


def list_input(items: Sequence[Any], response_id: str) -> list[Item]:
    """The input of a response as a list shows it: every item with an id, a type and a status, every message's
    text in parts."""
    root = response_id.partition("_")[2]
    return [list_item(item, position, root) for position, item in enumerate(items)]


def list_item(item: Any, position: int, root: str) -> Item:
    """One item as a list shows it.

    Args:
        item: as a request or a response has it.
        position: in the list; a part of the item's id, if it has none.
        root: likewise.
    """
    listed = dict(item) if isinstance(item, dict) else {"content": item}
    kind = listed["type"] = listed.get("type") or "message"
    listed["id"] = listed.get("id") or f"{_PREFIXES.get(kind, 'msg')}_{root}i{position:02x}"
    if kind == "message":
        content = listed.get("content")
        if isinstance(content, str):
            part: Item = {"type": "input_text", "text": content}
            if listed.get("role") == "assistant":
                part |= {"type": "output_text", "annotations": []}
            listed["content"] = [part]
    elif kind == "reasoning":
        listed.setdefault("summary", [])
    listed["status"] = listed.get("status") or "completed"
    return listed


def paginate(items: Sequence[Item], query: Mapping[str, str]) -> dict[str, Any]:
    """One page of a list of items, the last item first unless the query says otherwise.

    Args:
        items: the whole list.
        query: says which page, by ``order``, ``limit`` and ``after``.

    Raises:
        CallerError: one of these is wrong.
    """
    order, limit, after = query.get("order", "desc"), query.get("limit", "20"), query.get("after")
    if order not in ("asc", "desc"):
        raise _invalid("order", "'asc' or 'desc'")
    if limit not in _LIMITS:
        raise _invalid("limit", f"a number from 1 to {_MAX_LIMIT}")
    found = list(items if order == "asc" else reversed(items))
    if after:
        ids = [item["id"] for item in found]
        if after not in ids:
            raise _invalid("after", "the id of an item of this list")
        found = found[ids.index(after) + 1 :]
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


def referenced_id(item: Any) -> str | None:
    """The id of the item that ``item`` refers to; None if it is no reference."""
    if not isinstance(item, dict) or item.get("type", "item_reference") != "item_reference" or "role" in item:
        return None
    item_id = item.get("id")
    return item_id if isinstance(item_id, str) else None


def response_id_of(item_id: str) -> str:
    """The id of the response to which an item belongs, if this gateway gave the item its id."""
    return f"resp_{item_id.partition('_')[2][:-2]}"


def separate_reasoning(items: Sequence[InputItem]) -> tuple[list[Any], tuple[tuple[int, bytes], ...]]:
    """The items without the stored reasoning in plain text, and that reasoning with its positions.

    Such reasoning came from an upstream of another dialect. It goes only to upstreams to which requests are
    translated: an upstream of this very API accepts none but its own.
    """
    plain: list[Any] = []
    reasoning = []
    for position, (item, stored) in enumerate(items):
        if stored and _is_plain_reasoning(item):
            reasoning.append((position, _encode(item)))
        else:
            plain.append(item)
    return plain, tuple(reasoning)


def _is_plain_reasoning(item: Any) -> bool:
    if not isinstance(item, dict) or item.get("type") != "reasoning":
        return False
    return not item.get("encrypted_content") and "id" not in item
