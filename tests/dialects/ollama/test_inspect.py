from __future__ import annotations

import pytest

from tests.dialects.ollama.feeding import WAYS, Pieces, bytewise, whole
from trunkline.dialects.base import Inspector
from trunkline.dialects.ollama import inspect
from trunkline.dialects.ollama.inspect import StreamInspector, WholeInspector
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    Kind,
)
from trunkline.model import Usage

LINE = b'{"model":"m","message":{"role":"assistant","content":"a\\"done\\":true"},"done":false}\n'
SPACED = b'{"model": "m", "message": {"content": "error"}, "done": false}\n'
NESTED = (
    b'{"model":"m","message":{"tool_calls":[{"function":{"name":"f","arguments":{"done":true,"error":1}}}]},'
    b'"done":false}\n'
)
DECOY = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"done":false}}}]},"done":true}\n'
DONE = (
    b'{"model":"m","done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":7,"context":[1,2]}\n'
)
USAGE = Usage(prompt_tokens=26, completion_tokens=7)


def _scan(inspect: Inspector, data: bytes, pieces: Pieces) -> bytes:
    out = []
    for piece in pieces(data):
        out.append(inspect.feed(piece))
        assert not out[-1] or out[-1].endswith(b"\n")
    return b"".join(out) + inspect.close()


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "records"),
    [
        (DONE, 1),
        (LINE + DONE, 2),
        (LINE * 5 + DONE, 6),
        (SPACED + LINE + SPACED + DONE, 4),
        (LINE + NESTED + LINE + DONE, 4),
        (LINE + b'{"error":null,"done":false}\n' + DONE, 3),
        (LINE + b'{"hello":1}\n' + DONE, 3),
    ],
)
def test_whole_lines_go_on_as_they_came(data: bytes, records: int, pieces: Pieces) -> None:
    seen = StreamInspector()
    assert _scan(seen, data, pieces) == data
    assert (seen.complete, seen.error, seen.records) == (True, None, records)
    assert (seen.model, seen.usage) == ("m", USAGE)


def test_a_nested_mark_hides_no_end() -> None:
    seen = StreamInspector()
    assert _scan(seen, LINE + DECOY, whole) == LINE + DECOY
    assert seen.complete
    assert seen.usage == Usage()


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "out"),
    [
        (b"\n" + LINE + b"\n \r\n" + LINE + DONE + b"\n", LINE + LINE + DONE),
        (LINE + DONE[:-1], LINE + DONE),
        (LINE + DONE + LINE + b"junk", LINE + DONE),
    ],
)
def test_nothing_blank_and_nothing_after_the_end(data: bytes, out: bytes, pieces: Pieces) -> None:
    seen = StreamInspector()
    assert _scan(seen, data, pieces) == out
    assert seen.complete
    assert seen.error is None


@pytest.mark.parametrize("pieces", WAYS)
@pytest.mark.parametrize(
    ("data", "out", "kind", "records"),
    [
        (b"", b"", UPSTREAM_TRUNCATED, 0),
        (LINE, LINE, UPSTREAM_TRUNCATED, 1),
        (LINE + LINE[:-1], LINE + LINE, UPSTREAM_TRUNCATED, 2),
        (LINE + LINE[:30], LINE, UPSTREAM_TRUNCATED, 1),
        (LINE + DONE[:-5], LINE, UPSTREAM_TRUNCATED, 1),
        (b'{"error":"no"}\n', b"", UPSTREAM_ERROR, 0),
        (LINE + LINE + b'{"error":"no"}\n' + DONE, LINE + LINE, UPSTREAM_ERROR, 2),
        (LINE + b'{"error":"no"}', LINE, UPSTREAM_ERROR, 1),
        (b"<html>\n" + LINE + DONE, b"", UPSTREAM_PROTOCOL, 0),
        (LINE + b'{"oops\n' + DONE, LINE, UPSTREAM_PROTOCOL, 1),
        (LINE + b'{"done":1}\n' + DONE, LINE, UPSTREAM_PROTOCOL, 1),
        (b'{"model":"\xff"}\n' + DONE, b"", UPSTREAM_PROTOCOL, 0),
        (LINE + b'{"done":false,"oops":' + b"[" * 5000 + b"\n" + DONE, LINE, UPSTREAM_PROTOCOL, 1),
    ],
)
def test_what_goes_wrong_does_not_go_on(
    data: bytes, out: bytes, kind: Kind, records: int, pieces: Pieces
) -> None:
    seen = StreamInspector()
    assert _scan(seen, data, pieces) == out
    assert not seen.complete
    assert seen.error is not None
    assert seen.error.kind is kind
    assert seen.records == records
    assert seen.usage is None
    assert seen.feed(LINE) == seen.close() == b""


def test_a_line_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspect, "MAX_RECORD", len(LINE))
    seen = StreamInspector()
    assert seen.feed(LINE + LINE[:9]) == LINE
    assert seen.feed(b"x" * len(LINE)) == b""
    assert seen.error is not None
    assert seen.error.kind is UPSTREAM_TOO_LARGE
    assert seen.close() == b""


@pytest.mark.parametrize("pieces", WAYS)
def test_a_whole_answer_is_held_back(pieces: Pieces) -> None:
    seen = WholeInspector()
    assert all(seen.feed(piece) == b"" for piece in pieces(DONE))
    assert seen.close() == DONE
    assert (seen.complete, seen.error, seen.records) == (True, None, 1)
    assert (seen.model, seen.usage) == ("m", USAGE)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", UPSTREAM_PROTOCOL),
        (DONE[:-3], UPSTREAM_PROTOCOL),
        (b'{"error":"no"}', UPSTREAM_ERROR),
    ],
)
def test_a_whole_answer_that_goes_wrong(data: bytes, kind: Kind) -> None:
    seen = WholeInspector()
    assert b"".join(map(seen.feed, bytewise(data))) + seen.close() == b""
    assert not seen.complete
    assert seen.error is not None
    assert seen.error.kind is kind


def test_a_whole_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WholeInspector, "max_size", 10)
    seen = WholeInspector()
    assert seen.feed(b"x" * 11) == seen.feed(b"x") == seen.close() == b""
    assert seen.error is not None
    assert seen.error.kind is UPSTREAM_TOO_LARGE
