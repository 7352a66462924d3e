from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import Writer
from trunkline.dialects.ollama import write
from trunkline.dialects.ollama.write import CHAT, GENERATE, Clocks, EmbeddingWriter, StreamWriter, WholeWriter
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TIMEOUT, ProviderError
from trunkline.events import (
    Cited,
    Embedded,
    Event,
    Finished,
    Media,
    Metered,
    NotShown,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import ChatRequest, EmbeddingRequest, Usage

WALL = 1_785_833_539_000_000_042
AT = "2026-08-04T08:52:19.000000042Z"
HEAD = {"model": "llama3.2", "created_at": AT}
STARTED = Started("id", "llama3.2", 5)
METERED = Metered(Usage(prompt_tokens=26, completion_tokens=7))
ERROR = ProviderError("too slow", UPSTREAM_TIMEOUT)


def _ticking() -> Clocks:
    """A monotonic clock that moves 10 ns whenever it is read, and a wall clock that stands."""
    now = iter(range(1000, 100_000, 10))
    return Clocks(lambda: next(now), lambda: WALL)


def _end(**fields: Any) -> dict[str, Any]:
    return {
        **HEAD,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 20,
        "load_duration": 0,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 10,
        "eval_count": 7,
        "eval_duration": 10,
        **fields,
    }


def _line(**message: Any) -> dict[str, Any]:
    return {**HEAD, "message": {"role": "assistant", "content": "", **message}, "done": False}


def _lines(data: bytes) -> list[Any]:
    assert not data or data.endswith(b"\n")
    lines = data.split(b"\n")[:-1]
    assert all(line.strip() for line in lines)
    return [msgspec.json.decode(line) for line in lines]


def _write(writer: Writer, events: list[StreamEvent], one_by_one: bool) -> bytes:
    if one_by_one:
        return b"".join(writer.feed([event]) for event in events) + writer.finish()
    return writer.feed(events) + writer.finish()


CALLS: list[StreamEvent] = [
    ToolCallDelta(0, "c1", "f", '{"x":'),
    ToolCallDelta(1, "c2", "g"),
    ToolCallDelta(0, arguments=' "é"}'),
]
CALLED = [
    {"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": "é"}}},
    {"id": "c2", "function": {"index": 1, "name": "g", "arguments": {}}},
]


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("events", "lines"),
    [
        pytest.param(
            [STARTED, TextDelta('H"é\n'), TextDelta(""), TextDelta("🌍"), Finished("stop"), METERED],
            [_line(content='H"é\n'), _line(content="🌍"), _end()],
            id="text",
        ),
        pytest.param(
            [
                STARTED,
                ThinkingDelta("Hm"),
                ThinkingDelta("", signature="s"),
                TextDelta("a"),
                Finished("length"),
                METERED,
            ],
            [_line(thinking="Hm"), _line(content="a"), _end(done_reason="length")],
            id="thinking",
        ),
        pytest.param(
            [STARTED, RefusalDelta("No"), Finished("content_filter"), METERED],
            [_line(content="No"), _end()],
            id="refusal",
        ),
        pytest.param(
            [STARTED, *CALLS, Finished("tool_calls"), METERED], [_line(tool_calls=CALLED), _end()], id="calls"
        ),
        pytest.param(
            [STARTED, *CALLS, METERED], [_line(tool_calls=CALLED), _end()], id="calls without a finish"
        ),
        pytest.param(
            [STARTED, *CALLS[:2], Finished("length"), METERED],
            [
                _line(tool_calls=[{"id": "c2", "function": {"index": 0, "name": "g", "arguments": {}}}]),
                _end(done_reason="length"),
            ],
            id="a call cut short",
        ),
        pytest.param(
            [STARTED, TextDelta("a"), Finished("stop"), METERED, Timed(40, 10, 20, 5)],
            [
                _line(content="a"),
                _end(total_duration=40, load_duration=10, prompt_eval_duration=20, eval_duration=5),
            ],
            id="the upstream's own times",
        ),
        pytest.param(
            [STARTED, Finished("stop"), METERED, Timed(), Embedded([])],
            [_end(total_duration=10, eval_duration=0)],
            id="nothing at all",
        ),
        pytest.param(
            [TextDelta("a", 0, {"content": [{"token": "a", "logprob": -1.0}]})],
            [
                {**_line(content="a"), "logprobs": [{"token": "a", "logprob": -1.0}]},
                _end(prompt_eval_count=0, eval_count=0),
            ],
            id="logprobs, and an upstream that says little",
        ),
    ],
)
def test_a_chat_stream(events: list[StreamEvent], lines: list[Any], one_by_one: bool) -> None:
    writer = StreamWriter(CHAT, "llama3.2", _ticking())
    assert writer.content_type == b"application/x-ndjson"
    assert _lines(_write(writer, events, one_by_one)) == lines


