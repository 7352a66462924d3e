"""The ledger of a running gateway, with a database that becomes unavailable and a disk that becomes full."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ledger.factories import NOON, make_row, wait_until
from trunkline.ledger import journal, writer
from trunkline.ledger.journal import Journal, Segment
from trunkline.ledger.locate import StoreError
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows, sum_usage
from trunkline.ledger.usage_rows import UsageRow
from trunkline.ledger.usage_store import UsageStore
from trunkline.ledger.writer import Ledger

GUARD_S = 30.0


@pytest.fixture(autouse=True)
def no_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writer makes no pauses that a test would have to wait for."""
    monkeypatch.setattr(writer, "RETRY_INTERVAL_S", 0.01)
    monkeypatch.setattr(writer, "GATHER_S", 0.001)


class FakeFailures:
    """Opens databases whose transactions can be made to fail, before or after they are committed."""

    def __init__(self) -> None:
        self.available = Event()
        self.available.set()
        self.attempts = 0
        self.lost_replies = 0
        """The number of further transactions that are committed and then fail."""
        self.transactions: list[int] = []
        """The number of rows of each committed transaction."""

    def __call__(self, url: str) -> UsageStore:
        return FailingUsageStore(url, self)


class FailingUsageStore(UsageStore):
    def __init__(self, url: str, failures: FakeFailures) -> None:
        super().__init__(url)
        self._failures = failures

    def insert(self, batches: Sequence[Sequence[UsageRow]], *, skip_existing: bool = False) -> None:
        self._failures.attempts += 1
        if not self._failures.available.is_set():
            raise StoreError("the store cannot be used: gone")
        super().insert(batches, skip_existing=skip_existing)
        self._failures.transactions.append(sum(map(len, batches)))
        if self._failures.lost_replies:
            self._failures.lost_replies -= 1
            raise StoreError("the store cannot be used: the connection was lost")


@pytest.fixture
def failures() -> FakeFailures:
    return FakeFailures()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def make_ledger(database: str, folder: Path, failures: FakeFailures) -> Iterator[Callable[..., Ledger]]:
    """Creates ledgers for the same database and folder. All are closed at the end."""
    ledgers: list[Ledger] = []

    def make(**options: Any) -> Ledger:
        ledgers.append(Ledger(database, folder, open_store=failures, **options))
        return ledgers[-1]

    yield make
    failures.available.set()
    for ledger in ledgers:
        ledger.close(GUARD_S)


def assert_contents(database: str, rows: Sequence[UsageRow]) -> None:
    """Assert that the database has these rows, each once, and their totals."""
    with Store(database) as store:
        found = list_usage_rows(store, limit=10_000)
        assert sorted(each["request_id"] for each in found) == sorted(each.request_id for each in rows)
        assert [each["requests"] for each in sum_usage(store)] == ([len(rows)] if rows else [])


def wait_until_away(ledger: Ledger, failures: FakeFailures) -> None:
    """Wait until the ledger has found the database unavailable."""
    before = failures.attempts
    wait_until(lambda: ledger.away and failures.attempts > before)


def test_rows_reach_the_database_while_it_runs(
    make_ledger: Callable[..., Ledger], database: str, folder: Path
) -> None:
    ledger = make_ledger()
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    first, second = [make_row(), make_row(prompt="Grüße")], [make_row()]
    ledger.put(first)
    ledger.put(second)
    wait_until(lambda: ledger.waiting_bytes == 0)
    assert_contents(database, first + second)
    ledger.put(third := [make_row()])
    wait_until(lambda: ledger.waiting_bytes == 0)
    assert_contents(database, first + second + third)
    assert (ledger.away, ledger.lost) == (False, 0)


def test_closing_writes_everything_and_leaves_no_file(
    make_ledger: Callable[..., Ledger], database: str, folder: Path
) -> None:
    ledger = make_ledger()
    ledger.start()
    rows = [make_row() for _ in range(500)]
    for each in rows:
        ledger.put([each])
    ledger.close(GUARD_S)
    assert_contents(database, rows)
    assert list(folder.iterdir()) == []


def test_an_unavailable_database_gets_everything_later(
    make_ledger: Callable[..., Ledger], database: str, failures: FakeFailures
) -> None:
    ledger = make_ledger()
    failures.available.clear()
    ledger.start()
    rows = [make_row() for _ in range(20)]
    for each in rows:
        ledger.put([each])
    wait_until_away(ledger, failures)
    assert ledger.waiting_bytes > 0
    assert_contents(database, [])
    failures.available.set()
    wait_until(lambda: ledger.waiting_bytes == 0 and not ledger.away)
    assert_contents(database, rows)
    assert ledger.lost == 0


