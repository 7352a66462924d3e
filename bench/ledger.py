"""Measures a ledger of ten million rows: how fast it answers queries, takes rows, and deletes old ones.

python -m bench.ledger [--rows N] [--database URL] [--even]

Fills an empty store with the code that a gateway uses. Then times every query of the admin API, of
``trunkline usage`` and of budgets. Each query runs three times, and the slowest run counts. For SQLite, the
first run starts with nothing of the file in the page cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, TypeAlias, get_args

from sqlalchemy import Connection, func, insert, select, text

from bench.traffic import DAY_S, LAST_KEY_DAYS, PROVIDERS, World, generate_days, make_world
from trunkline.ledger import tables, usage
from trunkline.ledger.locate import sqlite_file
from trunkline.ledger.policies import Period
from trunkline.ledger.store import Store
from trunkline.ledger.usage import Group
from trunkline.ledger.usage_rows import RowIds, UsageRow
from trunkline.ledger.usage_store import UsageStore

ROWS: Final = 10_000_000
DAYS: Final = 400
GOAL_S: Final = 1.0
ROUNDS: Final = 3
PAGE: Final = 100
LARGEST_PAGE: Final = 1000
DELETED_DAYS: Final = 40
UNKNOWN: Final = "nobody"
_SPANS: Final = (1, 7, 30, DAYS)
_EXPORTS: Final = (("hour",), ("key", "model", "day"))
"""Groups that have so many totals in the longest span that no page shows them."""
_BATCHES: Final = ((5000, 20), (100, 200))
"""The rows of a transaction, and the number of transactions. The first are as large as the writer makes them
at most, the second as large as those of a gateway with 500 requests per second."""


Filters: TypeAlias = Mapping[str, Any]
"""Values of key, team, provider or model to look for."""


class Query(NamedTuple):
    """A query that a page of the admin API makes."""

    title: str
    run: Callable[[Store], object]
    has_goal: bool = True
    """Whether it has to be fast. An export of the whole ledger need not be."""


class TimedStore(Store):
    """A store that measures its longest transaction."""

    longest_s = 0.0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a transaction, and measure how long it takes."""
        began = time.perf_counter()
        with super().begin() as connection:
            yield connection
        self.longest_s = max(self.longest_s, time.perf_counter() - began)


def fill(url: str, world: World, rows: int, *, even: bool) -> int:
    """Insert rows and their roll-ups, one day per transaction. Indexes are created at the end.

    Returns:
        The number of rows.
    """
    with Store(url) as store, store.begin() as connection:
        if connection.execute(select(tables.usage.c.id).limit(1)).first() is not None:
            raise SystemExit("the database has usage in it; the bench wants an empty one")
        _insert_names(connection, world)
        for index in tables.usage.indexes:
            index.drop(connection)
    usage_store = UsageStore(url)
    began = time.perf_counter()
    done = 0
    now_ms = int(time.time() * 1000)
    for day, generated in enumerate(generate_days(world, rows, DAYS, now_ms, even=even), 1):
        usage_store.insert([generated])
        done += len(generated)
        if day % 20 == 0:
            print(f"  {done:>12,} rows, {time.perf_counter() - began:5.0f} s", flush=True)
    usage_store.close()
    with Store(url) as store:
        for index in sorted(tables.usage.indexes, key=lambda each: str(each.name)):
            with store.begin() as connection:
                index.create(connection)
            print(f"  {index.name}, {time.perf_counter() - began:5.0f} s", flush=True)
        if store.engine.dialect.name == "postgresql":  # autovacuum would do this after a minute
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
    return done


def _insert_names(connection: Connection, world: World) -> None:
    now = datetime.now(UTC)
    teams = [{"id": each, "name": f"team {each}", "created_at": now} for each in world.teams]
    connection.execute(insert(tables.teams), teams)
    keys = [
        {
            "id": key_id,
            "name": f"key {number}",
            "hash": key_id,
            "prefix": "gw_",
            "role": "member",
            "created_at": now,
            "team_id": world.team_of(number) or None,
        }
        for number, key_id in enumerate(world.keys)
    ]
    connection.execute(insert(tables.keys), keys)


def queries(world: World, request_id: str) -> Iterator[Query]:
    """Return all queries."""
    busy: Filters = {
        "key": world.keys[0],
        "team": world.teams[0],
        "provider": PROVIDERS[0],
        "model": world.models[3],
    }
    rare = {
        "key": world.keys[-1],
        "team": world.teams[-1],
        "provider": PROVIDERS[-1],
        "model": world.models[-1],
    }
    yield from _totals_queries(busy)
    yield from _rows_queries(busy, rare, request_id)
    yield from _budget_queries(busy)
    yield Query("how many rows there are (db status)", _count_rows, has_goal=False)


