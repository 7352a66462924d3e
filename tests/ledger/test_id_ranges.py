"""Usage rows of a key, team, provider or model are found through the roll-ups."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from trunkline.ledger.columns import DIMENSIONS
from trunkline.ledger.id_ranges import find_id_ranges
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows, sum_usage
from trunkline.ledger.usage_rows import IDS_PER_HOUR, UsageRow, first_id_at
from trunkline.ledger.usage_store import UsageStore

HOUR = 3_600_000
NOON = 1_700_049_600_000
"""Unix time in milliseconds."""
FILTERS = ("key", "team", "provider", "model")


def make_row(
    number: int, at: int, dimensions: tuple[str, str, str, str], ended: int | None = None
) -> UsageRow:
    """Make a row that happened at ``at``. Its request ended then, or at ``ended``."""
    key, team, provider, model = dimensions
    return UsageRow(
        id=first_id_at(at if ended is None else ended) + number,
        at=at,
        request_id=f"r{number}",
        attempt=1,
        key_id=key,
        team_id=team,
        provider=provider,
        model=model,
        dialect="openai",
        operation="chat",
        status=200,
        prompt_tokens=0,
        completion_tokens=0,
        cost_micros=0,
        ttft_ms=0,
        duration_ms=0,
        upstream_ms=0,
        cached=False,
    )


@pytest.mark.parametrize("seed", range(4))
def test_random_searches_find_the_same_as_reading_all_rows(
    store: Store, usage_store: UsageStore, seed: int
) -> None:
    rng = random.Random(seed)
    rows = []
    for number in range(300):
        at = NOON - round(rng.random() ** 3 * 200 * 24 * HOUR)
        dimensions = (f"k{min(rng.randrange(40), 30)}", f"t{rng.randrange(3)}", f"p{rng.randrange(3)}", "m")
        rows.append(make_row(number, at, dimensions, ended=at + rng.choice([0, 0, 5 * HOUR])))
    usage_store.insert([rows])
    newest = sorted(rows, key=lambda each: -each.id)
    for _ in range(60):
        samples = {name: rng.choice(rows) for name in rng.sample(FILTERS, rng.randrange(1, 4))}
        filters = {name: getattr(each, DIMENSIONS[FILTERS.index(name)]) for name, each in samples.items()}
        since, until = (NOON - rng.randrange(-10, 200 * 24) * HOUR - 1234 for _ in range(2))
        before, limit = rng.choice([None, *newest]), rng.choice([1, 3, 20, 1000])
        bounds: dict[str, Any] = {}
        expected = [
            each.id
            for each in newest
            if all(getattr(each, DIMENSIONS[FILTERS.index(name)]) == value for name, value in filters.items())
        ]
        if rng.random() < 0.5:
            bounds["since"] = since / 1000
            expected = [each for each in expected if each >= first_id_at(since)]
        if rng.random() < 0.5:
            bounds["until"] = until / 1000
            expected = [each for each in expected if each < first_id_at(until)]
        if before is not None and rng.random() < 0.5:
            bounds["before"] = before.id
            expected = [each for each in expected if each < before.id]
        found = list_usage_rows(store, **filters, **bounds, limit=limit)
        assert [each["id"] for each in found] == expected[:limit], (filters, bounds, limit)


def test_only_hours_with_usage_are_in_the_ranges(store: Store, usage_store: UsageStore) -> None:
    common, rare = ("often", "t", "p", "m"), ("seldom", "t", "p", "m")
    times = [NOON - HOUR * each for each in (1, 2, 900, 3000)]
    rows = [make_row(0, NOON - HOUR * each, common) for each in range(3500)]
    usage_store.insert([rows + [make_row(1, at, rare) for at in times]])
    with store.begin() as connection:
        ranges = list(find_id_ranges(connection, {"key_id": "seldom"}, 0, 2**63 - 1))
        assert not list(find_id_ranges(connection, {"key_id": "nobody"}, 0, 2**63 - 1))
        assert not list(find_id_ranges(connection, {"key_id": "seldom", "model": "other"}, 0, 2**63 - 1))
    hours = [(end - first) // IDS_PER_HOUR for first, end in ranges]
    assert hours == [2, 1, 1]  # adjacent hours are one range
    assert all(any(first <= first_id_at(at) < end for first, end in ranges) for at in times)


@pytest.mark.parametrize("deleted", [False, True])
def test_hours_whose_rows_were_deleted_are_in_no_range(
    store: Store, usage_store: UsageStore, deleted: bool
) -> None:
    dimensions = ("k", "t", "p", "m")
    usage_store.insert([[make_row(each, NOON - each * 24 * HOUR, dimensions) for each in range(100)]])
    if deleted:
        usage_store.delete_before(NOON - 10 * 24 * HOUR)
    with store.begin() as connection:
        assert len(list(find_id_ranges(connection, {"key_id": "k"}, 0, 2**63 - 1))) == (
            11 if deleted else 100
        )


@pytest.mark.parametrize("until", [-62_135_596_800, 0, 253_402_300_799])
@pytest.mark.parametrize("since", [-62_135_596_800, 0, 253_402_300_799])
@pytest.mark.parametrize("filters", [{}, {"key": "k"}])
def test_times_may_be_beyond_the_calendar(
    store: Store, usage_store: UsageStore, since: float, until: float, filters: dict[str, Any]
) -> None:
    usage_store.insert([[make_row(0, NOON, ("k", "t", "p", "m"))]])
    inside = since <= 0 and until > 0
    assert len(list_usage_rows(store, since=since, until=until, **filters)) == inside
    assert len(sum_usage(store, since=since, until=until, **filters)) == inside


def test_an_empty_ledger_has_no_ranges(store: Store) -> None:
    with store.begin() as connection:
        assert not list(find_id_ranges(connection, {"key_id": "k"}, 0, 2**63 - 1))


def test_a_request_is_found_with_an_index(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/l.db") as store, store.begin() as connection:
        query = "EXPLAIN QUERY PLAN SELECT * FROM usage WHERE request_id = 'r' ORDER BY id DESC LIMIT 100"
        (plan,) = connection.exec_driver_sql(query).all()
    assert plan[3] == "SEARCH usage USING INDEX ix_usage_request_id (request_id=?)"
