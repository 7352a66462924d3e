"""Models that are asked in the Responses API: by clients of every dialect, through a started gateway.

The mock is strict where it plays OpenAI: it refuses in its chat API what OpenAI refuses there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.e2e.test_vendor_state import FRONTS, RESULT, THOUGHT, bare
from tests.fidelity.fronts import FRONTS as SPEAKING
from tests.fidelity.values import Heard
from tests.gateways import BEARER, Answer, Running, events, make_settings, post, serving, upstream
from trunkline_mock import Fault, MockUpstream, Script, ToolCall, Usage

MODEL = "gpt-5.6"
CALLS = Script(
    thinking=THOUGHT,
    tool_calls=(ToolCall("weather", {"city": "Rome"}, id="call_1"),),
    usage=Usage(11, 7, 5, 3),
)
USAGE = {"chat": {"stream_options": {"include_usage": True}}}
NAMES = {"chat": "openai", "messages": "anthropic", "responses": "responses", "ollama": "ollama"}
"""The fronts of this file by the names that the matrix has for them."""
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TRANSLATED = [name for name in FRONTS if name != "responses"]
"""Fronts that do not pass through."""


@asynccontextmanager
async def openai(script: Script, **more: Any) -> AsyncIterator[tuple[Running, MockUpstream]]:
    """A gateway in front of OpenAI."""
    async with MockUpstream("openai", script, models=(MODEL,), strict=True) as mock:
        section = upstream(mock, type="openai", models=(MODEL,), **more)
        async with serving(make_settings(providers={"openai": section})) as house:
            yield house, mock


@asynccontextmanager
async def server(script: Script, **more: Any) -> AsyncIterator[tuple[Running, MockUpstream]]:
    """A gateway in front of a server whose every chat is asked in the Responses API."""
    async with MockUpstream("generic", script, models=(MODEL,)) as mock:
        section = upstream(mock, type="openai-compatible", models=(MODEL,), api="responses", **more)
        async with serving(make_settings(providers={"own": section})) as house:
            yield house, mock


async def ask(house: Running, front: str, body: dict[str, Any], *lines: bytes) -> Answer:
    return await house.ask(post(body, BEARER, *lines, path=FRONTS[front].path))


def hear(front: str, answer: Answer, stream: bool) -> Heard:
    assert answer.status == 200, answer.body
    assert answer.whole
    return SPEAKING[NAMES[front]].hear(answer, stream)


def kinds(sent: dict[str, Any]) -> list[str]:
    """The types of the items that were sent."""
    return [item.get("type", "message") for item in sent["input"]]


LOOP = ["message", "reasoning", "function_call", "function_call_output"]


@STREAMS
@pytest.mark.parametrize("front", FRONTS)
async def test_tools_and_thinking_over_two_turns(front: str, stream: bool) -> None:
    """The mock refuses a call without its reasoning, reasoning that it did not encrypt, and tools in its chat
    API."""
    async with openai(CALLS) as (house, mock):
        first = FRONTS[front].first(MODEL, stream)
        answer = await ask(house, front, first)
        mock.script = Script(text="21 degrees in Rome")
        second = FRONTS[front].second(first, answer, stream)
        again = await ask(house, front, second)
        assert [(call.path, call.status) for call in mock.calls] == [("/v1/responses", 200)] * 2
        asked, sent = (call.json for call in mock.calls)
    assert asked["include"] == ["reasoning.encrypted_content"]
    assert (asked["store"], asked["model"]) == (False, MODEL)
    assert kinds(sent) == LOOP
    assert sent["input"][3]["output"] == RESULT
    assert sent["input"][1]["encrypted_content"].startswith("mock-")
    assert b"21 degrees in Rome" in again.body or stream


@pytest.mark.parametrize("front", TRANSLATED)
async def test_reasoning_that_a_client_drops_is_put_back(front: str) -> None:
    async with openai(CALLS) as (house, mock):
        first = FRONTS[front].first(MODEL, False)
        second = FRONTS[front].second(first, await ask(house, front, first), False)
        assert (await ask(house, front, bare(front, second))).status == 200
        assert kinds(mock.calls[-1].json) == LOOP


@pytest.mark.parametrize("front", TRANSLATED)
async def test_reasoning_is_sent_to_its_maker_alone(front: str) -> None:
    """The second turn is Claude's, the third OpenAI's again."""
    claude = "claude-sonnet-4-5"
    async with (
        MockUpstream("openai", CALLS, models=(MODEL,), strict=True) as mock,
        MockUpstream("anthropic", Script(text="21 degrees"), models=(claude,), strict=True) as other,
        serving(
            make_settings(
                providers={
                    "openai": upstream(mock, type="openai", models=(MODEL,)),
                    "anthropic": upstream(other, models=(claude,)),
                }
            )
        ) as house,
    ):
        first = FRONTS[front].first(MODEL, False)
        second = FRONTS[front].second(first, await ask(house, front, first), False)
        answer = await ask(house, front, second | {"model": claude})
        assert answer.status == 200, answer.body
        sent = json.dumps(other.calls[-1].json)
        assert "trunkline:" not in sent
        assert "mock-" not in sent
        assert THOUGHT not in sent
        assert (await ask(house, front, second)).status == 200
        assert kinds(mock.calls[-1].json) == LOOP


@STREAMS
@pytest.mark.parametrize("front", TRANSLATED)
async def test_a_server_gets_its_plain_reasoning_back(front: str, stream: bool) -> None:
    async with server(CALLS, drop=("include",)) as (house, mock):
        first = FRONTS[front].first(MODEL, stream)
        answer = await ask(house, front, first)
        assert THOUGHT.split()[0].encode() in answer.body
        await ask(house, front, FRONTS[front].second(first, answer, stream))
        sent = mock.calls[-1].json
    assert kinds(sent) == LOOP
    assert sent["input"][1]["content"] == [{"type": "reasoning_text", "text": THOUGHT}]


@STREAMS
@pytest.mark.parametrize("front", TRANSLATED)
async def test_what_a_client_hears(front: str, stream: bool) -> None:
    """Summaries, calls, usage and why it ended."""
    async with openai(CALLS) as (house, _):
        answer = await ask(house, front, FRONTS[front].first(MODEL, stream) | USAGE.get(front, {}))
        assert answer.status == 200
        text = answer.body.decode()
    assert "call_1" in text
    assert "tool_use" in text or "tool_calls" in text
    if front == "chat":
        usage = answer.json["usage"] if not stream else events(answer.body)[-2]["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] == 5
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 3
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (11, 7)


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"{kind[:3]}_1", "type": kind, **fields}


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return item("message", role="assistant", status="completed", content=list(content))


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []} | more


def playing(stream: bool, *output: dict[str, Any], status: str = "completed", **more: Any) -> Script:
    """A server that answers with these items."""
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": MODEL, "status": status}
    response |= {"output": list(output), "usage": usage, "error": None} | more
    if not stream:
        return Script(body=response)
    opening = response | {"status": "in_progress", "output": [], "error": None}
    records: list[dict[str, Any]] = [{"type": "response.created", "response": opening}]
    for index, each in enumerate(output):
        records.append({"type": "response.output_item.done", "output_index": index, "item": each})
    records.append({"type": f"response.{status}", "response": response})
    lines = (f"event: {record['type']}\ndata: {json.dumps(record)}\n\n" for record in records)
    return Script(body="".join(lines))


IMAGE = item("image_generation_call", result="iVBORw0KGgo=", output_format="png")
CITATION = {
    "type": "url_citation",
    "url": "https://a.example/page",
    "title": "Page",
    "start_index": 0,
    "end_index": 2,
}
ANSWERS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], str]] = {
    "a text": ([message(said("Good day"))], {}, "Good day"),
    "two texts": ([message(said("Good ")), message(said("day"))], {}, "Good day"),
    "a refusal": ([message({"type": "refusal", "refusal": "I won't"})], {}, "I won't"),
    "an image": ([message(said("Look")), IMAGE], {}, "iVBORw0KGgo="),
    "a source": ([message(said("Hi", annotations=[CITATION]))], {}, "https://a.example/page"),
    "what has no form": ([item("code_interpreter_call", code="1+1")], {}, "code_interpreter_call"),
    "a cut": (
        [message(said("Good"))],
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        "length",
    ),
    "a filter": (
        [message(said("Good"))],
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        "content_filter",
    ),
}
WORDS = {
    "messages": {"length": "max_tokens", "content_filter": "refusal"},
    "ollama": {"content_filter": "stop"},
}
"""What fronts call the ends of answers, where OpenAI's word is another one."""
NAMED = {("ollama", "an image"), ("messages", "an image"), ("ollama", "a source")}
"""What a front has no place for: the answer or its head says so."""


