"""What a mock model says, and how it counts."""

from __future__ import annotations

import math

import pytest

from trunkline_mock import Script, ToolCall, Usage
from trunkline_mock.answers import (
    Ask,
    Image,
    Tool,
    compose,
    embedding,
    image_of,
    seed_of,
    short_id,
    spread,
)


def ask(**fields: object) -> Ask:
    return Ask(model="m", seed="00", prompt_words=4, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (ask(last="hello  world"), "m heard: hello  world"),
        (ask(), "m heard nothing."),
        (
            ask(last="look", images=(Image("png", 9), Image("url", 0))),
            "m heard: look It saw 2 image(s): png of 9 bytes, url of 0 bytes.",
        ),
        (ask(last="x", schema={}), "{}"),
        (ask(last="x", schema={"properties": {"a": {"type": "integer"}}, "required": ["a"]}), '{"a":0}'),
        (ask(last="one STOP two", stop=("", "absent", "STOP")), "m heard: one "),
    ],
)
def test_the_default_answer(question: Ask, text: str) -> None:
    answer = compose(question, Script())
    assert answer.text == text
    assert answer.finish_reason == "stop"
    assert answer.prompt == 4
    assert answer.completion == len(text.split())


def test_the_default_answer_obeys_the_limit() -> None:
    answer = compose(ask(last="a b c", limit=3), Script())
    assert (answer.chunks, answer.finish_reason, answer.completion) == (("m ", "heard: ", "a "), "length", 3)


@pytest.mark.parametrize(
    ("stop", "limit", "text", "stopped_by"),
    [
        (("c", "b"), None, "m heard: a ", "b"),
        (("bc", "b"), None, "m heard: a ", "b"),
        (("z",), None, "m heard: a bc", ""),
        (("b",), 2, "m heard: ", ""),
    ],
)
def test_the_answer_knows_what_stopped_it(
    stop: tuple[str, ...], limit: int | None, text: str, stopped_by: str
) -> None:
    answer = compose(ask(last="a bc", stop=stop, limit=limit), Script())
    assert (answer.text, answer.stopped_by) == (text, stopped_by)


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    assert compose(ask(last="a", limit=3), Script()).finish_reason == "stop"


def test_a_scripted_text_is_exact_unless_it_is_to_obey() -> None:
    assert compose(ask(limit=1), Script(text="a b c")).text == "a b c"
    assert compose(ask(limit=1), Script(text="a b c", obey_limits=True)).text == "a "
    assert compose(ask(last="b", limit=1), Script(obey_limits=False)).text == "m heard: b"


@pytest.mark.parametrize(
    ("script", "chunks"),
    [
        (Script(text=" a  b\n"), (" ", "a  ", "b\n")),
        (Script(text="abcde", chunk_size=2), ("ab", "cd", "e")),
        (Script(text=("ab", "", "c")), ("ab", "", "c")),
        (Script(text="a ", repeat=3), ("a ", "a ", "a ")),
        (Script(text=""), ()),
    ],
)
def test_pieces(script: Script, chunks: tuple[str, ...]) -> None:
    assert compose(ask(), script).chunks == chunks


def test_thinking_unless_it_is_switched_off() -> None:
    script = Script(thinking="let me see")
    assert compose(ask(), script).thought == "let me see"
    assert compose(ask(), script).reasoning == 3
    assert compose(ask(think=False), script).thinking == ()


def test_tool_calls_and_no_text() -> None:
    answer = compose(ask(last="x"), Script(tool_calls=(ToolCall("f", {"a": 1}), ToolCall("g", "{broken"))))
    assert (answer.text, answer.finish_reason, len(answer.tool_calls)) == ("", "tool_calls", 2)


def test_the_requests_own_tools_are_called_until_there_is_a_result() -> None:
    schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (Tool("f", schema), Tool("g", None))
    answer = compose(ask(tools=tools), Script(call_tools=2))
    assert answer.tool_calls == (ToolCall("f", {"city": "mock"}), ToolCall("g", {}))
    assert compose(ask(tools=tools, after_tool=True), Script(call_tools=2)).finish_reason == "stop"


def test_scripted_counts_and_reasons() -> None:
    usage = Usage(prompt=100, completion=7, cached=50, reasoning=2)
    answer = compose(ask(), Script(usage=usage, finish_reason="content_filter", model="m-2024"))
    assert (answer.prompt, answer.completion, answer.cached, answer.reasoning) == (100, 7, 50, 2)
    assert (answer.finish_reason, answer.model, answer.has_usage) == ("content_filter", "m-2024", True)


def test_no_usage_still_counts_what_is_sent() -> None:
    answer = compose(ask(), Script(text="a b", usage=None))
    assert (answer.has_usage, answer.completion) == (False, 2)


@pytest.mark.parametrize(
    ("total", "parts", "shares"),
    [(3, ["a ", "b ", "c"], [1, 1, 1]), (10, ["a", "b c"], [3, 7]), (0, ["a"], [0]), (5, [], [])],
)
def test_tokens_are_shared_out_exactly(total: int, parts: list[str], shares: list[int]) -> None:
    assert spread(total, parts) == shares


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\x89PNG\r\n", "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"??", "unknown")],
)
def test_images_by_their_first_bytes(data: bytes, kind: str) -> None:
    assert image_of(data) == Image(kind, len(data))


def test_embeddings_are_normalised_and_repeatable() -> None:
    vector = embedding("text", 16)
    assert len(vector) == 16
    assert math.isclose(sum(value * value for value in vector), 1.0)
    assert vector == embedding("text", 16) != embedding("other", 16)


def test_ids_differ_with_the_request_and_the_position() -> None:
    one, other = seed_of(b"1"), seed_of(b"2")
    ids = {short_id(one, 0, 8), short_id(one, 1, 8), short_id(other, 0, 8)}
    assert len(ids) == 3
    assert all(len(text) == 8 and text.isalnum() and text == text.lower() for text in ids)