def test_a_transaction_whose_reply_was_lost_is_not_written_twice(
    make_ledger: Callable[..., Ledger], database: str, failures: FakeFailures
) -> None:
    ledger = make_ledger()
    failures.lost_replies = 2
    ledger.start()
    rows = [make_row() for _ in range(6)]
    ledger.put(rows[:2])
    ledger.put(rows[2:3])
    wait_until(lambda: failures.lost_replies < 2)
    ledger.put(rows[3:])
    wait_until(lambda: ledger.waiting_bytes == 0 and not ledger.away)
    assert_contents(database, rows)


def test_the_next_ledger_writes_what_a_closed_one_could_not(
    make_ledger: Callable[..., Ledger], database: str, folder: Path, failures: FakeFailures
) -> None:
    failures.available.clear()
    first = make_ledger()
    first.start()
    rows = [make_row() for _ in range(3)]
    first.put(rows[:2])
    wait_until_away(first, failures)
    first.close(0.0)
    assert len(list(folder.iterdir())) == 1
    second = make_ledger()
    second.start()
    second.put(rows[2:])
    wait_until_away(second, failures)
    assert not second.ready.is_set()
    failures.available.set()
    assert second.ready.wait(GUARD_S)
    assert_contents(database, rows)
    wait_until(lambda: len(list(folder.iterdir())) == 1)


def test_only_missing_batches_of_an_abandoned_segment_are_written(
    make_ledger: Callable[..., Ledger], database: str, folder: Path
) -> None:
    """The process was killed after the database had taken some of them."""
    batches = [[make_row(), make_row()], [make_row()], [make_row()]]
    usage_store = UsageStore(database)
    usage_store.insert(batches[:2])
    usage_store.close()
    abandoned = Journal(folder).create_segment()
    for batch in batches:
        abandoned.append(batch)
    abandoned.close()
    ledger = make_ledger()
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    assert_contents(database, [each for batch in batches for each in batch])
    assert not abandoned.path.exists()


@pytest.mark.parametrize("uptime", [0.0, 5.0])
def test_a_ledger_does_not_wait_on_a_machine_that_has_just_booted(
    make_ledger: Callable[..., Ledger],
    database: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    uptime: float,
) -> None:
    began = time.monotonic()
    clock = SimpleNamespace(
        monotonic=lambda: time.monotonic() - began + uptime, time=time.time, sleep=time.sleep
    )
    monkeypatch.setattr(writer, "time", clock)
    abandoned = Journal(folder).create_segment()
    abandoned.append(rows := [make_row(), make_row(time.time())])
    abandoned.close()
    ledger = make_ledger(retention_days=1)
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    with Store(database) as store:
        wait_until(lambda: len(list_usage_rows(store)) == 1)
        assert [each["request_id"] for each in list_usage_rows(store)] == [rows[1].request_id]


def test_old_rows_are_deleted_and_their_totals_stay(
    make_ledger: Callable[..., Ledger], database: str
) -> None:
    recent = int(time.time())
    rows = [
        make_row(NOON - 400 * 86400),
        make_row(recent - 3 * 86400),
        make_row(recent - 86400),
        make_row(recent),
    ]
    usage_store = UsageStore(database)
    usage_store.insert([rows])
    usage_store.close()
    ledger = make_ledger(retention_days=2)
    ledger.start()
    with Store(database) as store:
        wait_until(lambda: len(list_usage_rows(store)) == 2)
        found = [each["request_id"] for each in list_usage_rows(store)]
        assert found == [rows[3].request_id, rows[2].request_id]
        assert sum_usage(store)[0]["requests"] == 4


