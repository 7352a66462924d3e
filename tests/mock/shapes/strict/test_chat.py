"""Strict mocks of vendors with OpenAI's chat API: what they refuse, and what they take."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from trunkline_mock import Script, ToolCall
from trunkline_mock.shapes.strict.chat import NO_SIGNATURE, sign_call
from trunkline_mock.shapes.strict.vendors import STRICT

from ..http_client import mock_client

MODELS: Final = {
    "openai": "gpt-4o",
    "openrouter": "openai/gpt-4o",
    "gemini": "gemini-2.5-flash",
    "cerebras": "llama-3.3-70b",
    "groq": "llama-3.3-70b-versatile",
    "mistral": "mistral-large-latest",
    "deepseek": "deepseek-chat",
    "xai": "grok-4.3",
    "moonshot": "kimi-k2.6",
}
_USER: Final = {"role": "user", "content": "Hello!"}
_SCHEMA: Final = {"type": "object", "properties": {"city": {"type": "string"}}}


def _tool(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": _SCHEMA, **fields}}


def _calls(call_id: str = "abcdefghi", name: str = "f", extra: Any = None, **fields: Any) -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": "{}"}}
    if extra is not None:
        call["extra_content"] = {"google": {"thought_signature": extra}}
    return {"role": "assistant", "content": None, "tool_calls": [call], **fields}


def _result(call_id: str = "abcdefghi", content: Any = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


_THINKS: Final = {"reasoning_content": ""}
_LOOP: Final = [_USER, _calls(), _result()]
_FILE: Final = {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}}
_IMAGE: Final = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
_JSON: Final = {"type": "json_object"}


def _schema(schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **fields}}


async def ask(shape: str, *, strict: bool = True, **fields: Any) -> httpx.Response:
    """A strict mock's answer to a request."""
    async with mock_client(shape, strict=strict, any_model=True) as client:
        return await post(client, shape, fields)


async def post(client: httpx.AsyncClient, shape: str, fields: dict[str, Any]) -> httpx.Response:
    return await client.post("chat/completions", json={"model": MODELS[shape], "messages": [_USER], **fields})


