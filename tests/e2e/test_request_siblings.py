"""More requests that clients were seen to send: kin of those in ``test_fit`` and ``test_turns_and_items``.

Each goes through a started gateway to an upstream that refuses what its vendor refuses.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.gateways import BEARER, Answer, Running, events, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream, Script, ToolCall

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
}
USER = {"role": "user", "content": "go"}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}


@asynccontextmanager
async def asking(back: str, script: Script | None = None, model: str = "m") -> AsyncIterator[Any]:
    """A gateway before a vendor that is strict; ``generic`` is a server that nobody knows."""
    async with MockUpstream(
        back, script or Script(text="OK"), any_model=True, strict=back != "generic"
    ) as mock:
        vendor = back if back not in ("generic", "anthropic", "ollama", "openai") else None
        kind = back if back in ("anthropic", "ollama", "openai") else "openai-compatible"
        section = upstream(mock, type=kind, vendor=vendor, models=(model,), api_key=("k",))
        async with serving(make_settings(providers={"up": section})) as node:
            yield mock, node


async def ask(node: Running, front: str, body: dict[str, Any], model: str = "m") -> Answer:
    whole = {"model": model, "stream": False} | ({"max_tokens": 99} if front == "messages" else {}) | body
    answer = await node.ask(post(whole, BEARER, path=PATHS[front]))
    assert answer.status == 200, answer.body
    return answer


def offering(front: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A request with one tool."""
    if front == "messages":
        return {"messages": [USER], "tools": [{"name": "f", "input_schema": schema}]}
    if front == "responses":
        return {"input": [USER], "tools": [FUNCTION | {"parameters": schema}]}
    return {
        "messages": [USER],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}],
    }


PROPERTIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a bound of an old draft": (
        {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        {"type": "integer", "exclusiveMinimum": 0},
    ),
    "no such bound": (
        {"type": "integer", "maximum": 9, "exclusiveMaximum": False},
        {"type": "integer", "maximum": 9},
    ),
}


@pytest.mark.parametrize(("given", "sent"), PROPERTIES.values(), ids=PROPERTIES.keys())
async def test_schemas_of_an_old_draft(given: dict[str, Any], sent: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": given}}
    async with asking("anthropic") as (mock, node):
        for front in ("chat", "responses", "ollama"):
            await ask(node, front, offering(front, schema))
            assert mock.calls[-1].json["tools"][0]["input_schema"]["properties"]["a"] == sent, front
    async with asking("groq") as (mock, node):
        await ask(node, "messages", offering("messages", schema))
        assert mock.calls[-1].json["tools"][0]["function"]["parameters"]["properties"]["a"] == sent


async def test_patterns_of_one_language_are_told_in_words() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "^[^\\p{Cc}]+$"}}}
    async with asking("openai") as (mock, node):
        for front in ("messages", "ollama"):
            await ask(node, front, offering(front, schema))
            sent = mock.calls[-1].json["tools"][0]["function"]["parameters"]["properties"]["a"]
            assert "pattern" not in sent, front
            assert "Cc" in sent["description"], front


async def test_tuples_and_untyped_schemas_at_moonshot() -> None:
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}
    async with asking("moonshot") as (mock, node):
        for front in PATHS:
            await ask(node, front, offering(front, {"type": "object", "properties": {"a": pair}}))
            sent = mock.calls[-1].json["tools"][0]["function"]["parameters"]["properties"]["a"]
            assert sent["items"] == {"anyOf": pair["items"]}, front
        await ask(node, "ollama", {"messages": [USER], "format": {"type": "object", "properties": {"a": {}}}})


async def test_marks_for_a_cache_at_strict_vendors() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    for back in ("groq", "mistral", "gemini", "cerebras"):
        async with asking(back) as (mock, node):
            await ask(node, "chat", {"messages": [USER | mark]})
            assert b"cache_control" not in mock.calls[-1].body, back


CALLED = [
    USER,
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "4"},
]


async def test_a_chat_without_its_thinking_at_a_vendor_that_insists_on_it() -> None:
    async with asking("deepseek") as (mock, node):
        await ask(node, "chat", {"messages": CALLED})
        assert mock.calls[-1].json["messages"][1]["reasoning_content"] == ""


@pytest.mark.parametrize("front", ["messages", "responses", "ollama"])
async def test_an_answer_that_is_to_be_continued_at_mistral(front: str) -> None:
    said = [USER, {"role": "assistant", "content": "It is"}]
    async with asking("mistral") as (mock, node):
        await ask(node, front, {"input": said} if front == "responses" else {"messages": said})
        last = mock.calls[-1].json["messages"][-1]
        assert (last["content"], last["prefix"]) == ("It is", True)