def test_rows_are_written_during_a_long_deletion(
    make_ledger: Callable[..., Ledger], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.ledger.usage_store._ROWS_PER_DELETE", 1)
    fresh = [make_row(time.time()) for _ in range(3)]
    ready: list[bool] = []
    written: list[bool] = []
    delete_before = UsageStore.delete_before

    def delete_watched(self: UsageStore, before_ms: int, should_continue: Callable[[], bool]) -> int:
        def between() -> bool:
            ready.append(ledger.ready.is_set())
            ledger.put([fresh[len(written)]])
            result = should_continue()
            with Store(database) as store:
                written.append(bool(list_usage_rows(store, request_id=fresh[len(written)].request_id)))
            return result

        return delete_before(self, before_ms, between)

    monkeypatch.setattr(UsageStore, "delete_before", delete_watched)
    usage_store = UsageStore(database)
    usage_store.insert([[make_row() for _ in fresh]])
    usage_store.close()
    ledger = make_ledger(retention_days=1)
    ledger.start()
    wait_until(lambda: len(written) == len(fresh))
    assert ready == written == [True] * len(fresh)


def test_many_rows_are_written_in_several_transactions(
    make_ledger: Callable[..., Ledger], database: str, failures: FakeFailures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MAX_TRANSACTION_ROWS", 10)
    rows = [make_row() for _ in range(35)]
    ledger = make_ledger()
    ledger.open()
    for number in range(0, 35, 5):
        ledger.put(rows[number : number + 5])
    ledger.start()
    wait_until(lambda: ledger.waiting_bytes == 0)
    assert failures.transactions == [10, 10, 10, 5]
    assert_contents(database, rows)


def test_full_segments_are_written_from_their_files(
    make_ledger: Callable[..., Ledger],
    database: str,
    folder: Path,
    failures: FakeFailures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MAX_SEGMENT_BYTES", 500)
    ledger = make_ledger()
    failures.available.clear()
    ledger.start()
    rows = [make_row() for _ in range(40)]
    for each in rows:
        ledger.put([each])
    wait_until_away(ledger, failures)
    files = list(folder.iterdir())
    assert len(files) > 5
    assert ledger.waiting_bytes == sum(path.stat().st_size for path in files)
    failures.available.set()
    wait_until(lambda: ledger.waiting_bytes == 0 and not ledger.away)
    assert_contents(database, rows)
    wait_until(lambda: len(list(folder.iterdir())) == 1)


class Disk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        append = Segment.append

        def append_unless_full(segment: Segment, batch: journal.Batch) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            append(segment, batch)

        monkeypatch.setattr(Segment, "append", append_unless_full)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_rows_reach_the_database_while_the_disk_is_full(
    make_ledger: Callable[..., Ledger], database: str, disk: Disk
) -> None:
    ledger = make_ledger()
    ledger.start()
    disk.full = True
    ledger.put(rows := [make_row(), make_row()])
    wait_until(lambda: ledger.waiting_bytes == 0)
    ledger.close(GUARD_S)
    assert_contents(database, rows)
    assert ledger.lost == 0


def test_rows_that_the_disk_did_not_take_stay_in_memory_when_segments_are_full(
    make_ledger: Callable[..., Ledger],
    database: str,
    failures: FakeFailures,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MAX_SEGMENT_BYTES", 500)
    ledger = make_ledger()
    failures.available.clear()
    ledger.start()
    rows = [make_row() for _ in range(30)]
    for number, each in enumerate(rows):
        disk.full = number % 10 == 5
        ledger.put([each])
    wait_until_away(ledger, failures)
    failures.available.set()
    wait_until(lambda: ledger.waiting_bytes == 0 and not ledger.away)
    ledger.close(GUARD_S)
    assert_contents(database, rows)
    assert ledger.lost == 0


def test_rows_that_neither_disk_nor_database_takes_are_counted_as_lost(
    make_ledger: Callable[..., Ledger],
    database: str,
    failures: FakeFailures,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MAX_MEMORY_ROWS", 4)
    ledger = make_ledger()
    failures.available.clear()
    ledger.start()
    disk.full = True
    rows = [make_row() for _ in range(12)]
    for number in range(0, 12, 2):
        ledger.put(rows[number : number + 2])
    wait_until_away(ledger, failures)
    assert ledger.lost == 6
    failures.available.set()
    wait_until(lambda: ledger.waiting_bytes == 0 and not ledger.away)
    ledger.close(GUARD_S)
    assert_contents(database, rows[:6])


def test_rows_that_are_put_after_closing_are_counted_as_lost(
    make_ledger: Callable[..., Ledger], database: str
) -> None:
    ledger = make_ledger()
    ledger.start()
    ledger.put(rows := [make_row()])
    ledger.close(GUARD_S)
    ledger.put([make_row(), make_row()])
    assert ledger.lost == 2
    assert_contents(database, rows)


def test_the_next_ledger_writes_the_rows_of_one_that_was_never_started(
    make_ledger: Callable[..., Ledger], database: str
) -> None:
    first = make_ledger()
    first.open()
    first.put(rows := [make_row()])
    first.close()
    make_ledger().start()
    with Store(database) as store:
        wait_until(lambda: list_usage_rows(store))
    assert_contents(database, rows)


def test_a_folder_that_cannot_be_created_raises_at_the_start(tmp_path: Path, database: str) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(database, tmp_path / "file" / "ledger")
    with pytest.raises(OSError, match="Not a directory"):
        ledger.start()
    ledger.close()


@pytest.mark.parametrize("attempts", [1, 3])
def test_opening_the_store_is_retried(database: str, folder: Path, attempts: int) -> None:
    failing = iter(range(attempts))

    def open_store(url: str) -> UsageStore:
        for number in failing:
            raise StoreError("unavailable") if number else ZeroDivisionError("a bug")
        return UsageStore(url)

    ledger = Ledger(database, folder, open_store=open_store)
    ledger.start()
    ledger.put(rows := [make_row()])
    assert ledger.ready.wait(GUARD_S)
    ledger.close(GUARD_S)
    assert_contents(database, rows)
    assert not ledger.away
