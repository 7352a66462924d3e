from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.custom_tools import as_function
from trunkline.dialects.openai.parse import (
    parse_chat,
    parse_completion,
    parse_embedding,
    summarize_chat,
    summarize_completion,
    summarize_embedding,
)
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError
from trunkline.model import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Format,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    WebSearch,
)

Parse = Callable[[bytes], Any]

ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
HI = (Message(role="user", parts=(Text(text="Hi"),)),)
SPEC = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True}
TOOL = {"type": "function", "function": SPEC}
SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": True, "description": "d"}

body = msgspec.json.encode


def chat(**fields: Any) -> ChatRequest:
    return parse_chat(body(ASK | fields))


def _canonical(**fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=HI, **fields)


def _sampled(**fields: Any) -> ChatRequest:
    return _canonical(sampling=Sampling(**fields))


LARGER_BOUNDS = {"max_completion_tokens": 9}
"""The larger of two bounds, by case: a summary has it, while the request has the smaller one."""

F = Tool(name="f", description="d", parameters={"type": "object"}, strict=True)

CHAT_FIELDS: dict[str, tuple[dict[str, Any], ChatRequest]] = {
    "nothing more": ({}, _canonical()),
    "audio": ({"audio": {"voice": "alloy", "format": "wav"}}, _canonical()),
    "frequency_penalty": ({"frequency_penalty": 0.5}, _sampled(frequency_penalty=0.5)),
    "function_call": ({"function_call": "auto"}, _canonical(tool_choice=ToolChoice(mode="auto"))),
    "function_call none": ({"function_call": "none"}, _canonical(tool_choice=ToolChoice(mode="none"))),
    "functions": (
        {"functions": [SPEC], "function_call": {"name": "f"}},
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="tool", name="f")),
    ),
    "logit_bias": ({"logit_bias": {"50256": -100}}, _canonical()),
    "logprobs": ({"logprobs": True, "top_logprobs": 3}, _sampled(logprobs=True, top_logprobs=3)),
    "max_completion_tokens": ({"max_completion_tokens": 7, "max_tokens": 9}, _sampled(max_tokens=7)),
    "max_tokens": ({"max_tokens": 9}, _sampled(max_tokens=9)),
    "max_tokens without bound": ({"max_tokens": -1}, _canonical()),
    "metadata": ({"metadata": {"a": "b"}}, _canonical()),
    "modalities": ({"modalities": ["text"]}, _canonical()),
    "n": ({"n": 3}, _sampled(n=3)),
    "parallel_tool_calls": ({"parallel_tool_calls": False}, _canonical(parallel_tool_calls=False)),
    "prediction": ({"prediction": {"type": "content", "content": "x"}}, _canonical()),
    "presence_penalty": ({"presence_penalty": -1}, _sampled(presence_penalty=-1.0)),
    "prompt_cache_key": ({"prompt_cache_key": "k", "prompt_cache_retention": "24h"}, _canonical()),
    "prompt_cache_options": ({"prompt_cache_options": {"mode": "explicit"}}, _canonical()),
    "reasoning_effort": ({"reasoning_effort": "xhigh"}, _canonical(reasoning=Reasoning(effort="xhigh"))),
    "response_format text": ({"response_format": {"type": "text"}}, _canonical()),
    "response_format object": ({"response_format": {"type": "json_object"}}, _canonical(format=Format())),
    "response_format schema": (
        {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        _canonical(format=Format(schema={"type": "object"}, name="s", strict=True, description="d")),
    ),
    "safety_identifier": ({"safety_identifier": "s"}, _canonical()),
    "seed": ({"seed": -3}, _sampled(seed=-3)),
    "service_tier": ({"service_tier": "flex"}, _canonical()),
    "stop": ({"stop": "END"}, _sampled(stop=("END",))),
    "stops": ({"stop": ["a", "b"]}, _sampled(stop=("a", "b"))),
    "store": ({"store": False}, _canonical()),
    "stream": ({"stream": True}, _canonical(stream=True)),
    "stream_options": (
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        _canonical(stream=True, include_usage=True),
    ),
    "temperature": ({"temperature": 0}, _sampled(temperature=0.0)),
    "tool_choice": (
        {"tools": [TOOL], "tool_choice": "required"},
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="required")),
    ),
    "tool_choice named": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="tool", name="f")),
    ),
    "tool_choice allowed": (
        {
            "tools": [{"function": {"name": "g"}}, TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "f"}}],
                },
            },
        },
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="required")),
    ),
    "tools": ({"tools": [TOOL]}, _canonical(tools=(F,))),
    "top_p": ({"top_p": 0.1}, _sampled(top_p=0.1)),
    "user": ({"user": "u"}, _canonical(user="u")),
    "verbosity": ({"verbosity": "low"}, _canonical()),
    "web_search_options": (
        {
            "web_search_options": {
                "search_context_size": "low",
                "user_location": {"type": "approximate", "approximate": {"city": "Rome"}},
            }
        },
        _canonical(
            web_search=WebSearch(
                field="web_search_options",
                kind="web_search_options",
                context_size="low",
                location={"city": "Rome"},
            )
        ),
    ),
    "a custom tool": (
        {
            "tools": [{"type": "custom", "custom": {"name": "c", "description": "Runs"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        },
        _canonical(tools=(as_function("c", "Runs", None),), tool_choice=ToolChoice(mode="tool", name="c")),
    ),
    "OpenRouter's and vLLM's fields": (
        {"top_k": 4, "min_p": 0.1, "repetition_penalty": 1.1},
        _sampled(top_k=4, min_p=0.1, repetition_penalty=1.1),
    ),
    "reasoning effort": (
        {"reasoning": {"effort": "low", "exclude": True}},
        _canonical(reasoning=Reasoning(effort="low", exclude=True)),
    ),
    "reasoning bound": (
        {"reasoning": {"max_tokens": 9, "enabled": True}},
        _canonical(reasoning=Reasoning(max_tokens=9)),
    ),
    "reasoning on": ({"reasoning": {"enabled": True}}, _canonical(reasoning=Reasoning(effort="medium"))),
    "reasoning off": ({"reasoning": {"enabled": False}}, _canonical(reasoning=Reasoning(effort="none"))),
    "an unknown field without a value": ({"whatever": None, "other": []}, _canonical()),
    "all null": (
        dict.fromkeys(["temperature", "stop", "n", "tools", "stream", "stream_options", "response_format"]),
        _canonical(),
    ),
}


@pytest.mark.parametrize("field", ["whatever", "moderation", "guided_json", "models", "plugins", "preset"])
def test_a_field_without_which_an_answer_may_be_wrong_is_refused(field: str) -> None:
    with pytest.raises(CallerError, match=f"Unrecognized request argument supplied: {field}") as caught:
        chat(**{field: ["x"]})
    assert (caught.value.status, caught.value.param) == (400, field)


def test_what_is_left_out_is_noted() -> None:
    fields = {"prompt_cache_key": "k", "logit_bias": {"1": 2}, "metadata": None}
    assert chat(**fields).left_out == ("prompt_cache_key", "logit_bias")
    completion = parse_completion(body({"model": "m", "prompt": "p"} | fields))
    assert completion.left_out == ("prompt_cache_key", "logit_bias")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, ()),
        ({"models": [], "plugins": None}, ()),
        ({"models": ["a"], "plugins": [{"id": "web"}]}, ("models", "plugins")),
        ({"preset": "p"}, ("preset",)),
    ],
)
def test_state_fields_are_known_before_routing(fields: dict[str, Any], state: tuple[str, ...]) -> None:
    assert summarize_chat(body(ASK | fields)).state == state