async def test_a_system_text_behind_a_result_at_mistral() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    messages = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_name": "f", "content": "4"},
        {"role": "system", "content": "Be kind."},
    ]
    async with asking("mistral") as (mock, node):
        await ask(node, "ollama", {"messages": messages})
        assert [each["role"] for each in mock.calls[-1].json["messages"]] == [
            "system",
            "user",
            "assistant",
            "tool",
        ]


SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("back", ["generic", "anthropic", "ollama"])
async def test_a_search_for_tools_that_the_client_makes(back: str, stream: bool) -> None:
    script = Script(tool_calls=(ToolCall("tool_search", {"query": "browser"}),), text="")
    async with asking(back, script) as (mock, node):
        body = {"input": "go", "tools": [SEARCH, FUNCTION], "stream": stream}
        answer = await ask(node, "responses", body)
        response = events(answer.body)[-1]["response"] if stream else answer.json
        made = response["output"][-1]
        assert (made["type"], made["execution"]) == ("tool_search_call", "client")
        assert made["arguments"] == {"query": "browser"}
        late = FUNCTION | {"name": "late"}
        found = {"type": "tool_search_output", "call_id": made["call_id"], "execution": "client"}
        mock.script = Script(tool_calls=(ToolCall("late", {}),), text="")
        items = [USER, made, found | {"tools": [FUNCTION, late]}]
        answer = await ask(node, "responses", {"input": items, "tools": [SEARCH, FUNCTION]})
        sent = mock.calls[-1].json
    assert (answer.json["output"][-1]["type"], answer.json["output"][-1]["name"]) == ("function_call", "late")
    names = [tool.get("name") or tool["function"]["name"] for tool in sent["tools"]]
    assert names == ["tool_search", "f", "late"]
    assert "late" in json.dumps(sent["messages"][-1])


ITEMS: dict[str, tuple[dict[str, Any], str]] = {
    "tools that come later": (
        {"type": "additional_tools", "role": "developer", "tools": [FUNCTION | {"name": "late"}]},
        '"late"',
    ),
    "another agent": (
        {"type": "agent_message", "author": "/a", "content": [{"type": "input_text", "text": "Found it"}]},
        "Found it",
    ),
    "a search of OpenAI's": (
        {"type": "tool_search_call", "execution": "server", "arguments": {"paths": ["crm"]}},
        "crm",
    ),
    "another effort": ({"type": "configuration_update", "reasoning": {"effort": "high"}}, "go"),
}


@pytest.mark.parametrize(("item", "word"), ITEMS.values(), ids=ITEMS.keys())
async def test_items_of_newer_agents(item: dict[str, Any], word: str) -> None:
    for back in ("generic", "anthropic", "ollama"):
        async with asking(back) as (mock, node):
            await ask(node, "responses", {"input": [USER, item, USER], "tools": [FUNCTION]})
            assert word in mock.calls[-1].body.decode(), back


def result(*content: dict[str, Any]) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    return [
        USER,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": list(content)}]},
    ]


PAGE = {
    "type": "web_fetch_result",
    "url": "https://x.test",
    "content": {"type": "document", "source": {"type": "text", "data": "Page text"}},
}
DOCUMENT = {
    "type": "document",
    "context": "Draft",
    "source": {"type": "text", "media_type": "text/plain", "data": "Body text"},
}
BLOCKS: dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]] = {
    "a tool that was found": (result({"type": "tool_reference", "tool_name": "late"}), ("late",)),
    "a summary": (
        [USER, {"role": "assistant", "content": [{"type": "compaction", "content": "So far so good"}]}, USER],
        ("So far so good",),
    ),
    "a page that was fetched": (
        [
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "s1", "name": "web_fetch", "input": {"url": "x"}},
                    {"type": "web_fetch_tool_result", "tool_use_id": "s1", "content": PAGE},
                ],
            },
            USER,
        ],
        ("Page text",),
    ),
    "a document with its context": (result(DOCUMENT), ("Draft", "Body text")),
}


@pytest.mark.parametrize(("messages", "words"), BLOCKS.values(), ids=BLOCKS.keys())
async def test_blocks_of_newer_agents(messages: list[Any], words: tuple[str, ...]) -> None:
    for back in ("generic", "ollama", "mistral"):
        async with asking(back) as (mock, node):
            await ask(node, "messages", {"messages": messages})
            for word in words:
                assert word in mock.calls[-1].body.decode(), back
