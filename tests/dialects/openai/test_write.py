"""Answers to OpenAI clients, validated with the types of OpenAI's own SDK."""

from __future__ import annotations

import base64
import json
import re
import struct
import time
from collections.abc import Sequence
from typing import Any

import pytest
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from trunkline.dialects.base import Writer
from trunkline.dialects.openai import CHAT, COMPLETIONS, EMBEDDINGS
from trunkline.events import (
    Embedded,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.framing import SSESplitter
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Sampling,
    Usage,
)

STARTED = Started("chatcmpl-up", "llama3.2", 1700000000)
TEXT: list[StreamEvent] = [STARTED, TextDelta("Hel"), TextDelta("lo"), Finished("stop")]
OUR_ID = re.compile(r"chatcmpl-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
USAGE = Usage(
    prompt_tokens=9,
    completion_tokens=5,
    cached_tokens=4,
    cache_write_tokens=1,
    reasoning_tokens=2,
    cost=0.25,
)
USAGE_OBJECT = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2},
    "cost": 0.25,
}
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
TOOLS: list[StreamEvent] = [
    STARTED,
    ToolCallDelta(0, "a", "f", ""),
    ToolCallDelta(1, None, "g", '{"x"'),
    ToolCallDelta(0, arguments="{}"),
    ToolCallDelta(1, arguments=":1}"),
    Finished("tool_calls"),
]
TOKEN = {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": []}


def _write(writer: Writer, events: Sequence[StreamEvent]) -> bytes:
    return b"".join(writer.feed([event]) for event in events) + writer.finish()


def _payloads(data: bytes) -> list[bytes]:
    payloads = SSESplitter().feed(data)
    assert data.endswith(b"data: [DONE]\n\n")
    assert payloads.pop() == b"[DONE]"
    return payloads


def stream(events: Sequence[StreamEvent], **fields: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, each valid, all of one id, model and time."""
    request = ChatRequest(model="m", messages=(), stream=True, **fields)
    payloads = _payloads(_write(CHAT.writer(request, "m", "chatcmpl-"), events))
    for payload in payloads:
        ChatCompletionChunk.model_validate_json(payload, strict=True)
    chunks: list[dict[str, Any]] = [json.loads(payload) for payload in payloads]
    assert len({(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in chunks}) <= 1
    return chunks


def deltas(chunks: list[dict[str, Any]], index: int = 0) -> list[Any]:
    """What the chunks bring for one choice: deltas, and the finish reason at their end."""
    choices = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    *rest, last = choices
    assert last["delta"] == {}
    assert all(choice["finish_reason"] is None for choice in rest)
    return [*(choice["delta"] for choice in rest), last["finish_reason"]]


def whole(events: Sequence[StreamEvent], request: CanonicalRequest | None = None) -> dict[str, Any]:
    request = request or ChatRequest(model="m", messages=())
    front = CHAT if isinstance(request, ChatRequest) else COMPLETIONS
    writer = front.writer(request, "m", "chatcmpl-")
    assert not any(writer.feed([event]) for event in events)
    body = writer.finish()
    (ChatCompletion if front is CHAT else Completion).model_validate_json(body, strict=True)
    answer: dict[str, Any] = json.loads(body)
    return answer


ROLE = {"role": "assistant", "content": ""}


def test_a_streamed_answer() -> None:
    chunks = stream(TEXT)
    assert deltas(chunks) == [ROLE, {"content": "Hel"}, {"content": "lo"}, "stop"]
    assert {name: chunks[0][name] for name in ("id", "object", "created", "model")} == {
        "id": "chatcmpl-up",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": "llama3.2",
    }
    assert not any("usage" in chunk for chunk in chunks)
    assert all(choice["logprobs"] is None for chunk in chunks for choice in chunk["choices"])


def test_usage_comes_last_when_it_was_asked_for() -> None:
    chunks = stream([*TEXT, Metered(Usage(prompt_tokens=1)), Metered(USAGE)], include_usage=True)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], USAGE_OBJECT)
    assert stream(TEXT, include_usage=True)[-1]["usage"] == ZEROS
    assert stream([*TEXT, Metered(USAGE), Timed(total=5)]) == stream(TEXT)


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "content_filter"])
def test_finish_reasons(reason: FinishReason) -> None:
    assert deltas(stream([STARTED, Finished(reason)])) == [ROLE, reason]
    assert whole([STARTED, Finished(reason)])["choices"][0]["finish_reason"] == reason


def test_thinking_goes_under_both_names() -> None:
    events: list[StreamEvent] = [STARTED, ThinkingDelta("Hm"), ThinkingDelta(""), *TEXT[1:]]
    assert deltas(stream(events))[1] == {"reasoning": "Hm", "reasoning_content": "Hm"}
    assert len(stream(events)) == 5
    message = whole(events)["choices"][0]["message"]
    assert (message["reasoning"], message["reasoning_content"], message["content"]) == ("Hm", "Hm", "Hello")
    assert "reasoning" not in whole(TEXT)["choices"][0]["message"]


def test_a_signature_comes_with_all_that_it_signs() -> None:
    thoughts = [
        ThinkingDelta("H"),
        ThinkingDelta("m"),
        ThinkingDelta("", signature="s"),
        ThinkingDelta("Ha", signature="t"),
    ]
    signed = [
        {
            "type": "reasoning.text",
            "text": text,
            "signature": signature,
            "format": "anthropic-claude-v1",
            "index": at,
        }
        for at, (text, signature) in enumerate([("Hm", "s"), ("Ha", "t")])
    ]
    events: list[StreamEvent] = [STARTED, *thoughts, *TEXT[1:]]
    message = whole(events)["choices"][0]["message"]
    assert message["reasoning_details"] == signed
    assert message["reasoning"] == "HmHa"
    details = [
        detail
        for delta in deltas(stream(events))
        if isinstance(delta, dict)
        for detail in delta.get("reasoning_details", ())
    ]
    assert details == signed


def test_tool_calls() -> None:
    _, first, second, third, fourth, reason = deltas(stream(TOOLS))
    assert first == {
        "tool_calls": [
            {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
        ]
    }
    made = second["tool_calls"][0]["id"]
    assert re.fullmatch(r"call_[0-9a-f]{24}", made)
    assert third == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert fourth == {"tool_calls": [{"index": 1, "function": {"arguments": ":1}"}}]}
    assert reason == "tool_calls"
    message = whole(TOOLS)["choices"][0]["message"]
    assert message["content"] is None
    assert [call["function"] for call in message["tool_calls"]] == [
        {"name": "f", "arguments": "{}"},
        {"name": "g", "arguments": '{"x":1}'},
    ]
    assert message["tool_calls"][0]["id"] == "a"


def test_a_refusal() -> None:
    events: list[StreamEvent] = [STARTED, RefusalDelta("I "), RefusalDelta("won't"), Finished("stop")]
    assert deltas(stream(events)) == [ROLE, {"refusal": "I "}, {"refusal": "won't"}, "stop"]
    message = whole(events)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I won't")


def test_several_choices() -> None:
    events: list[StreamEvent] = [
        STARTED,
        TextDelta("a"),
        TextDelta("x", 1),
        Finished("stop"),
        Finished("length", 1),
    ]
    chunks = stream(events, sampling=Sampling(n=2))
    assert deltas(chunks) == [ROLE, {"content": "a"}, "stop"]
    assert deltas(chunks, 1) == [ROLE, {"content": "x"}, "length"]
    choices = whole(events)["choices"]
    assert [(each["index"], each["message"]["content"], each["finish_reason"]) for each in choices] == [
        (0, "a", "stop"), (1, "x", "length")
    ]  # fmt: skip


def test_log_probabilities_are_joined_in_a_whole_answer() -> None:
    piece = TextDelta("H", 0, {"content": [TOKEN], "refusal": None})
    events: list[StreamEvent] = [STARTED, piece, piece, Finished("stop")]
    logprobs = [chunk["choices"][0]["logprobs"] for chunk in stream(events)]
    assert logprobs == [None, piece.logprobs, piece.logprobs, None]
    assert whole(events)["choices"][0]["logprobs"] == {"content": [TOKEN, TOKEN], "refusal": None}
    refused = TextDelta("", 0, {"content": None, "refusal": [TOKEN], "note": 1})
    joined = whole([refused, piece, refused])["choices"][0]["logprobs"]
    assert joined == {"content": [TOKEN], "refusal": [TOKEN, TOKEN], "note": 1}


def test_a_whole_answer() -> None:
    assert whole([*TEXT, Metered(USAGE), Timed(total=5)]) == {
        "id": "chatcmpl-up",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "llama3.2",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE_OBJECT,
    }
    assert whole(TEXT)["usage"] == ZEROS
    assert whole([TextDelta("")])["choices"][0]["message"]["content"] == ""


def test_what_the_upstream_does_not_name_is_made_here() -> None:
    before = int(time.time())
    for events in ([Started(), *TEXT[1:]], TEXT[1:], [Started("", "", 0), *TEXT[1:]]):
        for answer in (stream(events)[0], whole(events)):
            assert OUR_ID.fullmatch(answer["id"])
            assert answer["model"] == "m"
            assert type(answer["created"]) is int
            assert before <= answer["created"] <= time.time()
    assert stream(TEXT[1:])[0]["id"] != stream(TEXT[1:])[0]["id"]


def test_an_id_begins_with_the_prefix_of_its_vendor() -> None:
    writer = CHAT.writer(ChatRequest(model="m", messages=()), "m", "gen-")
    assert json.loads(writer.finish())["id"].startswith("gen-")


def test_an_answer_without_events_is_still_one() -> None:
    assert stream([]) == []
    assert stream([], include_usage=True)[0]["usage"] == ZEROS
    assert whole([])["choices"] == []


ECHO = CompletionRequest(model="m", prompts=("p", "q"), echo=True, sampling=Sampling(n=2))


def test_a_streamed_completion() -> None:
    request = CompletionRequest(model="m", prompts=("p",), stream=True, include_usage=True)
    events: list[StreamEvent] = [*TEXT[:2], ThinkingDelta("Hm"), *TEXT[2:], Metered(USAGE)]
    writer = COMPLETIONS.writer(request, "m", "cmpl-")
    chunks = [json.loads(payload) for payload in _payloads(_write(writer, events))]
    assert writer.content_type.startswith(b"text/event-stream")
    assert [(each["text"], each["finish_reason"]) for chunk in chunks for each in chunk["choices"]] == [
        ("Hel", None), ("lo", None), ("", "stop")
    ]  # fmt: skip
    assert [chunk["usage"] for chunk in chunks] == [None, None, None, USAGE_OBJECT]
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}


def test_a_streamed_completion_echoes_its_prompt_once() -> None:
    request = CompletionRequest(model="m", prompts=("p",), stream=True, echo=True)
    data = _write(COMPLETIONS.writer(request, "m", "cmpl-"), TEXT[1:])
    chunks = [json.loads(payload) for payload in _payloads(data)]
    assert [chunk["choices"][0]["text"] for chunk in chunks] == ["pHel", "lo", ""]
    assert chunks[0]["id"].startswith("cmpl-")
    assert _payloads(_write(COMPLETIONS.writer(request, "m", "cmpl-"), [])) == []


def test_a_whole_completion() -> None:
    probs = {"tokens": ["a"], "token_logprobs": [-0.5], "text_offset": [0], "top_logprobs": None}
    events: list[StreamEvent] = [
        STARTED,
        TextDelta("a", 0, probs),
        TextDelta("b", 3),
        Finished("length"),
        Finished("stop", 3),
    ]
    answer = whole(events, ECHO)
    assert [(each["text"], each["finish_reason"]) for each in answer["choices"]] == [
        ("pa", "length"), ("qb", "stop")
    ]  # fmt: skip
    assert answer["choices"][0]["logprobs"] == probs
    assert answer["object"] == "text_completion"


@pytest.mark.parametrize("as_base64", [False, True])
def test_embeddings(as_base64: bool) -> None:
    vectors = [[0.5, -1.0], [0.1, 2.0]]
    request = EmbeddingRequest(model="m", inputs=("a", "b"), base64=as_base64)
    writer = EMBEDDINGS.writer(request, "m", "x")
    assert writer.feed([Started(None, "up"), Embedded(vectors), Metered(Usage(prompt_tokens=3))]) == b""
    body = writer.finish()
    answer = json.loads(body)
    if as_base64:
        packed = [base64.b64decode(each["embedding"]) for each in answer["data"]]
        assert packed == [struct.pack("<2f", *vector) for vector in vectors]
    else:
        CreateEmbeddingResponse.model_validate_json(body, strict=True)
        assert [each["embedding"] for each in answer["data"]] == vectors
    assert [each["index"] for each in answer["data"]] == [0, 1]
    assert (answer["object"], answer["model"]) == ("list", "up")
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
