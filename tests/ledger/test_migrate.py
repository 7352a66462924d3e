"""Tables are brought up to date: from an empty database, and from those of earlier versions."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import trunkline.ledger.migrations
from trunkline.ledger import migrate
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError, driver_url
from trunkline.ledger.migrate import HEAD, current_revision
from trunkline.ledger.reader import open_reader, upgrade_if_needed
from trunkline.ledger.store import Store
from trunkline.ledger.tables import metadata

OLD = sa.Table(
    "keys",
    sa.MetaData(),
    sa.Column("id", sa.String(32), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, comment="SHA-256 of the key, in hex"),
    sa.Column(
        "prefix", sa.String(16), nullable=False, comment="the key's first characters, to tell keys apart"
    ),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("revoked_at", sa.DateTime(timezone=True), comment="null while the key may come in"),
    sa.PrimaryKeyConstraint("id", name="pk_keys"),
    sa.UniqueConstraint("hash", name="uq_keys_hash"),
    sa.CheckConstraint("role IN ('admin', 'member')", name="ck_keys_role"),
)
"""The table of the first versions, which created it without migrations."""
CREATED_AT = datetime(2026, 1, 31, 8, 30, tzinfo=UTC)


def engine_of(url: str) -> sa.Engine:
    """Create an engine without a pool, which has no connection while it is not used."""
    return sa.create_engine(driver_url(url), poolclass=sa.NullPool)


def create_old_store(url: str, *, revision: str | None) -> None:
    """Create a store of an earlier version, with two keys.

    Args:
        url: The database's URL.
        revision: The migration that it is recorded to have had, if any.
    """
    rows = [
        {"id": name, "name": name, "hash": name * 16, "prefix": "gw_0123456", "role": role}
        | {"created_at": CREATED_AT, "revoked_at": revoked_at}
        for name, role, revoked_at in (("boss", "admin", None), ("left", "member", CREATED_AT))
    ]
    with engine_of(url).begin() as connection:
        OLD.create(connection)
        connection.execute(OLD.insert(), rows)
        if revision is not None:
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
            connection.execute(
                sa.text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision}
            )


def describe_tables(engine: sa.Engine) -> dict[str, dict[str, Any]]:
    """Describe the tables of a database, except Alembic's own."""
    inspector = sa.inspect(engine)
    tables = {}
    for table in sorted(set(inspector.get_table_names()) - {"alembic_version"}):
        tables[table] = {
            "columns": {
                each["name"]: (str(each["type"]), each["nullable"], each["default"])
                for each in inspector.get_columns(table)
            },
            "key": inspector.get_pk_constraint(table),
            "unique": sorted(
                (each["name"] or "", each["column_names"]) for each in inspector.get_unique_constraints(table)
            ),
            "checks": sorted(
                (each["name"] or "", each["sqltext"]) for each in inspector.get_check_constraints(table)
            ),
            "indexes": sorted(
                (each["name"] or "", each["column_names"]) for each in inspector.get_indexes(table)
            ),
        }
    return tables


def test_head_is_the_newest_migration() -> None:
    folder = Path(trunkline.ledger.migrations.__file__).parent
    scripts = ScriptDirectory(str(folder))
    assert scripts.get_heads() == [HEAD]
    assert scripts.get_bases() == ["0001"]


@pytest.mark.parametrize("before", [None, "itself", "0001"])
def test_migrations_create_the_tables_that_are_described(database: str, before: str | None) -> None:
    if before is not None:
        create_old_store(database, revision=None if before == "itself" else before)
    with Store(database, migrate=False) as store:
        migrate.run_migrations(store.engine)
        with store.begin() as connection:
            assert current_revision(connection) == HEAD
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, metadata) == []
        migrated = describe_tables(store.engine)
        with store.begin() as connection:
            metadata.drop_all(connection)
            connection.exec_driver_sql("DROP TABLE alembic_version")
        assert migrate.upgrade(store.engine) is None
        assert migrated == describe_tables(store.engine)
        migrate.run_migrations(store.engine)  # Alembic finds nothing to do
        assert migrated == describe_tables(store.engine)


