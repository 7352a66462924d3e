"""What an Anthropic mock refuses in the order of messages."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline_mock.shapes.anthropic_forms import signature
from trunkline_mock.shapes.anthropic_messages import check_messages
from trunkline_mock.shapes.base import RefusalError

_USER = {"role": "user", "content": "x"}
_SAID = {"role": "assistant", "content": "yes"}
_THOUGHT = {"type": "thinking", "thinking": "hm", "signature": signature("hm")}


def use(*names: str) -> dict[str, Any]:
    blocks = [{"type": "tool_use", "id": name, "name": "f", "input": {}} for name in names]
    return {"role": "assistant", "content": blocks}


def result(*names: str) -> dict[str, Any]:
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
        [_SAID, _USER],
        [_USER, _SAID],
        [_USER, {"role": "assistant", "content": ""}],
        [_USER, {"role": "assistant", "content": []}],
        [_USER, {"role": "system", "content": "be kind"}],
        [_USER, use("a", "b"), result("b", "a")],
        [_USER, use("a", "b"), result("a"), result("b"), _SAID, _USER],
        [_USER, use("a"), use("b"), result("a", "b")],
        [_USER, joined(_SAID, use("a")), joined(result("a"), _USER)],
        [_USER, use("a"), result("a"), use("b"), result("b")],
    ],
)
def test_what_is_right_passes(messages: list[Any]) -> None:
    check_messages({"messages": messages})


@pytest.mark.parametrize(
    ("messages", "complaint"),
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
        ([{**_SAID, "tool_calls": []}], "messages.0.tool_calls: Extra inputs are not permitted"),
        (
            [{"role": "user", "content": use("a")["content"]}],
            "messages.0.content.0: Input tag 'tool_use' found",
        ),
        (
            [{"role": "assistant", "content": result("a")["content"]}],
            "messages.0.content.0: Input tag 'tool_result' found",
        ),
        (
            [_USER, {"role": "assistant", "content": "so "}],
            "messages: final assistant content cannot end with trailing whitespace",
        ),
        ([result("a")], "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a."),
        (
            [_USER, use("a"), result("a"), _SAID, result("a")],
            "messages.4.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.",
        ),
        (
            [_USER, use("a"), result("b")],
            "messages.2.content.0: unexpected `tool_use_id` found in `tool_result` blocks: b.",
        ),
        ([_USER, use("a"), result("a", "a")], "messages.2.content: each tool_use must have a single result."),
        ([_USER, use("a")], "messages.1: `tool_use` ids were found without `tool_result` blocks"),
        (
            [_USER, use("a", "b"), result("a")],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: b.",
        ),
        (
            [_USER, use("a"), joined(_USER, result("a"))],
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a.",
        ),
        ([_USER, use("a", "a"), result("a")], "messages: `tool_use` ids must be unique"),
        ([_USER, use("a"), result("a"), use("a"), result("a")], "messages: `tool_use` ids must be unique"),
    ],
)
def test_what_is_refused(messages: Any, complaint: str) -> None:
    with pytest.raises(RefusalError) as refused:
        check_messages({"messages": messages})
    assert refused.value.status == 400
    assert refused.value.message.startswith(complaint)


@pytest.mark.parametrize(
    ("thinking", "messages", "right"),
    [
        ({"type": "enabled"}, [_USER, use("a"), result("a")], False),
        ({"type": "enabled"}, [_USER, joined(_SAID, use("a")), result("a")], False),
        ({"type": "enabled"}, [_USER, joined({**_SAID, "content": [_THOUGHT]}, use("a")), result("a")], True),
        ({"type": "enabled"}, [_USER, use("a"), result("a"), _SAID, _USER], True),
        ({"type": "enabled"}, [_USER, _SAID, _USER], True),
        ({"type": "adaptive"}, [_USER, use("a"), result("a")], True),
        (None, [_USER, use("a"), result("a")], True),
    ],
)
def test_a_turn_that_calls_begins_with_its_thoughts(
    thinking: Any, messages: list[dict[str, Any]], right: bool
) -> None:
    data = {"messages": messages, "thinking": thinking}
    if right:
        check_messages(data)
        return
    with pytest.raises(RefusalError, match="Expected `thinking` or `redacted_thinking`, but found"):
        check_messages(data)
