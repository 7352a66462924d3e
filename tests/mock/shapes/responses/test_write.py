"""Responses of the Responses API: their items, and the order of their events."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from trunkline_mock import Script, ToolCall, Usage

from ..http_client import mock_client

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_MODELS = {"openai": "gpt-4o", "generic": "mock-model"}
_CALLS = (ToolCall("weather", {"city": "Rome"}), ToolCall("time", "{}", id="call_own"))
_TOOL = {
    "type": "function",
    "name": "weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def stream_events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream. Each is valid, has its type as its name, and they are numbered from 0."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    events: list[dict[str, Any]] = []
    assert answer.text.endswith("\n\n")
    for number, record in enumerate(answer.text[:-2].split("\n\n")):
        name, data = record.split("\n")
        event = msgspec.json.decode(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        _EVENT.validate_python(event, strict=True)
        events.append(event)
    return events


async def create(script: Script, shape: str = "openai", **fields: Any) -> Any:
    """Send a request; returns the response object, or the events of a stream."""
    quirks = fields.pop("quirks", None)
    async with mock_client(shape, script, quirks=quirks, any_model=True) as client:
        body = {"model": _MODELS[shape], "input": "hello there"} | fields
        answer = await client.post("/responses", json=body)
    assert answer.status_code == 200, answer.text
    if fields.get("stream"):
        return stream_events(answer)
    Response.model_validate_json(answer.content, strict=True)
    return answer.json()


def names(events: list[dict[str, Any]]) -> list[str]:
    """The types of events without their common prefix."""
    return [event["type"].removeprefix("response.") for event in events]


_OPENING_EVENTS = ["created", "in_progress"]
_EMPTY_ITEM_EVENTS = ["output_item.added", "output_item.done"]
_MESSAGE_EVENTS = [
    "output_item.added",
    "content_part.added",
    "output_text.delta",
    "output_text.delta",
    "output_text.done",
    "content_part.done",
    "output_item.done",
]
_CALL_EVENTS = [
    "output_item.added",
    "function_call_arguments.delta",
    "function_call_arguments.delta",
    "function_call_arguments.done",
    "output_item.done",
]
_SUMMARY_EVENTS = [
    "output_item.added",
    "reasoning_summary_part.added",
    "reasoning_summary_text.delta",
    "reasoning_summary_text.done",
    "reasoning_summary_part.done",
    "output_item.done",
]
_REASONING_EVENTS = [
    "output_item.added",
    "content_part.added",
    "reasoning_text.delta",
    "reasoning_text.done",
    "content_part.done",
    "output_item.done",
]


async def test_a_whole_response_of_openai() -> None:
    answer = await create(Script(text="Hello!", usage=Usage(10, 5, 4, 2)), metadata={"a": "b"})
    assert msgspec.convert(answer.pop("created_at"), int) > 0
    assert msgspec.convert(answer.pop("completed_at"), int) > 0
    assert answer.pop("id").startswith("resp_")
    (item,) = answer.pop("output")
    assert item.pop("id").startswith("msg_")
    part = {"type": "output_text", "text": "Hello!", "annotations": [], "logprobs": []}
    assert item == {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
    assert answer == {
        "object": "response",
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {"a": "b"},
        "model": "gpt-4o",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 15,
        },
        "user": None,
    }


STREAMS: list[tuple[str, Script, dict[str, Any], list[str]]] = [
    ("openai", Script(text="one two"), {}, [*_MESSAGE_EVENTS, "completed"]),
    ("generic", Script(text="one two"), {}, [*_MESSAGE_EVENTS, "completed"]),
    ("openai", Script(text=""), {}, [*_MESSAGE_EVENTS[:2], *_MESSAGE_EVENTS[4:], "completed"]),
    ("openai", Script(tool_calls=_CALLS), {}, [*_CALL_EVENTS, *_CALL_EVENTS, "completed"]),
    (
        "openai",
        Script(tool_calls=_CALLS[:1], text="one two"),
        {},
        [*_MESSAGE_EVENTS, *_CALL_EVENTS, "completed"],
    ),
    (
        "openai",
        Script(thinking="hm", text="one two"),
        {},
        [*_EMPTY_ITEM_EVENTS, *_MESSAGE_EVENTS, "completed"],
    ),
    (
        "openai",
        Script(thinking="hm", text="one two"),
        {"reasoning": {"summary": "auto"}},
        [*_SUMMARY_EVENTS, *_MESSAGE_EVENTS, "completed"],
    ),
    (
        "generic",
        Script(thinking="hm", text="one two"),
        {},
        [*_REASONING_EVENTS, *_MESSAGE_EVENTS, "completed"],
    ),
    (
        "generic",
        Script(thinking="hm", text="one two"),
        {"reasoning": {"effort": "none"}},
        [*_MESSAGE_EVENTS, "completed"],
    ),
    ("openai", Script(text="one two", finish_reason="length"), {}, [*_MESSAGE_EVENTS, "incomplete"]),
    ("openai", Script(text="one two", finish_reason="error"), {}, [*_MESSAGE_EVENTS, "failed"]),
]


@pytest.mark.parametrize(("shape", "script", "fields", "expected"), STREAMS)
async def test_the_order_of_events(
    shape: str, script: Script, fields: dict[str, Any], expected: list[str]
) -> None:
    assert names(await create(script, shape, stream=True, **fields)) == _OPENING_EVENTS + expected


@pytest.mark.parametrize(("shape", "script", "fields", "expected"), STREAMS)
async def test_a_stream_and_a_whole_response_are_equal(
    shape: str, script: Script, fields: dict[str, Any], expected: list[str]
) -> None:
    """Items begin empty, grow by their deltas, and are complete in the response of the last event."""
    events = await create(script, shape, stream=True, **fields)
    accumulated: dict[int, str] = {}
    done: list[Any] = []
    for event in events:
        if event["type"].endswith(".delta"):
            accumulated[event["output_index"]] = accumulated.get(event["output_index"], "") + event["delta"]
        if event["type"].endswith((".text.done", "_text.done")):
            assert event["text"] == accumulated.get(event["output_index"], "")
        if event["type"].endswith("arguments.done"):
            assert event["arguments"] == accumulated[event["output_index"]]
        if event["type"].endswith("item.added"):
            item = event["item"]
            assert not item.get("content")
            assert not item.get("arguments")
            assert not item.get("summary")
            assert event["output_index"] == len(done)
        if event["type"].endswith("item.done"):
            done.append(event["item"])
    assert events[-1]["response"]["output"] == done
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["usage"] is None
    whole = await create(script, shape, stream=False, **fields)
    last = events[-1]["response"]
    assert [item["type"] for item in done] == [item["type"] for item in whole["output"]]
    assert (last["status"], last["usage"]) == (whole["status"], whole["usage"])
    assert last["incomplete_details"] == whole["incomplete_details"]
    assert last["error"] == whole["error"]


@pytest.mark.parametrize(
    ("reason", "status", "details", "item_status"),
    [
        ("length", "incomplete", {"reason": "max_output_tokens"}, "incomplete"),
        ("content_filter", "incomplete", {"reason": "content_filter"}, "incomplete"),
        ("stop", "completed", None, "completed"),
        ("error", "failed", None, "completed"),
    ],
)
async def test_how_a_response_ends(reason: str, status: str, details: Any, item_status: str) -> None:
    answer = await create(Script(text="a", finish_reason=reason))
    assert (answer["status"], answer["incomplete_details"]) == (status, details)
    assert answer["output"][-1]["status"] == item_status
    assert (answer["error"] is not None) == (status == "failed")


async def test_the_requests_token_limit_is_obeyed() -> None:
    words = " ".join(f"w{number}" for number in range(30))
    answer = await create(Script(), input=words, max_output_tokens=16)
    assert (answer["status"], answer["usage"]["output_tokens"]) == ("incomplete", 16)
    assert answer["max_output_tokens"] == 16


async def test_a_response_repeats_fields_of_its_request() -> None:
    fields: dict[str, Any] = {
        "instructions": "Be brief",
        "temperature": 0.5,
        "tools": [_TOOL],
        "tool_choice": {"type": "function", "name": "weather"},
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
    }
    answer = await create(Script(text="a"), **fields)
    assert answer["tools"] == [{**_TOOL, "description": None, "strict": True}]
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert all(answer[name] == fields[name] for name in ("instructions", "temperature", "tool_choice"))
    assert answer["usage"]["input_tokens"] == 4, "instructions are read, too"


async def test_tool_calls() -> None:
    script = Script(tool_calls=(*_CALLS, ToolCall("f", "{broken")))
    first, second, third = (await create(script))["output"]
    assert first["id"].startswith("fc_")
    assert first["call_id"].startswith("call_")
    assert (first["name"], first["arguments"]) == ("weather", '{"city":"Rome"}')
    assert (second["call_id"], second["arguments"], third["arguments"]) == ("call_own", "{}", "{broken")
    (called,) = (await create(Script(), model="mock-tools", tools=[_TOOL]))["output"]
    assert called["arguments"] == '{"city":"mock"}'
    (whole,) = [
        event
        for event in await create(Script(tool_calls=_CALLS[:1]), stream=True, quirks={"tool_deltas": "whole"})
        if event["type"].endswith("arguments.delta")
    ]
    assert whole["delta"] == '{"city":"Rome"}'


_CUSTOM = {"type": "custom", "name": "apply_patch"}
_SPACE = {"type": "namespace", "name": "mcp__house", "description": "A house", "tools": [_TOOL]}


@pytest.mark.parametrize("arguments", ["*** Begin Patch", {"input": "*** Begin Patch"}])
async def test_calls_of_custom_tools_and_of_tools_in_namespaces(arguments: Any) -> None:
    calls = (ToolCall("apply_patch", arguments), ToolCall("mcp__house__weather", {"city": "Rome"}))
    events = await create(Script(tool_calls=calls), stream=True, tools=[_CUSTOM, _SPACE])
    custom, spaced = events[-1]["response"]["output"]
    assert (custom["type"], custom["name"]) == ("custom_tool_call", "apply_patch")
    assert custom["id"].startswith("ctc_")
    deltas = [each["delta"] for each in events if each["type"] == "response.custom_tool_call_input.delta"]
    (done,) = [each for each in events if each["type"] == "response.custom_tool_call_input.done"]
    assert custom["input"] == done["input"] == "".join(deltas) == "*** Begin Patch"
    assert (spaced["type"], spaced["name"], spaced["namespace"]) == ("function_call", "weather", "mcp__house")
    assert spaced["arguments"] == '{"city":"Rome"}'


async def test_no_tool_is_called_after_a_tool_result() -> None:
    conversation = [
        {"role": "user", "content": "weather?"},
        {"type": "function_call", "call_id": "a", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "sun"}]},
    ]
    answer = await create(Script(), model="mock-tools", tools=[_TOOL], input=conversation)
    assert [item["type"] for item in answer["output"]] == ["message"]
    assert answer["usage"]["input_tokens"] == 2


async def test_reasoning_in_each_vendors_format() -> None:
    script = Script(thinking="hm ha", text="a")
    hidden = (await create(script, include=["reasoning.encrypted_content"]))["output"][0]
    assert hidden["summary"] == []
    assert hidden["encrypted_content"].startswith("mock-")
    summarised = (await create(script, reasoning={"summary": "auto"}))["output"][0]
    assert summarised["summary"] == [{"type": "summary_text", "text": "hm ha"}]
    answer = await create(script, "generic")
    assert answer["output"][0]["content"] == [{"type": "reasoning_text", "text": "hm ha"}]
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}


async def test_schemas_and_images() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    text = {"format": {"type": "json_schema", "name": "s", "schema": schema}}
    answer = await create(Script(), text=text)
    assert answer["output"][0]["content"][0]["text"] == '{"n":0}'
    anything = await create(Script(), text={"format": {"type": "json_object"}})
    assert anything["output"][0]["content"][0]["text"] == "{}"
    images = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_image", "file_id": "file-1"},
    ]
    described = await create(Script(), input=[{"role": "user", "content": images}])
    assert described["output"][0]["content"][0]["text"].endswith("png of 8 bytes, url of 0 bytes.")


@pytest.mark.parametrize(("script", "quirks"), [(Script(usage=None), None), (Script(), {"usage": "never"})])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_response_without_usage(script: Script, quirks: dict[str, Any] | None, stream: bool) -> None:
    got = await create(script, stream=stream, quirks=quirks)
    assert (got[-1]["response"] if stream else got)["usage"] is None


async def test_costs() -> None:
    scripted = await create(Script(text="a", cost=0.5), quirks={"cost": True})
    assert scripted["usage"]["cost"] == 0.5
    calculated = await create(Script(text="a"), quirks={"cost": True})
    assert calculated["usage"]["cost"] == pytest.approx(2 * 0.0000025 + 0.00001)


async def test_heartheartbeats_have_no_sequence_number() -> None:
    async with mock_client("openai", Script(text="a", comments=2), quirks={"comment": "WAIT"}) as client:
        body = {"model": "gpt-4o", "input": "x", "stream": True}
        text = (await client.post("/responses", json=body)).text
    heartbeats, rest = text[: len(": WAIT\n\n") * 2], text[len(": WAIT\n\n") * 2 :]
    assert heartbeats == ": WAIT\n\n" * 2
    assert rest.startswith('event: response.created\ndata: {"type":"response.created","sequence_number":0,')


async def test_the_vendors_headers() -> None:
    async with mock_client("openai") as client:
        answer = await client.post("/responses", json={"model": "gpt-4o", "input": "x"})
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-ratelimit-reset-requests"] == "6ms"