_REFUSED: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("openai", {"top_k": 1}, "top_k"),
    ("openai", {"thinking": {"type": "enabled"}}, "Unrecognized request argument supplied: thinking"),
    ("openai", {"reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort"),
    ("openai", {"model": "o3-mini", "max_tokens": 9}, "max_completion_tokens"),
    ("openai", {"model": "gpt-5", "temperature": 0.5}, "temperature"),
    ("openai", {"model": "gpt-5.4", "reasoning_effort": "low", "tools": [_tool()]}, "/v1/responses"),
    ("openai", {"model": "gpt-5.6", "tools": [_tool()]}, "/v1/responses"),
    ("openai", {"model": "o4-mini", "stop": ["x"]}, "stop"),
    ("openai", {"stop": list("abcde")}, "maximum length 4"),
    ("openai", {"tools": [_tool("x" * 67)]}, "maximum length 64"),
    ("openai", {"messages": [_USER, _calls(name="fs.read"), _result()]}, "pattern"),
    ("openai", {"tools": [_tool(parameters={"type": "object"})]}, "missing properties"),
    ("openai", {"tools": [_tool(parameters={"anyOf": [_SCHEMA]})]}, "top level"),
    ("openai", {"tools": [_tool(strict=True)]}, "additionalProperties"),
    ("openai", {"response_format": _schema(_SCHEMA, strict=True)}, "additionalProperties"),
    ("openai", {"messages": [{"role": "user", "content": [_FILE]}]}, "file.filename"),
    ("openai", {"tools": [_tool(str(at)) for at in range(129)]}, "maximum length 128"),
    ("openrouter", {"model": "google/gemini-3-pro", "messages": _LOOP}, "Provider returned error"),
    ("openrouter", {"model": "google/gemini-3-pro", "reasoning": {"enabled": False}}, "mandatory"),
    ("openrouter", {"model": "deepseek/deepseek-r1", "reasoning": {"effort": "none"}}, "mandatory"),
    ("gemini", {"store": False}, 'Unknown name "store"'),
    ("gemini", {"seed": 1}, 'Unknown name "seed"'),
    ("gemini", {"stop": list("abcdef")}, "stop"),
    ("gemini", {"tools": [_tool()], "response_format": _JSON}, "unsupported"),
    ("gemini", {"model": "gemini-3-pro-preview", "messages": _LOOP}, "missing a thought_signature"),
    (
        "gemini",
        {"model": "gemini-3-pro-preview", "messages": [_USER, _calls(extra="foreign"), _result()]},
        "Corrupted thought signature",
    ),
    ("gemini", {"model": "gemini-2.5-pro", "reasoning_effort": "none"}, "Budget 0"),
    (
        "gemini",
        {
            "reasoning_effort": "low",
            "extra_body": {"google": {"thinking_config": {"thinking_budget": 9}}},
        },
        "found both",
    ),
    ("cerebras", {"store": True}, "property 'store' is unsupported"),
    ("cerebras", {"top_k": 3}, "property 'top_k' is unsupported"),
    ("cerebras", {"messages": [{"role": "developer", "content": "x"}, _USER]}, "developer"),
    ("cerebras", {"messages": [_USER, _calls(reasoning_content="x"), _result()]}, "reasoning_content"),
    ("cerebras", {"response_format": _schema({"type": "array", "minItems": 2})}, "minItems"),
    ("cerebras", {"reasoning_effort": "low"}, "reasoning_effort"),
    ("cerebras", {"model": "gpt-oss-120b", "reasoning_effort": "none"}, "low, medium, high"),
    ("groq", {"logprobs": True}, "logprobs"),
    ("groq", {"store": False}, "property 'store' is unsupported"),
    ("groq", {"prompt_cache_key": "x"}, "prompt_cache_key"),
    ("groq", {"n": 2}, "'n'"),
    ("groq", {"stop": list("abcde")}, "stop"),
    ("groq", {"reasoning_effort": "low"}, "reasoning_effort"),
    ("groq", {"messages": [{**_USER, "name": "x"}]}, "for 'role:user' the following must be satisfied"),
    ("groq", {"messages": [_USER, _calls(reasoning_content="x"), _result()]}, "reasoning_content"),
    ("groq", {"tools": [_tool("fs.read")]}, "pattern"),
    (
        "groq",
        {"model": "openai/gpt-oss-120b", "reasoning_format": "parsed", "include_reasoning": True},
        "cannot specify both",
    ),
    ("mistral", {"max_completion_tokens": 9}, "Extra inputs are not permitted"),
    ("mistral", {"stream": True, "stream_options": {"include_usage": True}}, "Extra inputs"),
    ("mistral", {"seed": 9}, "Extra inputs are not permitted"),
    ("mistral", {"messages": [_USER, _calls(reasoning_content=""), _result()]}, "Extra inputs"),
    ("mistral", {"tools": [_tool(cache_control={"type": "ephemeral"})]}, "Extra inputs"),
    ("mistral", {"messages": [_USER, _calls("call_1"), _result("call_1")]}, "length of 9"),
    ("mistral", {"messages": [*_LOOP, _USER]}, "Unexpected role 'user' after role 'tool'"),
    ("mistral", {"messages": [_USER, {"role": "assistant", "content": "x"}]}, "Expected last role"),
    ("mistral", {"messages": [{"role": "developer", "content": "x"}, _USER]}, "developer"),
    ("mistral", {"reasoning_effort": "high"}, "reasoning_effort"),
    ("deepseek", {"messages": [{"role": "developer", "content": "x"}, _USER]}, "unknown variant `developer`"),
    ("deepseek", {"tools": [_tool()], "tool_choice": "required"}, "does not support this tool_choice"),
    ("deepseek", {"messages": _LOOP}, "must be passed back"),
    ("deepseek", {"messages": [{"role": "user", "content": [_IMAGE]}]}, "image_url"),
    ("deepseek", {"messages": [_USER, _calls(**_THINKS), _result(content=[])]}, "expected a string"),
    ("deepseek", {"reasoning_effort": "medium"}, "unknown variant `medium`"),
    ("xai", {"presence_penalty": 0}, "presence_penalty"),
    ("xai", {"stop": ["x"]}, "stop"),
    ("xai", {"model": "grok-4.20-reasoning", "reasoning_effort": "low"}, "reasoningEffort"),
    ("xai", {"model": "grok-4.5", "reasoning_effort": "none"}, "none"),
    (
        "xai",
        {"tools": [_tool(parameters={**_SCHEMA, "additionalProperties": False})]},
        "additionalProperties",
    ),
    ("moonshot", {"temperature": 0.5}, "temperature"),
    ("moonshot", {"top_p": 1}, "top_p"),
    ("moonshot", {"tools": [_tool()], "tool_choice": "required"}, "incompatible with thinking"),
    ("moonshot", {"messages": _LOOP}, "reasoning_content is missing"),
    ("moonshot", {"messages": [*_LOOP, {"role": "assistant", "content": "x"}, _USER]}, "is missing"),
    ("moonshot", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, "both"),
    ("moonshot", {"messages": [{"role": "user", "content": [_IMAGE]}]}, "unsupported image url"),
    ("moonshot", {"messages": [_USER, _calls(**_THINKS, content=""), _result()]}, "empty"),
    ("moonshot", {"tools": [_tool(parameters={**_SCHEMA, "properties": {"a": {}}})]}, "type is not defined"),
    ("moonshot", {"model": "kimi-k3", "thinking": {"type": "disabled"}}, "disabling"),
]


