"""OpenAI's own SDK against the dialect: its requests are understood, and it can use the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from trunkline.dialects.responses import RESPONSES, ResponsesRequest
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
from trunkline.model import Message, Text, ToolChoice, Usage


class Gateway:
    """Answers every request with scripted events, and stores the last request."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.error: GatewayError | None = None
        self.request: ResponsesRequest | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/v1/responses"
        body = request.read()
        assert RESPONSES.summarize(body).model == "llama"
        self.request = RESPONSES.parse(body)
        writer = RESPONSES.writer(self.request, "llama", "chatcmpl-")
        if self.error is not None and not self.events:
            return httpx.Response(self.error.status, content=RESPONSES.error_body(self.error))
        content = writer.feed(self.events)
        content += writer.fail(self.error) if self.error is not None else writer.finish()
        return httpx.Response(200, content=content, headers={"content-type": writer.content_type.decode()})


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    http: Any = httpx.Client(
        transport=httpx.MockTransport(gateway)
    )  # SDK versions differ in the HTTP client that they name
    with openai.OpenAI(api_key="gw_x", base_url="http://gateway/v1", http_client=http, max_retries=0) as made:
        yield made


ASK: Any = {"model": "llama", "input": "Hi"}
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}
HI = Message(role="user", parts=(Text(text="Hi"),))
STARTED = Started("chatcmpl-1", "llama3.2", 1700000000)
USAGE = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)
CALLS: list[StreamEvent] = [
    STARTED,
    ThinkingDelta("Hm"),
    ToolCallDelta(0, "a", "f", '{"x"'),
    ToolCallDelta(0, arguments=":1}"),
    ToolCallDelta(1, "b", "g", "{}"),
    Finished("tool_calls"),
    Metered(USAGE),
]


def test_a_whole_answer(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hello"), Finished("length"), Metered(USAGE)]
    answer = client.responses.create(**ASK, temperature=0.5, max_output_tokens=20)
    assert (answer.output_text, answer.model, answer.created_at) == ("Hello", "llama3.2", 1700000000)
    assert answer.incomplete_details is not None
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage is not None
    assert (answer.usage.total_tokens, answer.usage.input_tokens_details.cached_tokens) == (5, 1)
    assert gateway.request is not None
    assert (gateway.request.messages, gateway.request.sampling.max_tokens) == ((HI,), 20)


def test_a_stream(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hel"), TextDelta("lo"), Finished("stop"), Metered(USAGE)]
    with client.responses.create(**ASK, stream=True) as events:
        received = list(events)
    assert "".join(event.delta for event in received if event.type == "response.output_text.delta") == "Hello"
    last = received[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "Hello"
    assert gateway.request is not None
    assert gateway.request.stream


def test_the_sdk_gathers_our_calls_and_sends_them_back(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = CALLS
    with client.responses.stream(**ASK, tools=[TOOL], tool_choice="required") as stream:
        stream.until_done()
        answer = stream.get_final_response()
    calls = [item for item in answer.output if item.type == "function_call"]
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        ("a", "f", '{"x":1}'), ("b", "g", "{}")
    ]  # fmt: skip
    assert gateway.request is not None
    assert gateway.request.tool_choice == ToolChoice(mode="required")
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "1"} for call in calls]
    sent: Any = [{"role": "user", "content": "Hi"}, *(item.to_dict() for item in answer.output), *results]
    gateway.events = [STARTED, TextDelta("Done")]
    assert client.responses.create(model="llama", input=sent, tools=[TOOL]).output_text == "Done"
    assert [(message.role, len(message.parts)) for message in gateway.request.messages] == [
        ("user", 1), ("assistant", 3), ("tool", 1), ("tool", 1)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (CallerError("Bad input", param="input"), openai.BadRequestError),
        (CallerError("Who?", INVALID_API_KEY), openai.AuthenticationError),
        (ProviderError("No 'x'", MODEL_NOT_FOUND, param="model"), openai.NotFoundError),
        (ProviderError("Slow", UPSTREAM_RATE_LIMIT), openai.RateLimitError),
        (ProviderError("Down"), openai.InternalServerError),
    ],
)
def test_errors(
    client: openai.OpenAI, gateway: Gateway, error: GatewayError, raised: type[openai.APIStatusError]
) -> None:
    gateway.error = error
    with pytest.raises(raised) as caught:
        client.responses.create(**ASK)
    assert (caught.value.status_code, caught.value.code) == (error.status, error.code)
    assert (caught.value.param, caught.value.type) == (error.param, error.kind.type)


def test_an_error_in_the_middle_of_a_stream(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hel")]
    gateway.error = ProviderError("It was cut", UPSTREAM_TRUNCATED)
    received: list[str] = []
    with client.responses.create(**ASK, stream=True) as events, pytest.raises(openai.APIError) as caught:
        received.extend(event.type for event in events)
    assert (caught.value.message, caught.value.code) == ("It was cut", "upstream_truncated")
    assert received[-1] == "response.output_text.delta"
