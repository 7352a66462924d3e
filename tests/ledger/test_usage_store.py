"""Rows and their roll-ups are written into the database."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from tests.ledger.factories import DAY, NOON, make_row, wait_until_blocked
from tests.services import Postgres
from trunkline.ledger import tables
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import (
    COLUMNS,
    NULLABLE_TEXT_COLUMNS,
    UsageRow,
    roll_up_by_day,
    roll_up_by_hour,
    roll_up_by_month,
)
from trunkline.ledger.usage_store import UsageStore


def read_table(store: Store, table: sa.Table) -> list[tuple[Any, ...]]:
    query = table.select().order_by(*table.primary_key.columns)
    with store.begin() as connection:
        return [tuple(each) for each in connection.execute(query)]


def assert_contents(
    store: Store, rows: Sequence[UsageRow], *, rolled_up: Sequence[UsageRow] | None = None
) -> None:
    """Assert that the database has these rows, and the roll-ups of ``rolled_up`` or of the same rows."""
    expected = sorted(tuple(getattr(each, name) for name in COLUMNS) for each in rows)
    assert read_table(store, tables.usage) == expected
    prompts = sorted((each.id, each.prompt) for each in rows if each.prompt is not None)
    assert read_table(store, tables.prompts) == prompts
    hours = roll_up_by_hour(rows if rolled_up is None else rolled_up)
    assert read_table(store, tables.usage_hourly) == hours
    assert read_table(store, tables.usage_daily) == roll_up_by_day(hours)
    assert read_table(store, tables.usage_monthly) == roll_up_by_month(roll_up_by_day(hours))


def test_rows_are_inserted_with_their_roll_ups_and_prompts(store: Store, usage_store: UsageStore) -> None:
    rows = [
        make_row(prompt="Grüße"),
        make_row(end_user="u", route="r", error="timeout", status=504, streamed=True, estimated=True),
        make_row(NOON + 3600, cost_micros=None, cost_source=None, ttft_ms=None, upstream=None, asked=None),
        make_row(NOON + DAY, key_id="", team_id="", provider="", model="", attempt=0),
    ]
    usage_store.insert([rows[:1], [], rows[1:]])
    assert_contents(store, rows)
    more = [
        make_row(),
        make_row(prompt=""),
        make_row(NOON + DAY, key_id="k2", cost_micros=2**53),
        make_row(last=False, status=500),
    ]
    usage_store.insert([more])
    assert_contents(store, rows + more)
    usage_store.insert([])
    usage_store.insert([[]])
    assert_contents(store, rows + more)


def test_empty_texts_and_numbers_are_written_as_nulls_and_booleans(
    store: Store, usage_store: UsageStore
) -> None:
    numbers: dict[str, Any] = {"last": 1, "streamed": 0, "estimated": 1, "cached": 0}
    new = make_row(NOON, **numbers | dict.fromkeys(NULLABLE_TEXT_COLUMNS, ""))
    booleans = {name: bool(number) for name, number in numbers.items()}
    old = make_row(NOON, **booleans | dict.fromkeys(NULLABLE_TEXT_COLUMNS))
    usage_store.insert([[new, old]])
    with store.begin() as connection:
        found = connection.execute(tables.usage.select()).mappings().all()
    assert len(found) == 2
    for each in found:
        assert [each[name] for name in sorted(NULLABLE_TEXT_COLUMNS)] == [None] * len(NULLABLE_TEXT_COLUMNS)
        flags = each["last"], each["streamed"], each["estimated"], each["cached"]
        assert flags == (True, False, True, False)
        assert {type(flag) for flag in flags} == {bool}


def test_batches_that_exist_are_skipped(store: Store, usage_store: UsageStore) -> None:
    old, new, last = [make_row(), make_row()], [make_row(), make_row(prompt="p")], [make_row()]
    usage_store.insert([old])
    usage_store.insert([old, new], skip_existing=True)
    assert_contents(store, old + new)
    usage_store.insert([old, new], skip_existing=True)
    usage_store.insert([new, [], last], skip_existing=True)
    usage_store.insert([[], last], skip_existing=True)
    assert_contents(store, old + new + last)


def test_a_transaction_is_written_as_a_whole_or_not_at_all(store: Store, usage_store: UsageStore) -> None:
    existing = [make_row(prompt="there")]
    usage_store.insert([existing])
    refused = [make_row(), make_row(prompt_tokens=None, prompt="p")]
    with pytest.raises(StoreError, match="cannot be used"):
        usage_store.insert([[make_row()], refused])
    assert_contents(store, existing)
    fine = [make_row()]
    usage_store.insert([fine])
    assert_contents(store, existing + fine)


def test_a_row_whose_id_is_taken_gets_another_id_or_raises(store: Store, usage_store: UsageStore) -> None:
    """Several machines may use PostgreSQL, so the row gets another id there. One machine uses SQLite."""
    ours, theirs = make_row(model="ours", prompt="ours"), make_row(model="theirs")
    theirs.id = ours.id
    usage_store.insert([[theirs]])
    taken_id = theirs.id
    if store.engine.dialect.name == "sqlite":
        with pytest.raises(StoreError, match="UNIQUE"):
            usage_store.insert([[ours, make_row()]])
        assert_contents(store, [theirs])
    else:
        more = make_row()
        usage_store.insert([[ours, more]])
        assert ours.id != taken_id
        assert_contents(store, [theirs, ours, more])


def test_roll_ups_of_concurrent_writers_are_complete(store: Store, database: str) -> None:
    rows_of_writers = [
        [make_row(NOON + 3600 * (n % 3), model=f"m{(n + writer) % 5}") for n in range(20)]
        for writer in range(4)
    ]
    barrier = Barrier(len(rows_of_writers))

    def write(rows: list[UsageRow]) -> None:
        usage_store = UsageStore(database)
        barrier.wait(60)
        for each in rows:
            usage_store.insert([[each]])
        usage_store.close()

    with ThreadPoolExecutor(len(rows_of_writers)) as pool:
        list(pool.map(write, rows_of_writers))
    assert_contents(store, [row for rows in rows_of_writers for row in rows])


def test_the_last_use_of_a_key_is_updated_once_a_minute(store: Store, usage_store: UsageStore) -> None:
    keys = KeyStore(store)
    used, _ = keys.create("used")
    never, _ = keys.create("never")

    def last_used() -> list[datetime | None]:
        return [keys.find(key.id).last_used_at for key in (used, never)]

    assert last_used() == [None, None]
    usage_store.insert([[make_row(key_id=used.id), make_row(key_id="gone"), make_row(key_id="")]])
    assert last_used() == [datetime.fromtimestamp(NOON, UTC), None]
    usage_store.insert([[make_row(NOON + 59, key_id=used.id)]])  # too soon
    assert last_used() == [datetime.fromtimestamp(NOON, UTC), None]
    usage_store.insert([[make_row(NOON + 59.5, key_id=used.id), make_row(NOON + 61, key_id=used.id)]])
    assert last_used() == [datetime.fromtimestamp(NOON + 61, UTC), None]


def test_the_last_use_of_a_key_is_updated_after_a_failed_transaction(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/k.db"
    usage_store = UsageStore(url)
    with KeyStore(url) as keys:
        first, last = sorted((keys.create(name)[0] for name in ("a", "b")), key=lambda each: each.id)
        with keys.store.begin() as connection:
            trigger = f"BEFORE UPDATE ON keys WHEN new.id = '{last.id}'"
            connection.exec_driver_sql(
                f"CREATE TRIGGER refuse {trigger} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        with pytest.raises(StoreError, match="no"):
            usage_store.insert([[make_row(key_id=first.id), make_row(key_id=last.id)]])
        assert keys.find(first.id).last_used_at is None
        usage_store.insert([[make_row(NOON + 1, key_id=first.id)]])
        assert keys.find(first.id).last_used_at == datetime.fromtimestamp(NOON + 1, UTC)
    usage_store.close()


def test_keys_are_updated_in_the_order_of_their_ids(postgres: Postgres) -> None:
    """Otherwise two writers could deadlock."""
    url = postgres.database()
    usage_store = UsageStore(url)
    with KeyStore(url) as keys, ThreadPoolExecutor(1) as pool:
        ids = sorted(keys.create(name)[0].id for name in ("a", "b"))
        rows = [make_row(key_id=key_id) for key_id in reversed(ids)]
        lock = sa.select(tables.keys.c.id).with_for_update(skip_locked=True)
        with keys.store.begin() as connection:
            connection.execute(lock.where(tables.keys.c.id == ids[1]))
            writing = pool.submit(usage_store.insert, [rows])
            wait_until_blocked(keys.store)
            free = connection.execute(lock).scalars().all()
        writing.result(60)
    usage_store.close()
    assert free == ids[1:]


@pytest.mark.parametrize("rows_per_delete", [1, 2, 3, 100])
def test_old_rows_are_deleted_and_their_roll_ups_stay(
    store: Store, usage_store: UsageStore, monkeypatch: pytest.MonkeyPatch, rows_per_delete: int
) -> None:
    monkeypatch.setattr("trunkline.ledger.usage_store._ROWS_PER_DELETE", rows_per_delete)
    old = [make_row(NOON - after, prompt="old") for after in (DAY, 3600, 0.01)]
    new = [make_row(NOON, prompt="new"), make_row(NOON + 1)]
    usage_store.insert([old, new])
    assert usage_store.delete_before((NOON - 2 * DAY) * 1000) == 0
    assert_contents(store, old + new)
    assert usage_store.delete_before(NOON * 1000) == 3
    assert_contents(store, new, rolled_up=old + new)
    assert usage_store.delete_before(NOON * 1000) == 0


def test_a_deletion_ends_when_it_should_not_continue(
    store: Store, usage_store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.ledger.usage_store._ROWS_PER_DELETE", 2)
    rows = [make_row(NOON + each) for each in range(6)]
    usage_store.insert([rows])
    should_continue = iter([True, False])
    assert usage_store.delete_before((NOON + 5) * 1000, lambda: next(should_continue)) == 4
    assert_contents(store, rows[4:], rolled_up=rows)