@pytest.mark.parametrize(("shape", "fields", "message"), _REFUSED)
async def test_refused_as_the_vendor_refuses(shape: str, fields: dict[str, Any], message: str) -> None:
    answer = await ask(shape, **fields)
    assert answer.status_code in (400, 422)
    assert message in answer.text.replace('\\"', '"')


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ("openai", {"stop": list("abcd"), "tools": [_tool("x" * 64)], "temperature": 0.5, "max_tokens": 9}),
        ("openai", {"model": "gpt-5.4", "reasoning_effort": "none", "tools": [_tool()]}),
        ("openai", {"model": "gpt-5.4", "tools": [_tool()], "temperature": 0.5}),
        ("openai", {"model": "gpt-5.6", "reasoning_effort": "none", "tools": [_tool()]}),
        ("openrouter", {"messages": _LOOP, "reasoning": {"effort": "none"}, "top_k": 9}),
        ("gemini", {"messages": _LOOP}),
        *(
            ("gemini", {"model": "gemini-3-pro-preview", "messages": [_USER, _calls(extra=extra), _result()]})
            for extra in (NO_SIGNATURE, sign_call("f"))
        ),
        ("gemini", {"model": "gemini-3-pro-preview", "messages": [*_LOOP, {"role": "assistant"}, _USER]}),
        ("cerebras", {"messages": [_USER, _calls(reasoning="x"), _result()], "logit_bias": {}}),
        ("groq", {"messages": [_USER, _calls(reasoning="x"), _result()], "n": 1}),
        ("mistral", {"messages": [*_LOOP, {"role": "assistant", "content": "x"}, _USER], "random_seed": 1}),
        ("mistral", {"messages": [_USER, {"role": "assistant", "content": "x", "prefix": True}]}),
        ("deepseek", {"messages": [_USER, _calls(**_THINKS), _result()]}),
        ("deepseek", {"messages": _LOOP, "thinking": {"type": "disabled"}}),
        ("deepseek", {"messages": [*_LOOP, {"role": "assistant", "content": "x"}, _USER]}),
        ("xai", {"reasoning_effort": "none", "tools": [_tool()]}),
        ("moonshot", {"messages": [_USER, _calls(**_THINKS), _result()], "temperature": 1}),
        ("moonshot", {"tools": [_tool()], "tool_choice": "required", "thinking": {"type": "disabled"}}),
    ],
)
async def test_what_the_vendor_takes(shape: str, fields: dict[str, Any]) -> None:
    answer = await ask(shape, **fields)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("shape", STRICT)
async def test_a_mock_is_strict_only_on_demand(shape: str) -> None:
    async with mock_client(shape, any_model=True) as client:
        for _, fields, _ in [each for each in _REFUSED if each[0] == shape]:
            if fields != {"top_k": 1}:  # OpenAI's reference has no such field
                assert (await post(client, shape, fields)).status_code == 200


@pytest.mark.parametrize(
    ("shape", "fields", "body"),
    [
        (
            "openai",
            {"moo": 1},
            {
                "error": {
                    "message": "Unrecognized request argument supplied: moo",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                }
            },
        ),
        (
            "cerebras",
            {"moo": 1},
            {
                "message": "property 'moo' is unsupported",
                "type": "invalid_request_error",
                "param": "validation_error",
                "code": "wrong_api_format",
            },
        ),
        (
            "mistral",
            {"moo": 1},
            {
                "object": "error",
                "message": {
                    "detail": [
                        {
                            "type": "extra_forbidden",
                            "loc": ["body", "moo"],
                            "msg": "Extra inputs are not permitted",
                            "input": 1,
                        }
                    ]
                },
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            },
        ),
        (
            "gemini",
            {"moo": 1},
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Invalid JSON payload received. Unknown name "moo": Cannot find field.',
                        "status": "INVALID_ARGUMENT",
                    }
                }
            ],
        ),
        ("xai", {"stop": "x"}, {"code": "invalid-argument", "error": "Argument not supported: stop"}),
    ],
)
async def test_errors_have_the_vendors_form(shape: str, fields: dict[str, Any], body: Any) -> None:
    assert (await ask(shape, **fields)).json() == body


@pytest.mark.parametrize("shape", STRICT)
async def test_a_strict_mock_takes_back_what_it_sent(shape: str) -> None:
    script = Script(thinking="Hm. ", tool_calls=(ToolCall("f", {"city": "Rome"}), ToolCall("f", {})))
    model = {"gemini": "gemini-3-pro-preview", "mistral": "magistral-medium-latest"}.get(shape, MODELS[shape])
    async with mock_client(shape, script, strict=True, any_model=True) as client:
        body = {"model": model, "messages": [_USER], "tools": [_tool()]}
        first = await client.post("chat/completions", json=body)
        message = {name: value for name, value in first.json()["choices"][0]["message"].items() if value}
        message.setdefault("content", None)
        results = [_result(call["id"]) for call in message["tool_calls"]]
        second = await client.post("chat/completions", json=body | {"messages": [_USER, message, *results]})
    assert second.status_code == 200, second.text
