from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.anthropic.samples import body
from trunkline.dialects.anthropic import MESSAGES
from trunkline.dialects.base import RequestSummary
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError
from trunkline.events import Finished, TextDelta
from trunkline.model import (
    ChatRequest,
    Document,
    Format,
    Image,
    Message,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

ASK: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
HI = Message(role="user", parts=(Text(text="Hi"),))
PLAIN = ChatRequest(model="m", messages=(HI,), sampling=Sampling(max_tokens=9))
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}
WEB = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"b": 1.0, "a": [None]}}
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
CACHED = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


def chat_with(**more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(HI,), sampling=Sampling(max_tokens=9, **more))


def chat(**more: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(HI,), sampling=Sampling(max_tokens=9), **more)


FIELDS: list[tuple[dict[str, Any], ChatRequest]] = [
    ({}, PLAIN),
    ({"temperature": 0.5, "top_p": 0.9, "top_k": 5}, chat_with(temperature=0.5, top_p=0.9, top_k=5)),
    ({"temperature": 1}, chat_with(temperature=1.0)),
    ({"stop_sequences": ["a", "b"]}, chat_with(stop=("a", "b"))),
    ({"stop_sequences": []}, PLAIN),
    ({"stream": True}, chat(stream=True, include_usage=True)),
    ({"stream": False}, PLAIN),
    ({"metadata": {"user_id": "u1", "other": 1}}, chat(user="u1")),
    ({"metadata": {}}, PLAIN),
    ({"metadata": None, "temperature": None, "tools": None, "thinking": None, "system": None}, PLAIN),
    ({"container": None, "mcp_servers": [], "fallbacks": "default", "unheard_of": None}, PLAIN),
    (
        {"service_tier": "auto", "speed": "fast", "cache_control": {}, "betas": [1]},
        chat(left_out=("service_tier", "speed", "cache_control", "betas")),
    ),
    ({"thinking": {"type": "disabled"}}, chat(reasoning=Reasoning(effort="none"))),
    ({"thinking": {"type": "adaptive"}}, chat(reasoning=Reasoning())),
    ({"thinking": {"type": "between_tools"}}, chat(reasoning=Reasoning())),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        chat(reasoning=Reasoning(effort="low", max_tokens=2000)),
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 10000, "display": "omitted"}},
        chat(reasoning=Reasoning(effort="medium", max_tokens=10000, exclude=True)),
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "summarized"}},
        chat(reasoning=Reasoning(effort="high", max_tokens=31999)),
    ),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 31999}, "output_config": {"effort": "low"}},
        chat(reasoning=Reasoning(effort="low", max_tokens=31999)),
    ),
    (
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        chat(reasoning=Reasoning(effort="xhigh")),
    ),
    ({"output_config": {"effort": "max"}}, chat(reasoning=Reasoning(effort="max", exclude=True))),
    (
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        chat(format=Format(schema=SCHEMA)),
    ),
    ({"output_format": {"type": "json_schema", "schema": SCHEMA}}, chat(format=Format(schema=SCHEMA))),
    (
        {"tools": [{"name": "f", "description": "F", "input_schema": SCHEMA, "strict": True, **CACHED}]},
        chat(tools=(Tool(name="f", description="F", parameters=SCHEMA, strict=True),)),
    ),
    (
        {"tools": [{"type": "custom", "name": "f", "input_schema": SCHEMA}], "tool_choice": {"type": "auto"}},
        chat(tools=(Tool(name="f", parameters=SCHEMA),), tool_choice=ToolChoice(mode="auto")),
    ),
    ({"tool_choice": {"type": "any"}}, chat(tool_choice=ToolChoice(mode="required"))),
    ({"tool_choice": {"type": "none"}}, chat(tool_choice=ToolChoice(mode="none"))),
    ({"tool_choice": {"type": "tool", "name": "f"}}, chat(tool_choice=ToolChoice(mode="tool", name="f"))),
    (
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        chat(tool_choice=ToolChoice(mode="auto"), parallel_tool_calls=False),
    ),
    (
        {"tool_choice": {"type": "any", "disable_parallel_tool_use": False}},
        chat(tool_choice=ToolChoice(mode="required")),
    ),
]


