"""Anthropic's responses, whole and streamed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import httpx
import pytest

from trunkline_mock import MockUpstream, Script, ToolCall, Usage
from trunkline_mock.shapes.anthropic.write import is_signed, sign_thinking

from ..http_client import mock_client, named_sse_events

_REQUEST: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 5000,
    "messages": [{"role": "user", "content": "hello there"}],
}
_CALLS = (ToolCall("weather", {"city": "Rome"}), ToolCall("time", {}, id="toolu_own"))


async def whole_message(script: Script, **fields: Any) -> Any:
    async with mock_client("anthropic", script) as client:
        answer = await client.post("/v1/messages", json=_REQUEST | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def streamed_events(script: Script, **fields: Any) -> list[Any]:
    async with mock_client("anthropic", script) as client:
        answer = await client.post("/v1/messages", json={**_REQUEST, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    return named_sse_events(answer)


async def test_a_whole_message_has_the_vendors_order_of_fields() -> None:
    answer = await whole_message(Script(text="Hello!", usage=Usage(10, 5, 4, 2)))
    assert list(answer) == [
        "model",
        "id",
        "type",
        "role",
        "content",
        "stop_reason",
        "stop_sequence",
        "stop_details",
        "usage",
    ]
    assert answer.pop("id").startswith("msg_01")
    assert answer == {
        "model": "claude-haiku-4-5",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "Hello!"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 5,
            "service_tier": "standard",
            "inference_geo": "not_available",
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }


async def test_a_stream_with_all_kinds_of_blocks() -> None:
    script = Script(text="one two", thinking="h m", tool_calls=_CALLS, usage=Usage(10, 9, 4, 2), comments=2)
    got = await streamed_events(script)
    message = got[0]["message"]
    assert (message["content"], message["stop_reason"], message["stop_details"]) == ([], None, None)
    assert (message["usage"]["input_tokens"], message["usage"]["cache_read_input_tokens"]) == (6, 4)
    assert message["usage"]["output_tokens"] == 1
    weather, own = (
        event["content_block"] for event in got if event.get("index") in (2, 3) and "content_block" in event
    )
    assert weather.pop("id").startswith("toolu_01")
    assert weather == {"type": "tool_use", "name": "weather", "input": {}, "caller": {"type": "direct"}}
    assert own["id"] == "toolu_own"
    assert [event["type"] for event in got[1:4]] == ["content_block_start", "ping", "ping"]
    assert got[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    deltas = [(event["index"], event["delta"]) for event in got if event["type"] == "content_block_delta"]
    assert deltas == [
        (0, {"type": "thinking_delta", "thinking": "h "}),
        (0, {"type": "thinking_delta", "thinking": "m"}),
        (0, {"type": "signature_delta", "signature": sign_thinking("h m")}),
        (1, {"type": "text_delta", "text": "one "}),
        (1, {"type": "text_delta", "text": "two"}),
        (2, {"type": "input_json_delta", "partial_json": ""}),
        (2, {"type": "input_json_delta", "partial_json": '{"city":'}),
        (2, {"type": "input_json_delta", "partial_json": '"Rome"}'}),
        (3, {"type": "input_json_delta", "partial_json": ""}),
    ]
    assert got[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None, "stop_details": None},
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }
    assert got[-1] == {"type": "message_stop"}


async def test_blocks_do_not_overlap() -> None:
    got = await streamed_events(Script(text="one two", thinking="hm", tool_calls=_CALLS))
    open_block = -1
    for before, event in pairwise(got):
        if event["type"] == "content_block_start":
            assert before["type"] in ("message_start", "content_block_stop")
            open_block += 1
        if event["type"].startswith("content_block"):
            assert event["index"] == open_block
    assert open_block == 3


async def test_sent_chunks_and_tokens_are_counted() -> None:
    async with MockUpstream("anthropic", Script(text="one two", thinking="hm", tool_calls=_CALLS)) as mock:
        headers = {"anthropic-version": "2023-06-01"}
        async with httpx.AsyncClient(base_url=mock.url, headers=headers) as client:
            await client.post("/v1/messages", json={**_REQUEST, "stream": True})
        (call,) = mock.calls
        assert (call.chunks, call.prompt_tokens, call.completion_tokens) == (6, 2, 7)


async def test_whole_tool_calls() -> None:
    answer = await whole_message(
        Script(tool_calls=(*_CALLS, ToolCall("f", '{"a":1}'), ToolCall("g", "{broken")))
    )
    assert [(block["type"], block["name"], block["input"]) for block in answer["content"]] == [
        ("tool_use", "weather", {"city": "Rome"}),
        ("tool_use", "time", {}),
        ("tool_use", "f", {"a": 1}),
        ("tool_use", "g", "{broken"),
    ]
    assert len({block["id"] for block in answer["content"]}) == 4
    assert answer["stop_reason"] == "tool_use"


async def test_invalid_arguments_are_streamed_unchanged() -> None:
    got = await streamed_events(Script(tool_calls=(ToolCall("g", "{broken"),)))
    assert (
        "".join(event["delta"]["partial_json"] for event in got if event["type"] == "content_block_delta")
        == "{broken"
    )


@pytest.mark.parametrize(
    ("script", "reason", "details"),
    [
        (Script(text="a"), "end_turn", None),
        (Script(text="a", finish_reason="length"), "max_tokens", None),
        (Script(text="a", finish_reason="pause_turn"), "pause_turn", None),
        (Script(text="", finish_reason="content_filter"), "refusal", True),
        (Script(text="a", finish_reason="refusal"), "refusal", True),
        (Script(tool_calls=_CALLS), "tool_use", None),
    ],
)
async def test_stop_reasons(script: Script, reason: str, details: bool | None) -> None:
    refusal = {"type": "refusal", "category": None, "explanation": None} if details else None
    answer = await whole_message(script)
    assert (answer["stop_reason"], answer["stop_details"]) == (reason, refusal)
    got = await streamed_events(script)
    assert got[-2]["delta"] == {"stop_reason": reason, "stop_sequence": None, "stop_details": refusal}


@pytest.mark.parametrize(
    ("fields", "words", "reason", "sequence"),
    [
        ({"max_tokens": 2}, 2, "max_tokens", None),
        ({"stop_sequences": ["zz", " there"]}, 3, "stop_sequence", " there"),
        ({"stop_sequences": [" there"], "max_tokens": 2}, 2, "max_tokens", None),
        ({"stop_sequences": ["zz"]}, 4, "end_turn", None),
    ],
)
async def test_limits_and_stop_sequences(
    fields: dict[str, Any], words: int, reason: str, sequence: str | None
) -> None:
    answer = await whole_message(Script(), **fields)
    assert len(answer["content"][0]["text"].split()) == words
    assert (answer["stop_reason"], answer["stop_sequence"]) == (reason, sequence)


async def test_an_empty_answer_has_no_blocks() -> None:
    assert (await whole_message(Script(text="")))["content"] == []
    got = await streamed_events(Script(text=""))
    assert [event["type"] for event in got] == ["message_start", "message_delta", "message_stop"]


async def test_an_answer_without_usage() -> None:
    assert "usage" not in await whole_message(Script(usage=None))
    got = await streamed_events(Script(usage=None))
    assert "usage" not in got[0]["message"]
    assert "usage" not in got[-2]


async def test_thinking_can_be_omitted() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024, "display": "omitted"}
    answer = await whole_message(Script(text="a", thinking="h m"), thinking=thinking)
    assert answer["content"][0] == {"type": "thinking", "thinking": "", "signature": sign_thinking("h m")}
    got = await streamed_events(Script(text="a", thinking="h m"), thinking=thinking)
    first = next(event["delta"] for event in got if event["type"] == "content_block_delta")
    assert first == {"type": "signature_delta", "signature": sign_thinking("h m")}
    off = await whole_message(Script(text="a", thinking="h m"), thinking={"type": "disabled"})
    assert [block["type"] for block in off["content"]] == ["text"]


@pytest.mark.parametrize(
    ("thinking", "signature", "signed"),
    [
        ("hm", sign_thinking("hm"), True),
        ("", sign_thinking("hm"), True),
        ("hmm", sign_thinking("hm"), False),
        ("hm", "c2ln", False),
        ("", "c2ln", False),
        ("hm", "", False),
        ("hm", "no base64!", False),
        ("hm", "ü", False),
    ],
)
def test_signatures(thinking: str, signature: str, signed: bool) -> None:
    assert is_signed(thinking, signature) is signed


async def test_a_scripted_model_name() -> None:
    assert (await whole_message(Script(model="claude-x")))["model"] == "claude-x"
