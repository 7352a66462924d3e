"""What passes through: whole events, and nothing of an error or behind the end."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.errors import UPSTREAM_PROTOCOL, UPSTREAM_TRUNCATED, GatewayError


class Record(msgspec.Struct):
    text: str | None = None
    end: bool = False
    hidden: bool = False
    error: str | None = None


class Ordinary(msgspec.Struct, forbid_unknown_fields=True):
    text: str


RECORD = msgspec.json.Decoder(Record)
decode_ordinary = msgspec.json.Decoder(Ordinary).decode


class Events(EventInspector):
    def __init__(self) -> None:
        super().__init__("Ex", decode_ordinary)

    def _inspect(self, payload: bytes) -> bool:
        record = self._decode(RECORD, payload)
        if record is None:
            return False
        if record.error is not None:
            self.error = GatewayError(record.error, UPSTREAM_PROTOCOL)
            return False
        self.records += 1
        self.complete = record.end
        return not record.hidden


class Body(BodyInspector):
    answer_decoder = RECORD

    def _inspect(self, answer: Any, body: bytes) -> None:
        self.model = answer.text


A, B = b'data: {"text":"a"}\n\n', b'event: more\ndata: {"text":"\xc3\xa4"}\n\n'
END = b'event: end\ndata: {"end":true}\n\n'
HIDDEN = b'data: {"hidden":true}\n\n'
PING = b": ping\n\n"
BROKEN = b'data: {"text":"\xc3"}\n\n'

ALONE = [A, B, b'data: {"text":"c"}\n\n']
NOT_ALONE = {
    "two events": A + B,
    "half an event": A[:-1],
    "no end": A[:-2],
    "carriage returns": A.replace(b"\n", b"\r\n"),
    "no blank": b'data:{"text":"a"}\n\n',
    "another field": b'id: 7\ndata: {"text":"a"}\n\n',
    "a name after its data": b'data: {"text":"a"}\nevent: more\n\n',
    "data in two lines": b'data: {"text":\ndata: "a"}\n\n',
    "a name and data in two lines": b'event: more\ndata: {"text":\ndata: "a"}\n\n',
    "a comment": PING,
    "not ordinary": HIDDEN,
    "broken": BROKEN,
    "the end": END,
    "nothing": b"",
}


@pytest.mark.parametrize("data", ALONE)
def test_events_that_pass_alone(data: bytes) -> None:
    events = Events()
    assert not events.passes_alone(data)  # the first one names the model
    assert events.feed(A) == A
    assert events.passes_alone(data)
    assert events.records == 2


@pytest.mark.parametrize("data", NOT_ALONE.values(), ids=NOT_ALONE)
def test_what_does_not_pass_alone(data: bytes) -> None:
    events = Events()
    events.feed(A)
    assert not events.passes_alone(data)
    assert events.records == 1


def test_nothing_passes_alone_behind_half_an_event_or_the_end() -> None:
    events = Events()
    events.feed(A + B[:5])
    assert not events.passes_alone(A)
    events = Events()
    events.feed(A + END)
    assert not events.passes_alone(A)


STREAMS = [
    (A + B + END, A + B + END, 3, None),
    (A + HIDDEN + B + END, A + B + END, 4, None),
    (PING + A + PING + END, A + PING + END, 2, None),
    (A + END + A, A + END, 2, None),
    (A + B, A + B, 2, UPSTREAM_TRUNCATED),
    (A + B[:-1] + END[:-9], A, 1, UPSTREAM_TRUNCATED),
    (A + END[:-1], A + END, 2, None),
    (A + b"data: ", A, 1, UPSTREAM_TRUNCATED),
    (A + BROKEN + B + END, A, 1, UPSTREAM_PROTOCOL),
    (A + b'data: {"error":"no"}\n\n' + END, A, 1, UPSTREAM_PROTOCOL),
    (b"", b"", 0, UPSTREAM_TRUNCATED),
]


@pytest.mark.parametrize(("data", "passed", "records", "kind"), STREAMS)
def test_streams_pass_event_by_event_however_they_are_cut(
    data: bytes, passed: bytes, records: int, kind: object
) -> None:
    for cut in range(len(data) + 1):
        inspector = Events()
        out = inspector.feed(data[:cut]) + inspector.feed(data[cut:]) + inspector.close()
        assert (out, inspector.records) == (passed, records)
        assert inspector.complete is (kind is None)
        assert (inspector.error and inspector.error.kind) is kind


@pytest.mark.parametrize(
    ("body", "model"),
    [(b'{"text":"m"}', "m"), (b' {"text":null} ', None), (b"{", None), (b'{"x":"\xc3"}', None)],
)
def test_whole_answers_are_held_until_they_are_there(body: bytes, model: str | None) -> None:
    for cut in range(len(body) + 1):
        inspector = Body("Ex")
        assert inspector.feed(body[:cut]) + inspector.feed(body[cut:]) == b""
        fine = (body.endswith(b"}") and b"\xc3" not in body) or body.endswith(b" ")
        assert inspector.close() == (body if fine else b"")
        assert (inspector.complete, inspector.model) == (fine, model)
        assert (inspector.error is None) is fine