def _totals_queries(busy: Filters) -> Iterator[Query]:
    groups: list[tuple[Group, ...]] = [(), ("key",), ("team",), ("provider",), ("model",), ("day",)]
    groups += [("provider", "model"), ("hour",), ("key", "model", "day")]
    for days in _SPANS:
        for by in groups:
            yield _totals_query(f"sums of {days} days by {', '.join(by) or 'nothing'}", by, days)
    for name, value in busy.items():
        yield _totals_query(f"sums of 400 days by day, one {name}", ("day",), 400, **{name: value})
    yield _totals_query("sums of everything by provider, model", ("provider", "model"), None)


def _totals_query(title: str, by: Sequence[Group], days: int | None, **filters: Any) -> Query:
    def run(store: Store) -> object:
        since = None if days is None else time.time() - days * DAY_S
        return usage.sum_usage(store, by=by, since=since, **filters)

    return Query(title, run, has_goal=days != max(_SPANS) or tuple(by) not in _EXPORTS)


def _rows_queries(busy: Filters, rare: Filters, request_id: str) -> Iterator[Query]:
    yield _rows_query("requests, the newest")
    yield _rows_query(f"requests, the newest {LARGEST_PAGE}", limit=LARGEST_PAGE)
    yield _rows_query("requests of a day in the middle", since=time.time() - 200 * DAY_S, until=-199)
    for name in busy:
        yield _rows_query(f"requests of a busy {name}", {name: busy[name]})
        yield _rows_query(f"requests of a rare {name}", {name: rare[name]})
        yield _rows_query(f"requests of an unknown {name}", {name: UNKNOWN})
        yield _rows_query(f"requests of a rare {name}, 7 days", {name: rare[name]}, since=-7)
    yield _rows_query("requests of a busy key, a rare model", {"key": busy["key"], "model": rare["model"]})
    filters = {"key": busy["key"], "provider": rare["provider"]}
    yield _rows_query("requests of a busy key, a rare provider", filters)
    yield _rows_query("one request by its id", {"request_id": request_id})
    yield _rows_query("one request by an unknown id", {"request_id": UNKNOWN})


def _rows_query(
    title: str,
    filters: Filters | None = None,
    *,
    since: float | None = None,
    until: float | None = None,
    limit: int = PAGE,
) -> Query:
    """Make a query of usage rows between Unix times, or days relative to now where negative."""

    def absolute(value: float | None) -> float | None:
        return value if value is None or value > 0 else time.time() + value * DAY_S

    def run(store: Store) -> object:
        return usage.list_usage_rows(
            store, since=absolute(since), until=absolute(until), limit=limit, **filters or {}
        )

    return Query(title, run)


def _budget_queries(busy: Filters) -> Iterator[Query]:
    subjects = {name: value for name, value in busy.items() if name != "model"}
    for scope, subject in (*subjects.items(), ("all", "")):
        for per in get_args(Period):
            yield _spending_query(scope, subject, per)


def _spending_query(scope: str, subject: str, per: Period) -> Query:
    def run(store: Store) -> object:
        return usage.read_spending(store, scope, subject, usage.period_start(per, time.time()))

    return Query(f"spent of a budget per {per}, {scope}", run)


def _count_rows(store: Store) -> object:
    with store.begin() as connection:
        return connection.execute(select(func.count()).select_from(tables.usage)).scalar_one()


def time_query(url: str, query: Query) -> tuple[list[float], int]:
    """Run a query several times, the first time with nothing of a SQLite file in the page cache.

    Returns:
        The seconds of each run, and the number of rows that were returned.
    """
    seconds, rows = [], 0
    for number in range(ROUNDS):
        if number == 0:
            _evict_from_page_cache(url)
        with Store(url, migrate=False) as store:
            began = time.perf_counter()
            result = query.run(store)
            seconds.append(time.perf_counter() - began)
        rows = len(result) if isinstance(result, list) else 1
    return seconds, rows


