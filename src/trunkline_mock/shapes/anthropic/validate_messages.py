"""Validates the messages of Anthropic's requests: roles, content, and that tool calls and results match.

Consecutive messages of one role are allowed. The vendor treats them as one turn, and calls and results are
matched turn by turn.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final, NamedTuple

from trunkline_mock.shapes.anthropic.parse import content_blocks
from trunkline_mock.shapes.anthropic.validate_blocks import validate_blocks
from trunkline_mock.shapes.anthropic.validate_fields import (
    forbid_other_fields,
    invalid_request,
    require_field,
    require_one_of,
    require_type,
)

_SERVER_TOOL_TYPES: Final = (
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "container_upload",
)
_BLOCK_TYPES: Final = {
    "user": ("text", "image", "document", "tool_result", *_SERVER_TOOL_TYPES),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use", *_SERVER_TOOL_TYPES),
    "system": ("text",),
}
_THINKING_TYPES: Final = ("thinking", "redacted_thinking")


class _Turn(NamedTuple):
    """Consecutive messages of one role."""

    role: str
    first_index: int
    """The index of its first message."""
    blocks: list[dict[str, Any]]


def validate_messages(data: dict[str, Any]) -> None:
    """Validate the messages of a request.

    Raises:
        VendorError: A message is invalid, or calls and results of tools do not match.
    """
    messages = require_type(require_field(data, "messages", ""), list, "messages")
    if not messages:
        raise invalid_request("messages: at least one message is required")
    for index, message in enumerate(messages):
        _validate_message(message, index, last=index == len(messages) - 1)
    turns = _turns(messages)
    _validate_tool_results(turns)
    _validate_thinking(data, turns)


def _validate_message(message: Any, index: int, *, last: bool) -> None:
    path = f"messages.{index}"
    role = require_field(require_type(message, dict, path), "role", path)
    if role == "system" and index == 0:
        raise invalid_request(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not'
            ' "system" as an input message role.'
        )
    if role != "system":
        require_one_of(role, ("user", "assistant"), f"{path}.role")
    content = require_field(message, "content", path)
    forbid_other_fields(message, ("role", "content"), path)
    if not isinstance(content, str):
        validate_blocks(content, f"{path}.content", _BLOCK_TYPES[role])
    is_prefill = last and role == "assistant"
    if not content and not is_prefill:
        raise invalid_request(
            f"{path}: all messages must have non-empty content except for the optional final assistant"
            " message"
        )
    texts = [block["text"] for block in content_blocks(content)[-1:] if block["type"] == "text"]
    if is_prefill and any(text != text.rstrip() for text in texts):
        raise invalid_request("messages: final assistant content cannot end with trailing whitespace")


def _turns(messages: list[dict[str, Any]]) -> list[_Turn]:
    turns = []
    for role, group in groupby(enumerate(messages), key=lambda pair: str(pair[1]["role"])):
        numbered = list(group)
        blocks = [block for _, message in numbered for block in content_blocks(message["content"])]
        turns.append(_Turn(role, numbered[0][0], blocks))
    return turns


def _validate_tool_results(turns: list[_Turn]) -> None:
    """Require that each call has a result in the next turn, and each result a call in the turn before."""
    all_calls: set[str] = set()
    open_calls: list[str] = []
    call_index = 0
    for role, index, blocks in turns:
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        for tool_use_id in results:
            if tool_use_id not in open_calls:
                raise invalid_request(
                    f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks:"
                    f" {tool_use_id}. Each `tool_result` block must have a corresponding `tool_use` block in"
                    " the previous message."
                )
        if len(set(results)) != len(results):
            raise invalid_request(
                f"messages.{index}.content: each tool_use must have a single result. Found multiple"
                f" `tool_result` blocks with id: {results[0]}"
            )
        _require_no_open_calls([call for call in open_calls if call not in results], call_index)
        are_results = [block["type"] == "tool_result" for block in blocks]
        if role == "user" and open_calls and are_results != sorted(are_results, reverse=True):
            _require_no_open_calls(open_calls, call_index)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if all_calls & set(open_calls) or len(set(open_calls)) != len(open_calls):
            raise invalid_request("messages: `tool_use` ids must be unique")
        all_calls |= set(open_calls)
        call_index = index
    _require_no_open_calls(open_calls, call_index)


def _require_no_open_calls(open_calls: list[str], index: int) -> None:
    if open_calls:
        raise invalid_request(
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(open_calls)}. Each `tool_use` block must have a corresponding `tool_result` block"
            " in the next message."
        )


def _validate_thinking(data: dict[str, Any], turns: list[_Turn]) -> None:
    """Require that a turn with open calls begins with its thinking, if the request enables thinking."""
    if (data.get("thinking") or {}).get("type") != "enabled" or len(turns) < 2:
        return
    role, index, blocks = turns[-2]
    has_calls = any(block["type"] == "tool_use" for block in blocks)
    if role == "assistant" and has_calls and blocks[0]["type"] not in _THINKING_TYPES:
        raise invalid_request(
            f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found"
            f" `{blocks[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with"
            " a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
