"""Anthropic's own SDK against the dialect: its requests are understood, and it can use the answers."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import anthropic
import pytest

from tests.dialects.anthropic.samples import PING
from trunkline.dialects.anthropic import MESSAGES
from trunkline.errors import (
    INVALID_API_KEY,
    MODEL_NOT_FOUND,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_TRUNCATED,
    CallerError,
    GatewayError,
    ProviderError,
)
from trunkline.events import (
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import (
    ChatRequest,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Usage,
)

http: Any = import_module(
    anthropic.DefaultHttpxClient.__mro__[1].__module__.partition(".")[0]
)  # SDK versions differ in the HTTP client that they use


class Gateway:
    """Answers every request with scripted events, and stores the last request."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.error: GatewayError | None = None
        self.request: ChatRequest | None = None

    def __call__(self, request: Any) -> Any:
        assert request.url.path == "/v1/messages"
        body = request.read()
        assert MESSAGES.summarize(body).model == "llama"
        self.request = MESSAGES.parse(body)
        writer = MESSAGES.writer(self.request, "llama", "x-")
        if self.error is not None and not self.events:
            return http.Response(self.error.status, content=MESSAGES.error_body(self.error))
        content = PING + writer.feed(self.events)
        if writer.content_type == b"application/json":
            content = content.removeprefix(PING)
        content += writer.fail(self.error) if self.error is not None else writer.finish()
        return http.Response(200, content=content, headers={"content-type": writer.content_type.decode()})


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    inner: Any = http.Client(transport=http.MockTransport(gateway))
    with anthropic.Anthropic(
        api_key="gw_x", base_url="http://gateway", http_client=inner, max_retries=0
    ) as made:
        yield made


ASK: Any = {"model": "llama", "max_tokens": 4096, "messages": [{"role": "user", "content": "Hi"}]}
THINK: Any = {"type": "enabled", "budget_tokens": 2048}
STARTED = Started("msg_1", "llama3.2")
EVENTS: list[StreamEvent] = [
    STARTED,
    ThinkingDelta("H"),
    ThinkingDelta("m", signature="sig"),
    TextDelta("Let me "),
    TextDelta("see"),
    ToolCallDelta(0, "a", "f"),
    ToolCallDelta(1, "b", "g", "{"),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(1, arguments="}"),
    ToolCallDelta(0, arguments=":1}"),
    Finished("tool_calls"),
    Metered(Usage(prompt_tokens=9, completion_tokens=5, cached_tokens=4, cache_write_tokens=2)),
]


def check(message: anthropic.types.Message) -> None:
    """The message that ``EVENTS`` are."""
    assert (message.id, message.model, message.stop_reason) == ("msg_1", "llama3.2", "tool_use")
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "text", "text": "Let me see"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {}},
    ]
    usage = message.usage
    assert (usage.input_tokens, usage.output_tokens) == (3, 5)
    assert (usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (4, 2)


def test_a_whole_answer(client: anthropic.Anthropic, gateway: Gateway) -> None:
    gateway.events = EVENTS
    check(client.messages.create(**ASK, thinking=THINK, metadata={"user_id": "u"}))
    assert gateway.request is not None
    assert gateway.request.messages == (Message(role="user", parts=(Text(text="Hi"),)),)
    assert gateway.request.reasoning == Reasoning(effort="low", max_tokens=2048)
    assert (gateway.request.user, gateway.request.stream) == ("u", False)


def test_the_sdk_gathers_our_stream(client: anthropic.Anthropic, gateway: Gateway) -> None:
    gateway.events = EVENTS
    kinds: list[str] = []
    with client.messages.stream(**ASK, thinking=THINK) as stream:
        kinds.extend(event.type for event in stream)
        check(stream.get_final_message())
    assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 4
    assert gateway.request is not None
    assert gateway.request.stream


def test_what_the_sdk_sends_of_a_tool_turn(client: anthropic.Anthropic, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("42"), Finished("stop", stop_sequence="!")]
    first = client.messages.create(**ASK)
    gateway.events = EVENTS
    called = client.messages.create(**ASK, thinking=THINK)
    gateway.events = [STARTED, TextDelta("42"), Finished("stop", stop_sequence="!")]
    result: Any = {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": True}
    turns: Any = [
        *ASK["messages"],
        {"role": "assistant", "content": called.content},
        {"role": "user", "content": [result]},
    ]
    tool: Any = {"name": "f", "description": "F", "input_schema": {"type": "object"}}
    answer = client.messages.create(
        **ASK | {"messages": turns}, tools=[tool], tool_choice={"type": "any"}, system="Be brief"
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "!")
    assert first.content == answer.content
    assert gateway.request is not None
    assert gateway.request.tools == (Tool(name="f", description="F", parameters={"type": "object"}),)
    assert gateway.request.tool_choice == ToolChoice(mode="required")
    system, _, assistant, results = gateway.request.messages
    assert system == Message(role="system", parts=(Text(text="Be brief"),))
    assert assistant.parts[-2:] == (
        ToolCall(id="a", name="f", arguments='{"x":1}'),
        ToolCall(id="b", name="g", arguments="{}"),
    )
    assert results.parts == (ToolResult(id="a", parts=(Text(text="42"),), is_error=True),)


@pytest.mark.parametrize(
    ("error", "raised", "kind"),
    [
        (CallerError("Bad n", param="n"), anthropic.BadRequestError, "invalid_request_error"),
        (CallerError("Who?", INVALID_API_KEY), anthropic.AuthenticationError, "authentication_error"),
        (ProviderError("No 'x'", MODEL_NOT_FOUND), anthropic.NotFoundError, "not_found_error"),
        (ProviderError("Slow", UPSTREAM_RATE_LIMIT), anthropic.RateLimitError, "rate_limit_error"),
        (ProviderError("Down"), anthropic.InternalServerError, "api_error"),
    ],
)
def test_errors(
    client: anthropic.Anthropic,
    gateway: Gateway,
    error: GatewayError,
    raised: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    gateway.error = error
    with pytest.raises(raised) as caught:
        client.messages.create(**ASK)
    assert caught.value.status_code == error.status
    assert caught.value.body == {"type": "error", "error": {"type": kind, "message": error.message}}


def test_an_error_in_the_middle_of_a_stream(client: anthropic.Anthropic, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hel")]
    gateway.error = ProviderError("It was cut", UPSTREAM_TRUNCATED)
    texts: list[str] = []
    with client.messages.stream(**ASK) as stream, pytest.raises(anthropic.APIStatusError) as caught:
        texts.extend(stream.text_stream)
    assert texts == ["Hel"]
    assert "It was cut" in str(caught.value)
