from __future__ import annotations

import re

import msgspec
import pytest

from tests.dialects.ollama.feeding import WAYS, Pieces, whole
from trunkline import framing
from trunkline.dialects.base import Reader
from trunkline.dialects.ollama.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    Kind,
    ProviderError,
)
from trunkline.events import (
    Embedded,
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import Usage

AT = b'"model":"llama3.2","created_at":"2026-08-04T08:52:19.385406455-07:00"'
STARTED = Started(None, "llama3.2", 1785858739)
DONE = (
    b"{" + AT + b',"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
    b'"total_duration":40,"load_duration":10,"prompt_eval_count":26,"prompt_eval_duration":20,'
    b'"eval_count":7,"eval_duration":5}\n'
)
ENDED: list[StreamEvent] = [
    Metered(Usage(prompt_tokens=26, completion_tokens=7)),
    Timed(40, 10, 20, 5),
]


def _text(content: str, more: bytes = b"") -> bytes:
    text = msgspec.json.encode(content)
    return b"{" + AT + b',"message":{"role":"assistant","content":' + text + more + b'},"done":false}\n'


def _read(reader: Reader, data: bytes, pieces: Pieces) -> list[StreamEvent]:
    events = [event for piece in pieces(data) for event in reader.feed(piece)]
    return events + list(reader.close())


CALLS = (
    b',"tool_calls":[{"id":"call_a","function":{"index":5,"name":"f","arguments":{"x": [1, 2.50]}}},'
    b'{"id":"call_b","function":{"name":"g","arguments":"{\\"y\\":\\"\xc3\xa9\\"}"}},'
    b'{"id":"call_c","function":{"name":"h"}},'
    b'{"id":"call_d","function":{"name":"i","arguments":null}},'
    b'{"id":"call_e","function":{"name":"j","arguments":""}}]'
)
CALLED: list[StreamEvent] = [
    ToolCallDelta(0, "call_a", "f", '{"x": [1, 2.50]}'),
    ToolCallDelta(1, "call_b", "g", '{"y":"é"}'),
    ToolCallDelta(2, "call_c", "h", "{}"),
    ToolCallDelta(3, "call_d", "i", "{}"),
    ToolCallDelta(4, "call_e", "j", "{}"),
]


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "events"),
    [
        pytest.param(
            _text("Hé") + _text("llo 🌍") + DONE,
            [STARTED, TextDelta("Hé"), TextDelta("llo 🌍"), Finished("stop"), *ENDED],
            id="text",
        ),
        pytest.param(DONE, [STARTED, Finished("stop"), *ENDED], id="only the end"),
        pytest.param(
            b"\n" + _text("a") + b"\r\n  \n" + DONE.replace(b"\n", b"\r\n"),
            [STARTED, TextDelta("a"), Finished("stop"), *ENDED],
            id="blank lines",
        ),
        pytest.param(
            _text("a") + DONE.rstrip(),
            [STARTED, TextDelta("a"), Finished("stop"), *ENDED],
            id="no last newline",
        ),
        pytest.param(
            _text("", b',"thinking":"Hm"') + _text("a", b',"thinking":null') + DONE,
            [STARTED, ThinkingDelta("Hm"), TextDelta("a"), Finished("stop"), *ENDED],
            id="thinking",
        ),
        pytest.param(
            _text("", CALLS) + DONE,
            [STARTED, *CALLED, Finished("tool_calls"), *ENDED],
            id="calls before the end",
        ),
        pytest.param(
            DONE.replace(b'"content":""', b'"content":""' + CALLS),
            [STARTED, *CALLED, Finished("tool_calls"), *ENDED],
            id="calls at the end",
        ),
        pytest.param(
            _text("", CALLS) + DONE.replace(b'"stop"', b'"length"'),
            [STARTED, *CALLED, Finished("length"), *ENDED],
            id="calls cut by length",
        ),
        pytest.param(
            DONE.replace(b'"stop"', b'"length"'), [STARTED, Finished("length"), *ENDED], id="length"
        ),
        pytest.param(DONE.replace(b'"stop"', b'"load"'), [STARTED, Finished("stop"), *ENDED], id="load"),
        pytest.param(
            b'{"message":{},"done":true}\n',
            [Started(), Finished("stop"), Metered(Usage()), Timed()],
            id="the barest end",
        ),
        pytest.param(
            b'{"created_at":"0001-01-01T00:00:00Z","response":"a","thinking":"b"}\n{"done":true,"error":null}\n',
            [
                Started(),
                ThinkingDelta("b"),
                TextDelta("a"),
                Finished("stop"),
                Metered(Usage()),
                Timed(),
            ],
            id="generate",
        ),
        pytest.param(
            b'{"created_at":"soon","total_duration":1.5,"done":true}\n',
            [Started(), Finished("stop"), Metered(Usage()), Timed(1)],
            id="what look-alikes get wrong",
        ),
        pytest.param(
            DONE + b"junk\n", [STARTED, Finished("stop"), *ENDED], id="what comes after the end is not read"
        ),
    ],
)
def test_a_stream(data: bytes, events: list[StreamEvent], pieces: Pieces) -> None:
    reader = StreamReader()
    assert _read(reader, data, pieces) == events
    assert reader.complete
    assert reader.error is None


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "events", "kind", "said"),
    [
        (b'{"error":"out of memory"}\n', [], UPSTREAM_ERROR, "Ollama: out of memory"),
        (
            _text("a") + b'{"error":"bad key sk-abcdefgh"}\n' + _text("b") + DONE,
            [STARTED, TextDelta("a")],
            UPSTREAM_ERROR,
            "Ollama: bad key ***",
        ),
        (b'{"error":{"message":"busy"}}', [], UPSTREAM_ERROR, "Ollama: busy"),
        (b'{"error":["odd"]}\n', [], UPSTREAM_ERROR, 'Ollama: ["odd"]'),
        (b"", [], UPSTREAM_TRUNCATED, None),
        (b"\n\n", [], UPSTREAM_TRUNCATED, None),
        (_text("a"), [STARTED, TextDelta("a")], UPSTREAM_TRUNCATED, None),
        (
            _text("a") + _text("b").rstrip(),
            [STARTED, TextDelta("a"), TextDelta("b")],
            UPSTREAM_TRUNCATED,
            None,
        ),
        (_text("a") + DONE[:40], [STARTED, TextDelta("a")], UPSTREAM_TRUNCATED, None),
        (_text("a") + DONE[:-10], [STARTED, TextDelta("a")], UPSTREAM_TRUNCATED, None),
        (_text("a") + b"oops\n" + DONE, [STARTED, TextDelta("a")], UPSTREAM_PROTOCOL, None),
        (b"[]\n" + DONE, [], UPSTREAM_PROTOCOL, None),
        (b'{"message":{"content":"\xff"}}\n' + DONE, [], UPSTREAM_PROTOCOL, None),
        (b'{"message":{"content":7}}\n' + DONE, [], UPSTREAM_PROTOCOL, None),
        (b'{"done":"yes"}\n', [], UPSTREAM_PROTOCOL, None),
        (b'{"oops":' + b"[" * 5000 + b"\n" + DONE, [], UPSTREAM_PROTOCOL, None),
        (_text("", b',"tool_calls":[{"function":{}}]') + DONE, [], UPSTREAM_PROTOCOL, None),
        (
            _text("a", b',"tool_calls":[{"function":{"name":"f","arguments":[1]}}]') + DONE,
            [STARTED, TextDelta("a")],
            UPSTREAM_PROTOCOL,
            "The upstream sent tool arguments that are not an object",
        ),
        (
            _text("", b',"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]') + DONE,
            [STARTED],
            UPSTREAM_PROTOCOL,
            None,
        ),
    ],
)
def test_a_stream_that_goes_wrong(
    data: bytes, events: list[StreamEvent], kind: Kind, said: str | None, pieces: Pieces
) -> None:
    reader = StreamReader()
    assert _read(reader, data, pieces) == events
    assert not reader.complete
    assert isinstance(reader.error, ProviderError)
    assert reader.error.kind is kind
    if said is not None:
        assert reader.error.message == said
    assert reader.feed(DONE) == []
    assert reader.close() == []