def test_a_generate_stream() -> None:
    writer = StreamWriter(GENERATE, "front", _ticking())
    events: list[StreamEvent] = [
        STARTED,
        ThinkingDelta("Hm"),
        TextDelta("a"),
        Finished("stop"),
        METERED,
    ]
    end = _end(response="")
    del end["message"]
    assert _lines(_write(writer, events, False)) == [
        {**HEAD, "response": "", "thinking": "Hm", "done": False},
        {**HEAD, "response": "a", "done": False},
        end,
    ]


def test_the_upstreams_name_of_the_model_comes_first() -> None:
    writer = StreamWriter(CHAT, "front", _ticking())
    assert _lines(writer.feed([Started(), TextDelta("a")]))[0]["model"] == "front"
    assert _lines(writer.feed([STARTED, TextDelta("a")]))[0]["model"] == "llama3.2"


def test_the_date_follows_the_clock() -> None:
    walls = iter([0, 999_999_999, 1_000_000_000, 86_400 * 10**9])
    writer = StreamWriter(CHAT, "m", Clocks(lambda: 0, lambda: next(walls)))
    dates = [line["created_at"] for line in _lines(writer.feed([TextDelta("a")] * 4))]
    assert dates == [
        "1970-01-01T00:00:00.000000000Z",
        "1970-01-01T00:00:00.999999999Z",
        "1970-01-01T00:00:01.000000000Z",
        "1970-01-02T00:00:00.000000000Z",
    ]


def test_the_clocks_of_this_machine() -> None:
    writer = StreamWriter(CHAT, "m", Clocks())
    end = _lines(_write(writer, [TextDelta("a")], False))[-1]
    assert datetime.fromisoformat(end["created_at"]).year >= 2025
    assert end["total_duration"] == end["prompt_eval_duration"] + end["eval_duration"] >= 0


