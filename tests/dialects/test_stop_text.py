from __future__ import annotations

import pytest

from tests.dialects.responses.samples import BEGIN, event, response
from tests.feeding import ways
from trunkline.dialects.responses.read import StreamReader
from trunkline.dialects.stop_text import StopReader, StopText
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UPSTREAM_TRUNCATED
from trunkline.events import Answer
from trunkline.model import Usage


@pytest.mark.parametrize(
    ("text", "stops", "kept", "found"),
    [
        ("a END b", ["END"], "a ", "END"),
        ("END", ["END"], "", "END"),
        ("a ENENDx", ["END"], "a EN", "END"),
        ("a EN", ["END"], "a EN", None),
        ("a b c", ["c", "b"], "a ", "b"),
        ("aab", ["ab"], "a", "ab"),
        ("a", [], "a", None),
        ("a", [""], "a", None),
        ("\n\nHuman: x", ["\n\nHuman:", "\n\nAssistant:"], "", "\n\nHuman:"),
    ],
)
def test_a_text_is_cut_wherever_its_pieces_end(
    text: str, stops: list[str], kept: str, found: str | None
) -> None:
    for sizes in ([text], list(text), [text[:2], text[2:]], [text[:-1], text[-1:]]):
        reader = StopText(stops)
        assert "".join(map(reader.feed, sizes)) + reader.close() == kept
        assert reader.found == found


def stream(text: str, *more: bytes, end: bool = True) -> bytes:
    pieces = [event("response.output_text.delta", output_index=0, delta=each) for each in text]
    done = event("response.completed", response=response(output=[]))
    return b"".join([BEGIN, *pieces, *more, done if end else b""])


CALL = event(
    "response.output_item.done",
    output_index=1,
    item={"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
)


def read(data: bytes, stops: list[str]) -> tuple[Answer, StopReader]:
    answers = []
    for pieces in ways(data) if len(data) < 2000 else [[data]]:
        reader = StopReader(StreamReader("Acme", Maker()), stops)
        answers.append(Answer([e for piece in pieces for e in reader.feed(piece)] + reader.close()))
    assert len({"".join(each.choices[0].text) for each in answers}) == 1
    return answers[0], reader


def test_an_answer_ends_at_a_stop_sequence() -> None:
    answer, reader = read(stream("ab END c", CALL), ["END"])
    choice = answer.choices[0]
    assert ("".join(choice.text), choice.reason, choice.stop_sequence) == ("ab ", "stop", "END")
    assert not choice.calls
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 7
    assert (reader.complete, reader.error) == (True, None)


def test_an_answer_without_one_is_as_it_was() -> None:
    answer, _ = read(stream("ab EN", CALL), ["END"])
    choice = answer.choices[0]
    assert ("".join(choice.text), choice.reason, choice.stop_sequence) == ("ab EN", "tool_calls", None)
    assert choice.calls[0].name == "f"


def test_an_answer_that_is_cut_off() -> None:
    answer, reader = read(stream("ab EN", end=False), ["END"])
    assert "".join(answer.choices[0].text) == "ab EN"
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_TRUNCATED
    assert answer.usage != Usage()
