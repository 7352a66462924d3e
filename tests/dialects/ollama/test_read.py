from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.dialects.contract import check_error
from tests.dialects.ollama.cases import AFTER, STARTED
from tests.dialects.ollama.samples import CALLS, DONE, text
from tests.feeding import ways
from trunkline.dialects.ollama.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.other_form import OtherForm
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TOO_LARGE, UPSTREAM_TRUNCATED
from trunkline.events import Started, TextDelta, ThinkingDelta, ToolCallDelta


def test_content_beside_wrong_arguments_still_counts() -> None:
    data = text("a", b',"tool_calls":[{"function":{"name":"f","arguments":[1]}}]') + AFTER
    for pieces in ways(data):
        reader = StreamReader()
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert events == [STARTED, TextDelta("a")]
        assert not reader.complete
        check_error(
            reader.error, UPSTREAM_PROTOCOL, "The upstream sent tool arguments that are not an object"
        )


def test_a_whole_line_without_its_newline_counts_although_the_answer_is_cut() -> None:
    for pieces in ways(text("a") + text("b").rstrip()):
        reader = StreamReader()
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert events == [STARTED, TextDelta("a"), TextDelta("b")]
        check_error(reader.error, UPSTREAM_TRUNCATED)


@pytest.mark.parametrize("rest", [text("Ho"), text("", CALLS), b""], ids=["a text", "calls", "nothing"])
def test_thinking_says_whose_it_is(rest: bytes) -> None:
    hm = text("", b',"thinking":"Hm"')
    for pieces in ways(hm + hm + rest + DONE):
        reader = StreamReader(seal="trunkline:me:field:thinking")
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        thoughts = [
            ThinkingDelta("Hm"),
            ThinkingDelta("Hm"),
            ThinkingDelta("", 0, "trunkline:me:field:thinking"),
        ]
        assert events[:4] == [STARTED, *thoughts]
        assert not any(isinstance(event, ThinkingDelta) for event in events[4:])


def test_the_thinking_of_a_whole_answer_says_whose_it_is() -> None:
    reader = WholeReader(seal="trunkline:me:field:thinking")
    reader.feed(DONE.replace(b'"content":""', b'"content":"Ho","thinking":"Hm"'))
    thoughts = [ThinkingDelta("Hm"), ThinkingDelta("", 0, "trunkline:me:field:thinking")]
    assert reader.close()[:4] == [STARTED, *thoughts, TextDelta("Ho")]


def test_ids_are_made_where_they_are_missing_or_collide() -> None:
    call = b'{"id":%b,"function":{"name":"f","arguments":{}}}'
    calls = [call % call_id for call_id in (b'"f"', b'"f"', b"null", b'""')]
    events = StreamReader().feed(text("", b',"tool_calls":[' + b",".join(calls) + b"]"))
    ids = [event.id or "" for event in events if isinstance(event, ToolCallDelta)]
    assert ids[0] == "f"
    assert all(re.fullmatch("call_[a-z0-9]{8}", made) for made in ids[1:])
    assert len(set(ids)) == 4


LOGPROBS = b'"logprobs":[{"token":"a","logprob":-0.5}],"done":false'


@pytest.mark.parametrize(
    ("is_legacy", "first", "second"),
    [
        (
            False,
            {
                "content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}],
                "refusal": None,
            },
            {
                "content": [{"token": "a", "logprob": -0.5, "bytes": None, "top_logprobs": []}],
                "refusal": None,
            },
        ),
        (
            True,
            {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [0]},
            {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{}], "text_offset": [1]},
        ),
    ],
)
def test_logprobs(is_legacy: bool, first: object, second: object) -> None:
    line = text("a").replace(b'"done":false', LOGPROBS)
    events = StreamReader(is_legacy=is_legacy).feed(line + line)
    assert events == [STARTED, TextDelta("a", 0, first), TextDelta("a", 0, second)]


def test_an_echoed_prompt_comes_first() -> None:
    events = StreamReader(echo="Once ").feed(b'{"response":"upon"}\n')
    assert events == [Started(), TextDelta("Once "), TextDelta("upon")]


@pytest.mark.parametrize("make", [WholeReader, lambda: EmbeddingReader(1)])
def test_a_whole_answer_without_end_is_refused(
    make: Callable[[], WholeReader | EmbeddingReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = make()
    monkeypatch.setattr(type(reader), "max_size", 10)
    reader.feed(b"x" * 11)
    reader.feed(b"x")
    assert reader.close() == []
    check_error(reader.error, UPSTREAM_TOO_LARGE, "The upstream sent an answer of more than 10 bytes")


@pytest.mark.parametrize("body", [b"oops\n", b"<html>\n", b'{\n"done": true\n}\n'])
def test_a_body_in_place_of_lines_is_of_the_other_form(body: bytes) -> None:
    for pieces in ways(body):
        reader = StreamReader()
        with pytest.raises(OtherForm) as raised:
            _ = [reader.feed(piece) for piece in pieces], reader.close()
        assert body.startswith(raised.value.data.rstrip())


@pytest.mark.parametrize("line", [b"oops\n", b"<html>\n", b"{\n"])
def test_after_a_record_a_line_that_is_none_is_an_error(line: bytes) -> None:
    reader = StreamReader()
    events = reader.feed(text("a") + line)
    assert events == [STARTED, TextDelta("a")]
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_PROTOCOL
