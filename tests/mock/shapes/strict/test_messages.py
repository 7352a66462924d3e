"""A strict mock of Anthropic."""

from __future__ import annotations

from typing import Any, Final

import httpx
import pytest

from trunkline_mock.shapes.strict.messages import redacted_data

from ..http_client import mock_client

_USER: Final = {"role": "user", "content": "Hello!"}
_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "additionalProperties": False,
}
_NEW: Final = {"anthropic-version": "2026-10-21"}


def _format(schema: Any) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def _tool(schema: Any) -> dict[str, Any]:
    return {"tools": [{"name": "f", "input_schema": schema}]}


def _redacted(data: str) -> dict[str, Any]:
    blocks = [{"type": "redacted_thinking", "data": data}, {"type": "text", "text": "x"}]
    return {"messages": [_USER, {"role": "assistant", "content": blocks}, _USER]}


async def ask(*, strict: bool = True, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    async with mock_client("anthropic", strict=strict, any_model=True) as client:
        body = {"model": "claude-opus-5", "max_tokens": 99, "messages": [_USER], **fields}
        return await client.post("/v1/messages", json=body, headers=headers)


@pytest.mark.parametrize(
    ("fields", "headers", "message"),
    [
        ({"temperature": 1}, _NEW, "temperature: Extra inputs are not permitted"),
        ({"top_k": 9}, _NEW, "top_k: Extra inputs are not permitted"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "x", "citations": []}]}]},
            _NEW,
            "citations: Extra inputs",
        ),
        ({"model": "claude-sonnet-4-5", "temperature": 0.7, "top_p": 0.9}, {}, "cannot both be specified"),
        ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, {}, "disabled"),
        (
            {
                "model": "claude-fable-5-1",
                "tool_choice": {"type": "any"},
                "tools": [{"name": "f", "input_schema": _SCHEMA}],
            },
            {},
            "forced tool use",
        ),
        ({"model": "claude-sonnet-5-5", "thinking": {"type": "disabled"}}, {}, "disabled"),
        ({"messages": [_USER, {"role": "assistant", "content": "x"}]}, {}, "prefill"),
        (_tool({"type": "object", "anyOf": [_SCHEMA]}), {}, "at the top level"),
        (_format({"type": "object", "properties": {"a": {"type": "object"}}}), {}, "'additionalProperties'"),
        (_format({"type": "integer", "minimum": 1}), {}, "property 'minimum' is not supported"),
        (_format({"type": "array", "items": _SCHEMA, "minItems": 2}), {}, "'minItems'"),
        (_redacted("foreign"), {}, "redacted_thinking"),
    ],
)
async def test_refused_as_the_vendor_refuses(
    fields: dict[str, Any], headers: dict[str, str], message: str
) -> None:
    answer = await ask(headers=headers, **fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert message in answer.json()["error"]["message"]
    assert (await ask(strict=False, headers=headers, **fields)).status_code == 200


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"temperature": 0.5}, {}),
        ({"model": "claude-3-haiku", "temperature": 0.7, "top_p": 0.9}, {}),
        ({"model": "claude-haiku-4-5", "thinking": {"type": "disabled"}}, _NEW),
        ({"model": "claude-haiku-4-5", "messages": [_USER, {"role": "assistant", "content": "x"}]}, {}),
        (_tool({"type": "object", "properties": {"a": {"anyOf": [_SCHEMA]}}}), {}),
        (_format(_SCHEMA), {}),
        (_redacted(redacted_data("x")), {}),
    ],
)
async def test_what_the_vendor_takes(fields: dict[str, Any], headers: dict[str, str]) -> None:
    answer = await ask(headers=headers, **fields)
    assert answer.status_code == 200, answer.text
