from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest

from trunkline.dialects.anthropic import DEFAULT_MAX_TOKENS, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.dialects.json_mode import INSTRUCTION
from trunkline.errors import INVALID_REQUEST, UNSUPPORTED, CallerError, Kind
from trunkline.model import (
    Audio,
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    Document,
    EmbeddingRequest,
    Format,
    Image,
    Message,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

BACK = AnthropicBack("Acme")
CLAUDE = "claude-sonnet-4-6"
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = Tool(name="f", description="F", parameters=SCHEMA, strict=True)
WIRE_TOOL = {"name": "f", "strict": True, "description": "F", "input_schema": SCHEMA}


def say(role: Any, *parts: Part | str) -> Message:
    return Message(
        role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    )


HI = say("user", "Hi")


def render(
    request: CanonicalRequest,
    model: str = CLAUDE,
    stream: bool = False,
    defaults: RequestDefaults = NO_DEFAULTS,
) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(BACK.render(request, model, stream, defaults))
    return found


def chat(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest(model="requested", messages=messages or (HI,), **more)


PLAIN = {
    "model": CLAUDE,
    "max_tokens": DEFAULT_MAX_TOKENS,
    "messages": [{"role": "user", "content": "Hi"}],
}

FIELDS: list[tuple[ChatRequest, dict[str, Any]]] = [
    (chat(), {}),
    (chat(user="u1"), {"metadata": {"user_id": "u1"}}),
    (chat(user=""), {}),
    (chat(user="a@b.example"), {"metadata": {"user_id": sha256(b"a@b.example").hexdigest()}}),
    (chat(user="0441234567"), {"metadata": {"user_id": sha256(b"0441234567").hexdigest()}}),
    (chat(user="u" * 256), {"metadata": {"user_id": "u" * 256}}),
    (chat(user="u" * 257), {"metadata": {"user_id": sha256(b"u" * 257).hexdigest()}}),
    (chat(sampling=Sampling(max_tokens=0)), {"max_tokens": 0}),
    (
        chat(sampling=Sampling(max_tokens=5, temperature=0.5, top_k=3, stop=("a", " \n", "b"))),
        {"max_tokens": 5, "temperature": 0.5, "top_k": 3, "stop_sequences": ["a", "b"]},
    ),
    (chat(sampling=Sampling(temperature=1.7)), {"temperature": 1.0}),
    (chat(sampling=Sampling(top_k=-1)), {}),
    (chat(sampling=Sampling(top_k=0)), {"top_k": 0}),
    (chat(sampling=Sampling(top_p=0.5)), {"top_p": 0.5}),
    (chat(sampling=Sampling(top_p=1.0)), {"top_p": 1.0}),
    (chat(sampling=Sampling(temperature=0.0, top_p=1.0)), {"temperature": 0.0}),
    (chat(sampling=Sampling(temperature=0.0, top_p=0.9)), {"temperature": 0.0, "top_p": 0.9}),
    (
        chat(sampling=Sampling(seed=1, presence_penalty=1, frequency_penalty=1, min_p=0.1, logprobs=True)),
        {},
    ),
    (chat(tools=(TOOL,)), {"tools": [WIRE_TOOL]}),
    (
        chat(tools=(Tool(name="g"),)),
        {"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}}}]},
    ),
    (
        chat(tools=(Tool(name="g", parameters={"properties": {}}),)),
        {"tools": [{"name": "g", "input_schema": {"type": "object", "properties": {}}}]},
    ),
    (chat(tool_choice=ToolChoice(mode="required"), parallel_tool_calls=False), {}),
    (chat(tools=(TOOL,), parallel_tool_calls=True), {"tools": [WIRE_TOOL]}),
    (
        chat(tools=(TOOL,), parallel_tool_calls=False),
        {"tools": [WIRE_TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        chat(tools=(TOOL,), tool_choice=ToolChoice(mode="required"), parallel_tool_calls=False),
        {"tools": [WIRE_TOOL], "tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
    ),
    (
        chat(tools=(TOOL,), tool_choice=ToolChoice(mode="auto")),
        {"tools": [WIRE_TOOL], "tool_choice": {"type": "auto"}},
    ),
    (
        chat(tools=(TOOL,), tool_choice=ToolChoice(mode="none"), parallel_tool_calls=False),
        {"tools": [WIRE_TOOL], "tool_choice": {"type": "none"}},
    ),
    (
        chat(tools=(TOOL,), tool_choice=ToolChoice(mode="tool", name="f")),
        {"tools": [WIRE_TOOL], "tool_choice": {"type": "tool", "name": "f"}},
    ),
    (
        chat(format=Format(schema=SCHEMA, name="s", strict=True)),
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    ),
    (
        chat(format=Format(schema=SCHEMA), reasoning=Reasoning(effort="low")),
        {
            "max_tokens": DEFAULT_MAX_TOKENS + 2048,
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        },
    ),
]


@pytest.mark.parametrize(("canonical", "fields"), FIELDS)
def test_fields(canonical: ChatRequest, fields: dict[str, Any]) -> None:
    assert render(canonical) == PLAIN | fields


def test_a_stream_is_asked_for() -> None:
    assert render(chat(), stream=True) == PLAIN | {"stream": True}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def model(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def use(id: str, name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": given}


CALL_A = ToolCall(id="a", name="f", arguments='{"x":1}')
CALL_B = ToolCall(id="b", name="g", arguments=" ")
PDF = Document(data="JVBE", media_type="application/pdf", name="A")

TURNS: list[tuple[tuple[Message, ...], list[dict[str, Any]]]] = [
    ((HI, say("assistant", "Ho"), HI), [user("Hi"), model("Ho"), user("Hi")]),
    ((HI, say("user", "there")), [user([text("Hi"), text("there")])]),
    ((say("user", "a", "", " \n", "b"),), [user([text("a"), text("b")])]),
    ((HI, say("assistant"), say("user", "?")), [user("Hi\n\n?")]),
    ((HI, say("assistant", "")), [user("Hi")]),
    ((say("user", "Hi "), say("assistant", "So \n")), [user("Hi "), model("So")]),
    (
        (say("user", Text(text="a", cache=True)),),
        [user([text("a") | {"cache_control": {"type": "ephemeral"}}])],
    ),
    (
        (
            say(
                "user",
                Image(data="iVBORw0"),
                Image(data="/9j/4"),
                Image(data="R0lGOD", media_type="image/webp"),
                Image(data="????"),
                Image(url="https://example.com/a.png", detail="low"),
            ),
        ),
        [
            user(
                [
                    {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
                    for kind, data in [
                        ("image/png", "iVBORw0"),
                        ("image/jpeg", "/9j/4"),
                        ("image/gif", "R0lGOD"),
                        ("image/png", "????"),
                    ]
                ]
                + [{"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}]
            )
        ],
    ),
    (
        (
            say(
                "user",
                PDF,
                Document(url="https://example.com/a.pdf"),
                Document(data="SGk=", media_type="text/markdown"),
                Document(data="JVBE"),
            ),
        ),
        [
            user(
                [
                    {
                        "type": "document",
                        "title": "A",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    },
                    {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
                    {
                        "type": "document",
                        "source": {"type": "text", "media_type": "text/plain", "data": "Hi"},
                    },
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    },
                ]
            )
        ],
    ),
    (
        (
            HI,
            say("assistant", Thinking(text="Hm", signature="s"), Thinking(text="m"), "Ho", CALL_A, CALL_B),
            say("tool", ToolResult(id="b", parts=(), is_error=True)),
            say(
                "tool",
                ToolResult(
                    id="a", parts=(Text(text="4"), Text(text=""), Text(text="2"), Image(data="iVBOR"))
                ),
            ),
            say("user", "And?"),
        ),
        [
            user("Hi"),
            model(
                [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    text("Ho"),
                    use("a", "f", x=1),
                    use("b", "g"),
                ]
            ),
            user(
                [
                    {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [
                            text("4"),
                            text("2"),
                            {
                                "type": "image",
                                "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"},
                            },
                        ],
                    },
                    text("And?"),
                ]
            ),
        ],
    ),
    (
        (
            say("assistant", CALL_A),
            say("user", "Wait"),
            say("tool", ToolResult(id="a", parts=(Text(text="4"), Text(text="2")))),
        ),
        [
            model([use("a", "f", x=1)]),
            user([{"type": "tool_result", "tool_use_id": "a", "content": "42"}, text("Wait")]),
        ],
    ),
    (
        (
            say("assistant", ToolCall(id="functions.f:0", name="f", arguments="{}")),
            say("tool", ToolResult(id="functions.f:0", parts=(Text(text="4"),))),
        ),
        [
            model([use("functions_f_0", "f")]),
            user([{"type": "tool_result", "tool_use_id": "functions_f_0", "content": "4"}]),
        ],
    ),
    (
        (
            say("assistant", ToolCall(id=None, name="f", arguments="{}")),
            say("tool", ToolResult(id=None, parts=(Text(text="4"),))),
        ),
        [
            model([use("call_00000000", "f")]),
            user([{"type": "tool_result", "tool_use_id": "call_00000000", "content": "4"}]),
        ],
    ),
]


@pytest.mark.parametrize(("messages", "turns"), TURNS)
def test_turns(messages: tuple[Message, ...], turns: list[dict[str, Any]]) -> None:
    assert render(chat(*messages)) == PLAIN | {"messages": turns}


@pytest.mark.parametrize(
    ("messages", "system"),
    [
        ((say("system", "Be brief"), HI), "Be brief"),
        ((say("system", "a"), HI, say("system", "", "b")), [text("a"), text("b")]),
        (
            (say("system", Text(text="a", cache=True)), HI),
            [text("a") | {"cache_control": {"type": "ephemeral"}}],
        ),
    ],
)
def test_system_messages_are_hoisted(messages: tuple[Message, ...], system: Any) -> None:
    assert render(chat(*messages)) == PLAIN | {"system": system}


def test_an_empty_system_prompt_is_none() -> None:
    assert render(chat(say("system", " "), HI)) == PLAIN


def test_defaults() -> None:
    defaults = RequestDefaults(
        temperature=0.2,
        max_tokens=77,
        options={"num_ctx": 5},
        fields={"service_tier": "auto", "model": "no"},
        drop=frozenset({"top_k", "nothing"}),
    )
    body = render(chat(sampling=Sampling(top_k=3)), defaults=defaults)
    assert body == PLAIN | {"temperature": 0.2, "max_tokens": 77, "service_tier": "auto"}
    body = render(chat(sampling=Sampling(temperature=0.0, max_tokens=0)), defaults=defaults)
    assert body == PLAIN | {"temperature": 0.0, "max_tokens": 0, "service_tier": "auto"}


def test_a_templated_completion_is_a_chat() -> None:
    request = CompletionRequest(model="m", prompts=("Hi",), templated=True, system="S")
    assert BACK.target("completions", request) == "/messages"
    assert render(request) == PLAIN | {"system": "S"}


@pytest.mark.parametrize(
    "canonical", [CompletionRequest(model="m", prompts=("Hi",)), EmbeddingRequest(model="m", inputs=("a",))]
)
def test_only_chats_are_rendered(canonical: CanonicalRequest) -> None:
    operation: Any = "embeddings" if isinstance(canonical, EmbeddingRequest) else "completions"
    assert BACK.target(operation, canonical) is None
    with pytest.raises(CallerError) as caught:
        render(canonical)
    assert caught.value.kind is UNSUPPORTED


UNSENDABLE: list[tuple[ChatRequest, Kind, str]] = [
    (chat(say("system", Text(text="Be brief."))), UNSUPPORTED, "messages"),
    (chat(say("system", Text(text="Be brief.")), say("user", Text(text=" "))), UNSUPPORTED, "messages"),
    (chat(sampling=Sampling(n=2)), UNSUPPORTED, "n"),
    (chat(HI, say("user", Audio(data="x", format="wav"))), UNSUPPORTED, "messages[1].content"),
    (chat(say("system", Image(data="x"))), UNSUPPORTED, "messages[0].content"),
    (chat(say("assistant", Image(data="x"))), UNSUPPORTED, "messages[0].content"),
    (chat(say("assistant", PDF)), UNSUPPORTED, "messages[0].content"),
    (chat(say("user", Thinking(text="x", signature="s"))), UNSUPPORTED, "messages[0].content"),
    (chat(say("user", CALL_A)), UNSUPPORTED, "messages[0].content"),
    (chat(say("user", Document(file_id="f"))), UNSUPPORTED, "messages[0].content"),
    (
        chat(say("user", Document(data="UEs=", media_type="application/zip"))),
        UNSUPPORTED,
        "messages[0].content",
    ),
    (
        chat(say("user", Document(data="/w==", media_type="text/plain"))),
        INVALID_REQUEST,
        "messages[0].content",
    ),
    (chat(say("user", Document(data="?", media_type="text/plain"))), INVALID_REQUEST, "messages[0].content"),
]


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', "[" * 100_000, "null", '"{}"'])
def test_arguments_are_sent_as_an_object(arguments: str) -> None:
    call = ToolCall(id="a", name="f", arguments=arguments)
    assert isinstance(render(chat(say("assistant", call)))["messages"][0]["content"][0]["input"], dict)


@pytest.mark.parametrize(("canonical", "kind", "param"), UNSENDABLE)
def test_what_cannot_be_sent_is_refused(canonical: ChatRequest, kind: Kind, param: str) -> None:
    with pytest.raises(CallerError) as caught:
        render(canonical)
    assert (caught.value.status, caught.value.kind, caught.value.param) == (400, kind, param)


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        ("claude-3-5-haiku-latest", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-6", True),
        ("anthropic/claude-sonnet-4.6", True),
        ("claude-haiku-4-5-20251001", True),
        ("glm-5", True),
        ("claude-opus-4-7", False),
        ("anthropic/claude-opus-4.8", False),
        ("claude-sonnet-5", False),
        ("claude-haiku-5-5", False),
        ("claude-fable-5-2", False),
    ],
)
def test_sampling_fields_are_only_for_models_that_take_them(model: str, takes: bool) -> None:
    request = chat(sampling=Sampling(temperature=0.2, top_p=0.9, top_k=3, stop=("a",)))
    body = render(request, model)
    assert body["stop_sequences"] == ["a"]
    sampling_fields = {"temperature", "top_p", "top_k"}
    assert body.keys() & sampling_fields == (sampling_fields if takes else set())
    assert ("temperature" in render(chat(), model, defaults=RequestDefaults(temperature=0.2))) is takes


@pytest.mark.parametrize(
    ("system", "sent"),
    [
        ((), INSTRUCTION),
        ((say("system", Text(text="Be kind.")),), f"Be kind.\n\n{INSTRUCTION}"),
        (
            (say("system", Text(text="Be kind.", cache=True)),),
            [
                {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": INSTRUCTION},
            ],
        ),
    ],
)
def test_a_json_mode_without_a_schema_is_an_instruction(system: tuple[Message, ...], sent: object) -> None:
    body = render(chat(*system, say("user", Text(text="x")), format=Format()))
    assert body["system"] == sent
    assert "output_config" not in body
