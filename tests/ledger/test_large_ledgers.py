"""The migration that makes the sums' tables anew: they keep what is in them."""

from __future__ import annotations

from pathlib import Path

from alembic import command

from trunkline.ledger.migrate import HEAD, _config, current
from trunkline.ledger.store import Store

TABLES = ("usage_hourly", "usage_daily")
SUMS = [(0, "k", "t", "p", "m", *range(10), 0.5, 1.5), (3600, "", "", "", "", *range(10), 2.5, 3.5)]


def test_sums_outlast_a_migration_there_and_back(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/l.db") as store, store.engine.connect() as connection:
        for table in TABLES:
            marks = ", ".join("?" * len(SUMS[0]))
            connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({marks})", SUMS)
        for revision in ("0002", HEAD):
            getattr(command, "downgrade" if revision != HEAD else "upgrade")(_config(connection), revision)
            assert current(connection) == revision
            for table in TABLES:
                assert connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1").all() == SUMS
            form = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'usage_daily'")
            assert ("WITHOUT ROWID" in form.scalar_one()) is (revision == HEAD)
            assert "usage_daily" in {
                name for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master")
            }