def test_ids_are_made_where_they_are_missing_or_collide() -> None:
    call = b'{"id":%b,"function":{"name":"f","arguments":{}}}'
    calls = [call % given for given in (b'"f"', b'"f"', b"null", b'""')]
    events = StreamReader().feed(_text("", b',"tool_calls":[' + b",".join(calls) + b"]"))
    ids = [event.id or "" for event in events if isinstance(event, ToolCallDelta)]
    assert ids[0] == "f"
    assert all(re.fullmatch("call_[a-z0-9]{8}", made) for made in ids[1:])
    assert len(set(ids)) == 4


LOGPROBS = b'"logprobs":[{"token":"a","logprob":-0.5}],"done":false'


@pytest.mark.parametrize(
    ("legacy", "first", "second"),
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
def test_logprobs(legacy: bool, first: object, second: object) -> None:
    line = _text("a").replace(b'"done":false', LOGPROBS)
    events = StreamReader(is_legacy=legacy).feed(line + line)
    assert events == [STARTED, TextDelta("a", 0, first), TextDelta("a", 0, second)]


def test_an_echoed_prompt_comes_first() -> None:
    events = StreamReader(echo="Once ").feed(b'{"response":"upon"}\n')
    assert events == [Started(), TextDelta("Once "), TextDelta("upon")]


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize("done", [b"true", b"false"])
def test_a_whole_answer(pieces: Pieces, done: bytes) -> None:
    reader = WholeReader()
    data = DONE.replace(b'"content":""', b'"content":"Hi","thinking":"Hm"' + CALLS).replace(b"true", done)
    assert _read(reader, data, pieces) == [
        STARTED,
        ThinkingDelta("Hm"),
        TextDelta("Hi"),
        *CALLED,
        Finished("tool_calls"),
        *ENDED,
    ]
    assert reader.complete
    assert reader.error is None


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", UPSTREAM_PROTOCOL),
        (DONE[:-9], UPSTREAM_PROTOCOL),
        (b"<html>", UPSTREAM_PROTOCOL),
        (b'{"done":true}', UPSTREAM_PROTOCOL),
        (b'{"error":"no"}', UPSTREAM_ERROR),
    ],
)
def test_a_whole_answer_that_goes_wrong(data: bytes, kind: Kind, pieces: Pieces) -> None:
    reader = WholeReader()
    _read(reader, data, pieces)
    assert not reader.complete
    assert reader.error is not None
    assert reader.error.kind is kind