@pytest.mark.parametrize("form", [CHAT, GENERATE])
def test_the_error_that_ends_a_stream(form: write.Form) -> None:
    assert StreamWriter(form, "m", _ticking()).fail(ERROR) == b'{"error":"too slow"}\n'


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("events", "answer"),
    [
        (
            [
                STARTED,
                ThinkingDelta("H"),
                ThinkingDelta("m"),
                TextDelta("a"),
                TextDelta("b"),
                METERED,
                Finished("stop"),
            ],
            _end(message={"role": "assistant", "content": "ab", "thinking": "Hm"}),
        ),
        (
            [STARTED, *CALLS, METERED, Finished("tool_calls"), Timed(40, 10, 20, 5)],
            _end(
                message={"role": "assistant", "content": "", "tool_calls": CALLED},
                total_duration=40,
                load_duration=10,
                prompt_eval_duration=20,
                eval_duration=5,
            ),
        ),
        (
            [STARTED, RefusalDelta("No"), METERED, Finished("length")],
            _end(message={"role": "assistant", "content": "No"}, done_reason="length"),
        ),
        ([Started(), METERED, Timed()], _end()),
        (
            [
                STARTED,
                TextDelta("a", 0, {"content": [{"token": "a", "logprob": -1.0}]}),
                TextDelta("b", 0, {"content": [{"token": "b", "logprob": -1.0}]}),
                METERED,
            ],
            _end(
                message={"role": "assistant", "content": "ab"},
                logprobs=[{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": -1.0}],
            ),
        ),
    ],
)
def test_a_whole_answer(events: list[StreamEvent], answer: dict[str, Any], one_by_one: bool) -> None:
    writer = WholeWriter(CHAT, "llama3.2", _ticking())
    assert writer.content_type == b"application/json; charset=utf-8"
    if answer["total_duration"] == 20:  # measured: one tick, not divided
        answer = {**answer, "total_duration": 10, "prompt_eval_duration": 0, "eval_duration": 10}
    assert msgspec.json.decode(_write(writer, events, one_by_one)) == answer
    assert writer.fail(ERROR) == b'{"error":"too slow"}'


def test_a_whole_generate_answer() -> None:
    writer = WholeWriter(GENERATE, "m", _ticking())
    writer.feed([STARTED, ThinkingDelta("Hm"), TextDelta("a"), Finished("stop"), METERED])
    answer = msgspec.json.decode(writer.finish())
    assert (answer["response"], answer["thinking"], answer["done"]) == ("a", "Hm", True)
    assert "message" not in answer


@pytest.mark.parametrize("make", [StreamWriter, WholeWriter])
@pytest.mark.parametrize("arguments", ["[1]", "{", '"x"'])
def test_arguments_that_are_no_object(make: Callable[..., Writer], arguments: str) -> None:
    writer = make(CHAT, "m", _ticking())
    with pytest.raises(ProviderError, match="error parsing tool call") as caught:
        _write(writer, [STARTED, ToolCallDelta(0, "c", "f", arguments), Finished("tool_calls")], False)
    assert caught.value.kind is UPSTREAM_PROTOCOL


def test_a_call_without_an_id_gets_one() -> None:
    writer = StreamWriter(CHAT, "m", _ticking())
    line = _lines(writer.feed([ToolCallDelta(0, None, "f"), Finished("tool_calls")]))[0]
    assert line["message"]["tool_calls"][0]["id"].startswith("call_")


@pytest.mark.parametrize(
    ("events", "legacy", "answer"),
    [
        (
            [Started(None, "nomic"), Embedded([[1.0, 0.5]]), METERED, Timed(9, 2)],
            False,
            {
                "model": "nomic",
                "embeddings": [[1.0, 0.5]],
                "total_duration": 9,
                "load_duration": 2,
                "prompt_eval_count": 26,
            },
        ),
        (
            [Started(), Embedded([[1.0], [2.0]])],
            False,
            {
                "model": "m",
                "embeddings": [[1.0], [2.0]],
                "total_duration": 10,
                "load_duration": 0,
                "prompt_eval_count": 0,
            },
        ),
        ([Started(), Embedded([[1.0, 0.5]])], True, {"embedding": [1.0, 0.5]}),
        ([Started(), Embedded([])], True, {"embedding": []}),
    ],
)
def test_embeddings(events: list[StreamEvent], legacy: bool, answer: dict[str, Any]) -> None:
    writer = EmbeddingWriter("m", _ticking(), legacy)
    assert writer.content_type == b"application/json; charset=utf-8"
    assert msgspec.json.decode(_write(writer, events, True)) == answer
    assert writer.fail(ERROR) == b'{"error":"too slow"}'


@pytest.mark.parametrize("reason", ["load", "unload"])
def test_load_answer(reason: str) -> None:
    request = ChatRequest(model="m", messages=(), extras={"load": reason})
    chat = write.load_answer(request, "llama3.2", CHAT, lambda: WALL)
    assert msgspec.json.decode(chat) == {
        **HEAD,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": reason,
    }
    generate = write.load_answer(request, "llama3.2", GENERATE, lambda: WALL)
    assert msgspec.json.decode(generate) == {**HEAD, "response": "", "done": True, "done_reason": reason}


def test_load_answer_of_embeddings() -> None:
    request = EmbeddingRequest(model="m", inputs=())
    assert write.load_answer(request, "m", None) == b'{"model":"m","embeddings":[]}'


def test_all_events_are_known() -> None:
    kinds = {kind for kind in Event.__subclasses__() if kind.__module__ == Event.__module__}
    writer = StreamWriter(CHAT, "m", _ticking())
    made: list[Any] = [
        STARTED, TextDelta("a"), RefusalDelta("a"), ThinkingDelta("a"), ToolCallDelta(0, "c", "f"),
        Media("image", url="data:image/png;base64,AA=="), Cited("https://x.test"), NotShown("hologram"),
        Finished("stop"), METERED, Timed(), Embedded([]),
    ]  # fmt: skip
    assert {type(event) for event in made} == kinds
    assert len(_lines(writer.feed(made))) == 6
    assert writer.not_shown == ["hologram"]
