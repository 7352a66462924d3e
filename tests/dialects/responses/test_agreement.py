"""Arbitrary events: OpenAI's SDK accepts their stream, and its last event has the whole answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dialects.responses.writing import STARTED, read, stream, whole, writer
from trunkline.errors import ProviderError
from trunkline.events import (
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage

words = st.text(max_size=5)
choices = st.sampled_from([0, 0, 0, 1])
tokens = st.builds(
    lambda token, known: {"token": token, "logprob": -0.5, "bytes": list(token.encode()) if known else None},
    words,
    st.booleans(),
)
logprobs = st.none() | st.builds(lambda found: {"content": found}, st.none() | st.lists(tokens, max_size=2))
counts = st.none() | st.integers(0, 2**40)
calls = st.integers(0, 2)
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length", "tool_calls", "content_filter"])

anything: st.SearchStrategy[StreamEvent] = st.one_of(
    st.builds(TextDelta, words, choices, logprobs),
    st.builds(RefusalDelta, words, choices),
    st.builds(ThinkingDelta, words, choices, st.none() | words),
    st.builds(
        lambda index, name, arguments, choice: ToolCallDelta(index, f"call_{index}", name, arguments, choice),
        calls,
        st.none() | words,
        st.sampled_from(["", "{", "}", '{"x":', "1}", "{}", " ", '"}"']) | words,
        choices,
    ),
    st.builds(Finished, reasons, choices),
    st.builds(
        Metered,
        st.builds(
            Usage,
            prompt_tokens=st.integers(0, 2**40),
            completion_tokens=st.integers(0, 2**40),
            cached_tokens=counts,
            cache_write_tokens=counts,
            reasoning_tokens=counts,
        ),
    ),
)
streams = st.lists(anything, max_size=12).map(lambda events: [STARTED, *events])
request_fields = st.fixed_dictionaries(
    {},
    optional={
        "include": st.just(["message.output_text.logprobs"]),
        "reasoning": st.just({"summary": "auto"}),
        "instructions": words,
    },
)
unhurried = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def gather(events: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Items put together as a client does that believes in deltas only; every event must fit the state."""
    items: dict[int, dict[str, Any]] = {}
    open_item: int | None = None
    for event in events:
        if "output_index" not in event:
            continue
        name, at = event["type"], event["output_index"]
        if name == "response.output_item.added":
            assert open_item is None
            assert at == len(items)
            open_item = at
            items[at] = {"item": event["item"], "texts": []}
        elif name == "response.output_item.done":
            assert at == open_item
            assert items[at]["item"]["id"] == event["item"]["id"]
            items[at]["item"] = event["item"]
            open_item = None
        else:
            assert at == open_item
            assert event["item_id"] == items[at]["item"]["id"]
            texts = items[at]["texts"]
            part = event.get("content_index", event.get("summary_index", 0))
            if name.endswith("part.added") or (name.endswith("arguments.delta") and not texts):
                assert part == len(texts)
                texts.append("")
            if name.endswith(".delta"):
                assert part == len(texts) - 1
                texts[part] += event["delta"]
    assert open_item is None
    return items


def contents(item: dict[str, Any]) -> list[str]:
    """The texts of a finished item."""
    if item["type"] == "function_call":
        return [item["arguments"]] if item["arguments"] else []
    parts = [*item.get("content", ()), *item.get("summary", ())]
    return [part.get("text", part.get("refusal")) for part in parts]


@unhurried
@given(events=streams, fields=request_fields)
def test_the_stream_ends_in_the_whole_answer(events: list[StreamEvent], fields: dict[str, Any]) -> None:
    written = stream(events, **fields)
    assert written[-1]["response"] == whole(events, **fields)
    items = gather(written)
    assert [each["item"] for each in items.values()] == written[-1]["response"]["output"]
    assert all(contents(each["item"]) == each["texts"] for each in items.values())


@unhurried
@given(events=streams, fields=request_fields, cut=st.integers(0, 12))
def test_pieces_or_all_at_once(events: list[StreamEvent], fields: dict[str, Any], cut: int) -> None:
    stream_writer = writer(stream=True, **fields)
    assert read(
        stream_writer.feed(events[:cut]) + stream_writer.feed(events[cut:]) + stream_writer.finish()
    ) == stream(events, **fields)


@unhurried
@given(events=streams, fields=request_fields)
def test_a_stream_may_fail_anywhere(events: list[StreamEvent], fields: dict[str, Any]) -> None:
    stream_writer = writer(stream=True, **fields)
    written = read(stream_writer.feed(events) + stream_writer.fail(ProviderError("Down")))
    assert [event["type"] for event in written[-2:]] == ["error", "response.failed"]
    assert written[-1]["response"]["id"] == "resp_1"


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[openai.OpenAI, list[bytes]]]:
    """OpenAI's client, and the answer that it gets to whatever it request_fields."""
    answer = [b""]
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=answer[0], headers={"content-type": "text/event-stream"})
    )
    http: Any = httpx.Client(transport=transport)  # SDK versions differ in the HTTP client that they name
    with openai.OpenAI(api_key="gw_x", base_url="http://gateway/v1", http_client=http) as client:
        yield client, answer


@unhurried
@given(events=streams)
def test_the_sdk_can_follow(events: list[StreamEvent], gateway: tuple[openai.OpenAI, list[bytes]]) -> None:
    """Its helper puts the items together itself, and watches over their identities."""
    client, answer = gateway
    stream_writer = writer(stream=True)
    answer[0] = stream_writer.feed(events) + stream_writer.finish()
    with client.responses.stream(model="m", input="Hi") as followed:
        names = [event.type for event in followed]
    assert names == [event["type"] for event in read(answer[0])]
