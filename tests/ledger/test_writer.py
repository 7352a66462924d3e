"""The writer of a running gateway's usage, with a database that comes and goes, and a disk that does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from tests.ledger.making import NOON, poll, row
from trunkline.ledger import journal, writer
from trunkline.ledger.journal import Journal, Segment
from trunkline.ledger.locate import StoreError
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store
from trunkline.ledger.usage import requests, sums
from trunkline.ledger.usage_rows import UsageRow
from trunkline.ledger.writer import Ledger

GUARD_S = 30.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the writer's pauses."""
    monkeypatch.setattr(writer, "RETRY_S", 0.01)
    monkeypatch.setattr(writer, "PAUSE_S", 0.001)


class Opener:
    """Opens databases that take nothing while they are away, and say that they took nothing when they did."""

    def __init__(self) -> None:
        self.there = Event()
        self.there.set()
        self.tries = 0
        self.lies = 0
        """How many more writes arrive without their answer."""
        self.writes: list[int] = []
        """Rows of each transaction."""

    def __call__(self, url: str) -> Recording:
        return Fickle(url, self)


class Fickle(Recording):
    def __init__(self, url: str, opener: Opener) -> None:
        super().__init__(url)
        self._opener = opener

    def write(self, batches: Sequence[Sequence[UsageRow]], *, again: bool = False) -> None:
        self._opener.tries += 1
        if not self._opener.there.is_set():
            raise StoreError("the store cannot be used: gone")
        super().write(batches, again=again)
        self._opener.writes.append(sum(map(len, batches)))
        if self._opener.lies:
            self._opener.lies -= 1
            raise StoreError("the store cannot be used: the connection was lost")


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def begin(database: str, folder: Path, opener: Opener) -> Iterator[Callable[..., Ledger]]:
    """Makes ledgers over the same database and folder; each is closed at the end."""
    made: list[Ledger] = []

    def make(**options: Any) -> Ledger:
        made.append(Ledger(database, folder, open_store=opener, **options))
        return made[-1]

    yield make
    opener.there.set()
    for each in made:
        each.close(GUARD_S)


def holds(database: str, rows: Sequence[UsageRow]) -> None:
    """That the database has these rows, each once, and their sums."""
    with Store(database) as store:
        found = requests(store, limit=10_000)
        assert sorted(each["request_id"] for each in found) == sorted(each.request_id for each in rows)
        assert [each["requests"] for each in sums(store)] == ([len(rows)] if rows else [])


def away(ledger: Ledger, opener: Opener) -> None:
    """Until the database is known to be away."""
    seen = opener.tries
    poll(lambda: ledger.away and opener.tries > seen)


def test_rows_reach_the_database_while_it_runs(
    begin: Callable[..., Ledger], database: str, folder: Path
) -> None:
    ledger = begin()
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    first, second = [row(), row(prompt="Grüße")], [row()]
    ledger.put(first)
    ledger.put(second)
    poll(lambda: ledger.waiting == 0)
    holds(database, first + second)
    ledger.put(third := [row()])
    poll(lambda: ledger.waiting == 0)
    holds(database, first + second + third)
    assert (ledger.away, ledger.lost) == (False, 0)


def test_closing_writes_all_and_leaves_no_file(
    begin: Callable[..., Ledger], database: str, folder: Path
) -> None:
    ledger = begin()
    ledger.start()
    rows = [row() for _ in range(500)]
    for each in rows:
        ledger.put([each])
    ledger.close(GUARD_S)
    holds(database, rows)
    assert list(folder.iterdir()) == []


def test_a_database_that_is_away_gets_it_all_later(
    begin: Callable[..., Ledger], database: str, opener: Opener
) -> None:
    ledger = begin()
    opener.there.clear()
    ledger.start()
    rows = [row() for _ in range(20)]
    for each in rows:
        ledger.put([each])
    away(ledger, opener)
    assert ledger.waiting > 0
    holds(database, [])
    opener.there.set()
    poll(lambda: ledger.waiting == 0 and not ledger.away)
    holds(database, rows)
    assert ledger.lost == 0


