from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.dialects.ollama import render
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    ChatRequest,
    CompletionRequest,
    Document,
    Effort,
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
    ToolChoice,
    ToolResult,
)


def _message(role: Role, *parts: Part, name: str | None = None) -> Message:
    return Message(role=role, parts=parts, name=name)


HI = _message("user", Text(text="Hi"))
NOTES = Document(data="SGk=", media_type="text/plain", name="A")
WEATHER = Tool(name="weather", description="Tell it", parameters={"type": "object", "properties": {"at": {}}})
CLOCK = Tool(name="clock", strict=True)
WEATHER_WIRE = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tell it",
        "parameters": {"type": "object", "properties": {"at": {}}},
    },
}
CLOCK_WIRE = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}},
}


def _chat(defaults: RequestDefaults = NO_DEFAULTS, stream: bool = False, **fields: Any) -> Any:
    request = ChatRequest(model="front", **{"messages": (HI,), **fields})
    return msgspec.json.decode(render.chat(request, "llama3.2", stream, defaults))


def test_the_smallest_chat() -> None:
    assert _chat() == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        pytest.param(
            {
                "sampling": Sampling(
                    temperature=0.0,
                    top_p=0.5,
                    top_k=3,
                    min_p=0.1,
                    max_tokens=9,
                    stop=("a", "b"),
                    seed=0,
                    presence_penalty=0.3,
                    frequency_penalty=0.4,
                    repetition_penalty=1.1,
                )
            },
            {
                "options": {
                    "num_predict": 9,
                    "temperature": 0.0,
                    "top_p": 0.5,
                    "top_k": 3,
                    "min_p": 0.1,
                    "stop": ["a", "b"],
                    "seed": 0,
                    "presence_penalty": 0.3,
                    "frequency_penalty": 0.4,
                    "repeat_penalty": 1.1,
                }
            },
            id="sampling",
        ),
        pytest.param(
            {"sampling": Sampling(logprobs=True, top_logprobs=0)},
            {"logprobs": True, "top_logprobs": 0},
            id="logprobs",
        ),
        pytest.param({"sampling": Sampling(logprobs=True)}, {"logprobs": True}, id="bare logprobs"),
        pytest.param({"sampling": Sampling(top_logprobs=3)}, {}, id="top_logprobs alone"),
        pytest.param({"format": Format()}, {"format": "json"}, id="json"),
        pytest.param(
            {"format": Format(schema={"type": "object"}, name="n", strict=True)},
            {"format": {"type": "object"}},
            id="the bare schema",
        ),
        pytest.param({"tools": (WEATHER, CLOCK)}, {"tools": [WEATHER_WIRE, CLOCK_WIRE]}, id="tools"),
        pytest.param(
            {"tools": (WEATHER, CLOCK), "tool_choice": ToolChoice(mode="auto")},
            {"tools": [WEATHER_WIRE, CLOCK_WIRE]},
            id="auto",
        ),
        pytest.param(
            {"messages": (_message("user", NOTES, Text(text="What is it?")),)},
            {"messages": [{"role": "user", "content": "A\n\nHi\n\nWhat is it?"}]},
            id="a document of text",
        ),
        pytest.param(
            {"tools": (WEATHER, CLOCK), "tool_choice": ToolChoice(mode="required")},
            {"tools": [WEATHER_WIRE, CLOCK_WIRE]},
            id="required",
        ),
        pytest.param({"tools": (WEATHER, CLOCK), "tool_choice": ToolChoice(mode="none")}, {}, id="no tools"),
        pytest.param(
            {"tools": (WEATHER, CLOCK), "tool_choice": ToolChoice(mode="tool", name="clock")},
            {"tools": [CLOCK_WIRE]},
            id="one tool",
        ),
        pytest.param(
            {"extras": {"keep_alive": 0, "truncate": False, "shift": True, "raw": True, "load": "load"}},
            {"keep_alive": 0, "truncate": False, "shift": True},
            id="extras, only those of the endpoint",
        ),
        pytest.param(
            {"extras": {"options": {"num_ctx": 9, "num_predict": -1}}},
            {"options": {"num_ctx": 9}},
            id="options",
        ),
        pytest.param(
            {"extras": {"options": {"num_predict": 4, "top_k": 1}}, "sampling": Sampling(top_k=2)},
            {"options": {"num_predict": 4, "top_k": 2}},
            id="sampling beats options",
        ),
        pytest.param(
            {"extras": {"think": True}, "reasoning": Reasoning(effort="medium")},
            {"think": True},
            id="a plain true",
        ),
        pytest.param({"reasoning": Reasoning(max_tokens=100)}, {}, id="no effort"),
        pytest.param({"parallel_tool_calls": False, "user": "me"}, {}, id="settings without a field"),
    ],
)
def test_chat_fields(fields: dict[str, Any], wire: dict[str, Any]) -> None:
    assert _chat(**fields) == {**_chat(), **wire}


