"""Bringing a store's tables up to date, by one process at a time.

Whoever opens a store for writing does it first; ``trunkline db upgrade`` does nothing else. SQLite's write
lock, or an advisory lock of PostgreSQL, keeps two processes from doing it at once: the second finds it done.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection, Engine

HEAD: Final = "0003"
"""The newest migration. A test holds it to the folder's."""

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
    """Run the migrations that are missing; returns where the store was before, or None if it was new.

    Raises:
        StoreError: the store is newer than this version of Trunkline.
    """
    with engine.connect() as connection:
        before = current(connection)
    if before == HEAD:
        return before
    known = _known()
    if before is not None and before not in known:
        raise StoreError(
            f"the database was made by a newer Trunkline (its tables are at {before}, "
            f"this version knows {HEAD}); install that version, or use another DATABASE_URL"
        )
    from alembic import command

    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # pysqlite would begin a transaction by itself before the first change only, and commit at DDL.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                command.upgrade(_config(connection), "head")
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")
        else:
            with connection.begin():
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
                command.upgrade(_config(connection), "head")
    log.info("the database's tables were made" if before is None else "the database's tables were changed")
    return before


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
