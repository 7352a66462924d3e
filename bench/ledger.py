"""Whether a ledger of ten million rows answers at once, takes rows as fast, and forgets without a stop.

python -m bench.ledger [--rows N] [--database URL] [--even]

Fills an empty store through the writer's own code, then times everything that asks it: the admin API's pages,
``trunkline usage`` and what budgets are read from. Each question is asked three times and the worst counts;
for SQLite the first time finds nothing of the file in memory.
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

from bench.traffic import DAY_S, GIVEN_UP_DAYS, PROVIDERS, World, days, make_world
from trunkline.ledger import tables, usage
from trunkline.ledger.locate import sqlite_file
from trunkline.ledger.policies import Period
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store
from trunkline.ledger.usage import Group
from trunkline.ledger.usage_rows import RowIds, UsageRow

ROWS: Final = 10_000_000
DAYS: Final = 400
GOAL_S: Final = 1.0
ROUNDS: Final = 3
PAGE: Final = 100
LARGEST_PAGE: Final = 1000
FORGOTTEN_DAYS: Final = 40
NOBODY: Final = "nobody"
_SPANS: Final = (1, 7, 30, DAYS)
_EXPORTS: Final = (("hour",), ("key", "model", "day"))
"""Groups of which the longest span has so many sums that no page shows them."""
_BATCHES: Final = ((5000, 20), (100, 200))
"""Rows in a transaction, and how many of them: as many as the writer takes at most, and as a gateway with
500 requests a second has."""


Wanted: TypeAlias = Mapping[str, Any]
"""Of each sort of filter (key, team, provider, model), what it asks for."""


class Question(NamedTuple):
    """Something that a page asks of the ledger."""

    title: str
    ask: Callable[[Store], object]
    goal: bool = True
    """It is a page; what makes a file of the whole ledger may take its time."""


class Timed(Store):
    """A store that knows how long its longest transaction took."""

    longest = 0.0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, timed."""
        began = time.perf_counter()
        with super().begin() as connection:
            yield connection
        self.longest = max(self.longest, time.perf_counter() - began)


def fill(url: str, world: World, rows: int, *, even: bool) -> int:
    """Rows and their sums into the store, a day in one transaction; indexes are made at the end. Returns how
    many rows there are."""
    with Store(url) as store, store.begin() as connection:
        if connection.execute(select(tables.usage.c.id).limit(1)).first() is not None:
            raise SystemExit("the database has usage in it; the bench wants an empty one")
        _name(connection, world)
        for index in tables.usage.indexes:
            index.drop(connection)
    recording = Recording(url)
    began = time.perf_counter()
    done = 0
    for day, made in enumerate(days(world, rows, DAYS, int(time.time() * 1000), even=even), 1):
        recording.write([made])
        done += len(made)
        if day % 20 == 0:
            print(f"  {done:>12,} rows, {time.perf_counter() - began:5.0f} s", flush=True)
    recording.close()
    with Store(url) as store:
        for index in sorted(tables.usage.indexes, key=lambda each: str(each.name)):
            with store.begin() as connection:
                index.create(connection)
            print(f"  {index.name}, {time.perf_counter() - began:5.0f} s", flush=True)
        if store.engine.dialect.name == "postgresql":  # its autovacuum would, in a minute
            with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE"))
    return done


def _name(connection: Connection, world: World) -> None:
    now = datetime.now(UTC)
    teams = [{"id": each, "name": f"team {each}", "created_at": now} for each in world.teams]
    connection.execute(insert(tables.teams), teams)
    keys = [
        {
            "id": each,
            "name": f"key {at}",
            "hash": each,
            "prefix": "gw_",
            "role": "member",
            "created_at": now,
            "team_id": world.team_of(at) or None,
        }
        for at, each in enumerate(world.keys)
    ]
    connection.execute(insert(tables.keys), keys)


