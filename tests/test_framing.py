from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.feeding import ways
from trunkline.errors import UPSTREAM_TOO_LARGE, ProviderError
from trunkline.framing import (
    NDJSONSplitter,
    SSEForwarder,
    SSESplitter,
    extract_payload,
    is_heartbeat,
    split_events,
    sse,
)

EVENTS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b"", []),
    "one": (b"data: a\n\n", [b"a"]),
    "two": (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    "cr": (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    "mixed line ends": (b"data: a\n\r\ndata: b\r\ndata: c\n\n", [b"a", b"b\nc"]),
    "no space": (b"data:a\n\n", [b"a"]),
    "two spaces": (b"data:  a\n\n", [b" a"]),
    "many lines": (b"data: a\ndata: b\ndata:c\n\n", [b"a\nb\nc"]),
    "comments": (b": hello\n\n:\n\ndata: a\n: between\n\n: bye\n\n", [b"a"]),
    "other fields": (b"event: x\nid: 7\nretry: 9\ndata: a\n\nevent: y\n\n", [b"a"]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [b"a", b"b"]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n", [b"a", b"b"]),
    "no data in it": (b"data:\n\ndata: \n\ndata: a\n\n", [b"a"]),
    "no last blank line": (b"data: a\n\ndata: b\n", [b"a", b"b"]),
    "no last newline": (b"data: a\n\ndata: b", [b"a", b"b"]),
    "no last newline, crlf": (b"data: a\r\n\r\ndata: b\r\n", [b"a", b"b"]),
    "comment at the end": (b"data: a\n\n: bye", [b"a"]),
    "colons inside": (b'data: {"a": ": data: x"}\n\n', [b'{"a": ": data: x"}']),
    "not utf-8": (b"data: \xff\xfe\n\n", [b"\xff\xfe"]),
}

LINES: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b"", []),
    "one": (b"{}\n", [b"{}"]),
    "two": (b"1\n2\n", [b"1", b"2"]),
    "crlf": (b"1\r\n2\r\n", [b"1\r", b"2\r"]),
    "blank lines": (b"\n \n1\n\r\n\t\n2\n\n", [b"1", b"2"]),
    "no last newline": (b"1\n2", [b"1", b"2"]),
    "blank at the end": (b"1\n  ", [b"1"]),
}


def _drain(splitter: NDJSONSplitter | SSESplitter, pieces: list[bytes]) -> list[bytes]:
    out = [record for piece in pieces for record in splitter.feed(piece)]
    return out + splitter.close()


@pytest.mark.parametrize("case", EVENTS)
def test_events_come_out_however_they_arrive(case: str) -> None:
    data, expected = EVENTS[case]
    for pieces in ways(data):
        assert _drain(SSESplitter(), list(pieces)) == expected, pieces


@pytest.mark.parametrize("case", LINES)
def test_lines_come_out_however_they_arrive(case: str) -> None:
    data, expected = LINES[case]
    for pieces in ways(data):
        assert _drain(NDJSONSplitter(), list(pieces)) == expected, pieces


@pytest.mark.parametrize("case", EVENTS)
def test_forwarded_events_are_whole_and_unchanged(case: str) -> None:
    data, expected = EVENTS[case]
    for pieces in ways(data):
        forwarder = SSEForwarder()
        parts = [forwarder.feed(piece) for piece in pieces]
        rest = forwarder.close()
        assert b"".join(parts) + rest == data
        assert all(part.endswith((b"\n\n", b"\n\r\n", b"\r\r")) for part in parts if part)
        payloads = [extract_payload(event) for part in [*parts, rest] for event in split_events(part)]
        assert [each.rstrip(b"\n") for each in payloads if each.strip()] == expected, pieces


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
def test_an_event_goes_on_as_soon_as_it_is_whole(ending: bytes) -> None:
    event = b"data: a" + ending
    forwarder = SSEForwarder()
    assert [forwarder.feed(event + event[:5]), forwarder.feed(event[5:])] == [event, event]
    assert forwarder.close() == b""


def test_an_event_is_read_as_soon_as_it_is_whole() -> None:
    for event in b"data: a\n\n", b"data: a\r\n\r\n":
        splitter = SSESplitter()
        assert splitter.feed(event) == [b"a"]
        assert splitter.feed(event[:3]) == []
        assert splitter.feed(event[3:] + event) == [b"a", b"a"]


@pytest.mark.parametrize("kind", [SSESplitter, SSEForwarder])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_an_event_of_many_lines_is_joined_once(
    kind: type[SSESplitter | SSEForwarder], ending: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined: list[bytes] = []
    take = kind._take

    def counted(splitter: SSESplitter | SSEForwarder, chunk: bytes) -> bytes:
        joined.append(chunk)
        return take(splitter, chunk)

    monkeypatch.setattr(kind, "_take", counted)
    splitter = kind()
    for _ in range(1000):
        assert not splitter.feed(b"data: a" + ending)
    assert not joined
    rest = splitter.feed(ending) or splitter.close()  # a CR may be half of a line's end
    assert len(b"".join(rest) if isinstance(rest, list) else rest) > 1000


@pytest.mark.parametrize("make", [NDJSONSplitter, SSESplitter, SSEForwarder])
def test_a_record_without_end_is_refused(
    make: Callable[[int], NDJSONSplitter | SSESplitter | SSEForwarder],
) -> None:
    splitter = make(100)
    for _ in range(10):
        assert not splitter.feed(b"data: 7890")
    with pytest.raises(ProviderError, match="more than 100 bytes") as caught:
        splitter.feed(b"x")
    assert caught.value.kind is UPSTREAM_TOO_LARGE


def test_the_limit_is_one_records_not_the_streams() -> None:
    splitter = SSESplitter(100)
    assert (
        sum(len(splitter.feed(b"data: 789\n\nda") + splitter.feed(b"ta: 789\n\n")) for _ in range(50)) == 100
    )


def test_what_is_written_is_read() -> None:
    assert SSESplitter().feed(sse(b"{}") + sse(b"[DONE]")) == [b"{}", b"[DONE]"]


@pytest.mark.parametrize("data", [b"\n", b" \r\n\t", b": thinking\n\n", b"\n\n: thinking\n", b":"])
def test_heartbeats(data: bytes) -> None:
    assert is_heartbeat(data)


@pytest.mark.parametrize("data", [b"{", b"\n{", b"[1", b'"', b"1", b"\x00"])
def test_what_is_no_heartbeat(data: bytes) -> None:
    assert not is_heartbeat(data)
