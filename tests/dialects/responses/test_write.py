"""Whole answers, validated with the types of OpenAI's own SDK."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.dialects.responses.writing import STARTED, whole
from trunkline.dialects.responses import RESPONSES
from trunkline.events import (
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
from trunkline.model import Usage

TEXT: list[StreamEvent] = [STARTED, TextDelta("Hel"), TextDelta("lo"), Finished("stop")]
USAGE = Usage(
    prompt_tokens=9,
    completion_tokens=5,
    cached_tokens=4,
    cache_write_tokens=1,
    reasoning_tokens=2,
    cost=0.25,
)
NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 0,
}
HELLO = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
SCHEMA = {"type": "object"}
TOOL = {"type": "function", "name": "f", "description": "d", "parameters": SCHEMA, "strict": True}
BARE = {"description": None, "parameters": None, "strict": None}


def message(*parts: dict[str, Any], id: str = "msg_100", status: str = "completed") -> dict[str, Any]:
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": list(parts)}


def test_a_whole_answer() -> None:
    assert whole([*TEXT, Metered(USAGE), Timed(total=5)]) == {
        "id": "resp_1",
        "object": "response",
        "created_at": 1700000000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "llama3.2",
        "output": [message(HELLO)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": None,
        "truncation": "disabled",
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 14,
            "cost": 0.25,
        },
        "user": None,
        "metadata": {},
    }
    assert whole(TEXT)["usage"] == NO_USAGE


REPEATED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"instructions": "Be brief"}, {"instructions": "Be brief"}),
    ({"max_output_tokens": 9, "max_tool_calls": 2}, {"max_output_tokens": 9, "max_tool_calls": 2}),
    ({"temperature": 0.5, "top_p": 0.25}, {"temperature": 0.5, "top_p": 0.25}),
    ({"metadata": {"a": "b"}, "user": "u"}, {"metadata": {"a": "b"}, "user": "u"}),
    (
        {"prompt_cache_key": "k", "safety_identifier": "s"},
        {"prompt_cache_key": "k", "safety_identifier": "s"},
    ),
    ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
    ({"store": True, "truncation": "auto"}, {"store": False, "truncation": "disabled"}),
    (
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    ({"text": {"verbosity": "low"}}, {"text": {"format": {"type": "text"}, "verbosity": "low"}}),
    ({"text": {"format": {"type": "json_object"}}}, {"text": {"format": {"type": "json_object"}}}),
    (
        {"text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA, "strict": True}}},
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "s",
                    "schema": SCHEMA,
                    "strict": True,
                    "description": None,
                }
            }
        },
    ),
    ({"tools": [TOOL], "tool_choice": "required"}, {"tools": [TOOL], "tool_choice": "required"}),
    (
        {"tools": [{"type": "function", "name": "g"}]},
        {"tools": [{"type": "function", "name": "g"} | BARE]},
    ),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f"}},
        {"tool_choice": {"type": "function", "name": "f"}},
    ),
    (
        {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
        {"top_logprobs": 3},
    ),
]


@pytest.mark.parametrize(("fields", "repeated"), REPEATED)
def test_request_fields_are_repeated_as_they_are_in_force(
    fields: dict[str, Any], repeated: dict[str, Any]
) -> None:
    answer = whole(TEXT, **fields)
    assert {name: answer[name] for name in repeated} == repeated


STATUSES: list[tuple[FinishReason, str, str | None]] = [
    ("stop", "completed", None),
    ("tool_calls", "completed", None),
    ("length", "incomplete", "max_output_tokens"),
    ("content_filter", "incomplete", "content_filter"),
]


@pytest.mark.parametrize(("reason", "status", "why"), STATUSES)
def test_statuses(reason: FinishReason, status: str, why: str | None) -> None:
    answer = whole([STARTED, ThinkingDelta("Hm"), TextDelta("Hel"), Finished(reason)])
    assert (answer["status"], answer["error"]) == (status, None)
    assert answer["incomplete_details"] == (None if why is None else {"reason": why})
    assert [item["status"] for item in answer["output"]] == ["completed", status]


def test_thinking_text_and_calls_are_items_in_their_order() -> None:
    answer = whole(
        [
            STARTED,
            ThinkingDelta("H"),
            ThinkingDelta("m"),
            TextDelta("Hello"),
            ThinkingDelta("So"),
            ToolCallDelta(0, "a", "f", ""),
            ToolCallDelta(1, None, "g", '{"x"'),
            ToolCallDelta(0, arguments="{}"),
            ToolCallDelta(1, arguments=":1}"),
            Finished("tool_calls"),
        ]
    )
    first, second, third, fourth, fifth = answer["output"]
    assert first == {
        "id": "rs_100",
        "type": "reasoning",
        "status": "completed",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
    }
    assert second == message(HELLO, id="msg_101")
    assert (third["id"], third["content"][0]["text"]) == ("rs_102", "So")
    assert fourth == {
        "id": "fc_103",
        "type": "function_call",
        "status": "completed",
        "call_id": "a",
        "name": "f",
        "arguments": "{}",
    }
    assert (fifth["call_id"], fifth["name"], fifth["arguments"]) == ("call_104", "g", '{"x":1}')


def test_thinking_as_a_summary_if_that_was_asked_for() -> None:
    answer = whole([STARTED, ThinkingDelta("Hm"), *TEXT[1:]], reasoning={"summary": "detailed"})
    assert answer["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert "content" not in answer["output"][0]


def test_signatures_survive_writing_and_parsing() -> None:
    events: list[StreamEvent] = [
        STARTED,
        ThinkingDelta("Hm"),
        ThinkingDelta("", signature="s"),
        ThinkingDelta("So", signature="t"),
        ThinkingDelta("", 0, "u"),
        TextDelta("Hello"),
        ThinkingDelta("", signature="v"),
    ]
    output = whole(events)["output"]
    assert [item.get("encrypted_content") for item in output] == [
        "signature:s",
        "signature:u",
        None,
        "signature:v",
    ]
    again = RESPONSES.parse(json.dumps({"input": output[:2]}).encode())
    thinking = [(part.text, part.signature) for part in again.messages[0].parts]  # type: ignore[union-attr]
    assert thinking == [("Hm", "signature:s"), ("So", "signature:u")]


def test_a_refusal() -> None:
    answer = whole([STARTED, RefusalDelta("I "), RefusalDelta("won't"), RefusalDelta(""), Finished("stop")])
    assert answer["output"] == [message({"type": "refusal", "refusal": "I won't"})]
    both = whole([STARTED, TextDelta("Hello"), RefusalDelta("No")])
    assert both["output"] == [message(HELLO, {"type": "refusal", "refusal": "No"})]


def test_one_answer_only() -> None:
    other: list[StreamEvent] = [TextDelta("x", 1), ThinkingDelta("y", 1), ToolCallDelta(0, "a", "f", "", 1)]
    assert whole([*TEXT, *other, RefusalDelta("z", 1), Finished("length", 1)]) == whole(TEXT)


@pytest.mark.parametrize("events", [[], [STARTED], [STARTED, TextDelta(""), ThinkingDelta("")]])
def test_an_answer_without_content_is_still_a_message(events: list[StreamEvent]) -> None:
    (item,) = whole(events)["output"]
    assert item["content"] == [HELLO | {"text": ""}]


@pytest.mark.parametrize(("reason", "arguments"), [("tool_calls", "{}"), ("length", "")])
def test_a_call_without_arguments(reason: FinishReason, arguments: str) -> None:
    answer = whole([STARTED, ToolCallDelta(0, "a", "f"), Finished(reason)])
    assert answer["output"][0]["arguments"] == arguments


def test_nothing_is_added_to_whole_arguments_once_something_else_has_begun() -> None:
    events: list[StreamEvent] = [
        STARTED,
        ToolCallDelta(0, "a", "f", '{"x":"}'),
        ToolCallDelta(1, "b", "g", "{}"),
        ToolCallDelta(0, arguments='"}'),
        ToolCallDelta(0, arguments="\n"),
    ]
    assert [item["arguments"] for item in whole(events)["output"]] == ['{"x":"}"}', "{}"]


def test_log_probabilities_if_they_were_asked_for() -> None:
    top = {"token": "h", "logprob": -1.5, "bytes": None}
    token = {"token": "Hé", "logprob": -0.5, "bytes": None, "top_logprobs": [top]}
    piece = TextDelta("Hé", 0, {"content": [token], "refusal": None})
    odd: list[StreamEvent] = [
        TextDelta("", 0, shape)
        for shape in ({"tokens": ["x"]}, "x", {"content": [1]}, {"content": [{"token": 1}]})
    ]
    fields = {"include": ["message.output_text.logprobs"]}
    expected = {
        "token": "Hé",
        "bytes": [72, 195, 169],
        "logprob": -0.5,
        "top_logprobs": [{"token": "h", "bytes": [104], "logprob": -1.5}],
    }
    found = whole([STARTED, piece, *odd, piece], **fields)["output"][0]["content"][0]
    assert (found["text"], found["logprobs"]) == ("HéHé", [expected, expected])
    assert whole([STARTED, piece])["output"][0]["content"][0]["logprobs"] == []


def test_what_the_upstream_does_not_name_is_made_here() -> None:
    before = int(time.time())
    for events in ([Started(), *TEXT[1:]], TEXT[1:], [Started("chatcmpl-1", "", 0), *TEXT[1:]]):
        answer = whole(events)
        assert re.fullmatch("resp_[0-9a-f]{32}", answer["id"])
        assert answer["output"][0]["id"] == f"msg_{answer['id'][5:]}00"
        assert answer["model"] == "m"
        assert before <= answer["created_at"] <= time.time()
    assert whole(TEXT[1:])["id"] != whole(TEXT[1:])["id"]
