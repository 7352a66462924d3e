from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.ollama import parse
from trunkline.errors import INVALID_REQUEST, CallerError
from trunkline.model import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Format,
    Image,
    Message,
    Part,
    Reasoning,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

GIF = base64.b64encode(b"GIF89a-and-more").decode()
HI = {"role": "user", "content": "Hi"}


def _with_parts(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def _encode(fields: dict[str, Any]) -> bytes:
    return msgspec.json.encode(fields)


@pytest.mark.parametrize(
    ("fields", "summary"),
    [
        ({"model": "m", "messages": [HI]}, RequestSummary(model="m", stream=True)),
        ({"name": "m", "messages": [HI], "stream": None}, RequestSummary(model="m", stream=True)),
        ({"model": "", "name": "m", "messages": [HI]}, RequestSummary(model="m", stream=True)),
        (
            {"model": "m", "messages": [HI], "stream": False, "options": None},
            RequestSummary(model="m", stream=False),
        ),
        ({"messages": [HI], "stream": True}, RequestSummary(model=None, stream=True)),
        ({"model": "", "messages": [HI]}, RequestSummary(model=None, stream=True)),
        ({"model": "m", "stream": True}, RequestSummary(model="m", stream=False, load="load")),
        (
            {"model": "m", "messages": [], "stream": True},
            RequestSummary(model="m", stream=False, load="load"),
        ),
        (
            {"model": "m", "messages": [HI], "options": {"num_predict": 5, "num_ctx": 1}},
            RequestSummary(model="m", stream=True, max_tokens=5),
        ),
        (
            {"model": "m", "messages": [HI], "options": {"num_predict": 5.0}},
            RequestSummary(model="m", stream=True, max_tokens=5),
        ),
        (
            {"model": "m", "messages": [HI], "options": {"num_predict": -1}},
            RequestSummary(model="m", stream=True),
        ),
        (
            {"model": "m", "messages": [HI], "options": {"num_predict": None}},
            RequestSummary(model="m", stream=True),
        ),
    ],
)
def test_summarize_chat(fields: dict[str, Any], summary: RequestSummary) -> None:
    assert parse.summarize_chat(_encode(fields)) == summary


@pytest.mark.parametrize(
    ("fields", "stream", "load"),
    [
        ({"prompt": "a"}, True, None),
        ({"prompt": "a", "stream": False, "keep_alive": 0}, False, None),
        ({"prompt": ""}, False, "load"),
        ({}, False, "load"),
        ({"keep_alive": "0s"}, False, "unload"),
        ({"keep_alive": 0}, False, "unload"),
        ({"keep_alive": -1}, False, "load"),
    ],
)
def test_summarize_generate(fields: dict[str, Any], stream: bool, load: Any) -> None:
    found = parse.summarize_generate(_encode({"model": "m", **fields}))
    assert found == RequestSummary(model="m", stream=stream, load=load, operation="chat")


@pytest.mark.parametrize("fields", [{"raw": True}, {"suffix": "z"}])
def test_a_prompt_without_the_models_template_is_no_chat(fields: dict[str, Any]) -> None:
    body = _encode({"model": "m", "prompt": "a", **fields})
    assert parse.summarize_generate(body).operation == "completions"
    assert not parse.parse_generate(body).templated


def test_summarize_embed() -> None:
    assert parse.summarize_embed(b'{"model":"m","input":"a"}') == RequestSummary(model="m", stream=False)


def _chat(fields: dict[str, Any]) -> ChatRequest:
    return parse.parse_chat(_encode({"model": "m", "messages": [HI], **fields}))


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        pytest.param({}, {}, id="the smallest"),
        pytest.param({"stream": False}, {"stream": False}, id="no stream"),
        pytest.param(
            {
                "options": None,
                "format": "",
                "keep_alive": "",
                "tools": [],
                "think": None,
                "truncate": None,
                "shift": None,
                "logprobs": None,
                "top_logprobs": None,
                "unknown": {"a": 1},
            },
            {},
            id="everything left open",
        ),
        pytest.param({"model": None, "name": "n"}, {"model": "n"}, id="name"),
        pytest.param({"model": ""}, {"model": ""}, id="no model is no error"),
        pytest.param(
            {"options": {"num_predict": 3, "num_ctx": 4096, "temperature": 1}},
            {
                "sampling": Sampling(max_tokens=3, temperature=1.0),
                "extras": {"options": {"num_ctx": 4096}},
            },
            id="options",
        ),
        pytest.param(
            {"logprobs": True, "top_logprobs": 5},
            {"sampling": Sampling(logprobs=True, top_logprobs=5)},
            id="logprobs",
        ),
        pytest.param({"logprobs": False, "top_logprobs": 0}, {}, id="no logprobs"),
        pytest.param(
            {"keep_alive": "10m", "truncate": False, "shift": True},
            {"extras": {"keep_alive": "10m", "truncate": False, "shift": True}},
            id="extras",
        ),
        pytest.param({"keep_alive": -1}, {"extras": {"keep_alive": -1}}, id="for ever"),
        pytest.param({"format": "json"}, {"format": Format()}, id="json"),
        pytest.param(
            {"format": {"type": "object"}}, {"format": Format(schema={"type": "object"})}, id="schema"
        ),
        pytest.param(
            {"think": True},
            {"reasoning": Reasoning(effort="medium", any_level=True), "extras": {"think": True}},
            id="think",
        ),
        pytest.param({"think": False}, {"reasoning": Reasoning(effort="none")}, id="do not think"),
        pytest.param({"think": "high"}, {"reasoning": Reasoning(effort="high")}, id="think hard"),
        pytest.param(
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "description": "d",
                            "parameters": {"a": 1, "required": None},
                        },
                    },
                    {"function": {"name": "g"}},
                ]
            },
            {"tools": (Tool(name="f", description="d", parameters={"a": 1}), Tool(name="g"))},
            id="tools",
        ),
    ],
)
def test_parse_chat(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    plain = ChatRequest(model="m", messages=(_with_parts("user", Text(text="Hi")),), stream=True)
    assert _chat(fields) == msgspec.structs.replace(plain, **changes)


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ({"role": "System", "content": "Be kind"}, _with_parts("system", Text(text="Be kind"))),
        ({"role": "developer", "content": "x"}, _with_parts("system", Text(text="x"))),
        ({"role": "user"}, _with_parts("user")),
        (
            {"role": "USER", "content": None, "images": [], "tool_calls": None, "thinking": ""},
            _with_parts("user"),
        ),
        (
            {"role": "user", "content": "Look", "images": [GIF, f"data:image/gif;base64,{GIF}"]},
            _with_parts("user", Text(text="Look"), *[Image(data=GIF, media_type="image/gif")] * 2),
        ),
        (
            {
                "role": "assistant",
                "content": "So",
                "thinking": "Hm",
                "tool_calls": [
                    {"id": "c1", "function": {"index": 3, "name": "f", "arguments": {"x": "é"}}},
                    {"id": "c2", "function": {"name": "g", "arguments": '{"y": 1}'}},
                    {"function": {"name": "h"}},
                ],
            },
            _with_parts(
                "assistant",
                Thinking(text="Hm"),
                Text(text="So"),
                ToolCall(id="c1", name="f", arguments='{"x":"é"}'),
                ToolCall(id="c2", name="g", arguments='{"y": 1}'),
                ToolCall(id="call_00000000", name="h", arguments="{}"),
            ),
        ),
        (
            {"role": "tool", "content": "Rain", "tool_name": "f", "tool_call_id": "c1", "images": [GIF]},
            _with_parts(
                "tool",
                ToolResult(
                    id="c1", name="f", parts=(Text(text="Rain"), Image(data=GIF, media_type="image/gif"))
                ),
            ),
        ),
        (
            {"role": "tool", "content": "", "tool_name": "", "tool_call_id": ""},
            _with_parts("tool", ToolResult(id="call_00000000", parts=())),
        ),
    ],
)
def test_messages(wire: dict[str, Any], message: Message) -> None:
    assert _chat({"messages": [wire]}).messages == (message,)


