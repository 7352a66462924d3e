"""The base classes of readers: what they do before a dialect knows anything of the bytes."""

from __future__ import annotations

from collections.abc import Sequence

from tests.dialects.contract import check_error
from trunkline.dialects import read
from trunkline.errors import (
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    ProviderError,
)
from trunkline.events import StreamEvent, TextDelta
from trunkline.framing import NDJSONSplitter


class Lines(read.StreamReader):
    """Reads lines of text; ``.`` ends the answer, ``!`` is an error, other punctuation is malformed."""

    def __init__(self, may_end: bool = False) -> None:
        super().__init__("Acme", NDJSONSplitter(20))
        self.may_end = may_end

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for record in records:
            if record == b".":
                self.complete = True
                return
            if record == b"!":
                raise ProviderError("Oh")
            if not record.isalpha():
                raise ValueError(record.decode())
            events.append(TextDelta(record.decode()))

    def _may_end(self) -> bool:
        return self.may_end


class Text(read.WholeReader):
    """Reads a text of letters."""

    max_size = 10

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        events.append(TextDelta(body[:1].decode()))
        if not body.isalpha():
            raise ValueError(body.decode())


def test_a_stream_ends_with_its_terminal_record() -> None:
    reader = Lines()
    assert reader.feed(b"a\nb\n.\nc\n") == [TextDelta("a"), TextDelta("b")]
    assert (reader.complete, reader.error) == (True, None)
    assert reader.feed(b"d\n") == reader.close() == []


def test_events_before_an_error_are_returned() -> None:
    reader = Lines()
    assert reader.feed(b"a\n!\nb\n") == [TextDelta("a")]
    check_error(reader.error, UPSTREAM_ERROR, "Oh")
    assert reader.feed(b"b\n") == reader.close() == []
    reader = Lines()
    assert reader.feed(b"a\n?\nb\n") == [TextDelta("a")]
    check_error(reader.error, UPSTREAM_PROTOCOL, "Acme sent a malformed answer: ?")


def test_a_stream_without_its_terminal_record_is_cut_unless_it_may_do_without() -> None:
    for rest in (b"", b"?"):  # what cannot be decoded at the very end was half of a record
        reader = Lines()
        assert reader.feed(b"a\n" + rest) + reader.close() == [TextDelta("a")]
        check_error(reader.error, UPSTREAM_TRUNCATED, "Acme ended the stream")
        reader = Lines(may_end=True)
        assert reader.feed(b"a\n" + rest) + reader.close() == [TextDelta("a")]
        assert (reader.complete, reader.error) == (True, None)


def test_a_record_without_end_is_refused() -> None:
    reader = Lines()
    assert reader.feed(b"x" * 21) == reader.close() == []
    check_error(reader.error, UPSTREAM_TOO_LARGE)


def test_a_whole_answer_is_read_at_its_end() -> None:
    reader = Text("Acme")
    assert reader.feed(b"a") == reader.feed(b"b") == []
    assert not reader.complete
    assert reader.close() == [TextDelta("a")]
    assert (reader.complete, reader.error) == (True, None)


def test_a_whole_answer_that_cannot_be_decoded() -> None:
    reader = Text("Acme")
    reader.feed(b"a?")
    assert reader.close() == [TextDelta("a")]
    assert not reader.complete
    check_error(reader.error, UPSTREAM_PROTOCOL, "Acme sent a malformed answer: a?")


def test_a_whole_answer_that_is_too_large() -> None:
    reader = Text("Acme")
    assert reader.feed(b"x" * 10) == reader.feed(b"x") == reader.close() == []
    assert not reader.complete
    check_error(reader.error, UPSTREAM_TOO_LARGE, "The upstream sent an answer of more than 10 bytes")
