"""What Anthropic's servers refuse in messages: roles, content, and tools' results without a call.

Messages of one role may follow each other: the vendor reads them as one turn, and so is the pairing of calls
and results checked.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from trunkline_mock.shapes.anthropic_asks import blocks_of
from trunkline_mock.shapes.anthropic_blocks import check_blocks, complain, known, one_of, required, typed

_BY_SERVER: Final = (
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
_KINDS: Final = {
    "user": ("text", "image", "document", "tool_result", *_BY_SERVER),
    "assistant": ("text", "thinking", "redacted_thinking", "tool_use", *_BY_SERVER),
    "system": ("text",),
}
_THOUGHTS: Final = ("thinking", "redacted_thinking")


def check_messages(data: dict[str, Any]) -> None:
    """The messages of a request."""
    messages = typed(required(data, "messages", ""), list, "messages")
    if not messages:
        raise complain("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(message, index, last=index == len(messages) - 1)
    turns = _turns(messages)
    _check_pairing(turns)
    _check_thoughts(data, turns)


def _check_message(message: Any, index: int, *, last: bool) -> None:
    where = f"messages.{index}"
    role = required(typed(message, dict, where), "role", where)
    if role == "system" and index == 0:
        raise complain(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not'
            ' "system" as an input message role.'
        )
    if role != "system":
        one_of(role, ("user", "assistant"), f"{where}.role")
    content = required(message, "content", where)
    known(message, ("role", "content"), where)
    if not isinstance(content, str):
        check_blocks(content, f"{where}.content", _KINDS[role])
    open_end = last and role == "assistant"
    if not content and not open_end:
        raise complain(
            f"{where}: all messages must have non-empty content except for the optional final assistant"
            " message"
        )
    texts = [block["text"] for block in blocks_of(content)[-1:] if block["type"] == "text"]
    if open_end and any(text != text.rstrip() for text in texts):
        raise complain("messages: final assistant content cannot end with trailing whitespace")


def _turns(messages: list[dict[str, Any]]) -> list[tuple[str, int, list[dict[str, Any]]]]:
    """Role, first message's number and all blocks of each turn."""
    turns = []
    for role, group in groupby(enumerate(messages), key=lambda pair: str(pair[1]["role"])):
        numbered = list(group)
        blocks = [block for _, message in numbered for block in blocks_of(message["content"])]
        turns.append((role, numbered[0][0], blocks))
    return turns


def _check_pairing(turns: list[tuple[str, int, list[dict[str, Any]]]]) -> None:
    """Each call is answered in the next turn, and each answer has a call in the one before."""
    seen: set[str] = set()
    waiting: list[str] = []
    asked_at = 0
    for role, index, blocks in turns:
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        for name in results:
            if name not in waiting:
                raise complain(
                    f"messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks:"
                    f" {name}. Each `tool_result` block must have a corresponding `tool_use` block in the"
                    " previous message."
                )
        if len(set(results)) != len(results):
            raise complain(
                f"messages.{index}.content: each tool_use must have a single result. Found multiple"
                f" `tool_result` blocks with id: {results[0]}"
            )
        _check_answered([name for name in waiting if name not in results], asked_at)
        kinds = [block["type"] == "tool_result" for block in blocks]
        if role == "user" and waiting and kinds != sorted(kinds, reverse=True):
            _check_answered(waiting, asked_at)
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if seen & set(waiting) or len(set(waiting)) != len(waiting):
            raise complain("messages: `tool_use` ids must be unique")
        seen |= set(waiting)
        asked_at = index
    _check_answered(waiting, asked_at)


def _check_answered(waiting: list[str], index: int) -> None:
    if waiting:
        raise complain(
            f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after:"
            f" {', '.join(waiting)}. Each `tool_use` block must have a corresponding `tool_result` block in"
            " the next message."
        )


def _check_thoughts(data: dict[str, Any], turns: list[tuple[str, int, list[dict[str, Any]]]]) -> None:
    """Where thinking has a budget, a turn that waits for tools' results begins with its thoughts."""
    if (data.get("thinking") or {}).get("type") != "enabled" or len(turns) < 2:
        return
    role, index, blocks = turns[-2]
    called = any(block["type"] == "tool_use" for block in blocks)
    if role == "assistant" and called and blocks[0]["type"] not in _THOUGHTS:
        raise complain(
            f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found"
            f" `{blocks[0]['type']}`. When `thinking` is enabled, a final `assistant` message must start with"
            " a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
        )
