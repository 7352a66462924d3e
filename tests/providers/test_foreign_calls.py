"""Gemini behind OpenRouter, in histories with calls that another vendor's model made, from every front."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.gateways import BEARER, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream, Script, ToolCall

MODEL = "google/gemini-3-pro-preview"
CHAT = "/api/v1/chat/completions"
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
ITEM = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
OLLAMAS = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}

ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "tools": [{"type": "function", "function": FUNCTION}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "Done"},
        ],
    },
    "/v1/messages": {
        "max_tokens": 99,
        "tools": [{"name": "f", "input_schema": FUNCTION["parameters"]}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [USE]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "Done"}]},
        ],
    },
    "/v1/responses": {
        "store": False,
        "tools": [{"type": "function", **FUNCTION}],
        "input": [
            {"role": "user", "content": "Hi"},
            ITEM,
            {"type": "function_call_output", "call_id": "c1", "output": "Done"},
        ],
    },
    "/api/chat": {
        "stream": False,
        "tools": [{"type": "function", "function": FUNCTION}],
        "messages": [
            {"role": "user", "content": "Hi"},
            OLLAMAS,
            {"role": "tool", "tool_name": "f", "content": "Done"},
        ],
    },
}


@pytest.mark.parametrize("path", ASKED)
async def test_calls_that_others_made_have_a_placeholder(path: str) -> None:
    script = Script(text="Ho")
    async with MockUpstream("openrouter", script, models=(MODEL,), strict=True) as mock:
        router = upstream(mock, type="openrouter", models=(MODEL,), api_key=("sk-or",))
        async with serving(make_settings(providers={"router": router})) as gateway:
            body = {"model": f"router/{MODEL}", **ASKED[path]}
            answer = await gateway.ask(post(body, BEARER, path=path))
        call = mock.calls[-1]
    assert (answer.status, call.status, call.path) == (200, 200, CHAT), answer.body
    assert b"Ho" in answer.body
    details = call.json["messages"][1]["reasoning_details"]
    assert [each["data"] for each in details] == ["skip_thought_signature_validator"]
    assert details[0]["id"] == call.json["messages"][1]["tool_calls"][0]["id"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("model", [MODEL, "openai/gpt-4o"])
async def test_a_history_with_state_or_for_another_model_passes_through(path: str, model: str) -> None:
    asked = json.loads(json.dumps(ASKED[path]))
    if model == MODEL and path == "/v1/messages":
        thought = {"type": "redacted_thinking", "data": "bW9jay1yZWRhY3RlZA=="}
        asked["messages"][1]["content"].insert(0, thought)
    elif model == MODEL:
        state = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAB"}
        asked["input"].insert(1, state)
    async with MockUpstream("openrouter", models=(model,)) as mock:
        router = upstream(mock, type="openrouter", models=(model,), api_key=("sk-or",))
        async with serving(make_settings(providers={"router": router})) as gateway:
            await gateway.ask(post({"model": f"router/{model}", **asked}, BEARER, path=path))
        assert mock.calls[-1].path == f"/api{path}"


@pytest.mark.parametrize("stream", [True, False])
async def test_what_gemini_signed_goes_back_to_it(stream: bool) -> None:
    """The client has no field for it: Ollama's."""
    script = Script(thinking="Hm. ", tool_calls=(ToolCall("f", {}),))
    async with MockUpstream("openrouter", script, models=(MODEL,), strict=True) as mock:
        router = upstream(mock, type="openrouter", models=(MODEL,), api_key=("sk-or",))
        async with serving(make_settings(providers={"router": router})) as gateway:
            asked = {"model": f"router/{MODEL}", **ASKED["/api/chat"], "stream": stream}
            first = asked | {"messages": asked["messages"][:1]}
            await gateway.ask(post(first, BEARER, path="/api/chat"))
            mock.script = Script(text="Ho")
            answer = await gateway.ask(post(asked, BEARER, path="/api/chat"))
        assert answer.status == 200, answer.body
        details = mock.calls[-1].json["messages"][1]["reasoning_details"]
    assert [each["type"] for each in details] == ["reasoning.text", "reasoning.encrypted"]
    assert details[1]["data"].startswith("mock-call-signature/")