@pytest.mark.parametrize("pieces", WAYS)
def test_embeddings(pieces: Pieces) -> None:
    reader = EmbeddingReader(inputs=2)
    data = (
        b'{"model":"nomic","embeddings":[[1,0],[0.5,-0.25]],"total_duration":9,"load_duration":2,'
        b'"prompt_eval_count":4}'
    )
    assert _read(reader, data, pieces) == [
        Started(None, "nomic"),
        Embedded([[1.0, 0.0], [0.5, -0.25]]),
        Metered(Usage(prompt_tokens=4)),
        Timed(9, 2),
    ]
    assert reader.complete
    assert reader.error is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", UPSTREAM_PROTOCOL),
        (b'{"embeddings":[[1]]}', UPSTREAM_PROTOCOL),
        (b'{"embedding":[1]}', UPSTREAM_PROTOCOL),
        (b'{"embeddings":[["a"],["b"]]}', UPSTREAM_PROTOCOL),
        (b'{"error":"no"}', UPSTREAM_ERROR),
    ],
)
def test_embeddings_that_go_wrong(data: bytes, kind: Kind) -> None:
    reader = EmbeddingReader(inputs=2)
    assert _read(reader, data, whole) == []
    assert not reader.complete
    assert reader.error is not None
    assert reader.error.kind is kind


@pytest.mark.parametrize("make", [lambda: WholeReader(), lambda: EmbeddingReader(1)])
def test_a_whole_answer_without_end(make: type[Reader], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(make()), "max_size", 10)
    reader = make()
    reader.feed(b"x" * 11)
    reader.feed(b"x")
    assert reader.close() == []
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_TOO_LARGE


def test_a_line_without_end() -> None:
    reader = StreamReader()
    assert reader.feed(_text("a")) == [STARTED, TextDelta("a")]
    assert reader.feed(b"x" * (framing.MAX_RECORD + 1)) == []
    assert reader.error is not None
    assert reader.error.kind is UPSTREAM_TOO_LARGE