NEW = """
import sys
from trunkline.ledger.store import Store
with Store(sys.argv[1]):
    print("alembic" in sys.modules)
"""


def test_a_new_store_is_created_without_alembic(database: str) -> None:
    """Alembic takes ten megabytes, as long as the process lives."""
    command = [sys.executable, "-c", NEW, database]
    for _ in range(2):
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("revision", [None, "0001"])
def test_keys_of_an_earlier_version_stay_and_get_the_new_columns(database: str, revision: str | None) -> None:
    create_old_store(database, revision=revision)
    upgrade_if_needed(database)
    with KeyStore(database) as keys:
        boss, left = keys.list()
        assert (boss.id, boss.role, boss.created_at, boss.revoked_at) == ("boss", "admin", CREATED_AT, None)
        assert (left.id, left.role, left.created_at, left.revoked_at) == (
            "left",
            "member",
            CREATED_AT,
            CREATED_AT,
        )
        assert (boss.tags, boss.models, boss.local_only, boss.priority) == ((), None, False, "normal")
        assert keys.create("next", "read-only")[0].role == "read-only"
    reader = open_reader(database)
    assert {key.name for key in reader.load().keys} == {"boss", "next"}
    reader.close()


def test_an_upgrade_returns_the_previous_revision(database: str) -> None:
    create_old_store(database, revision="0001")
    with Store(database, migrate=False) as store:
        assert migrate.upgrade(store.engine) == "0001"
        assert migrate.upgrade(store.engine) == HEAD


def test_a_store_of_a_newer_version_is_not_changed(database: str) -> None:
    create_old_store(database, revision="9999")
    before = describe_tables(engine_of(database))
    with pytest.raises(StoreError, match=f"made by a newer Trunkline .* at 9999, this version knows {HEAD}"):
        Store(database)
    assert describe_tables(engine_of(database)) == before


def test_a_migration_that_fails_leaves_nothing_behind(database: str) -> None:
    create_old_store(database, revision="0001")
    engine = engine_of(database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE usage_hourly (mine INTEGER)")
    before = describe_tables(engine)
    with pytest.raises(StoreError, match="usage_hourly"):
        Store(database)
    assert describe_tables(engine) == before
    with engine.begin() as connection:
        assert current_revision(connection) == "0001"
        connection.exec_driver_sql("DROP TABLE usage_hourly")
    with KeyStore(database) as keys:
        assert [record.id for record in keys.list()] == ["boss", "left"]


@pytest.mark.parametrize("before", [None, "0001"])
def test_threads_that_upgrade_at_once_upgrade_only_once(database: str, before: str | None) -> None:
    if before is not None:
        create_old_store(database, revision=before)
    together = Barrier(4)

    def upgrade(_: int) -> str | None:
        together.wait(60)
        with Store(database) as store, store.begin() as connection:
            return current_revision(connection)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(upgrade, range(4))) == [HEAD] * 4
    assert describe_tables(engine_of(database)).keys() == metadata.tables.keys()


UPGRADE = """
import sys
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.store import Store
import alembic.command, trunkline.ledger.tables
print("ready", flush=True)
sys.stdin.readline()
with KeyStore(sys.argv[1]) as store:
    store.create(sys.argv[2])
"""


def test_processes_that_start_at_once_create_one_store_with_one_admin(database: str) -> None:
    command = [sys.executable, "-c", UPGRADE, database]
    pipe = subprocess.PIPE
    names = ["a", "b", "c"]
    processes = [
        subprocess.Popen([*command, name], stdin=pipe, stdout=pipe, stderr=pipe, text=True) for name in names
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert ended == [("", 0)] * 3
    with KeyStore(database) as store:
        records = store.list()
    assert sorted(record.name for record in records) == names
    assert sorted(record.role for record in records) == ["admin", "member", "member"]
