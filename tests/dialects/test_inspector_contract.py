"""What every inspector does, however the bytes arrive: whole records go on, and nothing of an error."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType

import pytest

from tests.dialects.contract import check_error, every_case, every_dialect
from tests.feeding import ways
from trunkline.dialects.base import Inspector, RequestSummary
from trunkline.errors import UPSTREAM_TOO_LARGE, UPSTREAM_TRUNCATED, Kind
from trunkline.framing import MAX_RECORD
from trunkline.model import Usage

RECORD_ENDS = {"ollama": (b"\n",)}
EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


def make(dialect: ModuleType, summary: RequestSummary | None = None) -> Inspector:
    """An inspector of a streamed chat."""
    inspector: Inspector = dialect.BACK.inspector("chat", summary or dialect.STREAM_SUMMARIES[0])
    return inspector


def make_whole(dialect: ModuleType) -> Inspector:
    """An inspector of a whole chat."""
    return make(dialect, RequestSummary(model="m", stream=False))


@every_case("data", "passed", "usage", of="PASSED")
def test_streams_pass_in_whole_records(
    dialect: ModuleType, data: bytes, passed: bytes, usage: Usage | None
) -> None:
    ends = RECORD_ENDS.get(dialect.BACK.dialect, EVENT_ENDS)
    for summary in dialect.STREAM_SUMMARIES:
        records = set()
        for pieces in ways(data):
            inspector = make(dialect, summary)
            parts = [*(inspector.feed(piece) for piece in pieces), inspector.close()]
            assert b"".join(parts) == passed, pieces
            assert all(part.endswith(ends) for part in parts if part)
            assert (inspector.complete, inspector.error) == (True, None)
            assert (inspector.model, inspector.usage) == (dialect.MODEL, usage)
            records.add(inspector.records)
        assert len(records) == 1


@every_case("data", "passed", "usage", of="PASSED")
def test_records_that_come_alone_pass_as_they_do_among_others(
    dialect: ModuleType, data: bytes, passed: bytes, usage: Usage | None
) -> None:
    """An exchange asks first whether a piece passes alone; nothing may come out otherwise for that."""
    for summary in dialect.STREAM_SUMMARIES:
        for pieces in [event + b"\n\n" for event in data.split(b"\n\n") if event], list(halves(data)):
            inspector, slow = make(dialect, summary), make(dialect, summary)
            parts = [take(inspector, piece) for piece in pieces]
            assert parts == [slow.feed(piece) for piece in pieces]
            assert inspector.close() == slow.close()
            assert found(inspector) == found(slow)


@every_case("fault", "kind", "message", of="FAULTS")
def test_a_fault_does_not_pass_alone(dialect: ModuleType, fault: bytes, kind: Kind, message: str) -> None:
    for start in dialect.STARTS:
        inspector, slow = make(dialect), make(dialect)
        for piece in start, fault, dialect.AFTER:
            assert take(inspector, piece) == slow.feed(piece)
        assert inspector.close() == slow.close()
        assert (inspector.records, str(inspector.error)) == (slow.records, str(slow.error))


def halves(data: bytes) -> Iterator[bytes]:
    """The second half of each event comes with the first half of the next one."""
    marks = [0, *(at for at in range(len(data)) if data.startswith(b"\n", at - 10)), len(data)]
    for start, end in pairwise(marks):
        yield data[start:end]


def take(inspector: Inspector, piece: bytes) -> bytes:
    return piece if inspector.passes_alone(piece) else inspector.feed(piece)


def found(inspector: Inspector) -> tuple[object, ...]:
    return inspector.complete, str(inspector.error), inspector.records, inspector.usage, inspector.model


@every_case("before", "data", of="SAME_OBJECTS")
def test_what_passes_is_not_copied(dialect: ModuleType, before: bytes, data: bytes) -> None:
    for summary in dialect.STREAM_SUMMARIES:
        inspector = make(dialect, summary)
        assert inspector.feed(before) == before
        assert inspector.feed(data) is data


@every_case("steps", of="STEPS")
def test_step_by_step(dialect: ModuleType, steps: list[tuple[bytes, bytes, int, str | None]]) -> None:
    inspector = make(dialect)
    for data, passed, records, model in steps:
        assert inspector.feed(data) == passed
        assert (inspector.records, inspector.model) == (records, model)


@every_dialect
def test_records_before_content_are_counted(dialect: ModuleType) -> None:
    inspector = make(dialect)
    inspector.feed(dialect.OPENING)
    assert inspector.records == dialect.BACK.opening_records


@every_dialect
def test_a_stream_that_is_cut(dialect: ModuleType) -> None:
    data = dialect.HELLO_STREAM
    ends = RECORD_ENDS.get(dialect.BACK.dialect, EVENT_ENDS)
    for size in range(len(data)):
        inspector = make(dialect)
        passed = inspector.feed(data[:size]) + inspector.close()
        assert data.startswith(passed)
        assert passed.endswith(ends) or not passed
        if size >= dialect.MIN_COMPLETE:
            assert (inspector.complete, inspector.error) == (True, None)
        else:
            assert not inspector.complete
            check_error(inspector.error, UPSTREAM_TRUNCATED)


@every_case("fault", "kind", "message", of="FAULTS")
def test_a_fault_goes_no_further(dialect: ModuleType, fault: bytes, kind: Kind, message: str) -> None:
    after = b"" if kind is UPSTREAM_TRUNCATED or not fault.endswith(b"\n") else dialect.AFTER
    for start in dialect.STARTS:
        before = make(dialect)
        before.feed(start)
        for pieces in ways(start + fault + after) if len(fault) < 1000 else [[start, fault + after]]:
            inspector = make(dialect)
            assert b"".join(inspector.feed(piece) for piece in pieces) + inspector.close() == start
            assert not inspector.complete
            check_error(inspector.error, kind, message)
            assert inspector.records == before.records
            assert inspector.feed(dialect.HELLO_STREAM) == inspector.close() == b""


@every_case("fault", "kind", "message", of="FAULTS")
def test_a_fault_behind_heartbeats_brings_no_first_byte(
    dialect: ModuleType, fault: bytes, kind: Kind, message: str
) -> None:
    inspector = make(dialect)
    assert inspector.feed(b"".join(dialect.HEARTBEATS) + fault) + inspector.close() == b""
    assert inspector.records == 0
    check_error(inspector.error, kind, message)


@every_dialect
def test_an_error_that_lacks_its_line_end_is_still_one(dialect: ModuleType) -> None:
    _, kind, message = next(values for values in dialect.FAULTS.values() if values[0] == dialect.ERROR_RECORD)
    inspector = make(dialect)
    assert inspector.feed(dialect.BEGUN + dialect.ERROR_RECORD.rstrip()) == dialect.BEGUN
    assert inspector.close() == b""
    check_error(inspector.error, kind, message)


@every_dialect
def test_a_record_without_end_is_refused(dialect: ModuleType) -> None:
    inspector = make(dialect)
    assert inspector.feed(dialect.BEGUN) == dialect.BEGUN
    assert inspector.feed(b"x" * (MAX_RECORD + 1)) == b""
    check_error(inspector.error, UPSTREAM_TOO_LARGE, "The upstream sent a record of more than")
    assert inspector.close() == b""


@every_case("data", "usage", of="WHOLES_PASSED")
def test_a_whole_answer_passes_at_its_end(dialect: ModuleType, data: bytes, usage: Usage | None) -> None:
    for pieces in ways(data):
        inspector = make_whole(dialect)
        assert not any(inspector.feed(piece) for piece in pieces)
        if dialect.BACK.dialect == "ollama":  # only the whole of it counts
            assert inspector.records == 0
        assert inspector.close() == data
        assert 0 < inspector.records <= len(pieces)
        assert (inspector.complete, inspector.error) == (True, None)
        assert (inspector.model, inspector.usage) == (dialect.MODEL, usage)


@every_case("data", "usage", of="WHOLES_PASSED")
def test_a_whole_answer_in_one_piece_is_not_copied(
    dialect: ModuleType, data: bytes, usage: Usage | None
) -> None:
    inspector = make_whole(dialect)
    inspector.feed(data)
    assert inspector.close() is data


@every_case("data", "kind", "message", of="BROKEN_WHOLES")
def test_a_whole_answer_that_is_none_reaches_nobody(
    dialect: ModuleType, data: bytes, kind: Kind, message: str
) -> None:
    for pieces in ways(data) if len(data) < 1000 else [[data]]:
        inspector = make_whole(dialect)
        assert b"".join(inspector.feed(piece) for piece in pieces) + inspector.close() == b""
        assert not inspector.complete
        check_error(inspector.error, kind, message)


@pytest.mark.parametrize("heartbeat", [b" \n", b": thinking\n\n"])
@every_dialect
def test_heartbeats_before_a_whole_answer_are_no_progress(dialect: ModuleType, heartbeat: bytes) -> None:
    inspector = make_whole(dialect)
    inspector.feed(heartbeat)
    assert inspector.records == 0
    inspector.feed(b"{")
    assert inspector.records == (0 if dialect.BACK.dialect == "ollama" else 1)
