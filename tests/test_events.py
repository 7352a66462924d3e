from __future__ import annotations

import pytest

from trunkline.events import (
    Answer,
    Embedded,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import Image, Message, Text, Usage


def test_no_events_are_an_empty_answer() -> None:
    answer = Answer()
    assert (answer.id, answer.model, answer.created, answer.usage, answer.timed) == (None,) * 5
    assert (answer.choices, answer.vectors) == ({}, [])


def test_pieces_are_folded_in_order() -> None:
    answer = Answer(
        [
            Started("chatcmpl-1", "llama3.2", 1_700_000_000),
            ThinkingDelta("Hm"),
            ThinkingDelta(", yes.", signature="s1"),
            ThinkingDelta(""),
            TextDelta("Hel", logprobs={"content": [1]}),
            TextDelta("lo"),
            RefusalDelta("N"),
            RefusalDelta("o."),
            Finished("stop", stop_sequence="END"),
            Metered(Usage(prompt_tokens=1)),
            Metered(Usage(prompt_tokens=3, completion_tokens=2)),
            Timed(total=9),
        ]
    )
    assert (answer.id, answer.model, answer.created) == ("chatcmpl-1", "llama3.2", 1_700_000_000)
    choice = answer.choices[0]
    assert choice.thinking_pieces() == [("Hm, yes.", "s1")]
    assert ("".join(choice.text), choice.logprobs) == ("Hello", [{"content": [1]}])
    assert "".join(choice.refusal) == "No."
    assert (choice.reason, choice.stop_sequence) == ("stop", "END")
    assert answer.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert answer.timed == Timed(total=9)


def test_choices_are_kept_apart() -> None:
    answer = Answer([TextDelta("a"), TextDelta("x", 1), TextDelta("b"), Finished("length", 1)])
    assert {index: "".join(choice.text) for index, choice in answer.choices.items()} == {0: "ab", 1: "x"}
    assert {index: choice.reason for index, choice in answer.choices.items()} == {0: None, 1: "length"}


def test_tool_calls_are_gathered_by_index() -> None:
    events: list[StreamEvent] = [
        ToolCallDelta(0, "c0", "f", '{"a"'),
        ToolCallDelta(1, None, "g"),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments="{}"),
        ToolCallDelta(0, "c9", "h", "[]", choice=2),
    ]
    calls = {
        index: [(number, call.id, call.name, call.arguments) for number, call in choice.calls.items()]
        for index, choice in Answer(events).choices.items()
    }
    assert calls == {0: [(0, "c0", "f", '{"a":1}'), (1, None, "g", "{}")], 2: [(0, "c9", "h", "[]")]}


def test_vectors_are_taken_whole() -> None:
    assert Answer([Embedded([[1.0], [2.0]])]).vectors == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("usage", "total"), [(Usage(), 0), (Usage(prompt_tokens=2, completion_tokens=3, reasoning_tokens=1), 5)]
)
def test_total_tokens(usage: Usage, total: int) -> None:
    assert usage.total_tokens == total


def test_a_messages_text_is_that_of_its_text_parts() -> None:
    message = Message(role="user", parts=(Text(text="a"), Image(url="https://x/y.png"), Text(text="b")))
    assert message.text == "ab"