def test_what_was_written_without_an_answer_does_not_count_twice(
    begin: Callable[..., Ledger], database: str, opener: Opener
) -> None:
    ledger = begin()
    opener.lies = 2
    ledger.start()
    rows = [row() for _ in range(6)]
    ledger.put(rows[:2])
    ledger.put(rows[2:3])
    poll(lambda: opener.lies < 2)
    ledger.put(rows[3:])
    poll(lambda: ledger.waiting == 0 and not ledger.away)
    holds(database, rows)


def test_what_a_closed_ledger_could_not_write_the_next_one_does(
    begin: Callable[..., Ledger], database: str, folder: Path, opener: Opener
) -> None:
    opener.there.clear()
    first = begin()
    first.start()
    rows = [row() for _ in range(3)]
    first.put(rows[:2])
    away(first, opener)
    first.close(0.0)
    assert len(list(folder.iterdir())) == 1
    second = begin()
    second.start()
    second.put(rows[2:])
    away(second, opener)
    assert not second.ready.is_set()
    opener.there.set()
    assert second.ready.wait(GUARD_S)
    holds(database, rows)
    poll(lambda: len(list(folder.iterdir())) == 1)


def test_of_what_was_left_behind_only_the_rest_is_written(
    begin: Callable[..., Ledger], database: str, folder: Path
) -> None:
    """As when a process is killed between the database and the journal."""
    batches = [[row(), row()], [row()], [row()]]
    done = Recording(database)
    done.write(batches[:2])
    done.close()
    left = Journal(folder).begin()
    for batch in batches:
        left.append(batch)
    left.close()
    ledger = begin()
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    holds(database, [each for batch in batches for each in batch])
    assert not left.path.exists()


