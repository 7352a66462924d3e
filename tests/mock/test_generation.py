"""What the mock model writes, and how it counts tokens."""

from __future__ import annotations

import math

import pytest

from trunkline_mock import Script, ToolCall, Usage
from trunkline_mock.generation import (
    Image,
    ModelInput,
    Tool,
    embedding_vector,
    generate,
    inspect_image,
    make_id,
    request_seed,
    share_tokens,
)


def model_input(**fields: object) -> ModelInput:
    return ModelInput(model="m", seed="00", prompt_tokens=4, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (model_input(last_user_text="hello  world"), "m heard: hello  world"),
        (model_input(), "m heard nothing."),
        (
            model_input(last_user_text="look", images=(Image("png", 9), Image("url", 0))),
            "m heard: look It saw 2 image(s): png of 9 bytes, url of 0 bytes.",
        ),
        (model_input(last_user_text="x", schema={}), "{}"),
        (
            model_input(
                last_user_text="x", schema={"properties": {"a": {"type": "integer"}}, "required": ["a"]}
            ),
            '{"a":0}',
        ),
        (model_input(last_user_text="one STOP two", stop_sequences=("", "absent", "STOP")), "m heard: one "),
    ],
)
def test_the_default_answer(given: ModelInput, text: str) -> None:
    output = generate(given, Script())
    assert output.text == text
    assert output.finish_reason == "stop"
    assert output.prompt_tokens == 4
    assert output.completion_tokens == len(text.split())


def test_the_default_answer_obeys_the_limit() -> None:
    output = generate(model_input(last_user_text="a b c", max_tokens=3), Script())
    assert output.text_chunks == ("m ", "heard: ", "a ")
    assert (output.finish_reason, output.completion_tokens) == ("length", 3)


@pytest.mark.parametrize(
    ("stop_sequences", "max_tokens", "text", "stop_sequence"),
    [
        (("c", "b"), None, "m heard: a ", "b"),
        (("bc", "b"), None, "m heard: a ", "b"),
        (("z",), None, "m heard: a bc", ""),
        (("b",), 2, "m heard: ", ""),
    ],
)
def test_the_output_names_the_stop_sequence(
    stop_sequences: tuple[str, ...], max_tokens: int | None, text: str, stop_sequence: str
) -> None:
    given = model_input(last_user_text="a bc", stop_sequences=stop_sequences, max_tokens=max_tokens)
    output = generate(given, Script())
    assert (output.text, output.stop_sequence) == (text, stop_sequence)


def test_a_limit_that_is_not_reached_has_no_effect() -> None:
    assert generate(model_input(last_user_text="a", max_tokens=3), Script()).finish_reason == "stop"


def test_a_scripted_text_obeys_limits_only_on_demand() -> None:
    assert generate(model_input(max_tokens=1), Script(text="a b c")).text == "a b c"
    assert generate(model_input(max_tokens=1), Script(text="a b c", obey_limits=True)).text == "a "
    given = model_input(last_user_text="b", max_tokens=1)
    assert generate(given, Script(obey_limits=False)).text == "m heard: b"


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
def test_chunks_of_the_text(script: Script, chunks: tuple[str, ...]) -> None:
    assert generate(model_input(), script).text_chunks == chunks


def test_thinking_can_be_switched_off() -> None:
    script = Script(thinking="let me see")
    assert generate(model_input(), script).thinking == "let me see"
    assert generate(model_input(), script).reasoning_tokens == 3
    assert generate(model_input(thinking_enabled=False), script).thinking_chunks == ()


def test_scripted_tool_calls_replace_the_text() -> None:
    script = Script(tool_calls=(ToolCall("f", {"a": 1}), ToolCall("g", "{broken")))
    output = generate(model_input(last_user_text="x"), script)
    assert (output.text, output.finish_reason, len(output.tool_calls)) == ("", "tool_calls", 2)


def test_the_requests_tools_are_called_until_there_is_a_result() -> None:
    schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = (Tool("f", schema), Tool("g", None))
    output = generate(model_input(tools=tools), Script(call_tools=2))
    assert output.tool_calls == (ToolCall("f", {"city": "mock"}), ToolCall("g", {}))
    after_result = model_input(tools=tools, ends_with_tool_result=True)
    assert generate(after_result, Script(call_tools=2)).finish_reason == "stop"


def test_scripted_usage_and_finish_reason() -> None:
    usage = Usage(prompt=100, completion=7, cached=50, reasoning=2)
    output = generate(model_input(), Script(usage=usage, finish_reason="content_filter", model="m-2024"))
    assert (output.prompt_tokens, output.completion_tokens) == (100, 7)
    assert (output.cached_tokens, output.reasoning_tokens) == (50, 2)
    assert (output.finish_reason, output.model, output.has_usage) == ("content_filter", "m-2024", True)


def test_tokens_are_counted_without_usage() -> None:
    output = generate(model_input(), Script(text="a b", usage=None))
    assert (output.has_usage, output.completion_tokens) == (False, 2)


@pytest.mark.parametrize(
    ("total", "parts", "shares"),
    [(3, ["a ", "b ", "c"], [1, 1, 1]), (10, ["a", "b c"], [3, 7]), (0, ["a"], [0]), (5, [], [])],
)
def test_shared_tokens_sum_up_to_the_total(total: int, parts: list[str], shares: list[int]) -> None:
    assert share_tokens(total, parts) == shares


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\x89PNG\r\n", "png"), (b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"??", "unknown")],
)
def test_images_are_recognised_by_their_first_bytes(data: bytes, kind: str) -> None:
    assert inspect_image(data) == Image(kind, len(data))


def test_embeddings_are_normalised_and_repeatable() -> None:
    vector = embedding_vector("text", 16)
    assert len(vector) == 16
    assert math.isclose(sum(value * value for value in vector), 1.0)
    assert vector == embedding_vector("text", 16) != embedding_vector("other", 16)


def test_ids_differ_by_request_and_index() -> None:
    one, other = request_seed(b"1"), request_seed(b"2")
    ids = {make_id(one, 0, 8), make_id(one, 1, 8), make_id(other, 0, 8)}
    assert len(ids) == 3
    assert all(len(text) == 8 and text.isalnum() and text == text.lower() for text in ids)