def questions(world: World, request_id: str) -> Iterator[Question]:
    """Everything that is asked."""
    busy: Wanted = {
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
    yield from _sums(busy)
    yield from _requests(busy, rare, request_id)
    yield from _budgets(busy)
    yield Question("how many rows there are (db status)", _count, goal=False)


def _sums(busy: Wanted) -> Iterator[Question]:
    groups: list[tuple[Group, ...]] = [(), ("key",), ("team",), ("provider",), ("model",), ("day",)]
    groups += [("provider", "model"), ("hour",), ("key", "model", "day")]
    for number in _SPANS:
        for by in groups:
            yield _sum(f"sums of {number} days by {', '.join(by) or 'nothing'}", by, number)
    for name, value in busy.items():
        yield _sum(f"sums of 400 days by day, one {name}", ("day",), 400, **{name: value})
    yield _sum("sums of everything by provider, model", ("provider", "model"), None)


def _sum(title: str, by: Sequence[Group], number: int | None, **wanted: Any) -> Question:
    def ask(store: Store) -> object:
        since = None if number is None else time.time() - number * DAY_S
        return usage.sums(store, by=by, since=since, **wanted)

    return Question(title, ask, goal=number != max(_SPANS) or tuple(by) not in _EXPORTS)


def _requests(busy: Wanted, rare: Wanted, request_id: str) -> Iterator[Question]:
    yield _listed("requests, the newest")
    yield _listed(f"requests, the newest {LARGEST_PAGE}", limit=LARGEST_PAGE)
    yield _listed("requests of a day in the middle", since=time.time() - 200 * DAY_S, until=-199)
    for name in busy:
        ones, others, nobody = ({name: each} for each in (busy[name], rare[name], NOBODY))
        yield _listed(f"requests of a busy {name}", ones)
        yield _listed(f"requests of a {name} that is rare", others)
        yield _listed(f"requests of a {name} that nobody has", nobody)
        yield _listed(f"requests of a {name} that is rare, 7 days", others, since=-7)
    yield _listed("requests of a busy key, a rare model", {"key": busy["key"], "model": rare["model"]})
    both = {"key": busy["key"], "provider": rare["provider"]}
    yield _listed("requests of a busy key, a rare provider", both)
    yield _listed("one request by its id", {"request_id": request_id})
    yield _listed("one request by an id that is not there", {"request_id": NOBODY})


def _listed(
    title: str,
    wanted: Wanted | None = None,
    *,
    since: float | None = None,
    until: float | None = None,
    limit: int = PAGE,
) -> Question:
    """``since`` and ``until``: Unix times, or days before now where they are negative."""

    def moment(days_ago: float | None) -> float | None:
        return days_ago if days_ago is None or days_ago > 0 else time.time() + days_ago * DAY_S

    def ask(store: Store) -> object:
        return usage.requests(store, since=moment(since), until=moment(until), limit=limit, **wanted or {})

    return Question(title, ask)


def _budgets(busy: Wanted) -> Iterator[Question]:
    subjects = {name: value for name, value in busy.items() if name != "model"}
    for scope, subject in (*subjects.items(), ("all", "")):
        for per in get_args(Period):
            yield _spent(scope, subject, per)


def _spent(scope: str, subject: str, per: Period) -> Question:
    def ask(store: Store) -> object:
        return usage.spent(store, scope, subject, usage.period_start(per, time.time()))

    return Question(f"spent of a budget per {per}, {scope}", ask)


def _count(store: Store) -> object:
    with store.begin() as connection:
        return connection.execute(select(func.count()).select_from(tables.usage)).scalar_one()


def times(url: str, question: Question) -> tuple[list[float], int]:
    """Seconds of each time, the first with nothing of a SQLite file in memory; and how many rows came."""
    seconds, found = [], 0
    for number in range(ROUNDS):
        if number == 0:
            _evict(url)
        with Store(url, migrate=False) as store:
            began = time.perf_counter()
            answer = question.ask(store)
            seconds.append(time.perf_counter() - began)
        found = len(answer) if isinstance(answer, list) else 1
    return seconds, found


def _evict(url: str) -> None:
    """Nothing of the file in the kernel's memory. No connection may be open: closing would take its locks."""
    path = sqlite_file(url)
    if path is None:
        return
    for each in (path, Path(f"{path}-wal")):
        if each.exists():
            file = os.open(each, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def size(url: str) -> int:
    """Bytes of the database."""
    path = sqlite_file(url)
    if path is not None:
        return path.stat().st_size
    with Store(url, migrate=False) as store, store.begin() as connection:
        return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())


def fresh(world: World, count: int) -> list[UsageRow]:
    """Rows of this moment."""
    now = int(time.time() * 1000)
    ids = RowIds()
    (rows,) = days(world, count, 1, now)
    for row in rows:
        row.id, row.at = ids.next(now), now
    return rows


def write(url: str, world: World) -> None:
    """Print how fast the writer's transactions are."""
    recording = Recording(url)
    for batch, times in _BATCHES:
        batches = [fresh(world, batch) for _ in range(times)]
        number = sum(map(len, batches))
        began, busy = time.perf_counter(), time.process_time()
        for each in batches:
            recording.write([each])
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        print(
            f"  {batch:>5} rows a transaction: {number / seconds:>9,.0f} rows/s, "
            f"{busy / number * 1e6:.1f} us CPU a row"
        )
    recording.close()


def forget(url: str, world: World) -> None:
    """Print how long deleting takes, and how long those wait who write meanwhile."""
    recording, writer = Recording(url), Recording(url)
    recording._store.close()
    recording._store = timed = Timed(url, migrate=False)
    before = int((time.time() - (DAYS - FORGOTTEN_DAYS) * DAY_S) * 1000)
    gone: list[int] = []
    began = time.perf_counter()
    thread = threading.Thread(target=lambda: gone.append(recording.forget(before)))
    thread.start()
    waits = []
    while thread.is_alive():
        rows = fresh(world, 100)
        at = time.perf_counter()
        writer.write([rows])
        waits.append(time.perf_counter() - at)
        thread.join(0.2)
    seconds = time.perf_counter() - began
    recording.close()
    writer.close()
    print(f"  {sum(gone):,} rows in {seconds:.1f} s; the longest transaction {timed.longest * 1000:.0f} ms")
    print(f"  meanwhile {len(waits)} writes of 100 rows, the longest {max(waits) * 1000:.0f} ms")


def measure(url: str, given: argparse.Namespace) -> bool:
    """Fill, ask, write, forget; whether the goal was met."""
    world = make_world()
    print(f"{given.rows:,} rows over {DAYS} days", flush=True)
    rows = fill(url, world, given.rows, even=given.even)
    with Store(url) as store:
        some = usage.requests(store, until=time.time() - 100 * DAY_S, limit=1)[0]["request_id"]
        with store.begin() as connection:
            counts = [
                f"{connection.execute(select(func.count()).select_from(table)).scalar_one():,} {table.name}"
                for table in (tables.usage_hourly, tables.usage_daily, tables.usage_monthly)
            ]
    print(f"{rows:,} usage, {', '.join(counts)}: {size(url) / 2**30:.2f} GB")
    slow = 0
    print(f"in ms: the first time, the worst of {ROUNDS}; the goal is {GOAL_S:g} s")
    for question in questions(world, some):
        seconds, found = times(url, question)
        missed = question.goal and max(seconds) > GOAL_S
        slow += missed
        verdict = "MISSED" if missed else "met" if question.goal else "no page, no goal"
        ms = "".join(f"{each * 1000:>10.1f}" for each in (seconds[0], max(seconds)))
        print(f"  {question.title:<46}{found:>8,} rows{ms}  {verdict}", flush=True)
    print("writing")
    write(url, world)
    print(f"forgetting the first {FORGOTTEN_DAYS} days (a key was last used on the first {GIVEN_UP_DAYS})")
    forget(url, world)
    print("every question within a second" if not slow else f"{slow} questions took longer than a second")
    return not slow


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description="Times a large ledger.")
    parser.add_argument("--rows", type=int, default=ROWS, help="how many (%(default)s)")
    parser.add_argument("--database", metavar="URL", help="an empty database (a SQLite file, deleted again)")
    parser.add_argument("--even", action="store_true", help="every key uses every model: the most sums")
    given = parser.parse_args()
    if given.database:
        return 0 if measure(given.database, given) else 1
    with TemporaryDirectory(prefix="trunkline-bench-") as folder:
        return 0 if measure(f"sqlite:///{folder}/ledger.db", given) else 1


if __name__ == "__main__":
    sys.exit(main())