@pytest.mark.parametrize("case", CHAT_FIELDS)
def test_every_field_of_a_chat_request(case: str) -> None:
    fields, expected = CHAT_FIELDS[case]
    assert msgspec.structs.replace(chat(**fields), left_out=()) == expected
    summary = summarize_chat(body(ASK | fields))
    assert (summary.model, summary.stream, summary.include_usage) == (
        "m",
        expected.stream,
        expected.include_usage,
    )
    assert summary.n == expected.sampling.n
    assert summary.max_tokens == LARGER_BOUNDS.get(case, expected.sampling.max_tokens)
    assert summary.user == expected.user


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ({"max_tokens": -1}, None),
        ({"max_completion_tokens": -1}, None),
        ({"max_tokens": 9, "max_completion_tokens": -1}, None),
        ({"max_tokens": 10**6, "max_completion_tokens": 1}, 10**6),
        ({"max_tokens": None, "max_completion_tokens": 1}, 1),
    ],
)
def test_of_two_bounds_the_larger_is_taken(fields: dict[str, Any], bound: int | None) -> None:
    assert summarize_chat(body(ASK | fields)).max_tokens == bound


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({}, 1),
        ({"prompt": []}, 1),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"prompt": ["a", "b", "c"]}, 3),
        ({"prompt": ["a", "b", "c"], "n": 2}, 6),
        ({"best_of": 5, "n": 2}, 5),
        ({"prompt": None, "best_of": -5}, 1),
    ],
)
def test_every_prompt_has_answers_of_its_own(fields: dict[str, Any], answers: int) -> None:
    assert summarize_completion(body({"model": "m", "prompt": "p"} | fields)).n == answers


