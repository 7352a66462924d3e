"""Rows into the database, and the sums with them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.ledger.making import DAY, NOON, row, until_blocked
from tests.services import Postgres
from trunkline.ledger import tables
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import OPTIONAL, UsageRow, by_day, by_hour, by_month


def everything(store: Store, table: sa.Table) -> list[tuple[Any, ...]]:
    query = table.select().order_by(*table.primary_key.columns)
    with store.begin() as connection:
        return [tuple(each) for each in connection.execute(query)]


def holds(store: Store, rows: Sequence[UsageRow], *, summed: Sequence[UsageRow] | None = None) -> None:
    """That the database has these rows, and the sums of ``summed`` (the same ones, if not given)."""
    expected = sorted(msgspec.structs.astuple(each)[:-1] for each in rows)
    assert everything(store, tables.usage) == expected
    prompts = sorted((each.id, each.prompt) for each in rows if each.prompt is not None)
    assert everything(store, tables.prompts) == prompts
    hours = by_hour(rows if summed is None else summed)
    assert everything(store, tables.usage_hourly) == hours
    assert everything(store, tables.usage_daily) == by_day(hours)
    assert everything(store, tables.usage_monthly) == by_month(by_day(hours))


def test_rows_and_their_sums_and_prompts_are_there(store: Store, recording: Recording) -> None:
    rows = [
        row(prompt="Grüße"),
        row(end_user="u", route="r", error="timeout", status=504, streamed=True, estimated=True),
        row(NOON + 3600, cost_micros=None, cost_source=None, ttft_ms=None, upstream=None, asked=None),
        row(NOON + DAY, key_id="", team_id="", provider="", model="", attempt=0),
    ]
    recording.write([rows[:1], [], rows[1:]])
    holds(store, rows)
    more = [
        row(),
        row(prompt=""),
        row(NOON + DAY, key_id="k2", cost_micros=2**53),
        row(last=False, status=500),
    ]
    recording.write([more])
    holds(store, rows + more)
    recording.write([])
    recording.write([[]])
    holds(store, rows + more)


def test_empty_texts_and_numbers_are_written_as_nulls_and_booleans(
    store: Store, recording: Recording
) -> None:
    numbers: dict[str, Any] = {"last": 1, "streamed": 0, "estimated": 1, "cached": 0}
    new = row(NOON, **numbers | dict.fromkeys(OPTIONAL, ""))
    booleans = {name: bool(number) for name, number in numbers.items()}
    old = row(NOON, **booleans | dict.fromkeys(OPTIONAL))
    recording.write([[new, old]])
    with store.begin() as connection:
        found = connection.execute(tables.usage.select()).mappings().all()
    assert len(found) == 2
    for each in found:
        assert [each[name] for name in sorted(OPTIONAL)] == [None] * len(OPTIONAL)
        flags = each["last"], each["streamed"], each["estimated"], each["cached"]
        assert flags == (True, False, True, False)
        assert {type(flag) for flag in flags} == {bool}


def test_what_is_there_already_does_not_count_again(store: Store, recording: Recording) -> None:
    old, new, last = [row(), row()], [row(), row(prompt="p")], [row()]
    recording.write([old])
    recording.write([old, new], again=True)
    holds(store, old + new)
    recording.write([old, new], again=True)
    recording.write([new, [], last], again=True)
    recording.write([[], last], again=True)
    holds(store, old + new + last)


def test_all_of_a_transaction_is_written_or_none(store: Store, recording: Recording) -> None:
    there = [row(prompt="there")]
    recording.write([there])
    refused = [row(), row(prompt_tokens=None, prompt="p")]
    with pytest.raises(StoreError, match="the store cannot be used"):
        recording.write([[row()], refused])
    holds(store, there)
    fine = [row()]
    recording.write([fine])
    holds(store, there + fine)


def test_two_rows_with_one_number_are_both_kept_or_refused_aloud(store: Store, recording: Recording) -> None:
    """PostgreSQL may serve several machines: there another number is found. SQLite serves one."""
    ours, theirs = row(model="ours", prompt="ours"), row(model="theirs")
    theirs.id = ours.id
    recording.write([[theirs]])
    taken = theirs.id
    if store.engine.dialect.name == "sqlite":
        with pytest.raises(StoreError, match="UNIQUE"):
            recording.write([[ours, row()]])
        holds(store, [theirs])
    else:
        more = row()
        recording.write([[ours, more]])
        assert ours.id != taken
        holds(store, [theirs, ours, more])


def test_processes_that_write_at_once_lose_no_sum(store: Store, database: str) -> None:
    parts = [[row(NOON + 3600 * (n % 3), model=f"m{(n + part) % 5}") for n in range(20)] for part in range(4)]
    together = Barrier(len(parts))

    def work(rows: list[UsageRow]) -> None:
        own = Recording(database)
        together.wait(60)
        for each in rows:
            own.write([[each]])
        own.close()

    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(work, parts))
    holds(store, [each for part in parts for each in part])


def test_a_key_was_last_used_about_when_it_was(store: Store, recording: Recording) -> None:
    keys = KeyStore(store)
    used, _ = keys.create("used")
    never, _ = keys.create("never")

    def seen() -> list[datetime | None]:
        return [keys.find(key.id).last_used_at for key in (used, never)]

    assert seen() == [None, None]
    recording.write([[row(key_id=used.id), row(key_id="gone"), row(key_id="")]])
    assert seen() == [datetime.fromtimestamp(NOON, UTC), None]
    recording.write([[row(NOON + 59, key_id=used.id)]])  # not for every request
    assert seen() == [datetime.fromtimestamp(NOON, UTC), None]
    recording.write([[row(NOON + 59.5, key_id=used.id), row(NOON + 61, key_id=used.id)]])
    assert seen() == [datetime.fromtimestamp(NOON + 61, UTC), None]


def test_that_a_key_was_used_is_noted_after_a_failure_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/k.db"
    recording = Recording(url)
    with KeyStore(url) as keys:
        first, last = sorted((keys.create(name)[0] for name in ("a", "b")), key=lambda each: each.id)
        with keys.store.begin() as connection:
            when = f"BEFORE UPDATE ON keys WHEN new.id = '{last.id}'"
            connection.exec_driver_sql(f"CREATE TRIGGER refuse {when} BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(StoreError, match="no"):
            recording.write([[row(key_id=first.id), row(key_id=last.id)]])
        assert keys.find(first.id).last_used_at is None
        recording.write([[row(NOON + 1, key_id=first.id)]])
        assert keys.find(first.id).last_used_at == datetime.fromtimestamp(NOON + 1, UTC)
    recording.close()


def test_processes_note_the_same_keys_in_the_same_order(postgres: Postgres) -> None:
    """Else two of them would each wait for a key that the other one holds."""
    url = postgres.database()
    recording = Recording(url)
    with KeyStore(url) as keys, ThreadPoolExecutor(1) as pool:
        numbers = sorted(keys.create(name)[0].id for name in ("a", "b"))
        rows = [row(key_id=number) for number in reversed(numbers)]
        lock = sa.select(tables.keys.c.id).with_for_update(skip_locked=True)
        with keys.store.begin() as connection:
            connection.execute(lock.where(tables.keys.c.id == numbers[1]))
            writing = pool.submit(recording.write, [rows])
            until_blocked(keys.store)
            free = connection.execute(lock).scalars().all()
        writing.result(60)
    recording.close()
    assert free == numbers[1:]


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_single_requests_are_forgotten_and_their_sums_stay(
    store: Store, recording: Recording, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("trunkline.ledger.recording._FORGET", at_once)
    old = [row(NOON - after, prompt="old") for after in (DAY, 3600, 0.01)]
    new = [row(NOON, prompt="new"), row(NOON + 1)]
    recording.write([old, new])
    assert recording.forget((NOON - 2 * DAY) * 1000) == 0
    holds(store, old + new)
    assert recording.forget(NOON * 1000) == 3
    holds(store, new, summed=old + new)
    assert recording.forget(NOON * 1000) == 0


def test_forgetting_ends_where_it_is_told_to(
    store: Store, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.ledger.recording._FORGET", 2)
    rows = [row(NOON + each) for each in range(6)]
    recording.write([rows])
    going = iter([True, False])
    assert recording.forget((NOON + 5) * 1000, lambda: next(going)) == 4
    holds(store, rows[4:], summed=rows)
