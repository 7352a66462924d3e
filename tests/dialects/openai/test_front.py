"""OpenAI's own SDK against the dialect: its requests are understood, and it can use the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from trunkline.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS
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
    Embedded,
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Message,
    Text,
    ToolChoice,
    Usage,
)

FRONTS = {"/v1/chat/completions": CHAT, "/v1/completions": COMPLETIONS, "/v1/embeddings": EMBEDDINGS}
USAGE = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)


class Gateway:
    """Answers every request with scripted events, and stores the last request."""

    def __init__(self) -> None:
        self.events: list[StreamEvent] = []
        self.error: GatewayError | None = None
        self.request: CanonicalRequest | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        front = FRONTS[request.url.path]
        body = request.read()
        assert front.summarize(body).model == "llama"
        self.request = front.parse(body)
        writer = front.writer(self.request, "llama", "chatcmpl-")
        if self.error is not None and not self.events:
            return httpx.Response(self.error.status, content=front.error_body(self.error))
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


ASK: Any = {"model": "llama", "messages": [{"role": "user", "content": "Hi"}]}
HI = (Message(role="user", parts=(Text(text="Hi"),)),)
STARTED = Started("chatcmpl-1", "llama3.2", 1700000000)
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
    answer = client.chat.completions.create(**ASK, temperature=0.5)
    assert (answer.id, answer.model, answer.created) == ("chatcmpl-1", "llama3.2", 1700000000)
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello", "length")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 5
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 1
    assert isinstance(gateway.request, ChatRequest)
    assert (gateway.request.messages, gateway.request.sampling.temperature) == (HI, 0.5)


def test_a_stream(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hel"), TextDelta("lo"), Finished("stop"), Metered(USAGE)]
    answer = client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
    with answer as chunks:
        *pieces, last = list(chunks)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == "Hello"
    assert [piece.choices[0].finish_reason for piece in pieces] == [None, None, None, "stop"]
    assert (last.choices, last.usage and last.usage.total_tokens) == ([], 5)
    assert isinstance(gateway.request, ChatRequest)
    assert (gateway.request.stream, gateway.request.include_usage) == (True, True)


def test_the_sdk_gathers_our_tool_calls(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = CALLS
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with client.chat.completions.stream(**ASK, tools=[tool], tool_choice="required") as stream:
        stream.until_done()
        message = stream.get_final_completion().choices[0].message
    assert [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()] == [
        ("a", "f", '{"x":1}'), ("b", "g", "{}")
    ]  # fmt: skip
    assert message.model_extra == {"reasoning": "Hm", "reasoning_content": "Hm"} | (message.model_extra or {})
    assert isinstance(gateway.request, ChatRequest)
    assert gateway.request.tool_choice == ToolChoice(mode="required")


def test_a_completion(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("a + b"), Finished("stop"), Metered(USAGE)]
    answer = client.completions.create(model="llama", prompt="def add(a, b): return ", suffix="\n")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("a + b", "stop")
    assert isinstance(gateway.request, CompletionRequest)
    assert gateway.request.suffix == "\n"
    with client.completions.create(model="llama", prompt="p", stream=True) as chunks:
        assert "".join(chunk.choices[0].text for chunk in chunks) == "a + b"


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}])
def test_embeddings(client: openai.OpenAI, gateway: Gateway, form: Any) -> None:
    """By default the SDK asks for base64 and unpacks it."""
    gateway.events = [Started(None, "e"), Embedded([[0.5, -1.0], [2.0, 0.25]]), Metered(USAGE)]
    answer = client.embeddings.create(model="llama", input=["a", "b"], **form)
    assert [item.embedding for item in answer.data] == [[0.5, -1.0], [2.0, 0.25]]
    assert isinstance(gateway.request, EmbeddingRequest)
    assert gateway.request.base64 is not bool(form)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (CallerError("Bad n", param="n"), openai.BadRequestError),
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
        client.chat.completions.create(**ASK)
    assert (caught.value.status_code, caught.value.code) == (error.status, error.code)
    assert (caught.value.param, caught.value.type) == (error.param, error.kind.type)
    assert error.message in caught.value.message


def test_an_error_in_the_middle_of_a_stream(client: openai.OpenAI, gateway: Gateway) -> None:
    gateway.events = [STARTED, TextDelta("Hel")]
    gateway.error = ProviderError("It was cut", UPSTREAM_TRUNCATED)
    texts: list[str | None] = []
    with (
        client.chat.completions.create(**ASK, stream=True) as chunks,
        pytest.raises(openai.APIError) as caught,
    ):
        texts.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert (caught.value.message, caught.value.code) == ("It was cut", "upstream_truncated")
    assert texts == ["", "Hel"]