@pytest.mark.parametrize(
    ("effort", "think"),
    [
        ("none", False),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "max"),
        ("max", "max"),
    ],
)
def test_effort(effort: Effort, think: bool | str) -> None:
    assert _chat(reasoning=Reasoning(effort=effort))["think"] == think


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (
            _message("system", Text(text="Be "), Text(text="kind", cache=True)),
            {"role": "system", "content": "Be kind"},
        ),
        (
            _message("user", Text(text="Look"), Image(data="aGk=", media_type="image/png"), name="Ann"),
            {"role": "user", "content": "Look", "images": ["aGk="]},
        ),
        (
            _message(
                "assistant",
                Thinking(text="Hm", signature="s"),
                Text(text="Let me see"),
                ToolCall(id="c1", name="weather", arguments=' {"at": "Oslo"} '),
                ToolCall(id="c2", name="clock", arguments=""),
            ),
            {
                "role": "assistant",
                "content": "Let me see",
                "thinking": "Hm",
                "tool_calls": [
                    {"id": "c1", "function": {"index": 0, "name": "weather", "arguments": {"at": "Oslo"}}},
                    {"id": "c2", "function": {"index": 1, "name": "clock", "arguments": {}}},
                ],
            },
        ),
    ],
)
def test_messages(message: Message, wire: dict[str, Any]) -> None:
    assert _chat(messages=(HI, message))["messages"][1] == wire


def test_big_numbers_in_arguments_survive() -> None:
    call = ToolCall(id="c", name="f", arguments='{"n":123456789012345678901234567890.10}')
    request = ChatRequest(model="m", messages=(_message("assistant", call),))
    assert call.arguments.encode() in render.chat(request, "m", False, NO_DEFAULTS)


@pytest.mark.parametrize(
    "results",
    [
        (ToolResult(id="c1", parts=(Text(text="Rain"),)), ToolResult(id="c2", parts=(Text(text="Sun"),))),
        (
            ToolResult(id=None, name="weather", parts=(Text(text="Rain"),)),
            ToolResult(id=None, name="weather", parts=(Text(text="Sun"),)),
        ),
        (ToolResult(id=None, parts=(Text(text="Rain"),)), ToolResult(id=None, parts=(Text(text="Sun"),))),
    ],
)
@pytest.mark.parametrize("together", [False, True])
def test_tool_results_are_matched(results: tuple[ToolResult, ...], together: bool) -> None:
    calls = [ToolCall(id=f"c{at}", name="weather", arguments="{}") for at in (1, 2)]
    turns = [results] if together else [(result,) for result in results]
    messages = (_message("assistant", *calls), *(_message("tool", *turn) for turn in turns))
    assert _chat(messages=messages)["messages"][1:] == [
        {"role": "tool", "content": "Rain", "tool_call_id": "c1", "tool_name": "weather"},
        {"role": "tool", "content": "Sun", "tool_call_id": "c2", "tool_name": "weather"},
    ]


def test_a_tool_result_with_an_image_and_text_beside_it() -> None:
    result = ToolResult(id="c9", parts=(Text(text="Look"), Image(data="aGk=")))
    assert _chat(messages=(_message("user", result, Text(text="And?")),))["messages"] == [
        {"role": "tool", "content": "Look", "tool_call_id": "c9", "images": ["aGk="]},
        {"role": "user", "content": "And?"},
    ]


