"""The migration for ledgers of millions of rows: the sums stay as they are, and those by month are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command

from tests.ledger.making import DAY, NOON, row
from trunkline.ledger import tables
from trunkline.ledger.migrate import HEAD, _config, current
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store


def everything(store: Store) -> list[list[tuple[Any, ...]]]:
    every = (tables.usage, tables.usage_hourly, tables.usage_daily, tables.usage_monthly)
    with store.begin() as connection:
        return [
            [tuple(row) for row in connection.execute(table.select().order_by(*table.c[:5]))]
            for table in every
        ]


def test_sums_outlast_it_there_and_back(store: Store, recording: Recording) -> None:
    places = [{"key_id": "k"}, {"key_id": "", "team_id": "", "provider": "", "model": ""}]
    recording.write([[row(NOON + day * DAY, **place) for place in places for day in range(-100, 100, 7)]])
    recording.close()
    before = everything(store)
    assert len(before[3]) == 2 * 7
    for revision, move in (("0002", command.downgrade), (HEAD, command.upgrade)):
        with store.engine.begin() as connection:
            move(_config(connection), revision)
            assert current(connection) == revision
    assert everything(store) == before


def test_it_takes_an_empty_ledger(store: Store) -> None:
    for revision, move in (("0002", command.downgrade), (HEAD, command.upgrade)):
        with store.engine.begin() as connection:
            move(_config(connection), revision)
    assert everything(store) == [[], [], [], []]


def test_sqlite_keeps_sums_in_the_order_of_time(tmp_path: Path) -> None:
    forms = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name LIKE 'usage!_%' ESCAPE '!'"
    with Store(f"sqlite:///{tmp_path}/l.db") as store, store.begin() as connection:
        found = connection.exec_driver_sql(forms).scalars().all()
    assert [each.rstrip()[-13:] for each in found] == ["WITHOUT ROWID"] * 3