COMPLETION_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing more": ({}, {}),
    "best_of": ({"best_of": 2}, {}),
    "echo": ({"echo": True}, {"echo": True}),
    "logit_bias": ({"logit_bias": {"1": 2}}, {}),
    "logprobs": ({"logprobs": 2}, {"sampling": Sampling(logprobs=True, top_logprobs=2)}),
    "max_tokens": ({"max_tokens": 0}, {"sampling": Sampling(max_tokens=0)}),
    "suffix": ({"suffix": "}"}, {"suffix": "}"}),
    "prompts": ({"prompt": ["a", "b"]}, {"prompts": ("a", "b")}),
    "prompt null": ({"prompt": None}, {"prompts": ("",)}),
    "stream": (
        {"stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "include_usage": True},
    ),
    "user": ({"user": "u"}, {"user": "u"}),
    "sampling": (
        {"temperature": 1, "top_p": 0.5, "n": 2, "seed": 1, "stop": ["a"], "presence_penalty": 1}
        | {"frequency_penalty": 2},
        {
            "sampling": Sampling(
                temperature=1, top_p=0.5, n=2, seed=1, stop=("a",), presence_penalty=1, frequency_penalty=2
            )
        },
    ),
}


@pytest.mark.parametrize("case", COMPLETION_FIELDS)
def test_every_field_of_a_completion_request(case: str) -> None:
    fields, canonical = COMPLETION_FIELDS[case]
    data = body({"model": "m", "prompt": "p"} | fields)
    expected = CompletionRequest(model="m", **({"prompts": ("p",)} | canonical))
    assert msgspec.structs.replace(parse_completion(data), left_out=()) == expected
    summary = summarize_completion(data)
    assert (summary.stream, summary.include_usage) == (expected.stream, expected.include_usage)
    assert summary.max_tokens == expected.sampling.max_tokens


@pytest.mark.parametrize(
    ("fields", "canonical"),
    [
        ({"input": "a"}, {"inputs": ("a",)}),
        ({"input": ["a", "b"]}, {"inputs": ("a", "b")}),
        ({"input": "a", "dimensions": 256}, {"inputs": ("a",), "dimensions": 256}),
        ({"input": "a", "encoding_format": "float"}, {"inputs": ("a",)}),
        ({"input": "a", "encoding_format": "base64"}, {"inputs": ("a",), "base64": True}),
        ({"input": "a", "user": "u"}, {"inputs": ("a",), "user": "u"}),
    ],
)
def test_every_field_of_an_embedding_request(fields: dict[str, Any], canonical: dict[str, Any]) -> None:
    data = body({"model": "m"} | fields)
    assert parse_embedding(data) == EmbeddingRequest(model="m", **canonical)
    assert summarize_embedding(data) == RequestSummary(model="m", stream=False, user=fields.get("user"))


def test_a_missing_model_is_no_error() -> None:
    data = body({"messages": ASK["messages"]})
    assert summarize_chat(data).model is None
    assert parse_chat(data).model == ""


