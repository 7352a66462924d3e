from __future__ import annotations

import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.samples import DONE, HELLO, ROLE, STOP, body, chunk, record, text, usage_chunk
from tests.feeding import ways
from trunkline.dialects.openai.inspect import StreamInspector, WholeInspector
from trunkline.model import Usage

METERED = Usage(prompt_tokens=3, completion_tokens=2)
EVERY = samples.USAGE | {"completion_tokens": 1}


def scan(data: bytes, drop_usage: bool = False) -> tuple[StreamInspector, bytes]:
    """A stream that must be complete, fed in every way until it says so; what goes on is always the same."""
    outs = set()
    for pieces in ways(data):
        inspector = StreamInspector("Acme", drop_usage)
        out = b""
        for piece in pieces:
            out += inspector.feed(piece)
            if inspector.complete:
                break
        out += inspector.close()
        assert (inspector.complete, inspector.error) == (True, None)
        assert out.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        outs.add(out)
    assert len(outs) == 1
    return inspector, outs.pop()


UNCHANGED = {
    "plain": HELLO,
    "crlf": HELLO.replace(b"\n", b"\r\n"),
    "cr": HELLO.replace(b"\n", b"\r"),
    "byte order mark": b"\xef\xbb\xbf" + HELLO,
    "no space": HELLO.replace(b"data: ", b"data:"),
    "with spaces": HELLO.replace(b":null", b": null").replace(b'":{', b'" : {'),
    "many lines": HELLO.replace(b',"model"', b',\ndata: "model"'),
    "comments in between": ROLE + b": ping\n\n" + text("a") + b": ping\n: pong\n\n" + STOP + DONE,
    "a comment with the record": b": hello\n" + HELLO,
    "event names": HELLO.replace(b"data: ", b"event: message\ndata: "),
    "blank lines": HELLO.replace(b"\n\n", b"\n\n\n", 3),
    "no terminal marker": ROLE + text("a") + STOP,
    "usage in every chunk": ROLE + text("a", usage=EVERY) + chunk(finish="stop", usage=samples.USAGE) + DONE,
    "usage null": ROLE + text("a", usage=None) + text("b", usage=None, error=None) + STOP + DONE,
    "two choices": ROLE + text("a") + text("b", choice_index=1) + STOP + chunk(finish="length") + DONE,
    "unknown fields": ROLE + text("a", obfuscation="x7", choice_token_ids=[1]) + STOP + DONE,
    "tool calls": ROLE + samples.calls({"index": 0, "id": "a", "function": {"name": "f"}}) + STOP + DONE,
    "words that look like more": ROLE + text('"error" "usage":7 [DONE] "finish_reason":"x"') + STOP + DONE,
    "half a surrogate pair": ROLE + text("a").replace(b'"a"', b'"\\ud83d"') + STOP + DONE,
    "first record without choices": record({"choices": [], "id": "x", "model": "up"})
    + text("a")
    + STOP
    + DONE,
    "legacy completion": record({"model": "up", "choices": [{"text": "a", "finish_reason": "stop"}]}) + DONE,
}


@pytest.mark.parametrize("drop_usage", [False, True])
@pytest.mark.parametrize("case", UNCHANGED)
def test_bytes_go_on_unchanged(case: str, drop_usage: bool) -> None:
    data = UNCHANGED[case]
    inspector, out = scan(data, drop_usage)
    assert (out, inspector.model) == (data, "up")


@pytest.mark.parametrize("case", UNCHANGED)
def test_the_same_object_goes_on(case: str) -> None:
    inspector = StreamInspector("Acme", drop_usage=True)
    data = UNCHANGED[case]
    assert inspector.feed(data) is data


def test_ordinary_events_are_counted_and_heartbeats_are_not() -> None:
    inspector = StreamInspector("Acme", drop_usage=False)
    assert inspector.feed(b": wait\n\n") == b""
    assert inspector.feed(b"\n\n") == b""
    assert (inspector.records, inspector.model) == (0, None)
    assert inspector.feed(b": wait\n\n" + ROLE) == ROLE, "a comment before the first record is kept back"
    assert (inspector.records, inspector.model) == (1, "up")
    inspector.feed(text("a"))
    inspector.feed(text("b") + text("c"))
    assert inspector.records == 4
    assert inspector.feed(b": ping\n\n") == b": ping\n\n"
    assert inspector.feed(b"data:\n\n") == b"data:\n\n"
    assert inspector.records == 4


def test_only_whole_events_go_on() -> None:
    inspector = StreamInspector("Acme", drop_usage=False)
    data = ROLE + text("a")
    assert inspector.feed(data[:-1]) == ROLE
    assert inspector.feed(b"\n" + STOP[:9]) == text("a")
    assert inspector.feed(STOP[9:]) == STOP


