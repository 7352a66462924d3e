"""Validation of the messages of Anthropic's requests."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline_mock.shapes.anthropic.validate_messages import validate_messages
from trunkline_mock.shapes.anthropic.write import sign_thinking
from trunkline_mock.shapes.base import VendorError

_USER = {"role": "user", "content": "x"}
_ASSISTANT = {"role": "assistant", "content": "yes"}
_THINKING = {"type": "thinking", "thinking": "hm", "signature": sign_thinking("hm")}


def tool_use(*names: str) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": name, "name": "f", "input": {}} for name in names]
    return {"role": "assistant", "content": blocks}


def tool_result(*names: str) -> dict[str, Any]:
    blocks = [{"type": "tool_result", "tool_use_id": name, "content": "42"} for name in names]
    return {"role": "user", "content": blocks}


def joined(*messages: dict[str, Any]) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    for message in messages:
        content = message["content"]
        blocks += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return {"role": messages[0]["role"], "content": blocks}


@pytest.mark.parametrize(
    "messages",
    [
        [_USER],
        [_USER, _USER],
        [_ASSISTANT, _USER],
        [_USER, _ASSISTANT],
        [_USER, {"role": "assistant", "content": ""}],
        [_USER, {"role": "assistant", "content": []}],
        [_USER, {"role": "system", "content": "be kind"}],
        [_USER, tool_use("a", "b"), tool_result("b", "a")],
        [_USER, tool_use("a", "b"), tool_result("a"), tool_result("b"), _ASSISTANT, _USER],
        [_USER, tool_use("a"), tool_use("b"), tool_result("a", "b")],
        [_USER, joined(_ASSISTANT, tool_use("a")), joined(tool_result("a"), _USER)],
        [_USER, tool_use("a"), tool_result("a"), tool_use("b"), tool_result("b")],
    ],
)
def test_valid_messages(messages: list[Any]) -> None:
    validate_messages({"messages": messages})


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hi", "messages: Input should be a valid list"),
        ([], "messages: at least one message is required"),
        (["hi"], "messages.0: Input should be a valid dictionary"),
        ([{"content": "x"}], "messages.0.role: Field required"),
        ([{"role": "system", "content": "x"}, _USER], 'messages: Unexpected role "system".'),
        ([{"role": "tool", "content": "x"}], "messages.0.role: Input should be 'user' or 'assistant'"),
        ([{"role": {}, "content": "x"}], "messages.0.role: Input should be 'user' or 'assistant'"),
        ([{"role": "user"}], "messages.0.content: Field required"),
        ([{"role": "user", "content": None}], "messages.0.content: Input should be a valid list"),
        ([{"role": "user", "content": ""}], "messages.0: all messages must have non-empty content"),
        (
            [_USER, {"role": "assistant", "content": []}, _USER],
            "messages.1: all messages must have non-empty",
        ),
        ([{**_USER, "name": "me"}], "messages.0.name: Extra inputs are not permitted"),
        ([{**_ASSISTANT, "tool_calls": []}], "messages.0.tool_calls: Extra inputs are not permitted"),
        (
            [{"role": "user", "content": tool_use("a")["content"]}],
            "messages.0.content.0: Input tag 'tool_use' found",
        ),
        (
            [{"role": "assistant", "content": tool_result("a")["content"]}],
            "messages.0.content.0: Input tag 'tool_result' found",
        ),
        (
            [_USER, {"role": "assistant", "content": "so "}],
            "messages: final assistant content cannot end with trailing whitespace",
        ),
        (
            [tool_result("a")],
            "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
        ),
        (
            [_USER, tool_use("a"), tool_result("a"), _ASSISTANT, tool_result("a")],
            "messages.4.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
        ),
        (
            [_USER, tool_use("a"), tool_result("b")],
            "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: b.",
        ),
        (
            [_USER, tool_use("a"), tool_result("a", "a")],
            "messages.2.content: each tool_use must have a single result.",
        ),
        ([_USER, tool_use("a")], "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        (
            [_USER, tool_use("a", "b"), tool_result("a")],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b.",
        ),
        (
            [_USER, tool_use("a"), joined(_USER, tool_result("a"))],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a.",
        ),
        ([_USER, tool_use("a", "a"), tool_result("a")], "messages: `tool_use` ids must be unique"),
        (
            [_USER, tool_use("a"), tool_result("a"), tool_use("a"), tool_result("a")],
            "messages: `tool_use` ids must be unique",
        ),
    ],
)
def test_invalid_messages(messages: Any, message: str) -> None:
    with pytest.raises(VendorError) as raised:
        validate_messages({"messages": messages})
    assert raised.value.status == 400
    assert raised.value.message.startswith(message)


@pytest.mark.parametrize(
    ("thinking", "messages", "valid"),
    [
        ({"type": "enabled"}, [_USER, tool_use("a"), tool_result("a")], False),
        ({"type": "enabled"}, [_USER, joined(_ASSISTANT, tool_use("a")), tool_result("a")], False),
        (
            {"type": "enabled"},
            [_USER, joined({**_ASSISTANT, "content": [_THINKING]}, tool_use("a")), tool_result("a")],
            True,
        ),
        ({"type": "enabled"}, [_USER, tool_use("a"), tool_result("a"), _ASSISTANT, _USER], True),
        ({"type": "enabled"}, [_USER, _ASSISTANT, _USER], True),
        ({"type": "adaptive"}, [_USER, tool_use("a"), tool_result("a")], True),
        (None, [_USER, tool_use("a"), tool_result("a")], True),
    ],
)
def test_a_turn_with_tool_calls_begins_with_its_thinking(
    thinking: Any, messages: list[dict[str, Any]], valid: bool
) -> None:
    data = {"messages": messages, "thinking": thinking}
    if valid:
        validate_messages(data)
        return
    with pytest.raises(VendorError, match="Expected `thinking` or `redacted_thinking`, but found"):
        validate_messages(data)