@pytest.mark.parametrize(("fields", "canonical"), FIELDS)
def test_fields(fields: dict[str, Any], canonical: ChatRequest) -> None:
    assert MESSAGES.parse(body(ASK | fields)) == canonical


def user(*parts: Any) -> Message:
    return Message(role="user", parts=parts)


def result(id: str, *parts: Text | Image, is_error: bool = False) -> Message:
    return Message(role="tool", parts=(ToolResult(id=id, parts=parts, is_error=is_error),))


CONTENTS: list[tuple[str, Any, list[Message]]] = [
    ("user", "Hi", [HI]),
    ("user", "", [user()]),
    ("user", [], [user()]),
    ("assistant", "Ho", [Message(role="assistant", parts=(Text(text="Ho"),))]),
    ("system", "Now", [Message(role="system", parts=(Text(text="Now"),))]),
    ("system", [{"type": "text", "text": "Now"}], [Message(role="system", parts=(Text(text="Now"),))]),
    (
        "user",
        [{"type": "text", "text": "a", **CACHED}, {"type": "text", "text": "b", "cache_control": None}],
        [user(Text(text="a", cache=True, cache_ttl="1h"), Text(text="b"))],
    ),
    (
        "user",
        [PNG | CACHED, WEB],
        [user(Image(data="iVBOR", media_type="image/png"), Image(url="https://example.com/a.png"))],
    ),
    (
        "user",
        [
            {
                "type": "document",
                "title": "A",
                "citations": {"enabled": True},
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}},
        ],
        [
            user(
                Document(data="JVBE", media_type="application/pdf", name="A"),
                Document(url="https://example.com/a.pdf"),
                Document(data="SGk=", media_type="text/plain"),
            )
        ],
    ),
    (
        "assistant",
        [
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "thinking", "thinking": "m", "signature": ""},
            {"type": "text", "text": "Ho"},
            USE,
            {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
        ],
        [
            Message(
                role="assistant",
                parts=(
                    Thinking(text="Hm", signature="sig"),
                    Thinking(text="", signature="trunkline:anthropic:redacted:xx"),
                    Thinking(text="m"),
                    Text(text="Ho"),
                    ToolCall(id="toolu_1", name="f", arguments='{"b":1.0,"a":[null]}'),
                    ToolCall(id="toolu_2", name="g", arguments="{}"),
                ),
            )
        ],
    ),
    (
        "user",
        [
            {"type": "text", "text": "And?"},
            {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": False, **CACHED},
            {"type": "tool_result", "tool_use_id": "b", "is_error": True, "content": ""},
            {"type": "tool_result", "tool_use_id": "c"},
            {"type": "tool_result", "tool_use_id": "d", "content": [{"type": "text", "text": "x"}, PNG]},
        ],
        [
            result("a", Text(text="42")),
            result("b", is_error=True),
            result("c"),
            result("d", Text(text="x"), Image(data="iVBOR", media_type="image/png")),
            user(Text(text="And?")),
        ],
    ),
    (
        "user",
        [{"type": "tool_result", "tool_use_id": "a", "content": "42"}],
        [result("a", Text(text="42"))],
    ),
]


@pytest.mark.parametrize(("role", "content", "messages"), CONTENTS)
def test_messages(role: str, content: Any, messages: list[Message]) -> None:
    turns = [ASK["messages"][0], {"role": role, "content": content}]
    assert MESSAGES.parse(body(ASK | {"messages": turns})).messages == (HI, *messages)


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        ("Be brief", (Text(text="Be brief"),)),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b", **CACHED}],
         (Text(text="a"), Text(text="b", cache=True, cache_ttl="1h"))),
    ],
)  # fmt: skip
def test_the_system_prompt_comes_first(system: Any, parts: tuple[Text, ...]) -> None:
    request = MESSAGES.parse(body(ASK | {"system": system}))
    assert request.messages == (Message(role="system", parts=parts), HI)


