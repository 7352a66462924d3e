"""Parsing of Anthropic's requests, tested by the answers to them."""

from __future__ import annotations

import base64
from typing import Any

import jsonschema
import msgspec
import pytest

from trunkline_mock import Script

from ..http_client import mock_client

_PNG = base64.b64encode(b"\x89PNG" + bytes(16)).decode()
_TOOLS = [
    {
        "name": name,
        "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    }
    for name in ("first", "second")
]


async def post_messages(messages: list[dict[str, Any]], script: Script | None = None, **fields: Any) -> Any:
    async with mock_client("anthropic", script or Script()) as client:
        body = {"model": "claude-haiku-4-5", "max_tokens": 5000, "messages": messages, **fields}
        got = await client.post("/v1/messages", json=body)
    assert got.status_code == 200, got.text
    return got.json()


async def answer_text(messages: list[dict[str, Any]], script: Script | None = None, **fields: Any) -> str:
    (block,) = (await post_messages(messages, script, **fields))["content"]
    return str(block["text"])


def user(*parts: dict[str, Any] | str) -> dict[str, Any]:
    texts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"role": "user", "content": texts}


_TOOL_USE_MESSAGE = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "c1", "name": "first", "input": {"n": 0}}],
}
_TOOL_RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "it is so"}


async def test_the_last_user_message_is_repeated() -> None:
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "yes"},
        user("second ", "part"),
    ]
    assert await answer_text(messages) == "claude-haiku-4-5 heard: second part"
    assert await answer_text(messages[:2]) == "claude-haiku-4-5 heard: first"
    assert (
        await answer_text([user("ask"), _TOOL_USE_MESSAGE, user(_TOOL_RESULT)])
        == "claude-haiku-4-5 heard: ask"
    )
    assert (
        await answer_text([user("ask"), _TOOL_USE_MESSAGE, user(_TOOL_RESULT, "more")])
        == "claude-haiku-4-5 heard: more"
    )


async def test_all_words_of_the_prompt_are_counted() -> None:
    messages = [user("a b"), _TOOL_USE_MESSAGE, user(_TOOL_RESULT, "c")]
    got = await post_messages(messages, system="one two")
    assert got["usage"]["input_tokens"] == 2 + 2 + 3 + 1
    nested = {**_TOOL_RESULT, "content": [{"type": "text", "text": "x y"}]}
    got = await post_messages(
        [user("a"), _TOOL_USE_MESSAGE, user(nested)], system=[{"type": "text", "text": "one"}]
    )
    assert got["usage"]["input_tokens"] == 1 + 1 + 2


async def test_images_are_described() -> None:
    inline = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    text = await answer_text([user("see", inline, linked)])
    assert text.endswith("It saw 2 image(s): png of 20 bytes, url of 0 bytes.")
    text = await answer_text([user("ask"), _TOOL_USE_MESSAGE, user({**_TOOL_RESULT, "content": [inline]})])
    assert text.endswith("It saw 1 image(s): png of 20 bytes.")


async def test_an_answer_is_valid_for_the_requests_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    output_format = {"type": "json_schema", "schema": schema}
    text = await answer_text([user("x")], output_config={"format": output_format})
    jsonschema.validate(msgspec.json.decode(text), schema)
    assert (await answer_text([user("x")], output_config={"effort": "low"})).endswith("heard: x")


@pytest.mark.parametrize(
    ("model", "choice", "names"),
    [
        ("claude-haiku-4-5", None, []),
        ("claude-haiku-4-5", {"type": "auto"}, []),
        ("claude-haiku-4-5", {"type": "any"}, ["first"]),
        ("claude-haiku-4-5", {"type": "tool", "name": "second"}, ["second"]),
        ("mock-tools-2", None, ["first", "second"]),
        ("mock-tools-2", {"type": "auto", "disable_parallel_tool_use": True}, ["first"]),
        ("mock-tools-2", {"type": "any"}, ["first", "second"]),
        ("mock-tools-2", {"type": "tool", "name": "second"}, ["second"]),
        ("mock-tools-2", {"type": "none"}, []),
    ],
)
async def test_which_tools_are_called(model: str, choice: Any, names: list[str]) -> None:
    fields = {} if choice is None else {"tool_choice": choice}
    got = await post_messages([user("x")], model=model, tools=_TOOLS, **fields)
    called = [block for block in got["content"] if block["type"] == "tool_use"]
    assert [(block["name"], block["input"]) for block in called] == [(name, {"n": 0}) for name in names]


async def test_no_tool_is_called_after_a_tool_result() -> None:
    got = await post_messages(
        [user("x"), _TOOL_USE_MESSAGE, user(_TOOL_RESULT)], model="mock-tools", tools=_TOOLS
    )
    assert [block["type"] for block in got["content"]] == ["text"]


async def test_a_scripted_text_overrides_the_requests_tool_choice() -> None:
    got = await post_messages([user("x")], Script(text="no"), tools=_TOOLS, tool_choice={"type": "any"})
    assert [block["type"] for block in got["content"]] == ["text"]


async def test_server_tools_are_not_called() -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search"}, *_TOOLS]
    got = await post_messages([user("x")], model="mock-tools-3", tools=tools)
    assert [block["name"] for block in got["content"]] == ["first", "second"]


@pytest.mark.parametrize(
    ("fields", "has_thinking"),
    [
        ({}, True),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"thinking": {"type": "disabled"}}, False),
    ],
)
async def test_thinking_can_be_switched_off(fields: dict[str, Any], has_thinking: bool) -> None:
    got = await post_messages([user("x")], Script(thinking="hm"), **fields)
    assert (got["content"][0]["type"] == "thinking") is has_thinking