def _evict_from_page_cache(url: str) -> None:
    """Drop the SQLite file from the page cache.

    No connection may be open, because closing the file here would release its locks.
    """
    path = sqlite_file(url)
    if path is None:
        return
    for each in (path, Path(f"{path}-wal")):
        if each.exists():
            file = os.open(each, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def database_bytes(url: str) -> int:
    """Return the size of the database in bytes."""
    path = sqlite_file(url)
    if path is not None:
        return path.stat().st_size
    with Store(url, migrate=False) as store, store.begin() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def make_recent_rows(world: World, count: int) -> list[UsageRow]:
    """Make rows that happen now."""
    now = int(time.time() * 1000)
    ids = RowIds()
    (rows,) = generate_days(world, count, 1, now)
    for row in rows:
        row.id, row.at = ids.next(now), now
    return rows


def measure_inserts(url: str, world: World) -> None:
    """Measure and print how fast transactions of the writer are."""
    usage_store = UsageStore(url)
    for batch_rows, transactions in _BATCHES:
        batches = [make_recent_rows(world, batch_rows) for _ in range(transactions)]
        rows = sum(map(len, batches))
        began, cpu_began = time.perf_counter(), time.process_time()
        for batch in batches:
            usage_store.insert([batch])
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
        print(
            f"  {batch_rows:>5} rows a transaction: {rows / seconds:>9,.0f} rows/s, "
            f"{cpu_s / rows * 1e6:.1f} us CPU a row"
        )
    usage_store.close()


def measure_deletion(url: str, world: World) -> None:
    """Measure and print how long a deletion takes, and how long inserts wait for it."""
    usage_store, writer = UsageStore(url), UsageStore(url)
    usage_store._store.close()
    usage_store._store = timed = TimedStore(url, migrate=False)
    before = int((time.time() - (DAYS - DELETED_DAYS) * DAY_S) * 1000)
    deleted: list[int] = []
    began = time.perf_counter()
    thread = threading.Thread(target=lambda: deleted.append(usage_store.delete_before(before)))
    thread.start()
    waits = []
    while thread.is_alive():
        rows = make_recent_rows(world, 100)
        insert_began = time.perf_counter()
        writer.insert([rows])
        waits.append(time.perf_counter() - insert_began)
        thread.join(0.2)
    seconds = time.perf_counter() - began
    usage_store.close()
    writer.close()
    longest_ms = timed.longest_s * 1000
    print(f"  {sum(deleted):,} rows in {seconds:.1f} s; the longest transaction {longest_ms:.0f} ms")
    print(f"  meanwhile {len(waits)} writes of 100 rows, the longest {max(waits) * 1000:.0f} ms")


def measure(url: str, arguments: argparse.Namespace) -> bool:
    """Run all measurements, and return whether the goal was met."""
    world = make_world()
    print(f"{arguments.rows:,} rows over {DAYS} days", flush=True)
    rows = fill(url, world, arguments.rows, even=arguments.even)
    with Store(url) as store:
        (row,) = usage.list_usage_rows(store, until=time.time() - 100 * DAY_S, limit=1)
        with store.begin() as connection:
            counts = [
                f"{connection.execute(select(func.count()).select_from(table)).scalar_one():,} {table.name}"
                for table in (tables.usage_hourly, tables.usage_daily, tables.usage_monthly)
            ]
    print(f"{rows:,} usage, {', '.join(counts)}: {database_bytes(url) / 2**30:.2f} GB")
    slow = 0
    print(f"in ms: the first run, the slowest of {ROUNDS}; the goal is {GOAL_S:g} s")
    for query in queries(world, row["request_id"]):
        seconds, returned = time_query(url, query)
        missed = query.has_goal and max(seconds) > GOAL_S
        slow += missed
        verdict = "MISSED" if missed else "met" if query.has_goal else "no page, no goal"
        ms = "".join(f"{each * 1000:>10.1f}" for each in (seconds[0], max(seconds)))
        print(f"  {query.title:<46}{returned:>8,} rows{ms}  {verdict}", flush=True)
    print("inserting")
    measure_inserts(url, world)
    print(f"deleting the first {DELETED_DAYS} days (one key was last used on day {LAST_KEY_DAYS})")
    measure_deletion(url, world)
    print("every query took less than a second" if not slow else f"{slow} queries took longer than a second")
    return not slow


def main() -> int:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description="Times a large ledger.")
    parser.add_argument("--rows", type=int, default=ROWS, help="how many (%(default)s)")
    parser.add_argument("--database", metavar="URL", help="an empty database (a SQLite file, deleted again)")
    parser.add_argument("--even", action="store_true", help="every key uses every model: the most sums")
    arguments = parser.parse_args()
    if arguments.database:
        return 0 if measure(arguments.database, arguments) else 1
    with TemporaryDirectory(prefix="trunkline-bench-") as folder:
        return 0 if measure(f"sqlite:///{folder}/ledger.db", arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