@pytest.mark.parametrize("system", ["", []])
def test_an_empty_system_prompt_is_none(system: Any) -> None:
    assert MESSAGES.parse(body(ASK | {"system": system})) == PLAIN


SUMMARIES: list[tuple[dict[str, Any], RequestSummary]] = [
    ({}, RequestSummary(model="m", stream=False, max_tokens=9)),
    ({"stream": True}, RequestSummary(model="m", stream=True, max_tokens=9)),
    ({"stream": None, "max_tokens": 0}, RequestSummary(model="m", stream=False, max_tokens=0)),
    ({"model": None}, RequestSummary(model=None, stream=False, max_tokens=9)),
    ({"model": ""}, RequestSummary(model=None, stream=False, max_tokens=9)),
    ({"metadata": {"user_id": "u"}}, RequestSummary(model="m", stream=False, max_tokens=9, user="u")),
    ({"messages": [7], "tools": 7}, RequestSummary(model="m", stream=False, max_tokens=9)),
]


@pytest.mark.parametrize(("fields", "summary"), SUMMARIES)
def test_a_summary_is_what_routing_needs(fields: dict[str, Any], summary: RequestSummary) -> None:
    assert MESSAGES.summarize(body(ASK | fields)) == summary


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in ASK.items() if key != name}


