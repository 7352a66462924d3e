"""Requests: bytes → canonical, field by field, and what is refused under which name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.responses import RESPONSES, ResponsesFront, ResponsesRequest
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError
from trunkline.events import Finished, StreamEvent, ToolCallDelta
from trunkline.model import Format, Message, Reasoning, Sampling, Text, Tool, ToolCall, ToolChoice

body = msgspec.json.encode

ASK: dict[str, Any] = {"model": "m", "input": "Hi"}
HI = Message(role="user", parts=(Text(text="Hi"),))
SCHEMA = {"type": "object"}
TOOL = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
F = Tool(name="f", description="d", parameters=SCHEMA, strict=True)
FORMAT = {"type": "json_schema", "name": "s", "schema": SCHEMA, "strict": True, "description": "d"}


def _canonical(**fields: Any) -> ResponsesRequest:
    messages = fields.pop("messages", (HI,))
    return ResponsesRequest(model="m", messages=messages, include_usage=True, **fields)


def _sampled(**fields: Any) -> ResponsesRequest:
    return _canonical(sampling=Sampling(**fields))


LOGPROBS = ("message.output_text.logprobs",)

FIELDS: dict[str, tuple[dict[str, Any], ResponsesRequest]] = {
    "nothing more": ({}, _canonical()),
    "everything null": (
        dict.fromkeys(
            (
                "background",
                "conversation",
                "include",
                "instructions",
                "max_output_tokens",
                "metadata",
                "parallel_tool_calls",
                "previous_response_id",
                "prompt",
                "reasoning",
                "store",
                "stream",
                "temperature",
                "text",
                "tool_choice",
                "tools",
                "top_p",
                "truncation",
                "user",
            )
        ),
        _canonical(),
    ),
    "background off": ({"background": False}, _canonical()),
    "include": (
        {"include": ["reasoning.encrypted_content"]},
        _canonical(include=("reasoning.encrypted_content",)),
    ),
    "logprobs": (
        {"include": list(LOGPROBS), "top_logprobs": 3},
        _canonical(include=LOGPROBS, sampling=Sampling(logprobs=True, top_logprobs=3)),
    ),
    "top_logprobs alone": ({"top_logprobs": 3}, _canonical()),
    "instructions": (
        {"instructions": "Be brief"},
        _canonical(
            instructions="Be brief",
            messages=(Message(role="system", parts=(Text(text="Be brief"),)), HI),
        ),
    ),
    "max_output_tokens": ({"max_output_tokens": 9}, _sampled(max_tokens=9)),
    "max_tool_calls": ({"max_tool_calls": 2}, _canonical(max_tool_calls=2)),
    "metadata": ({"metadata": {"a": "b"}}, _canonical(metadata={"a": "b"})),
    "parallel_tool_calls": ({"parallel_tool_calls": False}, _canonical(parallel_tool_calls=False)),
    "prompt_cache_key": ({"prompt_cache_key": "k"}, _canonical(prompt_cache_key="k")),
    "reasoning": ({"reasoning": {"effort": "low"}}, _canonical(reasoning=Reasoning(effort="low"))),
    "reasoning summary": ({"reasoning": {"summary": "auto"}}, _canonical(summary="auto")),
    "reasoning's older summary": (
        {"reasoning": {"effort": "max", "generate_summary": "concise"}},
        _canonical(reasoning=Reasoning(effort="max"), summary="concise"),
    ),
    "safety_identifier": ({"safety_identifier": "s"}, _canonical(safety_identifier="s")),
    "service_tier": ({"service_tier": "flex"}, _canonical()),
    "store": ({"store": True}, _canonical(store=True)),
    "stream": (
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        _canonical(stream=True),
    ),
    "temperature": ({"temperature": 0}, _sampled(temperature=0.0)),
    "text": ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, _canonical(verbosity="low")),
    "any object": ({"text": {"format": {"type": "json_object"}}}, _canonical(format=Format())),
    "a schema": (
        {"text": {"format": FORMAT}},
        _canonical(format=Format(schema=SCHEMA, name="s", strict=True, description="d")),
    ),
    "tools": ({"tools": [TOOL]}, _canonical(tools=(F,))),
    "a bare tool": (
        {"tools": [{"type": "function", "name": "g", "parameters": None}]},
        _canonical(tools=(Tool(name="g"),)),
    ),
    "tool_choice": (
        {"tools": [TOOL], "tool_choice": "required"},
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="required")),
    ),
    "tool_choice none": ({"tool_choice": "none"}, _canonical(tool_choice=ToolChoice(mode="none"))),
    "tool_choice named": (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="tool", name="f")),
    ),
    "tool_choice allowed": (
        {
            "tools": [{"type": "function", "name": "g"}, TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "g"}],
            },
        },
        _canonical(tools=(F,), tool_choice=ToolChoice(mode="auto")),
    ),
    "top_p": ({"top_p": 0.5}, _sampled(top_p=0.5)),
    "truncation": ({"truncation": "auto"}, _canonical(truncation="auto")),
    "user": ({"user": "u"}, _canonical(user="u")),
    "an unknown field without a value": ({"whatever": None}, _canonical()),
}


@pytest.mark.parametrize(("fields", "expected"), FIELDS.values(), ids=FIELDS.keys())
def test_a_field(fields: dict[str, Any], expected: ResponsesRequest) -> None:
    data = body(ASK | fields)
    assert msgspec.structs.replace(RESPONSES.parse(data), left_out=()) == expected
    summary = RESPONSES.summarize(data)
    assert (summary.model, summary.stream, summary.n) == ("m", expected.stream, 1)
    assert (summary.max_tokens, summary.user) == (expected.sampling.max_tokens, expected.user)


def test_what_routing_needs() -> None:
    fields = ASK | {"stream": True, "max_output_tokens": 7, "user": "u", "previous_response_id": "resp_1"}
    assert RESPONSES.summarize(body(fields)) == RequestSummary(
        model="m", stream=True, max_tokens=7, user="u", state=("previous_response_id",)
    )
    reference = {"input": [{"type": "item_reference", "id": "msg_1"}]}
    assert RESPONSES.summarize(body(reference)).state == ("item_reference",)
    assert RESPONSES.summarize(body({"input": "Hi"})).model is None
    assert RESPONSES.parse(body({"input": "Hi"})).model == ""


def test_a_previous_response_is_refused_unless_it_can_be_looked_up() -> None:
    data = body(ASK | {"previous_response_id": "resp_1"})
    with pytest.raises(CallerError, match="keeps no responses") as caught:
        RESPONSES.parse(data)
    assert (caught.value.param, caught.value.status) == ("previous_response_id", 400)
    assert caught.value.kind is UNSUPPORTED
    assert "responses: {store: true}" in caught.value.message
    request = ResponsesFront(stored=True).parse(data)
    assert (request.previous_response_id, request.messages) == ("resp_1", (HI,))


def test_what_no_upstream_has_is_left_out_or_refused_by_name() -> None:
    fields = ASK | {"context_management": [{"type": "compaction"}], "service_tier": "flex"}
    assert RESPONSES.parse(body(fields)).left_out == ("context_management", "service_tier")
    with pytest.raises(CallerError, match="Unknown parameter: 'unheard_of'") as caught:
        RESPONSES.parse(body(ASK | {"unheard_of": 1}))
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "unheard_of")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "background": ({"background": True}, "background"),
    "agents": ({"multi_agent": {"enabled": True}}, "multi_agent"),
    "access programs": ({"access_programs": ["x"]}, "access_programs"),
    "moderation": ({"moderation": {"policy": {}}}, "moderation"),
    "plugins": ({"plugins": [{"id": "web"}]}, "plugins"),
    "models": ({"models": ["a"]}, "models"),
    "conversation": ({"conversation": "conv_1"}, "conversation"),
    "prompt": ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    "a search of what is stored": (
        {"tools": [{"type": "web_search", "external_web_access": False}]},
        "tools[0].type",
    ),
    "file search": ({"tools": [{"type": "file_search", "vector_store_ids": []}]}, "tools[0].type"),
    "mcp": ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0].type"),
    "code": ({"tools": [{"type": "code_interpreter", "container": {}}]}, "tools[0].type"),
    "a hosted shell": (
        {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
        "tools[0].type",
    ),
    "choice of search": ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice.type"),
    "choice of mcp": ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "tool_choice.type"),
}


@pytest.mark.parametrize(("fields", "param"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_upstream_can_do_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        RESPONSES.parse(body(ASK | fields))
    assert (caught.value.kind, caught.value.status, caught.value.param) == (UNSUPPORTED, 400, param)
    assert param in caught.value.message


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": 1}, "model"),
    ({"input": 1}, "input"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": {}}, "input"),
    ({"stream": "yes"}, "stream"),
    ({"max_output_tokens": "9"}, "max_output_tokens"),
    ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": []}, "top_p"),
    ({"top_logprobs": 21}, "top_logprobs"),
    ({"top_logprobs": True}, "top_logprobs"),
    ({"user": 1}, "user"),
    ({"previous_response_id": 1}, "previous_response_id"),
    ({"background": "no"}, "background"),
    ({"instructions": []}, "instructions"),
    ({"parallel_tool_calls": 1}, "parallel_tool_calls"),
    ({"metadata": []}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata[...]"),
    ({"include": "x"}, "include"),
    ({"include": [1]}, "include[0]"),
    ({"store": 1}, "store"),
    ({"truncation": "half"}, "truncation"),
    ({"truncation": 1}, "truncation"),
    ({"max_tool_calls": "2"}, "max_tool_calls"),
    ({"stream_options": 1}, "stream_options"),
    ({"prompt_cache_key": 1}, "prompt_cache_key"),
    ({"safety_identifier": 1}, "safety_identifier"),
    ({"reasoning": "low"}, "reasoning"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
    ({"reasoning": {"summary": True}}, "reasoning.summary"),
    ({"text": "json"}, "text"),
    ({"text": {"verbosity": 1}}, "text.verbosity"),
    ({"text": {"format": "json"}}, "text.format"),
    ({"text": {"format": {}}}, "text.format.type"),
    ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
    ({"text": {"format": FORMAT | {"name": None}}}, "text.format.name"),
    ({"text": {"format": FORMAT | {"schema": None}}}, "text.format.schema"),
    ({"text": {"format": FORMAT | {"schema": []}}}, "text.format.schema"),
    ({"text": {"format": FORMAT | {"strict": "yes"}}}, "text.format.strict"),
    ({"tools": {}}, "tools"),
    ({"tools": [1]}, "tools[0]"),
    ({"tools": [{}]}, "tools[0].type"),
    ({"tools": [{"type": 1}]}, "tools[0].type"),
    ({"tools": [TOOL, {"type": "function"}]}, "tools[1].name"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name"),
    ({"tools": [TOOL | {"name": 1}]}, "tools[0].name"),
    ({"tools": [TOOL | {"parameters": "{}"}]}, "tools[0].parameters"),
    ({"tools": [TOOL | {"strict": 1}]}, "tools[0].strict"),
    ({"tool_choice": 1}, "tool_choice"),
    ({"tool_choice": "any"}, "tool_choice"),
    ({"tool_choice": {}}, "tool_choice.type"),
    ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
    ({"tool_choice": {"type": "function", "name": 1}}, "tool_choice.name"),
    ({"tool_choice": {"type": "allowed_tools", "tools": []}}, "tool_choice.mode"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
    ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [1]}}, "tool_choice.tools[0]"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=lambda value: str(value))
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        RESPONSES.parse(body(ASK | fields))
    assert (caught.value.kind, caught.value.status, caught.value.param) == (INVALID_REQUEST, 400, param)
    assert f"'{param}'" in caught.value.message


def test_required_fields_are_checked_before_routing() -> None:
    with pytest.raises(CallerError, match="Missing required parameter: 'input'") as caught:
        RESPONSES.summarize(b'{"model":"m"}')
    assert caught.value.param == "input"
    with pytest.raises(CallerError, match="have it streamed") as caught:
        RESPONSES.summarize(body(ASK | {"background": True}))
    assert caught.value.param == "background"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": {"id": "pmpt_1"}},
        {"conversation": {"id": "conv_1"}},
        {"input": "Hi", "background": True, "stream": True},
    ],
)
def test_what_an_upstream_stores_is_refused_only_where_it_is_translated(fields: dict[str, Any]) -> None:
    assert RESPONSES.summarize(body({"model": "m"} | fields)).model == "m"
    with pytest.raises(CallerError) as caught:
        RESPONSES.parse(body({"model": "m"} | fields))
    assert caught.value.param in fields


def test_a_tool_that_only_openai_could_run_is_left_out_beside_others() -> None:
    tools = [{"type": "mcp"}, TOOL, {"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]
    assert RESPONSES.parse(body({**ASK, "tools": tools})).tools == (F,)


def test_tools_that_the_clients_searches_found_can_be_called() -> None:
    space = {"type": "namespace", "name": "n", "tools": [TOOL, {"type": "custom", "name": "g"}]}
    search = {"type": "tool_search", "execution": "client"}
    found = {"type": "tool_search_output", "call_id": "c", "execution": "client"}
    call = {"type": "tool_search_call", "call_id": "c", "execution": "client", "arguments": {"query": "x"}}
    items = [call, found | {"tools": [space, TOOL]}, call, found | {"tools": [space | {"tools": [TOOL]}]}]
    request = RESPONSES.parse(body({"model": "m", "input": items, "tools": [TOOL, search]}))
    assert [tool.name for tool in request.tools] == ["f", "tool_search", "n__f", "n__g"]
    assert set(request.client_tools) == {"tool_search", "n__g"}
    assert set(request.qualified_names) == {"n__f", "n__g"}


@pytest.mark.parametrize("more", [{}, {"execution": "server"}])
def test_searches_for_tools_that_a_server_made_are_told(more: dict[str, str]) -> None:
    call = {"type": "tool_search_call", "arguments": {"query": "x"}} | more
    found = {"type": "tool_search_output", "tools": []} | more
    request = RESPONSES.parse(body({"model": "m", "input": [call, found, {"role": "user", "content": "Hi"}]}))
    told, asked = request.messages
    assert told.text == '[tool_search_call] {"arguments":{"query":"x"}}'
    assert asked.text == "Hi"


def test_tools_of_a_namespace() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{}"}
    request = RESPONSES.parse(
        body({"model": "m", "input": [call], "tools": [{"type": "namespace", "name": "n", "tools": [TOOL]}]})
    )
    assert [tool.name for tool in request.tools] == ["n__f"]
    assert request.messages == (
        Message(role="assistant", parts=(ToolCall(id="c", name="n__f", arguments="{}"),)),
    )
    events: list[StreamEvent] = [
        ToolCallDelta(index=0, id="d", name="n__f", arguments="{}"),
        Finished(reason="tool_calls"),
    ]
    writer = RESPONSES.writer(request, "m", "")
    writer.feed(events)
    (item,) = msgspec.json.decode(writer.finish())["output"]
    assert (item["namespace"], item["name"], item["call_id"]) == ("n", "f", "d")
    streamed = RESPONSES.writer(msgspec.structs.replace(request, stream=True), "m", "")
    data = streamed.feed(events) + streamed.finish()
    assert data.count(b'"namespace":"n","name":"f"') == 3
    assert b"n__f" not in data.replace(b'"name":"n__f","description"', b"")
