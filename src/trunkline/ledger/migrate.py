"""Bringing a store's tables up to date, by one process at a time.

Whoever opens a store for writing does it first; ``trunkline db upgrade`` does nothing else. SQLite's write
lock, or an advisory lock of PostgreSQL, keeps two processes from doing it at once: the second finds it done.
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

HEAD: Final = "0003"
"""The newest migration. A test holds it to the folder's."""

_VERSION: Final = (
    "CREATE TABLE alembic_version ("
    "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""Alembic's own table, as it makes it."""
_LOCK: Final = 7_283_150_601
"""Number of PostgreSQL's advisory lock, the same for all of Trunkline's processes."""

log: Final = logging.getLogger(__name__)


def current(connection: Connection) -> str | None:
    """The migration that a store is at; None if it was never migrated."""
    from sqlalchemy import inspect, text

    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> str | None:
    """Make the tables of a new store, or run the migrations that are missing; returns where the store was
    before, or None if it was new.

    Raises:
        StoreError: the store is newer than this version of Trunkline.
    """
    with engine.connect() as connection:
        before = current(connection)
        new = before is None and _is_new(connection)
    if before == HEAD or (new and make(engine)):
        return before
    known = _known()
    if before is not None and before not in known:
        raise StoreError(
            f"the database was made by a newer Trunkline (its tables are at {before}, "
            f"this version knows {HEAD}); install that version, or use another DATABASE_URL"
        )
    migrate(engine)
    log.info("the database's tables were changed")
    return before


def make(engine: Engine) -> bool:
    """Make all tables as they are now, unless others have begun to. Alembic, which is large, is for stores
    that have a past."""
    from trunkline.ledger.tables import metadata

    with _alone(engine) as connection:
        if not _is_new(connection):
            return False
        metadata.create_all(connection)
        connection.exec_driver_sql(_VERSION)
        connection.exec_driver_sql(f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')")
    log.info("the database's tables were made")
    return True


def migrate(engine: Engine) -> None:
    """Run the migrations that are missing."""
    from alembic import command

    with _alone(engine) as connection:
        command.upgrade(_config(connection), "head")


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes tables while nobody else does."""
    with engine.connect() as connection:
        if engine.dialect.name != "sqlite":
            with connection.begin():
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                yield connection
            return
        # pysqlite would begin a transaction by itself before the first change only, and commit at DDL.
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        connection.exec_driver_sql("COMMIT")


def _is_new(connection: Connection) -> bool:
    """Nothing of ours is there; the first versions had keys, and no migrations."""
    from sqlalchemy import inspect

    return not {"keys", "alembic_version"}.intersection(inspect(connection).get_table_names())


def _config(connection: Connection | None = None) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _known() -> set[str]:
    """All migrations of this version."""
    from alembic.script import ScriptDirectory

    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
