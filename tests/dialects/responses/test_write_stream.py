"""Streams: which events, in which order, with which numbers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.responses.writing import STARTED, read, stream, whole, writer
from trunkline.dialects.responses import RESPONSES
from trunkline.errors import UPSTREAM_RATE_LIMIT, UPSTREAM_TRUNCATED, CallerError, GatewayError, ProviderError
from trunkline.events import (
    Finished,
    Metered,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage

TEXT: list[StreamEvent] = [STARTED, TextDelta("Hel"), TextDelta("lo"), Finished("stop")]
CALLS: list[StreamEvent] = [
    STARTED,
    ToolCallDelta(0, "a", "f", ""),
    ToolCallDelta(0, arguments='{"x"'),
    ToolCallDelta(0, arguments=":1}"),
    ToolCallDelta(1, "b", "g"),
    Finished("tool_calls"),
]
OUTPUT_TEXT = {"type": "output_text", "annotations": [], "logprobs": []}


def _place(id: str, at: int = 0, part: int | None = 0) -> dict[str, Any]:
    return {"item_id": id, "output_index": at} | ({} if part is None else {"content_index": part})


def _content(events: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """The events between the response's own, as (name without ``response.``, fields)."""
    first, second, *middle, last = events
    opening = first["response"]
    assert [each["type"] for each in (first, second)] == ["response.created", "response.in_progress"]
    assert second["response"] == opening
    assert (opening["status"], opening["output"], opening["usage"]) == ("in_progress", [], None)
    assert last["type"] == f"response.{last['response']['status']}"
    assert last["response"]["id"] == opening["id"]
    for each in middle:
        del each["sequence_number"]
    return [(each.pop("type").removeprefix("response."), each) for each in middle]


