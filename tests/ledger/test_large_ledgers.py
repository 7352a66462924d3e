"""The migration for ledgers of millions of rows. It keeps the roll-ups and creates the monthly ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command

from tests.ledger.factories import DAY, NOON, make_row
from trunkline.ledger import tables
from trunkline.ledger.migrate import HEAD, alembic_config, current_revision
from trunkline.ledger.store import Store
from trunkline.ledger.usage_store import UsageStore


def read_all_tables(store: Store) -> list[list[tuple[Any, ...]]]:
    all_tables = (tables.usage, tables.usage_hourly, tables.usage_daily, tables.usage_monthly)
    with store.begin() as connection:
        return [
            [tuple(row) for row in connection.execute(table.select().order_by(*table.c[:5]))]
            for table in all_tables
        ]


def test_roll_ups_survive_a_downgrade_and_an_upgrade(store: Store, usage_store: UsageStore) -> None:
    dimensions = [{"key_id": "k"}, {"key_id": "", "team_id": "", "provider": "", "model": ""}]
    usage_store.insert(
        [[make_row(NOON + day * DAY, **each) for each in dimensions for day in range(-100, 100, 7)]]
    )
    usage_store.close()
    before = read_all_tables(store)
    assert len(before[3]) == 2 * 7
    for revision, run in (("0002", command.downgrade), (HEAD, command.upgrade)):
        with store.engine.begin() as connection:
            run(alembic_config(connection), revision)
            assert current_revision(connection) == revision
    assert read_all_tables(store) == before


def test_an_empty_ledger_is_downgraded_and_upgraded(store: Store) -> None:
    for revision, run in (("0002", command.downgrade), (HEAD, command.upgrade)):
        with store.engine.begin() as connection:
            run(alembic_config(connection), revision)
    assert read_all_tables(store) == [[], [], [], []]


def test_sqlite_stores_roll_ups_in_the_order_of_time(tmp_path: Path) -> None:
    query = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name LIKE 'usage!_%' ESCAPE '!'"
    with Store(f"sqlite:///{tmp_path}/l.db") as store, store.begin() as connection:
        found = connection.exec_driver_sql(query).scalars().all()
    assert [each.rstrip()[-13:] for each in found] == ["WITHOUT ROWID"] * 3
