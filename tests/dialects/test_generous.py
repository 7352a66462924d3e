"""Records that do not fit their struct."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest

from trunkline.dialects.generous import HalfJoiner, decode_generously
from trunkline.events import Finished, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta


class Inner(msgspec.Struct):
    name: str
    count: int | None = None


class Outer(msgspec.Struct):
    id: str | None = None
    created: float | None = None
    n: int = 7
    flag: bool = False
    kind: Literal["a", "b"] | None = None
    cost: float | dict[str, Any] | None = None
    items: list[Inner] | None = None
    content: str | list[Inner] | None = None
    raw: msgspec.Raw = msgspec.Raw(b"")


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"id":17}', Outer(id="17")),
        ('{"id":{}}', Outer()),
        ('{"created":"1.5","n":3.0}', Outer(created=1.5, n=3)),
        ('{"created":"2026-01-01","n":"x","flag":1,"kind":"c"}', Outer()),
        ('{"n":null,"created":NaN}', Outer()),
        ('{"n":true}', Outer()),
        ('{"cost":{"total":1},"id":[]}', Outer(cost={"total": 1})),
        ('{"cost":"0.5"}', Outer(cost=0.5)),
        ('{"items":{"name":"x","count":"2"}}', Outer(items=[Inner("x", 2)])),
        ('{"items":[null,{"name":"x"}]}', Outer(items=[Inner("x")])),
        ('{"items":[{"count":2}]}', Outer()),
        ('{"content":5}', Outer(content="5")),
        ('[{"id":1}]', Outer(id="1")),
    ],
)
def test_what_fits_is_kept(text: str, right: Outer) -> None:
    assert decode_generously(text.encode(), Outer) == right


@pytest.mark.parametrize("text", ["{", "5", "[]", '{"content":{"a":1}}', '{"content":[5]}', "[" * 100_000])
def test_content_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode_generously(text.encode(), Outer)


def test_halves_are_joined_by_kind_and_choice() -> None:
    joiner = HalfJoiner()
    events: list[StreamEvent] = [
        TextDelta("a\ud83d"),
        ThinkingDelta("b\ud83d"),
        ToolCallDelta(0, "c", "f", '"\ud83d'),
        TextDelta("\ude00", choice=1),
    ]
    assert joiner.join(events) == [
        TextDelta("a"),
        ThinkingDelta("b"),
        ToolCallDelta(0, "c", "f", '"'),
        TextDelta("\ufffd", choice=1),
    ]
    more: list[StreamEvent] = [TextDelta("\ude00!"), ToolCallDelta(0, arguments='\ude00"'), Finished("stop")]
    assert joiner.join(more) == [
        TextDelta("😀!"),
        ToolCallDelta(0, arguments='😀"'),
        ThinkingDelta("\ufffd"),
        Finished("stop"),
    ]