@pytest.mark.parametrize("uptime", [0.0, 5.0])
def test_a_machine_that_has_just_started_is_no_reason_to_wait(
    begin: Callable[..., Ledger],
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
    left = Journal(folder).begin()
    left.append(rows := [row(), row(time.time())])
    left.close()
    ledger = begin(retention_days=1)
    ledger.start()
    assert ledger.ready.wait(GUARD_S)
    with Store(database) as store:
        poll(lambda: len(requests(store)) == 1)
        assert [each["request_id"] for each in requests(store)] == [rows[1].request_id]


def test_old_requests_are_forgotten_and_their_sums_stay(begin: Callable[..., Ledger], database: str) -> None:
    recent = int(time.time())
    rows = [row(NOON - 400 * 86400), row(recent - 3 * 86400), row(recent - 86400), row(recent)]
    done = Recording(database)
    done.write([rows])
    done.close()
    ledger = begin(retention_days=2)
    ledger.start()
    with Store(database) as store:
        poll(lambda: len(requests(store)) == 2)
        found = [each["request_id"] for each in requests(store)]
        assert found == [rows[3].request_id, rows[2].request_id]
        assert sums(store)[0]["requests"] == 4


def test_a_long_clean_up_holds_nothing_else_up(
    begin: Callable[..., Ledger], database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.ledger.recording._FORGET", 1)
    fresh = [row(time.time()) for _ in range(3)]
    ready: list[bool] = []
    written: list[bool] = []
    forget = Recording.forget

    def watched(self: Recording, before_ms: int, go_on: Callable[[], bool]) -> int:
        def between() -> bool:
            ready.append(ledger.ready.is_set())
            ledger.put([fresh[len(written)]])
            going = go_on()
            with Store(database) as store:
                written.append(bool(requests(store, request_id=fresh[len(written)].request_id)))
            return going

        return forget(self, before_ms, between)

    monkeypatch.setattr(Recording, "forget", watched)
    done = Recording(database)
    done.write([[row() for _ in fresh]])
    done.close()
    ledger = begin(retention_days=1)
    ledger.start()
    poll(lambda: len(written) == len(fresh))
    assert ready == written == [True] * len(fresh)


def test_many_rows_are_written_in_several_transactions(
    begin: Callable[..., Ledger], database: str, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_ROWS", 10)
    rows = [row() for _ in range(35)]
    ledger = begin()
    ledger.open()
    for number in range(0, 35, 5):
        ledger.put(rows[number : number + 5])
    ledger.start()
    poll(lambda: ledger.waiting == 0)
    assert opener.writes == [10, 10, 10, 5]
    holds(database, rows)


def test_full_segments_are_written_from_their_files_in_order(
    begin: Callable[..., Ledger],
    database: str,
    folder: Path,
    opener: Opener,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 500)
    ledger = begin()
    opener.there.clear()
    ledger.start()
    rows = [row() for _ in range(40)]
    for each in rows:
        ledger.put([each])
    away(ledger, opener)
    files = list(folder.iterdir())
    assert len(files) > 5
    assert ledger.waiting == sum(path.stat().st_size for path in files)
    opener.there.set()
    poll(lambda: ledger.waiting == 0 and not ledger.away)
    holds(database, rows)
    poll(lambda: len(list(folder.iterdir())) == 1)


class Disk:
    """A disk that can be full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.full = False
        append = Segment.append

        def try_append(segment: Segment, batch: journal.Batch) -> None:
            if self.full:
                raise OSError(28, "No space left on device")
            append(segment, batch)

        monkeypatch.setattr(Segment, "append", try_append)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_a_full_disk_keeps_nothing_from_the_database(
    begin: Callable[..., Ledger], database: str, disk: Disk
) -> None:
    ledger = begin()
    ledger.start()
    disk.full = True
    ledger.put(rows := [row(), row()])
    poll(lambda: ledger.waiting == 0)
    ledger.close(GUARD_S)
    holds(database, rows)
    assert ledger.lost == 0


def test_what_the_disk_did_not_take_outlasts_full_segments(
    begin: Callable[..., Ledger],
    database: str,
    opener: Opener,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 500)
    ledger = begin()
    opener.there.clear()
    ledger.start()
    rows = [row() for _ in range(30)]
    for number, each in enumerate(rows):
        disk.full = number % 10 == 5
        ledger.put([each])
    away(ledger, opener)
    opener.there.set()
    poll(lambda: ledger.waiting == 0 and not ledger.away)
    ledger.close(GUARD_S)
    holds(database, rows)
    assert ledger.lost == 0


def test_rows_that_neither_disk_nor_database_takes_are_counted(
    begin: Callable[..., Ledger],
    database: str,
    opener: Opener,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer, "MOST_HELD", 4)
    ledger = begin()
    opener.there.clear()
    ledger.start()
    disk.full = True
    rows = [row() for _ in range(12)]
    for number in range(0, 12, 2):
        ledger.put(rows[number : number + 2])
    away(ledger, opener)
    assert ledger.lost == 6
    opener.there.set()
    poll(lambda: ledger.waiting == 0 and not ledger.away)
    ledger.close(GUARD_S)
    holds(database, rows[:6])


def test_rows_after_the_end_are_lost_and_counted(begin: Callable[..., Ledger], database: str) -> None:
    ledger = begin()
    ledger.start()
    ledger.put(rows := [row()])
    ledger.close(GUARD_S)
    ledger.put([row(), row()])
    assert ledger.lost == 2
    holds(database, rows)


def test_a_ledger_that_was_never_started_leaves_its_rows_to_the_next(
    begin: Callable[..., Ledger], database: str
) -> None:
    first = begin()
    first.open()
    first.put(rows := [row()])
    first.close()
    begin().start()
    with Store(database) as store:
        poll(lambda: requests(store))
    holds(database, rows)


def test_a_folder_that_cannot_be_written_to_is_told_at_the_start(tmp_path: Path, database: str) -> None:
    (tmp_path / "file").touch()
    ledger = Ledger(database, tmp_path / "file" / "ledger")
    with pytest.raises(OSError, match="Not a directory"):
        ledger.start()
    ledger.close()


@pytest.mark.parametrize("failures", [1, 3])
def test_a_store_that_cannot_be_opened_at_first_is_tried_again(
    database: str, folder: Path, failures: int
) -> None:
    tries = iter(range(failures))

    def open_store(url: str) -> Recording:
        for number in tries:
            raise StoreError("away") if number else ZeroDivisionError("a mistake of ours")
        return Recording(url)

    ledger = Ledger(database, folder, open_store=open_store)
    ledger.start()
    ledger.put(rows := [row()])
    assert ledger.ready.wait(GUARD_S)
    ledger.close(GUARD_S)
    holds(database, rows)
    assert not ledger.away