def test_a_second_turn_that_lost_its_ids() -> None:
    call = {"function": {"name": "weather", "arguments": {"at": "Oslo"}}}
    messages = [
        HI,
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "Rain", "tool_name": "weather"},
        {"role": "tool", "content": "Sun"},
    ]
    parts = [part for message in _chat({"messages": messages}).messages[1:] for part in message.parts]
    ids = [part.id for part in parts if isinstance(part, ToolCall | ToolResult)]
    assert ids[:2] == ids[2:]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"content": "Hi"}]}, "messages[0]"),
        ({"messages": [HI, {"role": "robot", "content": "Hi"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "images": ["?"]}]}, "messages[0].images[0]"),
        ({"options": []}, "options"),
        ({"options": {"top_k": "x"}}, "options.top_k"),
        ({"stream": "yes"}, "stream"),
        ({"think": "much"}, "think"),
        ({"format": 1}, "format"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"keep_alive": []}, "keep_alive"),
        ({"tools": [{}]}, "tools[0]"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": -1}, "top_logprobs"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        _chat(fields)
    assert (caught.value.kind, caught.value.param) == (INVALID_REQUEST, param)


@pytest.mark.parametrize(
    "read",
    [
        parse.summarize_chat,
        parse.summarize_generate,
        parse.summarize_embed,
        parse.parse_chat,
        parse.parse_generate,
        parse.parse_embed,
        parse.parse_legacy_embeddings,
    ],
)
def test_a_model_of_the_wrong_type_is_named(read: Callable[[bytes], object]) -> None:
    with pytest.raises(CallerError, match=r"^model: Expected `str") as caught:
        read(b'{"model":7}')
    assert (caught.value.kind, caught.value.status, caught.value.param) == (INVALID_REQUEST, 400, "model")


def test_arguments_in_bad_utf8() -> None:
    call = b'{"function":{"name":"f","arguments":{"a":"\xff"}}}'
    body = b'{"messages":[{"role":"assistant","tool_calls":[' + call + b"]}]}"
    with pytest.raises(CallerError):
        parse.parse_chat(body)


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, {}),
        ({"stream": False}, {"stream": False}),
        ({"suffix": "", "system": "", "template": "", "context": [], "raw": False, "images": None}, {}),
        ({"suffix": "z", "system": "s"}, {"suffix": "z", "system": "s"}),
        (
            {"template": "t", "context": [1, 2], "keep_alive": "1m"},
            {"extras": {"template": "t", "context": [1, 2], "keep_alive": "1m"}},
        ),
        ({"raw": True}, {"extras": {"raw": True}}),
        ({"images": [GIF]}, {"images": (Image(data=GIF, media_type="image/gif"),)}),
        (
            {"format": "json", "think": "low", "options": {"seed": 1}},
            {"format": Format(), "reasoning": Reasoning(effort="low"), "sampling": Sampling(seed=1)},
        ),
    ],
)
def test_parse_generate(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    plain = CompletionRequest(model="m", prompts=("Once",), stream=True)
    request = parse.parse_generate(_encode({"model": "m", "prompt": "Once", **fields}))
    templated = not (fields.get("raw") or fields.get("suffix"))
    assert request == msgspec.structs.replace(plain, templated=templated, **changes)
    assert parse.load_reason(request) is None


@pytest.mark.parametrize("field", [{"template": "t"}, {"system": "s"}, {"context": [1]}])
def test_raw_allows_no_template(field: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match="raw mode does not support template, system, or context"):
        parse.parse_generate(_encode({"model": "m", "prompt": "a", "raw": True, **field}))


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({"input": "a"}, {"inputs": ("a",)}),
        ({"input": ["a", ""]}, {"inputs": ("a", "")}),
        ({"input": "a", "dimensions": 8}, {"inputs": ("a",), "dimensions": 8}),
        ({"input": "a", "dimensions": 0}, {"inputs": ("a",)}),
        ({"input": "a", "dimensions": -1}, {"inputs": ("a",)}),
        (
            {"input": "a", "truncate": False, "keep_alive": 5, "options": {"num_ctx": 1}},
            {"inputs": ("a",), "extras": {"truncate": False, "keep_alive": 5, "options": {"num_ctx": 1}}},
        ),
        ({"input": ""}, {"inputs": (), "extras": {"load": "load"}}),
        ({"input": [], "options": {}}, {"inputs": (), "extras": {"load": "load"}}),
        ({}, {"inputs": (), "extras": {"load": "load"}}),
    ],
)
def test_parse_embed(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    assert parse.parse_embed(_encode({"model": "m", **fields})) == EmbeddingRequest(model="m", **changes)


def test_parse_legacy_embeddings() -> None:
    assert parse.parse_legacy_embeddings(b'{"model":"m","prompt":"a"}') == EmbeddingRequest(
        model="m", inputs=("a",)
    )
    assert parse.load_reason(parse.parse_legacy_embeddings(b'{"model":"m","prompt":""}')) == "load"


@pytest.mark.parametrize("input", [1, [1], {"a": 1}])
def test_inputs_that_are_no_text(input: Any) -> None:
    with pytest.raises(CallerError) as caught:
        parse.parse_embed(_encode({"model": "m", "input": input}))
    assert (caught.value.param or "").startswith("input")


@pytest.mark.parametrize(
    ("keep_alive", "reason"),
    [
        (None, "load"),
        ("", "load"),
        ("5m", "load"),
        (-1, "load"),
        (0, "unload"),
        ("0", "unload"),
        ("0s", "unload"),
        ("0m0s", "unload"),
    ],
)
def test_loading(keep_alive: Any, reason: str) -> None:
    chat = _chat({"messages": [], "keep_alive": keep_alive})
    generate = parse.parse_generate(_encode({"model": "m", "prompt": "", "keep_alive": keep_alive}))
    assert parse.load_reason(chat) == parse.load_reason(generate) == reason
    assert not chat.stream
    assert not generate.stream
