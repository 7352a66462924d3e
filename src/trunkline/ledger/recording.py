"""Usage into the database: rows, and the sums that pages and budgets are read from, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from trunkline.ledger.columns import PLACE, SUMS, TIMES
from trunkline.ledger.store import Store
from trunkline.ledger.usage_rows import (
    COLUMNS,
    FLAGS,
    OPTIONAL,
    RowIds,
    UsageRow,
    by_day,
    by_hour,
    by_month,
    id_at,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection

SEEN_EVERY_S: Final = 60.0
"""Seconds between two notes of when a key was last used."""
_FORGET: Final = 10_000
"""Rows that are deleted in one transaction."""
_TABLES: Final = (("usage_hourly", "hour"), ("usage_daily", "day"), ("usage_monthly", "month"))


def _rest() -> bool:
    time.sleep(0.05)
    return True


class Recording:
    """The writing side of the ledger's tables. Raises StoreError where the database fails."""

    def __init__(self, url: str) -> None:
        self._store = Store(url)
        mark = "?" if self._store.engine.dialect.name == "sqlite" else "%s"
        self._insert = _insert("usage", COLUMNS, [_mark_of(column, mark) for column in COLUMNS])
        self._insert_prompt = _insert("prompts", ("usage_id", "body"), [mark, mark])
        self._sums = [_upsert(table, (since, *PLACE), (*SUMS, *TIMES), mark) for table, since in _TABLES]
        self._ids = RowIds()
        self._seen: dict[str, int] = {}

    def close(self) -> None:
        """Close all connections."""
        self._store.close()

    def write(self, batches: Sequence[Sequence[UsageRow]], *, again: bool = False) -> None:
        """Write batches, all or none. ``again``: some of them may be there already; those are left out."""
        if again:
            batches = [batch for batch in batches if batch and not self._has(batch[0].id)]
        rows = [row for batch in batches for row in batch]
        if not rows:
            return
        with self._store.begin() as connection:
            self._avoid_others(connection, rows)
            connection.exec_driver_sql(self._insert, [msgspec.structs.astuple(row)[:-1] for row in rows])
            prompts = [(row.id, row.prompt) for row in rows if row.prompt is not None]
            if prompts:
                connection.exec_driver_sql(self._insert_prompt, prompts)
            hours = by_hour(rows)
            days = by_day(hours)
            for statement, sums in zip(self._sums, (hours, days, by_month(days)), strict=True):
                connection.exec_driver_sql(statement, sums)
            used = self._note_use(connection, rows)
        self._seen.update(used)

    def _has(self, number: int) -> bool:
        from sqlalchemy import select

        from trunkline.ledger.tables import usage

        with self._store.begin() as connection:
            return connection.execute(select(usage.c.id).where(usage.c.id == number)).first() is not None

    def _avoid_others(self, connection: Connection, rows: list[UsageRow]) -> None:
        """Give rows other numbers, where another process had the same by chance."""
        from sqlalchemy import select

        from trunkline.ledger.tables import usage

        if connection.dialect.name == "sqlite":
            return  # one machine: the chance is nil, and a conflict shows
        first, last = rows[0].id, rows[-1].id
        between = select(usage.c.id).where(usage.c.id.between(min(first, last), max(first, last)))
        taken = {number for (number,) in connection.execute(between)}
        for row in rows:
            while row.id in taken:
                row.id = self._ids.next(row.at)

    def _note_use(self, connection: Connection, rows: Sequence[UsageRow]) -> dict[str, int]:
        """When which keys were used, as far as it is written down. In the order of the keys: two processes
        then never each wait for the other."""
        from sqlalchemy import update

        from trunkline.ledger.tables import keys

        used = {row.key_id: row.at for row in rows if row.key_id}
        due = {key: at for key, at in used.items() if at - self._seen.get(key, 0) >= SEEN_EVERY_S * 1000}
        for key, at in sorted(due.items()):
            moment = datetime.fromtimestamp(at / 1000, UTC)
            connection.execute(update(keys).where(keys.c.id == key).values(last_used_at=moment))
        return due

    def forget(self, before_ms: int, go_on: Callable[[], bool] = _rest) -> int:
        """Delete single requests that ended before (Unix time in milliseconds); the sums stay. Returns how
        many rows went. ``go_on`` is asked between two transactions, and may let others write."""
        from sqlalchemy import delete, select

        from trunkline.ledger.tables import prompts, usage

        bound, gone = id_at(before_ms), 0
        while True:
            with self._store.begin() as connection:
                some = select(usage.c.id).where(usage.c.id < bound).order_by(usage.c.id).limit(_FORGET)
                numbers = [number for (number,) in connection.execute(some)]
                if numbers:
                    connection.execute(delete(usage).where(usage.c.id <= numbers[-1]))
                    connection.execute(delete(prompts).where(prompts.c.usage_id <= numbers[-1]))
            gone += len(numbers)
            if len(numbers) < _FORGET or not go_on():
                return gone


def _insert(table: str, columns: Sequence[str], marks: Sequence[str]) -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES ({', '.join(marks)})"


def _mark_of(column: str, mark: str) -> str:
    if column in OPTIONAL:
        return f"NULLIF({mark}, '')"
    if column in FLAGS and mark != "?":  # PostgreSQL's driver sends 1 as a smallint, which is no boolean
        return f"{mark}::int::boolean"
    return mark


def _upsert(table: str, place: Sequence[str], sums: Sequence[str], mark: str) -> str:
    adding = ", ".join(f"{each} = {table}.{each} + excluded.{each}" for each in sums)
    columns = (*place, *sums)
    insert = _insert(table, columns, [mark] * len(columns))
    return f"{insert} ON CONFLICT ({', '.join(place)}) DO UPDATE SET {adding}"