def with_blocks(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return ASK | {"messages": [{"role": role, "content": list(blocks)}]}


BOTH: list[tuple[dict[str, Any], str]] = [
    (without("messages"), "messages"),
    (without("max_tokens"), "max_tokens"),
    (ASK | {"messages": []}, "messages"),
    (ASK | {"messages": "Hi"}, "messages"),
    (ASK | {"messages": {"role": "user"}}, "messages"),
    (ASK | {"max_tokens": None}, "max_tokens"),
    (ASK | {"max_tokens": -1}, "max_tokens"),
    (ASK | {"max_tokens": 1.5}, "max_tokens"),
    (ASK | {"max_tokens": "9"}, "max_tokens"),
    (ASK | {"model": 7}, "model"),
    (ASK | {"stream": "yes"}, "stream"),
    (ASK | {"metadata": "u"}, "metadata"),
    (ASK | {"metadata": {"user_id": 7}}, "metadata.user_id"),
]
WRONG: list[tuple[dict[str, Any], str]] = [
    *BOTH,
    (ASK | {"system": 7}, "system"),
    (ASK | {"system": [7]}, "system[0]"),
    (ASK | {"system": [{"type": "text"}]}, "system[0].text"),
    (ASK | {"stop_sequences": "a"}, "stop_sequences"),
    (ASK | {"stop_sequences": [7]}, "stop_sequences[0]"),
    (ASK | {"temperature": "hot"}, "temperature"),
    (ASK | {"top_p": []}, "top_p"),
    (ASK | {"top_k": 0.5}, "top_k"),
    (ASK | {"tools": {}}, "tools"),
    (ASK | {"tools": ["f"]}, "tools[0]"),
    (ASK | {"tools": [{"input_schema": {}}]}, "tools[0].name"),
    (ASK | {"tools": [{"name": "f"}]}, "tools[0].input_schema"),
    (ASK | {"tools": [{"name": "f", "input_schema": "x"}]}, "tools[0].input_schema"),
    (ASK | {"tools": [{"name": "f", "input_schema": {}, "description": 7}]}, "tools[0].description"),
    (ASK | {"tool_choice": "auto"}, "tool_choice"),
    (ASK | {"tool_choice": {}}, "tool_choice.type"),
    (ASK | {"tool_choice": {"type": "required"}}, "tool_choice.type"),
    (ASK | {"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    (
        ASK | {"tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
        "tool_choice.disable_parallel_tool_use",
    ),
    (ASK | {"thinking": True}, "thinking"),
    (ASK | {"thinking": {"type": "loud"}}, "thinking.type"),
    (ASK | {"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
    (ASK | {"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens"),
    (ASK | {"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
    (ASK | {"output_config": []}, "output_config"),
    (ASK | {"output_config": {"effort": "huge"}}, "output_config.effort"),
    (ASK | {"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
    (ASK | {"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    (ASK | {"mcp_servers": {}}, "mcp_servers"),
    (ASK | {"messages": ["Hi"]}, "messages[0]"),
    (ASK | {"messages": [{"content": "Hi"}]}, "messages[0].role"),
    (ASK | {"messages": [{"role": "user"}]}, "messages[0].content"),
    (ASK | {"messages": [{"role": "tool", "content": "Hi"}]}, "messages[0].role"),
    (ASK | {"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    (ASK | {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    (with_blocks("Hi"), "messages[0].content[0]"),
    (with_blocks({"text": "Hi"}), "messages[0].content[0].type"),
    (with_blocks({"type": "video"}), "messages[0].content[0].type"),
    (with_blocks({"type": 7}), "messages[0].content[0].type"),
    (with_blocks({"type": "text"}), "messages[0].content[0].text"),
    (with_blocks({"type": "text", "text": 7}), "messages[0].content[0].text"),
    (with_blocks({"type": "text", "text": "a", "cache_control": 7}), "messages[0].content[0].cache_control"),
    (with_blocks({"type": "image"}), "messages[0].content[0].source"),
    (with_blocks({"type": "image", "source": "x"}), "messages[0].content[0].source"),
    (with_blocks({"type": "image", "source": {"type": "disk"}}), "messages[0].content[0].source.type"),
    (
        with_blocks({"type": "image", "source": {"type": "base64", "data": "x"}}),
        "messages[0].content[0].source.media_type",
    ),
    (
        with_blocks({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": 7}}),
        "messages[0].content[0].source.data",
    ),
    (
        with_blocks({"type": "image", "source": {"type": "url", "url": "file:///etc/passwd"}}),
        "messages[0].content[0].source.url",
    ),
    (
        with_blocks({"type": "document", "source": {"type": "url", "url": "a.pdf"}}),
        "messages[0].content[0].source.url",
    ),
    (with_blocks({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
    (
        with_blocks({"type": "tool_result", "tool_use_id": "a", "content": 7}),
        "messages[0].content[0].content",
    ),
    (
        with_blocks({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "thinking"}]}),
        "messages[0].content[0].content[0].type",
    ),
    (
        with_blocks({"type": "tool_result", "tool_use_id": "a", "is_error": "no"}),
        "messages[0].content[0].is_error",
    ),
    (with_blocks(USE), "messages[0].content[0].type"),
    (with_blocks({"type": "thinking", "thinking": "x"}), "messages[0].content[0].type"),
    (with_blocks(PNG, role="assistant"), "messages[0].content[0].type"),
    (with_blocks(PNG, role="system"), "messages[0].content[0].type"),
    (
        with_blocks({"type": "tool_result", "tool_use_id": "a"}, role="assistant"),
        "messages[0].content[0].type",
    ),
    (with_blocks({"type": "thinking"}, role="assistant"), "messages[0].content[0].thinking"),
    (with_blocks({"type": "redacted_thinking"}, role="assistant"), "messages[0].content[0].data"),
    (with_blocks(USE | {"id": None}, role="assistant"), "messages[0].content[0].id"),
    (with_blocks(USE | {"name": 7}, role="assistant"), "messages[0].content[0].name"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_what_is_missing_or_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        MESSAGES.parse(body(fields))
    assert (caught.value.status, caught.value.kind, caught.value.param) == (400, INVALID_REQUEST, param)
    assert f"'{param}'" in caught.value.message


@pytest.mark.parametrize(("fields", "param"), BOTH)
def test_a_summary_names_it_too(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        MESSAGES.summarize(body(fields))
    assert (caught.value.kind, caught.value.param) == (INVALID_REQUEST, param)


def test_a_document_of_text_may_be_a_tools_result() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "Hi"}
    content = [{"type": "document", "title": "A", "source": source}, {"type": "text", "text": "End"}]
    request = MESSAGES.parse(
        body(with_blocks({"type": "tool_result", "tool_use_id": "a", "content": content}))
    )
    result = request.messages[0].parts[0]
    assert isinstance(result, ToolResult)
    assert result.text == "A\n\nHi\n\nEnd"


UNSENDABLE: list[tuple[dict[str, Any], str]] = [
    (ASK | {"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
    (ASK | {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, "tools[0].type"),
    (ASK | {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]}, "tools[0].type"),
    (with_blocks({"type": "container_upload", "file_id": "x"}), "messages[0].content[0].type"),
    (
        with_blocks({"type": "image", "source": {"type": "file", "file_id": "f"}}),
        "messages[0].content[0].source",
    ),
    (
        with_blocks({"type": "document", "source": {"type": "file", "file_id": "f"}}),
        "messages[0].content[0].source",
    ),
    (
        with_blocks({"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}}),
        "messages[0].content[0].source",
    ),
    (
        with_blocks({"type": "document", "context": "c", "source": {"type": "url", "url": "https://x"}}),
        "messages[0].content[0].context",
    ),
]


@pytest.mark.parametrize(("fields", "param"), UNSENDABLE)
def test_what_cannot_be_translated_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(CallerError) as caught:
        MESSAGES.parse(body(fields))
    assert (caught.value.status, caught.value.kind, caught.value.param) == (400, UNSUPPORTED, param)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}}, "container: Extra inputs"),
        ({"compaction": {"type": "summarize"}}, "compaction: Extra inputs are not permitted"),
        ({"fallbacks": [{"model": "claude-haiku-4-5"}]}, "fallbacks: Extra inputs are not permitted"),
        ({"fallback_credit_token": "t"}, "fallback_credit_token: Extra inputs"),
        ({"billing_policy": {"bill_to": "user_profile"}}, "billing_policy: Extra inputs"),
        ({"inference_geo": "eu"}, "inference_geo: Extra inputs"),
        ({"unheard_of": 1}, "unheard_of: Extra inputs are not permitted"),
        (
            {"context_management": {"edits": [{"type": "forget_20270101"}]}},
            "context_management.edits.0: Input",
        ),
        ({"context_management": {"edits": "all"}}, "context_management.edits: Input should be a valid list"),
    ],
)
def test_what_changes_the_meaning_of_a_request_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(CallerError) as caught:
        MESSAGES.parse(body(ASK | fields))
    assert caught.value.status == 400
    assert caught.value.message.startswith(words)
    if "unheard_of" not in fields:
        assert MESSAGES.summarize(body(ASK | fields)).state == tuple(fields)


def test_a_thread_that_nobody_holds_is_refused_so_that_sdks_go_on_without() -> None:
    thread = {"thread": {"type": "continue", "previous_message_id": "msg_1"}}
    with pytest.raises(CallerError) as caught:
        MESSAGES.parse(body(ASK | thread))
    assert msgspec.json.decode(MESSAGES.error_body(caught.value))["error"]["details"] == {
        "error_code": "thread_unsupported_request"
    }
    assert MESSAGES.summarize(body(ASK | thread | {"messages": []})).state == ("thread",)
    with pytest.raises(CallerError, match="'messages'"):
        MESSAGES.summarize(body(ASK | {"messages": []}))


@pytest.mark.parametrize("stream", [False, True])
def test_edits_of_the_context_are_answered_with_those_that_were_applied(stream: bool) -> None:
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "compact_20260112"}]}
    request = MESSAGES.parse(body(ASK | {"context_management": edits, "stream": stream}))
    writer = MESSAGES.writer(request, "m", "")
    written = writer.feed([TextDelta(text="Hi"), Finished(reason="stop")]) + writer.finish()
    assert written.count(b'"context_management":{"applied_edits":[]}') == 1