def test_a_tool_result_that_is_an_error() -> None:
    result = ToolResult(id="c9", name="f", parts=(Text(text="Too far"),), is_error=True)
    call = ToolCall(id="c9", name="f", arguments="{}")
    assert _chat(messages=(_message("assistant", call), _message("tool", result)))["messages"][1:] == [
        {"role": "tool", "content": "Error: Too far", "tool_call_id": "c9", "tool_name": "f"},
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"sampling": Sampling(n=2)}, "n"),
        ({"messages": (HI, _message("user", Image(url="http://x/y.png")))}, "messages[1].content"),
        ({"messages": (_message("user", Audio(data="", format="wav")),)}, "messages[0].content"),
        ({"messages": (_message("user", Document(data="")),)}, "messages[0].content"),
        (
            {"messages": (_message("tool", ToolResult(id="x", parts=(Image(url="http://x"),))),)},
            "messages[0].content",
        ),
    ],
)
def test_what_ollama_has_no_field_for(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        _chat(**fields)
    assert (caught.value.kind, caught.value.status, caught.value.param) == (UNSUPPORTED, 400, param)


@pytest.mark.parametrize(
    ("arguments", "sent"), [("{", {"arguments": "{"}), ("[1]", {"arguments": [1]}), ("null", {})]
)
def test_arguments_that_are_no_object(arguments: str, sent: dict[str, Any]) -> None:
    call = ToolCall(id="c", name="f", arguments=arguments)
    messages = _chat(messages=(HI, _message("assistant", call)))["messages"]
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == sent


def test_a_choice_of_an_unknown_tool() -> None:
    with pytest.raises(CallerError) as caught:
        _chat(tools=(CLOCK,), tool_choice=ToolChoice(mode="tool", name="weather"))
    assert caught.value.param == "tool_choice"


def test_options_that_are_no_object() -> None:
    with pytest.raises(CallerError) as caught:
        _chat(extras={"options": [1]})
    assert caught.value.param == "options"


@pytest.mark.parametrize(
    ("defaults", "fields", "wire"),
    [
        (
            RequestDefaults(temperature=0.5, max_tokens=7),
            {},
            {"options": {"temperature": 0.5, "num_predict": 7}},
        ),
        (
            RequestDefaults(temperature=0.5, max_tokens=7),
            {"sampling": Sampling(temperature=0.0, max_tokens=3)},
            {"options": {"temperature": 0.0, "num_predict": 3}},
        ),
        (
            RequestDefaults(max_tokens=7),
            {"extras": {"options": {"num_predict": -2}}},
            {"options": {"num_predict": 7}},
        ),
        (
            RequestDefaults(options={"num_ctx": 16384, "top_k": 5}),
            {"extras": {"options": {"num_ctx": 1}}},
            {"options": {"num_ctx": 1, "top_k": 5}},
        ),
        (
            RequestDefaults(fields={"keep_alive": "30m", "think": False, "model": "no"}),
            {"extras": {"keep_alive": 0}},
            {"keep_alive": 0, "think": False},
        ),
        (RequestDefaults(drop=frozenset(("think", "tools"))), {"reasoning": Reasoning(effort="low")}, {}),
    ],
)
def test_defaults(defaults: RequestDefaults, fields: dict[str, Any], wire: dict[str, Any]) -> None:
    assert _chat(defaults, **fields) == {**_chat(), **wire}


def _generate(defaults: RequestDefaults = NO_DEFAULTS, **fields: Any) -> Any:
    request = CompletionRequest(model="front", **{"prompts": ("Once",), **fields})
    return msgspec.json.decode(render.generate(request, "llama3.2", True, defaults))


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({}, {}),
        ({"suffix": "end", "system": "Be kind"}, {"suffix": "end", "system": "Be kind"}),
        ({"images": (Image(data="aGk="),)}, {"images": ["aGk="]}),
        (
            {"format": Format(), "reasoning": Reasoning(effort="none"), "sampling": Sampling(seed=1)},
            {"format": "json", "think": False, "options": {"seed": 1}},
        ),
        (
            {"extras": {"raw": True, "template": "{{ .Prompt }}", "context": [1, 2], "keep_alive": "1m"}},
            {"raw": True, "template": "{{ .Prompt }}", "context": [1, 2], "keep_alive": "1m"},
        ),
        ({"echo": True, "user": "me"}, {}),
    ],
)
def test_generate_fields(fields: dict[str, Any], wire: dict[str, Any]) -> None:
    assert _generate(**fields) == {"model": "llama3.2", "prompt": "Once", "stream": True, **wire}


def test_generate_without_a_prompt() -> None:
    assert _generate(RequestDefaults(max_tokens=1), prompts=()) == {
        "model": "llama3.2",
        "stream": True,
        "options": {"num_predict": 1},
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompts": ("a", "b")}, "prompt"),
        ({"sampling": Sampling(n=3)}, "n"),
        ({"images": (Image(url="http://x"),)}, "images"),
        ({"echo": True, "sampling": Sampling(logprobs=True)}, "echo"),
    ],
)
def test_what_generate_has_no_field_for(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        _generate(**fields)
    assert (caught.value.kind, caught.value.param) == (UNSUPPORTED, param)


@pytest.mark.parametrize(
    ("fields", "defaults", "wire"),
    [
        ({}, NO_DEFAULTS, {}),
        ({"dimensions": 8, "base64": True, "user": "me"}, NO_DEFAULTS, {"dimensions": 8}),
        (
            {"extras": {"keep_alive": "1m", "truncate": False, "options": {"num_ctx": 2}}},
            RequestDefaults(temperature=1.0, max_tokens=5, options={"num_batch": 3}),
            {"keep_alive": "1m", "truncate": False, "options": {"num_batch": 3, "num_ctx": 2}},
        ),
    ],
)
def test_embed(fields: dict[str, Any], defaults: RequestDefaults, wire: dict[str, Any]) -> None:
    request = EmbeddingRequest(model="front", inputs=("a", "b"), **fields)
    assert msgspec.json.decode(render.embed(request, "nomic", defaults)) == {
        "model": "nomic",
        "input": ["a", "b"],
        **wire,
    }
