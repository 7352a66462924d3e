from __future__ import annotations

import pytest

from tests.dialects.openai import samples
from tests.dialects.openai.samples import DONE, HELLO, ROLE, STOP, body, chunk, record, text, usage_chunk
from tests.feeding import ways
from trunkline.dialects.openai.inspect import JSONScanner, SSEScanner
from trunkline.model import Usage

METERED = Usage(prompt_tokens=3, completion_tokens=2)
EVERY = samples.USAGE | {"completion_tokens": 1}


def scan(data: bytes, drop_usage: bool = False) -> tuple[SSEScanner, bytes]:
    """A stream that must be complete, fed in every way until it says so; what goes on is always the same."""
    outs = set()
    for pieces in ways(data):
        scanner = SSEScanner("Acme", drop_usage)
        out = b""
        for piece in pieces:
            out += scanner.feed(piece)
            if scanner.complete:
                break
        out += scanner.close()
        assert (scanner.complete, scanner.error) == (True, None)
        assert out.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))
        outs.add(out)
    assert len(outs) == 1
    return scanner, outs.pop()


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
    scanner, out = scan(data, drop_usage)
    assert (out, scanner.model) == (data, "up")


@pytest.mark.parametrize("case", UNCHANGED)
def test_the_same_object_goes_on(case: str) -> None:
    scanner = SSEScanner("Acme", drop_usage=True)
    data = UNCHANGED[case]
    assert scanner.feed(data) is data


def test_ordinary_events_are_counted_and_heartbeats_are_not() -> None:
    scanner = SSEScanner("Acme", drop_usage=False)
    assert scanner.feed(b": wait\n\n") == b""
    assert scanner.feed(b"\n\n") == b""
    assert (scanner.records, scanner.model) == (0, None)
    assert scanner.feed(b": wait\n\n" + ROLE) == ROLE, "a comment before the first record is kept back"
    assert (scanner.records, scanner.model) == (1, "up")
    scanner.feed(text("a"))
    scanner.feed(text("b") + text("c"))
    assert scanner.records == 4
    assert scanner.feed(b": ping\n\n") == b": ping\n\n"
    assert scanner.feed(b"data:\n\n") == b"data:\n\n"
    assert scanner.records == 4


def test_only_whole_events_go_on() -> None:
    scanner = SSEScanner("Acme", drop_usage=False)
    data = ROLE + text("a")
    assert scanner.feed(data[:-1]) == ROLE
    assert scanner.feed(b"\n" + STOP[:9]) == text("a")
    assert scanner.feed(STOP[9:]) == STOP


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
    scanner, out = scan(before + extra + after, drop_usage=True)
    assert out == before + after
    assert scanner.usage == METERED
    scanner, out = scan(before + extra + after, drop_usage=False)
    assert out == before + extra + after
    assert scanner.usage == METERED


def test_the_usage_chunk_is_dropped_from_among_others() -> None:
    """All in one read, in the middle of it, and alone."""
    scanner = SSEScanner("Acme", drop_usage=True)
    assert scanner.feed(ROLE + usage_chunk() + text("a")) == ROLE + text("a")
    assert scanner.feed(usage_chunk()) == b""
    assert scanner.feed(usage_chunk(EVERY) + STOP) == STOP
    assert scanner.usage == Usage(prompt_tokens=3, completion_tokens=1)
    assert scanner.feed(DONE) == DONE
    assert scanner.complete


def test_usage_that_comes_with_a_choice_stays() -> None:
    data = ROLE + chunk(finish="stop", usage=samples.USAGE) + DONE
    scanner, out = scan(data, drop_usage=True)
    assert (out, scanner.usage) == (data, METERED)


def test_what_follows_the_terminal_marker_is_nobodys() -> None:
    scanner = SSEScanner("Acme", drop_usage=False)
    assert scanner.feed(HELLO + text("more")) == HELLO


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
        scanner = JSONScanner("Acme")
        assert not any(scanner.feed(piece) for piece in pieces)
        assert 0 < scanner.records <= len(pieces)
        assert scanner.close() == data
        assert (scanner.complete, scanner.error, scanner.model) == (True, None, "up")
        assert scanner.usage == METERED


def test_a_whole_answer_in_one_piece_is_not_copied() -> None:
    scanner = JSONScanner("Acme")
    data = b'{"choices":[{}]}'
    scanner.feed(data)
    assert scanner.close() is data
    assert (scanner.usage, scanner.model) == (None, None)


BROKEN_TEXT = text("odd").replace(b"odd", b"\xff\xc0")


@pytest.mark.parametrize("start", [b"", ROLE, ROLE + text("a")], ids=len)
def test_what_is_not_utf8_goes_no_further(start: bytes) -> None:
    for pieces in ways(start + BROKEN_TEXT + STOP + DONE):
        scanner = SSEScanner("Acme", drop_usage=False)
        out = b""
        for piece in pieces:
            out += scanner.feed(piece)
            if scanner.error:
                break
        assert out == start
        assert scanner.error is not None
        assert scanner.error.code == "upstream_protocol"


def test_a_whole_answer_that_is_not_utf8() -> None:
    scanner = JSONScanner("Acme")
    scanner.feed(samples.whole().replace(b"Hi", b"\xff"))
    assert scanner.close() == b""
    assert scanner.error is not None
    assert scanner.error.code == "upstream_protocol"


def test_heartbeats_before_a_whole_answer_are_no_progress() -> None:
    scanner = JSONScanner("Acme")
    scanner.feed(b" \n")
    assert scanner.records == 0
    scanner.feed(b"{")
    assert scanner.records == 1
