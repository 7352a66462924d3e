"""What every reader does, however the bytes arrive: the same events, and a clear end."""

from __future__ import annotations

from types import ModuleType

from tests.dialects.contract import check_error, every_case, every_dialect
from tests.feeding import ways
from trunkline.errors import UPSTREAM_TOO_LARGE, UPSTREAM_TRUNCATED, Kind
from trunkline.events import Started, StreamEvent
from trunkline.framing import MAX_RECORD
from trunkline.model import CanonicalRequest


@every_case("data", "events", of="STREAMS")
def test_streams(dialect: ModuleType, data: bytes, events: list[StreamEvent]) -> None:
    for pieces in ways(data):
        reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
        assert [event for piece in pieces for event in reader.feed(piece)] + reader.close() == events, pieces
        assert (reader.complete, reader.error) == (True, None)
        assert reader.feed(dialect.HELLO_STREAM) == reader.close() == []


@every_dialect
def test_a_stream_that_is_cut(dialect: ModuleType) -> None:
    data = dialect.HELLO_STREAM
    for size in range(len(data)):
        reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
        events = reader.feed(data[:size]) + reader.close()
        assert events == dialect.HELLO_EVENTS[: len(events)]
        if size >= dialect.MIN_COMPLETE:
            assert (reader.complete, reader.error) == (True, None)
        else:
            assert not reader.complete
            check_error(reader.error, UPSTREAM_TRUNCATED)


def check_fault(dialect: ModuleType, fault: bytes, kind: Kind, message: str) -> None:
    """The events before a fault still count, those after it do not, and the reader says what it was."""
    after = b"" if kind is UPSTREAM_TRUNCATED or not fault.endswith(b"\n") else dialect.AFTER
    data = dialect.BEGUN + fault + after
    for pieces in ways(data) if len(fault) < 1000 else [[dialect.BEGUN, fault + after]]:
        reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
        events = [event for piece in pieces for event in reader.feed(piece)] + reader.close()
        assert events == dialect.BEGUN_EVENTS, pieces
        assert not reader.complete
        check_error(reader.error, kind, message)
        assert reader.feed(dialect.HELLO_STREAM) == reader.close() == []


def check_first_fault(dialect: ModuleType, fault: bytes, kind: Kind, message: str) -> None:
    """A fault at the very beginning brings no content."""
    reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
    events = reader.feed(fault) + reader.close()
    assert all(isinstance(event, Started) for event in events)
    assert not reader.complete
    check_error(reader.error, kind, message)


@every_case("fault", "kind", "message", of="FAULTS")
def test_a_stream_with_a_fault(dialect: ModuleType, fault: bytes, kind: Kind, message: str) -> None:
    check_fault(dialect, fault, kind, message)
    check_first_fault(dialect, fault, kind, message)


@every_case("fault", "kind", "message", of="UNREAD_FAULTS")
def test_a_stream_that_only_an_inspector_passes(
    dialect: ModuleType, fault: bytes, kind: Kind, message: str
) -> None:
    check_fault(dialect, fault, kind, message)
    check_first_fault(dialect, fault, kind, message)


@every_dialect
def test_an_error_that_lacks_its_line_end_is_still_one(dialect: ModuleType) -> None:
    _, kind, message = next(values for values in dialect.FAULTS.values() if values[0] == dialect.ERROR_RECORD)
    reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
    assert reader.feed(dialect.BEGUN + dialect.ERROR_RECORD.rstrip()) == dialect.BEGUN_EVENTS
    assert reader.close() == []
    check_error(reader.error, kind, message)


@every_dialect
def test_a_record_without_end_is_refused(dialect: ModuleType) -> None:
    reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
    assert reader.feed(dialect.BEGUN) == dialect.BEGUN_EVENTS
    assert reader.feed(b"x" * (MAX_RECORD + 1)) == []
    check_error(reader.error, UPSTREAM_TOO_LARGE, "The upstream sent a record of more than")
    assert reader.close() == []


@every_dialect
def test_heartbeats_are_no_events(dialect: ModuleType) -> None:
    reader = dialect.BACK.reader(dialect.CHAT_REQUEST, stream=True)
    for heartbeat in dialect.HEARTBEATS:
        assert reader.feed(heartbeat) == []
    assert reader.feed(dialect.BEGUN) == dialect.BEGUN_EVENTS
    for heartbeat in dialect.HEARTBEATS:
        assert reader.feed(heartbeat) == []
    assert (reader.complete, reader.error) == (False, None)


@every_case("canonical", "data", "events", of="WHOLES")
def test_whole_answers(
    dialect: ModuleType, canonical: CanonicalRequest, data: bytes, events: list[StreamEvent]
) -> None:
    for pieces in ways(data):
        reader = dialect.BACK.reader(canonical, stream=False)
        assert not any(reader.feed(piece) for piece in pieces)
        assert reader.close() == events
        assert (reader.complete, reader.error) == (True, None)


def check_whole_fault(
    dialect: ModuleType, canonical: CanonicalRequest, data: bytes, kind: Kind, message: str
) -> None:
    for pieces in ways(data) if len(data) < 1000 else [[data]]:
        reader = dialect.BACK.reader(canonical, stream=False)
        assert not any(reader.feed(piece) for piece in pieces)
        assert all(isinstance(event, Started) for event in reader.close())
        assert not reader.complete
        check_error(reader.error, kind, message)


@every_case("data", "kind", "message", of="BROKEN_WHOLES")
def test_a_whole_answer_that_is_none(dialect: ModuleType, data: bytes, kind: Kind, message: str) -> None:
    check_whole_fault(dialect, dialect.CHAT_REQUEST, data, kind, message)


@every_case("canonical", "data", "kind", "message", of="UNREAD_WHOLES")
def test_a_whole_answer_that_does_not_fit_its_request(
    dialect: ModuleType, canonical: CanonicalRequest, data: bytes, kind: Kind, message: str
) -> None:
    check_whole_fault(dialect, canonical, data, kind, message)