@STREAMS
@pytest.mark.parametrize("front", TRANSLATED)
@pytest.mark.parametrize("name", ANSWERS)
async def test_what_an_answer_holds(name: str, front: str, stream: bool) -> None:
    output, more, expected = ANSWERS[name]
    async with server(playing(stream, *output, **more)) as (house, _):
        answer = await ask(house, front, FRONTS[front].first(MODEL, stream) | USAGE.get(front, {}))
    assert answer.status == 200, answer.body
    assert answer.whole
    text = answer.body.decode()
    if not stream:
        text += str(answer.headers)
    elif expected == "Good day":
        assert hear(front, answer, stream).texts == (expected,)
        return
    if (front, name) in NAMED:
        assert expected in text or "image" in text or "citation" in text, text
        return
    assert WORDS.get(front, {}).get(expected, expected) in text.replace("\\u0027", "'"), text


@STREAMS
@pytest.mark.parametrize("front", TRANSLATED)
async def test_failures_keep_their_words(front: str, stream: bool) -> None:
    told = {"error": {"code": "server_error", "message": "The tubes are clogged"}}
    faults = [
        Script(fault=Fault("status", status=400, message="The tubes are clogged")),
        Script(fault=Fault("status", status=429, message="The tubes are clogged", retry_after=7)),
        playing(stream, message(said("Good")), status="failed", **told),
        Script(body={"error": {"message": "The tubes are clogged", "type": "server_error"}}),
    ]
    async with server(Script()) as (house, mock):
        seen = []
        for script in faults:
            mock.script = script
            answer = await ask(house, front, FRONTS[front].first(MODEL, stream))
            assert b"The tubes are clogged" in answer.body, answer.body
            seen.append(answer.status)
    assert seen == [400, 429, 200 if stream else 502, 502]


