"""The message in an answer that a client has got."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.anthropic import MESSAGES, read_message
from trunkline.events import Finished, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta

EVENTS: list[StreamEvent] = [
    Started(id="msg_1", model="m"),
    ThinkingDelta(text="Hm"),
    ThinkingDelta(text="", signature="s"),
    TextDelta(text="Blue "),
    TextDelta(text="sky"),
    ToolCallDelta(index=0, id="toolu_1", name="f", arguments='{"a"'),
    ToolCallDelta(index=0, arguments=":1}"),
    ToolCallDelta(index=1, id="toolu_2", name="g", arguments=""),
    Finished(reason="tool_calls"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_a_message_is_read_as_it_was_written(stream: bool) -> None:
    asked: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    asked |= {"stream": stream, "thinking": {"type": "adaptive", "display": "summarized"}}
    writer = MESSAGES.writer(MESSAGES.parse(msgspec.json.encode(asked)), "m", "")
    answer = writer.feed(EVENTS) + writer.finish()
    message = read_message(answer, streamed=stream)
    assert message is not None
    assert (message["id"], message["stop_reason"]) == ("msg_1", "tool_use")
    assert message["content"] == [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "text", "text": "Blue sky"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
    ]


def test_citations_are_read() -> None:
    events = [
        {"type": "message_start", "message": {"id": "msg_1", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "citations_delta", "citation": {"a": 1}},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "unheard_of"}},
        {"type": "ping"},
        {"type": "message_stop"},
    ]
    stream = b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)
    message = read_message(stream, streamed=True)
    assert message is not None
    assert message["content"] == [{"type": "text", "text": "Hi", "citations": [{"a": 1}]}]


@pytest.mark.parametrize(
    ("answer", "streamed"),
    [
        (b"", False),
        (b"[]", False),
        (b'{"id":7,"content":[]}', False),
        (b'{"id":"msg_1"}', False),
        (b"", True),
        (b'data: {"type":"message_start","message":{"id":"msg_1","content":[]}}\n\n', True),
        (b'data: {"type":"content_block_start"}\n\n', True),
        (b"data: {\n\n", True),
    ],
)
def test_what_is_no_whole_message_is_none(answer: bytes, streamed: bool) -> None:
    assert read_message(answer, streamed=streamed) is None