WRONG: list[tuple[Parse, dict[str, Any], str | None]] = [
    (summarize_chat, {"model": "m"}, "messages"),
    (parse_chat, {"model": "m"}, "messages"),
    (summarize_chat, {"messages": []}, "messages"),
    (parse_chat, {"messages": []}, "messages"),
    (summarize_chat, {"messages": "Hi"}, "messages"),
    (summarize_chat, ASK | {"model": 7}, "model"),
    (summarize_chat, ASK | {"stream": "true"}, "stream"),
    (summarize_chat, ASK | {"stream_options": []}, "stream_options"),
    (summarize_chat, ASK | {"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    (summarize_chat, ASK | {"temperature": "hot"}, "temperature"),
    (summarize_chat, ASK | {"max_tokens": 1.5}, "max_tokens"),
    (summarize_chat, ASK | {"n": 0}, "n"),
    (summarize_chat, ASK | {"n": -5}, "n"),
    (summarize_chat, ASK | {"stop": [1]}, "stop[0]"),
    (summarize_chat, ASK | {"tools": {}}, "tools"),
    (parse_chat, ASK | {"messages": [{"content": "x"}]}, "messages[0].role"),
    (parse_chat, ASK | {"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role"),
    (parse_chat, ASK | {"messages": [{"role": "user"}]}, "messages[0].content"),
    (
        parse_chat,
        ASK | {"messages": [*ASK["messages"], {"role": "system", "content": None}]},
        "messages[1].content",
    ),
    (parse_chat, ASK | {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    (parse_chat, ASK | {"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
    (
        parse_chat,
        ASK | {"messages": [{"role": "user", "content": [{"type": "video_url"}]}]},
        "messages[0].content[0].type",
    ),
    (
        parse_chat,
        ASK | {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    (parse_chat, ASK | {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
    (
        parse_chat,
        ASK | {"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]},
        "messages[0].tool_calls[0].function",
    ),
    (
        parse_chat,
        ASK | {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": ""}}]}]},
        "messages[0].tool_calls[0].function.name",
    ),
    (parse_chat, ASK | {"tools": [{"type": "function"}]}, "tools[0].function"),
    (parse_chat, ASK | {"tools": [{"function": {}}]}, "tools[0].function.name"),
    (parse_chat, ASK | {"tool_choice": "perhaps"}, "tool_choice"),
    (parse_chat, ASK | {"tool_choice": {"type": "function"}}, "tool_choice.function"),
    (parse_chat, ASK | {"response_format": {"type": "xml"}}, "response_format.type"),
    (parse_chat, ASK | {"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    (
        parse_chat,
        ASK | {"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
        "response_format.json_schema.schema",
    ),
    (parse_chat, ASK | {"reasoning_effort": "huge"}, "reasoning_effort"),
    (summarize_completion, {"model": "m"}, "prompt"),
    (parse_completion, {"model": "m"}, "prompt"),
    (parse_completion, {"prompt": []}, "prompt"),
    (parse_completion, {"prompt": [1.5]}, "prompt[0]"),
    (parse_completion, {"prompt": "p", "echo": "yes"}, "echo"),
    (summarize_embedding, {"model": "m"}, "input"),
    (parse_embedding, {"model": "m"}, "input"),
    (parse_embedding, {"input": []}, "input"),
    (parse_embedding, {"input": {"text": "a"}}, "input"),
    (summarize_embedding, {"input": "a", "encoding_format": "int8"}, "encoding_format"),
]


@pytest.mark.parametrize(("parse", "fields", "param"), WRONG)
def test_what_is_missing_or_wrong_is_named(parse: Parse, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse(body(fields))
    assert (caught.value.status, caught.value.kind, caught.value.param) == (400, INVALID_REQUEST, param)
    assert f"'{param}'" in caught.value.message


UNSENDABLE: list[tuple[Parse, dict[str, Any], str]] = [
    (parse_completion, {"prompt": [1, 2]}, "prompt"),
    (parse_completion, {"prompt": [[1], [2, 3]]}, "prompt"),
    (parse_completion, {"prompt": ["a", 1]}, "prompt"),
    (parse_embedding, {"input": [1, 2]}, "input"),
    (parse_embedding, {"input": [[1]]}, "input"),
    (parse_chat, ASK | {"modalities": ["text", "audio"]}, "modalities"),
    (parse_chat, ASK | {"tools": [TOOL, {"type": "other"}]}, "tools[1].type"),
    (parse_chat, ASK | {"tool_choice": {"type": "other"}}, "tool_choice.type"),
]


@pytest.mark.parametrize(("parse", "fields", "param"), UNSENDABLE)
def test_what_cannot_be_translated_is_refused(parse: Parse, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse(body(fields))
    assert (caught.value.status, caught.value.kind, caught.value.param) == (400, UNSUPPORTED, param)