USAGE_ENDS = {
    "after the reason": (ROLE + text("a") + STOP, usage_chunk(), DONE),
    "with crlf": (ROLE + text("a") + STOP, usage_chunk().replace(b"\n", b"\r\n"), DONE),
    "without choices": (ROLE + STOP, record({"usage": samples.USAGE}), DONE),
    "after a comment": (ROLE + STOP + b": ping\n\n", usage_chunk(), DONE),
    "at the very end": (ROLE + text("a") + STOP, usage_chunk(), b""),
}


@pytest.mark.parametrize("case", USAGE_ENDS)
def test_the_usage_chunk_that_nobody_asked_for_is_dropped(case: str) -> None:
    before, extra, after = USAGE_ENDS[case]
    inspector, out = scan(before + extra + after, drop_usage=True)
    assert out == before + after
    assert inspector.usage == METERED
    inspector, out = scan(before + extra + after, drop_usage=False)
    assert out == before + extra + after
    assert inspector.usage == METERED


def test_the_usage_chunk_is_dropped_from_among_others() -> None:
    """All in one read, in the middle of it, and alone."""
    inspector = StreamInspector("Acme", drop_usage=True)
    assert inspector.feed(ROLE + usage_chunk() + text("a")) == ROLE + text("a")
    assert inspector.feed(usage_chunk()) == b""
    assert inspector.feed(usage_chunk(EVERY) + STOP) == STOP
    assert inspector.usage == Usage(prompt_tokens=3, completion_tokens=1)
    assert inspector.feed(DONE) == DONE
    assert inspector.complete


def test_usage_that_comes_with_a_choice_stays() -> None:
    data = ROLE + chunk(finish="stop", usage=samples.USAGE) + DONE
    inspector, out = scan(data, drop_usage=True)
    assert (out, inspector.usage) == (data, METERED)


def test_what_follows_the_terminal_marker_is_nobodys() -> None:
    inspector = StreamInspector("Acme", drop_usage=False)
    assert inspector.feed(HELLO + text("more")) == HELLO


@pytest.mark.parametrize(
    ("end", "goes_on"),
    [
        (b"data: [DONE]", DONE),
        (b"data: [DONE]\r\n", DONE),
        (b"data: [DO", b""),
        (b": bye", b""),
        (b"dat", b""),
        (b"data:", b""),
        (b"", b""),
    ],
)
def test_a_last_event_without_its_end(end: bytes, goes_on: bytes) -> None:
    before = ROLE + STOP
    assert scan(before + end)[1] == before + goes_on


def test_an_answer_may_end_with_its_reason_cut_off_from_its_blank_line() -> None:
    assert scan(ROLE + STOP[:-2])[1] == ROLE + STOP


WHOLES = {
    "chat": samples.whole(),
    "spaced": samples.whole().replace(b":", b": ").replace(b",", b" ,\n"),
    "with the word": samples.whole({"role": "assistant", "content": "an error", "error": None}),
    "error null": samples.whole(error=None),
    "unknown fields": samples.whole(
        system_fingerprint="fp", provider="X", choice_native_finish_reason="STOP"
    ),
    "completion": body({"model": "up", "choices": [{"text": "a"}], "usage": samples.USAGE}),
    "embeddings": body({"model": "up", "data": [{"embedding": [1.0]}], "usage": samples.USAGE}),
}


@pytest.mark.parametrize("case", WHOLES)
def test_a_whole_answer_goes_on_unchanged_at_its_end(case: str) -> None:
    data = WHOLES[case]
    for pieces in ways(data):
        inspector = WholeInspector("Acme")
        assert not any(inspector.feed(piece) for piece in pieces)
        assert 0 < inspector.records <= len(pieces)
        assert inspector.close() == data
        assert (inspector.complete, inspector.error, inspector.model) == (True, None, "up")
        assert inspector.usage == METERED


def test_a_whole_answer_in_one_piece_is_not_copied() -> None:
    inspector = WholeInspector("Acme")
    data = b'{"choices":[{}]}'
    inspector.feed(data)
    assert inspector.close() is data
    assert (inspector.usage, inspector.model) == (None, None)


BROKEN_TEXT = text("odd").replace(b"odd", b"\xff\xc0")


@pytest.mark.parametrize("start", [b"", ROLE, ROLE + text("a")], ids=len)
def test_what_is_not_utf8_goes_no_further(start: bytes) -> None:
    for pieces in ways(start + BROKEN_TEXT + STOP + DONE):
        inspector = StreamInspector("Acme", drop_usage=False)
        out = b""
        for piece in pieces:
            out += inspector.feed(piece)
            if inspector.error:
                break
        assert out == start
        assert inspector.error is not None
        assert inspector.error.code == "upstream_protocol"


def test_a_whole_answer_that_is_not_utf8() -> None:
    inspector = WholeInspector("Acme")
    inspector.feed(samples.whole().replace(b"Hi", b"\xff"))
    assert inspector.close() == b""
    assert inspector.error is not None
    assert inspector.error.code == "upstream_protocol"


def test_heartbeats_before_a_whole_answer_are_no_progress() -> None:
    inspector = WholeInspector("Acme")
    inspector.feed(b" \n")
    assert inspector.records == 0
    inspector.feed(b"{")
    assert inspector.records == 1
