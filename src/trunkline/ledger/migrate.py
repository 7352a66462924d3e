"""Brings a store's tables up to date, in one process at a time.

Every process that opens a store for writing does this first; ``trunkline db upgrade`` does nothing else.
SQLite's write lock, or an advisory lock of PostgreSQL, keeps two processes from doing it at once. The second
one finds nothing left to do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

HEAD: Final = "0004"
"""The newest migration. A test compares it with the migrations in the folder."""

_CREATE_VERSION_TABLE: Final = (
    "CREATE TABLE alembic_version ("
    "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""Creates Alembic's own table as Alembic does."""
_ADVISORY_LOCK: Final = 7_283_150_601
"""The number of the PostgreSQL advisory lock that all of Trunkline's processes use."""

log: Final = logging.getLogger(__name__)


def current_revision(connection: Connection) -> str | None:
    """Return the last migration that a store has had, or None if it has had none."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> str | None:
    """Create the tables of a new store, or run the migrations that are missing.

    Returns:
        The last migration that the store had had before, or None if it had had none.

    Raises:
        StoreError: The store is newer than this version of Trunkline.
    """
    with engine.connect() as connection:
        before = current_revision(connection)
        new = before is None and _is_new(connection)
    if before == HEAD or (new and _create_tables(engine)):
        return before
    if before is not None and before not in _known_revisions():
        raise StoreError(
            f"the database was made by a newer Trunkline (its tables are at {before}, "
            f"this version knows {HEAD}); install that version, or use another DATABASE_URL"
        )
    run_migrations(engine)
    log.info("the database's tables were changed")
    return before


def _create_tables(engine: Engine) -> bool:
    """Create all tables in their present form.

    This does without Alembic, which is large and is needed only for stores of earlier versions.

    Returns:
        False if another process has created tables meanwhile.
    """
    from trunkline.ledger.tables import metadata

    with _exclusive_transaction(engine) as connection:
        if not _is_new(connection):
            return False
        metadata.create_all(connection)
        connection.exec_driver_sql(_CREATE_VERSION_TABLE)
        connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")
    log.info("the database's tables were made")
    return True


def run_migrations(engine: Engine) -> None:
    """Run the migrations that are missing."""
    from alembic import command

    with _exclusive_transaction(engine) as connection:
        command.upgrade(alembic_config(connection), "head")


@contextmanager
def _exclusive_transaction(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction that changes tables, and keep other processes from changing them."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
                yield connection
            return
        # By itself, pysqlite begins a transaction only before the first change of data, and commits at DDL.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _is_new(connection: Connection) -> bool:
    """Whether the database has no tables of Trunkline. The first versions had ``keys`` and no migrations."""
    from sqlalchemy import inspect

    return not {"keys", "alembic_version"}.intersection(inspect(connection).get_table_names())


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration for migrations on a connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _known_revisions() -> set[str]:
    """The migrations that this version has."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
