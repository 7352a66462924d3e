"""Writes usage into the database: the rows and their roll-ups, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from trunkline.ledger.columns import COUNT_COLUMNS, DIMENSIONS, DURATION_COLUMNS
from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import (
    COLUMNS,
    FLAG_COLUMNS,
    NULLABLE_TEXT_COLUMNS,
    RowIds,
    UsageRow,
    first_id_at,
    roll_up_by_day,
    roll_up_by_hour,
    roll_up_by_month,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

LAST_USED_INTERVAL_S: Final = 60.0
"""The minimum number of seconds between two updates of a key's ``last_used_at``."""
_ROWS_PER_DELETE: Final = 10_000
"""The number of rows that one transaction deletes."""
_ROLL_UP_TABLES: Final = (("usage_hourly", "hour"), ("usage_daily", "day"), ("usage_monthly", "month"))


def _pause() -> bool:
    time.sleep(0.05)
    return True


class UsageStore:
    """The usage in the database at a URL: inserts rows and deletes old ones. Close it after use.

    Raises:
        StoreError: From every method, when the database fails.
    """

    def __init__(self, url: str) -> None:
        self._store = Store(url)
        placeholder = "?" if self._store.engine.dialect.name == "sqlite" else "%s"
        self._insert = _insert_sql("usage", COLUMNS, [_value_sql(name, placeholder) for name in COLUMNS])
        self._insert_prompt = _insert_sql("prompts", ("usage_id", "body"), [placeholder, placeholder])
        self._upserts = [
            _upsert_sql(table, (start, *DIMENSIONS), (*COUNT_COLUMNS, *DURATION_COLUMNS), placeholder)
            for table, start in _ROLL_UP_TABLES
        ]
        self._ids = RowIds()
        self._last_used: dict[str, int] = {}

    def close(self) -> None:
        """Close all connections."""
        self._store.close()

    def insert(self, batches: Sequence[Sequence[UsageRow]], *, skip_existing: bool = False) -> None:
        """Insert all of the batches in one transaction, or none of them.

        Args:
            batches: The rows. A batch is inserted as a whole.
            skip_existing: Leave out the batches that are in the database already.
        """
        if skip_existing:
            batches = [batch for batch in batches if batch and not self._contains(batch[0].id)]
        rows = [row for batch in batches for row in batch]
        if not rows:
            return
        with self._store.begin() as connection:
            self._replace_taken_ids(connection, rows)
            tuples = map(msgspec.structs.astuple, rows)
            connection.exec_driver_sql(self._insert, [(*values[:-2], values[-1]) for values in tuples])
            prompts = [(row.id, row.prompt) for row in rows if row.prompt is not None]
            if prompts:
                connection.exec_driver_sql(self._insert_prompt, prompts)
            hours = roll_up_by_hour(rows)
            days = roll_up_by_day(hours)
            for upsert, roll_ups in zip(self._upserts, (hours, days, roll_up_by_month(days)), strict=True):
                connection.exec_driver_sql(upsert, roll_ups)
            last_used = self._update_last_used(connection, rows)
        self._last_used.update(last_used)

    def _contains(self, row_id: int) -> bool:
        from sqlalchemy import select

        from trunkline.ledger.tables import usage

        with self._store.begin() as connection:
            return connection.execute(select(usage.c.id).where(usage.c.id == row_id)).first() is not None

    def _replace_taken_ids(self, connection: Connection, rows: list[UsageRow]) -> None:
        """Give new ids to rows whose ids another process has used by chance."""
        from sqlalchemy import select

        from trunkline.ledger.tables import usage

        if connection.dialect.name == "sqlite":
            return  # all processes run on one machine: a conflict is next to impossible, and raises an error
        first, last = rows[0].id, rows[-1].id
        between = select(usage.c.id).where(usage.c.id.between(min(first, last), max(first, last)))
        taken = {row_id for (row_id,) in connection.execute(between)}
        for row in rows:
            while row.id in taken:
                row.id = self._ids.next(row.at)

    def _update_last_used(self, connection: Connection, rows: Sequence[UsageRow]) -> dict[str, int]:
        """Record when keys were last used, where the last record is old enough.

        Keys are updated in the order of their ids, so that two processes cannot deadlock.

        Returns:
            The times that were recorded, by key id.
        """
        from sqlalchemy import update

        from trunkline.ledger.tables import keys

        used = {row.key_id: row.at for row in rows if row.key_id}
        interval_ms = LAST_USED_INTERVAL_S * 1000
        due = {key: at for key, at in used.items() if at - self._last_used.get(key, 0) >= interval_ms}
        for key, at in sorted(due.items()):
            time_used = datetime.fromtimestamp(at / 1000, UTC)
            connection.execute(update(keys).where(keys.c.id == key).values(last_used_at=time_used))
        return due

    def delete_before(self, before_ms: int, should_continue: Callable[[], bool] = _pause) -> int:
        """Delete the rows of requests that ended before a time. Their roll-ups stay.

        Args:
            before_ms: Unix time in milliseconds.
            should_continue: Called between two transactions; False ends the deletion. It may take its time,
                so that others can write.

        Returns:
            The number of deleted rows.
        """
        from sqlalchemy import delete, select

        from trunkline.ledger.tables import prompts, usage

        first_kept, deleted = first_id_at(before_ms), 0
        while True:
            with self._store.begin() as connection:
                oldest = (
                    select(usage.c.id)
                    .where(usage.c.id < first_kept)
                    .order_by(usage.c.id)
                    .limit(_ROWS_PER_DELETE)
                )
                ids = [row_id for (row_id,) in connection.execute(oldest)]
                if ids:
                    connection.execute(delete(usage).where(usage.c.id <= ids[-1]))
                    connection.execute(delete(prompts).where(prompts.c.usage_id <= ids[-1]))
            deleted += len(ids)
            if len(ids) < _ROWS_PER_DELETE or not should_continue():
                return deleted


def _insert_sql(table: str, columns: Sequence[str], values: Sequence[str]) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(values)})"


def _value_sql(column: str, placeholder: str) -> str:
    if column in NULLABLE_TEXT_COLUMNS:
        return f"NULLIF({placeholder}, '')"
    if column in FLAG_COLUMNS and placeholder != "?":
        # PostgreSQL's driver sends 1 as a smallint, which PostgreSQL does not take for a boolean.
        return f"{placeholder}::int::boolean"
    return placeholder


def _upsert_sql(table: str, key: Sequence[str], totals: Sequence[str], placeholder: str) -> str:
    additions = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in totals)
    columns = (*key, *totals)
    insert = _insert_sql(table, columns, [placeholder] * len(columns))
    return f"{insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {additions}"