def test_text() -> None:
    item = {"id": "msg_100", "type": "message", "role": "assistant"}
    done = OUTPUT_TEXT | {"text": "Hello"}
    assert _content(stream(TEXT)) == [
        ("output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}),
        ("content_part.added", _place("msg_100") | {"part": OUTPUT_TEXT | {"text": ""}}),
        ("output_text.delta", _place("msg_100") | {"delta": "Hel", "logprobs": []}),
        ("output_text.delta", _place("msg_100") | {"delta": "lo", "logprobs": []}),
        ("output_text.done", _place("msg_100") | {"text": "Hello", "logprobs": []}),
        ("content_part.done", _place("msg_100") | {"part": done}),
        ("output_item.done", {"output_index": 0, "item": item | {"status": "completed", "content": [done]}}),
    ]


def test_calls() -> None:
    one = {"id": "fc_100", "type": "function_call", "call_id": "a", "name": "f"}
    two = {"id": "fc_101", "type": "function_call", "call_id": "b", "name": "g"}
    opening = {"status": "in_progress", "arguments": ""}
    first, second = _place("fc_100", 0, None), _place("fc_101", 1, None)
    assert _content(stream(CALLS)) == [
        ("output_item.added", {"output_index": 0, "item": one | opening}),
        ("function_call_arguments.delta", first | {"delta": '{"x"'}),
        ("function_call_arguments.delta", first | {"delta": ":1}"}),
        ("function_call_arguments.done", first | {"arguments": '{"x":1}', "name": "f"}),
        (
            "output_item.done",
            {"output_index": 0, "item": one | {"status": "completed", "arguments": '{"x":1}'}},
        ),
        ("output_item.added", {"output_index": 1, "item": two | opening}),
        ("function_call_arguments.delta", second | {"delta": "{}"}),
        ("function_call_arguments.done", second | {"arguments": "{}", "name": "g"}),
        ("output_item.done", {"output_index": 1, "item": two | {"status": "completed", "arguments": "{}"}}),
    ]


def test_thinking() -> None:
    item = {"id": "rs_100", "type": "reasoning", "summary": []}
    done = {"type": "reasoning_text", "text": "Hm"}
    events: list[StreamEvent] = [
        STARTED,
        ThinkingDelta("Hm"),
        ThinkingDelta("", signature="s"),
        TextDelta("Hi"),
    ]
    found = _content(stream(events))
    assert found[:6] == [
        ("output_item.added", {"output_index": 0, "item": item | {"status": "in_progress"}}),
        ("content_part.added", _place("rs_100") | {"part": done | {"text": ""}}),
        ("reasoning_text.delta", _place("rs_100") | {"delta": "Hm"}),
        ("reasoning_text.done", _place("rs_100") | {"text": "Hm"}),
        ("content_part.done", _place("rs_100") | {"part": done}),
        (
            "output_item.done",
            {
                "output_index": 0,
                "item": item | {"status": "completed", "content": [done], "encrypted_content": "signature:s"},
            },
        ),
    ]
    assert found[6][1]["output_index"] == 1


def test_thinking_as_a_summary() -> None:
    place = {"item_id": "rs_100", "output_index": 0, "summary_index": 0}
    done = {"type": "summary_text", "text": "Hm"}
    found = _content(stream([STARTED, ThinkingDelta("Hm"), TextDelta("Hi")], reasoning={"summary": "auto"}))
    assert found[1:5] == [
        ("reasoning_summary_part.added", place | {"part": done | {"text": ""}}),
        ("reasoning_summary_text.delta", place | {"delta": "Hm"}),
        ("reasoning_summary_text.done", place | {"text": "Hm"}),
        ("reasoning_summary_part.done", place | {"part": done}),
    ]
    assert found[5][1]["item"]["summary"] == [done]


def test_a_refusal_after_text_is_a_part_of_its_own() -> None:
    found = _content(stream([STARTED, TextDelta("Hi"), RefusalDelta("N"), RefusalDelta("o")]))
    second = _place("msg_100", 0, 1)
    assert [name for name, _ in found[:5]] == [
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
    ]
    assert found[5:-1] == [
        ("content_part.added", second | {"part": {"type": "refusal", "refusal": ""}}),
        ("refusal.delta", second | {"delta": "N"}),
        ("refusal.delta", second | {"delta": "o"}),
        ("refusal.done", second | {"refusal": "No"}),
        ("content_part.done", second | {"part": {"type": "refusal", "refusal": "No"}}),
    ]
    assert [part["type"] for part in found[-1][1]["item"]["content"]] == ["output_text", "refusal"]


def test_an_answer_without_content() -> None:
    names = [name for name, _ in _content(stream([STARTED, TextDelta(""), Finished("stop")]))]
    assert names == [
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]


def test_an_answer_that_is_cut_short() -> None:
    events: list[StreamEvent] = [STARTED, ToolCallDelta(0, "a", "f", '{"x'), Finished("length")]
    *_, done, last = stream(events)
    assert (done["item"]["status"], done["item"]["arguments"]) == ("incomplete", '{"x')
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_one_item_is_open_at_a_time_however_the_pieces_come() -> None:
    """A later call's pieces wait until the one before it is whole."""
    stream_writer = writer(stream=True)
    written = stream_writer.feed(
        [STARTED, ToolCallDelta(0, "a", "f", '{"x"'), ToolCallDelta(1, "b", "g", '{"y"')]
    )
    written += stream_writer.feed([ToolCallDelta(1, arguments=":2}"), TextDelta("Hi")])
    assert b"fc_101" not in written
    then = stream_writer.feed([ToolCallDelta(0, arguments=":1}")])
    assert b'"delta":"{\\"y\\":2}"' in then
    assert b'"delta":"Hi"' in then
    events = read(written + then + stream_writer.finish())
    places = [event["output_index"] for event in events if "output_index" in event]
    assert places == sorted(places)
    assert [item["type"] for item in events[-1]["response"]["output"]] == [
        "function_call",
        "function_call",
        "message",
    ]


def test_nothing_is_written_before_there_is_some_output() -> None:
    """So that another upstream can still be asked."""
    stream_writer = writer(stream=True)
    assert stream_writer.content_type == RESPONSES.stream_type == b"text/event-stream; charset=utf-8"
    assert stream_writer.feed([STARTED, TextDelta(""), ThinkingDelta(""), Metered(Usage())]) == b""
    assert stream_writer.feed([TextDelta("Hi")]).startswith(b"event: response.created\ndata: {")


def test_the_last_event_is_the_whole_answer() -> None:
    usage = Metered(Usage(prompt_tokens=3, completion_tokens=2, reasoning_tokens=1))
    fields: dict[str, Any] = {"instructions": "Be brief", "temperature": 0.5, "metadata": {"a": "b"}}
    events = [STARTED, ThinkingDelta("Hm"), *TEXT[1:3], *CALLS[1:], usage]
    assert stream(events, **fields)[-1]["response"] == whole(events, **fields)


def test_log_probabilities_are_in_deltas_too() -> None:
    token = {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": []}
    events: list[StreamEvent] = [STARTED, TextDelta("H", 0, {"content": [token]}), TextDelta("i")]
    found = dict(_content(stream(events, include=["message.output_text.logprobs"])))
    deltas = [
        each["logprobs"]
        for each in stream(events, include=["message.output_text.logprobs"])
        if each["type"] == "response.output_text.delta"
    ]
    assert deltas == [[token], []]
    assert found["output_text.done"]["logprobs"] == [token]
    assert found["content_part.done"]["part"]["logprobs"] == [token]


ERRORS: list[tuple[GatewayError, str]] = [
    (ProviderError("It was cut", UPSTREAM_TRUNCATED), "server_error"),
    (ProviderError("Slow down", UPSTREAM_RATE_LIMIT), "rate_limit_exceeded"),
    (CallerError("Bad image", param="input"), "invalid_prompt"),
    (GatewayError("oops"), "server_error"),
]


@pytest.mark.parametrize(("error", "code"), ERRORS)
def test_an_error_in_mid_stream(error: GatewayError, code: str) -> None:
    stream_writer = writer(stream=True)
    *_, error_event, last = read(
        stream_writer.feed([STARTED, ThinkingDelta("Hm"), TextDelta("Hel")]) + stream_writer.fail(error)
    )
    detail = {"message": error.message, "type": error.kind.type, "param": error.param, "code": error.code}
    flat = {"code": error.code, "message": error.message, "param": error.param}
    assert (
        error_event
        == {"type": "error", "sequence_number": error_event["sequence_number"], "error": detail} | flat
    )
    response = last["response"]
    assert (last["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": code, "message": error.message}
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["output"][1]["content"][0]["text"] == "Hel"
    assert response["usage"] is None


def test_an_error_before_any_output() -> None:
    stream_writer = writer(stream=True)
    assert stream_writer.feed([STARTED, Metered(Usage(prompt_tokens=3))]) == b""
    events = read(stream_writer.fail(ProviderError("Down")))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "error",
        "response.failed",
    ]
    assert (events[-1]["response"]["output"], events[-1]["response"]["usage"]["input_tokens"]) == ([], 3)


def test_the_error_event_without_a_writer() -> None:
    (event,) = read(RESPONSES.stream_error(ProviderError("Down")))
    assert (event["type"], event["message"], event["error"]["message"]) == ("error", "Down", "Down")