@STREAMS
async def test_a_custom_tool_is_one_there_too(stream: bool) -> None:
    """OpenAI is told of it as it is, and the client gets the text of its call."""
    said_text = '*** Begin "Patch"\n'
    call = item("custom_tool_call", call_id="call_1", name="patch", input=said_text)
    tool = {"type": "custom", "custom": {"name": "patch", "description": "Edits"}}
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Go"}],
        "tools": [tool],
        "stream": stream,
    }
    async with openai(playing(stream, call)) as (house, mock):
        answer = await ask(house, "chat", body)
        assert mock.calls[-1].json["tools"] == [{"type": "custom", "name": "patch", "description": "Edits"}]
        if stream:
            found = [
                each
                for record in events(answer.body)[:-1]
                for choice in record["choices"]
                for each in choice["delta"].get("tool_calls") or ()
            ]
            text = "".join(each["custom"]["input"] for each in found)
        else:
            (made,) = answer.json["choices"][0]["message"]["tool_calls"]
            text = made["custom"]["input"]
        assert text == said_text
        custom = {"id": "call_1", "type": "custom", "custom": {"name": "patch", "input": said_text}}
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": "Go"},
            {"role": "assistant", "content": None, "tool_calls": [custom]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Done"},
        ]
        mock.script = Script(text="Good")
        again = await ask(house, "chat", body | {"messages": turns})
        assert again.status == 200, again.body
        assert mock.calls[-1].json["input"][1:] == [
            {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": said_text},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "Done"},
        ]


async def test_a_search_of_the_web() -> None:
    """Anthropic's tool becomes OpenAI's, and its sources come back."""
    body = {
        "model": MODEL,
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "What is new?"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    }
    output = item("web_search_call", status="completed"), message(said("Hi", annotations=[CITATION]))
    async with openai(playing(False, *output)) as (house, mock):
        answer = await ask(house, "messages", body)
        sent = mock.calls[-1].json
    assert (sent["tools"], sent["max_tool_calls"]) == ([{"type": "web_search"}], 2)
    assert b"https://a.example/page" in answer.body
    assert "x-trunkline-not-shown" not in answer.headers


@STREAMS
@pytest.mark.parametrize(
    ("front", "asks"),
    [
        ("chat", {"stop": ["STOP"]}),
        ("messages", {"stop_sequences": ["STOP"]}),
        ("ollama", {"options": {"stop": ["STOP"]}}),
    ],
)
async def test_an_answer_is_cut_at_a_stop_sequence(front: str, asks: dict[str, Any], stream: bool) -> None:
    async with server(Script(text=("Good", " day ST", "OP and", " more"))) as (house, _):
        body = FRONTS[front].first(MODEL, stream) | USAGE.get(front, {}) | asks
        heard = hear(front, await ask(house, front, body), stream)
    assert heard.texts == ("Good day ",)
    assert heard.stop_sequence == ("STOP" if front == "messages" else None)
    assert heard.usage["completion"]


async def test_what_is_left_out_is_told() -> None:
    body = FRONTS["chat"].first(MODEL, False) | {"seed": 7, "metadata": {"a": "b"}, "max_tokens": 5}
    async with openai(Script(text="Hi")) as (house, mock):
        answer = await ask(house, "chat", body, b"x-trunkline-explain: fit\r\n")
        sent = mock.calls[-1].json
    assert answer.headers["x-trunkline-left-out"] == "seed"
    assert "max_output_tokens" in answer.headers["x-trunkline-fit"]
    assert (sent["metadata"], sent["max_output_tokens"]) == ({"a": "b"}, 16)


async def test_the_setting_that_keeps_to_the_chat_api() -> None:
    async with openai(Script(text="Hi"), api="chat") as (house, mock):
        answer = await ask(house, "messages", FRONTS["messages"].first(MODEL, False))
        assert answer.status == 200
        assert mock.calls[-1].path == "/v1/chat/completions"
        assert mock.calls[-1].json["reasoning_effort"] == "none"
        refused = await ask(house, "chat", FRONTS["chat"].first(MODEL, False))
        assert refused.status == 400


async def test_embeddings_are_asked_where_they_are() -> None:
    async with server(Script()) as (house, mock):
        body = {"model": MODEL, "input": "Hi"}
        answer = await house.ask(post(body, BEARER, path="/v1/embeddings"))
        assert (answer.status, mock.calls[-1].path) == (200, "/v1/embeddings")


@STREAMS
@pytest.mark.parametrize("front", FRONTS)
async def test_the_other_form_than_was_asked_for(front: str, stream: bool) -> None:
    """A stream instead of a body and the reverse, also where it would pass through."""
    async with server(playing(not stream, message(said("Good day")))) as (house, _):
        answer = await ask(house, front, FRONTS[front].first(MODEL, stream))
    assert answer.status == 200, answer.body
    assert b"Good day" in answer.body
    if front == "responses" and not stream:
        assert msgspec.json.decode(answer.body)["status"] == "completed"
