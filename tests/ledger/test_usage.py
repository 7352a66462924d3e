"""Reads usage: periods, totals, single rows, spending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ledger.factories import DAY, NOON, group_rows, make_row, sum_rows
from tests.services import Postgres
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Period
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore
from trunkline.ledger.usage import (
    GROUPS,
    Group,
    day_start,
    list_usage_rows,
    parse_time,
    period_end,
    period_start,
    read_spending,
    sum_usage,
)
from trunkline.ledger.usage_rows import COLUMNS, UsageRow
from trunkline.ledger.usage_store import UsageStore


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "now", "begin", "end"),
    [
        ("day", "2026-11-18T00:00:00", "2026-11-18", "2026-11-19"),
        ("day", "2026-11-18T23:59:59.999", "2026-11-18", "2026-11-19"),
        ("day", "2026-12-31T12:00:00", "2026-12-31", "2027-01-01"),
        ("day", "2028-02-28T12:00:00", "2028-02-28", "2028-02-29"),
        ("day", "1970-01-01T00:00:01", "1970-01-01", "1970-01-02"),
        ("week", "2026-11-16T00:00:00", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-15T23:59:59.999", "2026-11-09", "2026-11-16"),
        ("week", "2026-11-18T12:00:00", "2026-11-16", "2026-11-23"),
        ("week", "2027-01-01T12:00:00", "2026-12-28", "2027-01-04"),
        ("week", "2028-03-01T12:00:00", "2028-02-28", "2028-03-06"),
        ("month", "2026-11-01T00:00:00", "2026-11-01", "2026-12-01"),
        ("month", "2026-11-30T23:59:59.999", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31T23:59:59.999", "2026-12-01", "2027-01-01"),
        ("month", "2026-01-31T12:00:00", "2026-01-01", "2026-02-01"),
        ("month", "2026-02-28T12:00:00", "2026-02-01", "2026-03-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_begin_and_end_in_utc(per: Period, now: str, begin: str, end: str) -> None:
    at = unix(now)
    assert period_start(per, at) == unix(begin)
    assert period_end(per, at) == unix(end)
    assert period_start(per, period_end(per, at)) == unix(end)
    assert day_start(at) == unix(now[:10])


def test_the_period_total_begins_in_1970_and_does_not_end() -> None:
    assert (period_start("total", NOON), period_end("total", NOON)) == (0, float("inf"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20", unix("2026-11-20")),
        ("2026-11-20T14:00Z", unix("2026-11-20T14:00")),
        ("2026-11-20T14:00", unix("2026-11-20T14:00")),
        ("2026-11-20T14:00+02:00", unix("2026-11-20T12:00")),
        ("90m", NOON - 5400),
        ("24h", NOON - DAY),
        ("7d", NOON - 7 * DAY),
        ("2w", NOON - 14 * DAY),
        ("0d", NOON),
    ],
)
def test_times_are_parsed_as_people_write_them(text: str, expected: float) -> None:
    assert parse_time(text, NOON) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "-3d", "1.5h", "d", "7y", "9" * 400 + "d", "9" * 5000 + "d"]
)
def test_texts_that_are_not_times_are_refused(text: str) -> None:
    with pytest.raises(StoreError, match="is no time; write 2026-11-20") as caught:
        parse_time(text)
    assert caught.value.reason == "invalid"


LONG_AGO = NOON - 40 * DAY
USAGE: list[tuple[float, str, str, str, str, dict[str, Any]]] = [
    (LONG_AGO, "k1", "t1", "up", "m1", {"cost_micros": 7_000_000}),
    (LONG_AGO + 3600, "k2", "t1", "up", "m2", {"cost_micros": None, "cost_source": None}),
    (NOON - DAY - 1, "k1", "t1", "up", "m1", {}),
    (NOON - 3600, "k1", "t1", "other", "m1", {"status": 502, "last": False}),
    (NOON - 3599, "k1", "t1", "up", "m1", {"attempt": 2, "prompt_tokens": 1_000_000}),
    (NOON, "k2", "t2", "up", "m2", {"cost_micros": 3_000_000, "reasoning_tokens": 50}),
    (NOON + 1, "", "", "", "", {"attempt": 0, "status": 429, "cost_micros": 0}),
    (NOON + 3600, "k1", "t1", "up", "m1", {"cached": True, "duration_ms": 0.125}),
]
ROWS = [
    make_row(at, key_id=key, team_id=team, provider=provider, model=model, **more)
    for at, key, team, provider, model, more in USAGE
]
FIELD = {"key": "key_id", "team": "team_id"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with all rows. Each kind of database has one for all the tests that only read."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('usage')}/trunkline.db"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database()
    usage_store = UsageStore(url)
    usage_store.insert([ROWS])
    usage_store.close()
    with Store(url) as opened:
        yield opened


def expected_totals(rows: list[UsageRow], by: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    totals: dict[tuple[Any, ...], dict[str, float]] = {}
    for values, group in group_rows(rows, (FIELD.get(name, name) for name in by)).items():
        formatted = []
        for name, value in zip(by, values, strict=True):
            time_format = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00Z"}.get(name)
            formatted.append(
                datetime.fromtimestamp(value, UTC).strftime(time_format) if time_format else value
            )
        group_totals = sum_rows(group)
        group_totals["cost_usd"] = group_totals.pop("cost_micros") / 1_000_000
        totals[tuple(formatted)] = group_totals
    return totals


def by_group(totals: list[dict[str, Any]], by: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    """Return totals without names, by the values of their groups."""
    drop = {*by, "key_name", "team_name"}
    return {
        tuple(each[name] for name in by): {k: v for k, v in each.items() if k not in drop} for each in totals
    }


@pytest.mark.parametrize(
    "by",
    [(), *((group,) for group in GROUPS), ("day", "provider"), ("team", "model"), ("hour", "key", "model")],
)
def test_totals_are_those_of_the_rows(filled: Store, by: tuple[Group, ...]) -> None:
    totals = sum_usage(filled, by=by)
    assert by_group(totals, by) == expected_totals(ROWS, by)
    assert len(totals) == len(by_group(totals, by))


@pytest.mark.parametrize(
    ("by", "filters"),
    [
        (("key",), {"key": "k1"}),
        (("model",), {"team": "t1", "provider": "up"}),
        ((), {"model": "m2"}),
        ((), {"provider": ""}),
        (("day",), {"key": "k1", "team": "t1", "provider": "up", "model": "m1"}),
        (("hour",), {"key": "nobody"}),
        ((), {"key": "nobody"}),
    ],
)
def test_totals_of_some_keys_teams_providers_or_models(
    filled: Store, by: tuple[Group, ...], filters: dict[str, Any]
) -> None:
    rows = [
        each
        for each in ROWS
        if all(getattr(each, FIELD.get(name, name)) == value for name, value in filters.items())
    ]
    assert by_group(sum_usage(filled, by=by, **filters), by) == expected_totals(rows, by)


@pytest.mark.parametrize(
    ("since", "until", "begin", "end"),
    [
        (NOON, NOON + 3600, NOON, NOON + 3600),
        (NOON + 1800, NOON + 2 * 3600, NOON, NOON + 2 * 3600),
        (NOON - 3599, NOON, NOON - 3600, NOON),
        (NOON - 7 * DAY, NOON + 3600, NOON - NOON % DAY - 7 * DAY, NOON - NOON % DAY + DAY),
        (LONG_AGO + 7200, None, LONG_AGO - NOON % DAY, NOON + 2 * DAY),
        (None, NOON - NOON % DAY, 0, NOON - NOON % DAY),
    ],
)
def test_times_are_rounded_to_hours_for_a_week_and_to_days_otherwise(
    filled: Store, since: float | None, until: float | None, begin: float, end: float
) -> None:
    rows = [each for each in ROWS if begin <= each.at / 1000 < end]
    assert by_group(sum_usage(filled, since=since, until=until), ()) == expected_totals(rows, ())


BOUNDS = [
    unix(each)
    for each in (
        *("2026-09-15", "2026-09-30", "2026-10-01", "2026-10-02", "2026-10-31", "2026-11-01"),
        *("2026-11-20", "2026-12-01", "2026-12-31", "2027-01-01", "2027-01-02", "2027-02-10"),
    )
]


def test_totals_of_months_and_of_days_before_and_after(store: Store, usage_store: UsageStore) -> None:
    last = int(BOUNDS[-1])
    rows = [make_row(at, key_id=f"k{at // DAY % 3}") for at in range(int(BOUNDS[0]), last, 23 * 3600)]
    usage_store.insert([rows])
    for since in (None, *BOUNDS):
        for until in (None, *BOUNDS):
            inside = [
                each
                for each in rows
                if (since is None or each.at >= since * 1000) and (until is None or each.at < until * 1000)
            ]
            totals = sum_usage(store, by=["key"], since=since, until=until)
            assert by_group(totals, ["key"]) == expected_totals(inside, ["key"]), (since, until)
        inside = [each for each in rows if each.key_id == "k1" and each.at >= (since or 0) * 1000]
        assert read_spending(store, "key", "k1", int(since or 0)) == (100 * len(inside), 15 * len(inside))


def test_totals_are_sorted_by_time_and_by_cost(filled: Store) -> None:
    assert [each["key"] for each in sum_usage(filled, by=["key"])] == ["k1", "k2", ""]
    assert [each["model"] for each in sum_usage(filled, by=["model"])] == ["m1", "m2", ""]
    days = [(each["day"], each["key"]) for each in sum_usage(filled, by=["key", "day"])]
    assert days == [
        ("2026-10-09", "k1"),
        ("2026-10-09", "k2"),
        ("2026-11-17", "k1"),
        ("2026-11-18", "k2"),
        ("2026-11-18", "k1"),
        ("2026-11-18", ""),
    ]


def test_keys_and_teams_have_names_if_they_are_in_the_store(store: Store, database: str) -> None:
    team = TeamStore(store).create("sales")
    key, _ = KeyStore(store).create("laptop", team_id=team.id)
    KeyStore(store).revoke("laptop")
    usage_store = UsageStore(database)
    usage_store.insert(
        [[make_row(key_id=key.id, team_id=team.id), make_row(key_id="env-1", team_id="", cost_micros=1)]]
    )
    usage_store.close()
    totals = sum_usage(store, by=["key", "team"])
    assert [[each[name] for name in ("key", "key_name", "team", "team_name")] for each in totals] == [
        [key.id, "laptop", team.id, "sales"],
        ["env-1", "", "", ""],
    ]


def test_an_empty_ledger_has_no_totals_and_no_rows(store: Store) -> None:
    assert sum_usage(store) == sum_usage(store, by=["day"]) == list_usage_rows(store) == []
    assert read_spending(store, "all", "", 0) == (0, 0)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [7, 6, 5, 4, 3, 2, 1, 0]),
        ({"limit": 3}, [7, 6, 5]),
        ({"before": ROWS[6].id, "limit": 2}, [5, 4]),
        ({"since": NOON}, [7, 6, 5]),
        ({"until": NOON}, [4, 3, 2, 1, 0]),
        ({"since": NOON - 3600, "until": NOON + 1}, [5, 4, 3]),
        ({"key": "k2"}, [5, 1]),
        ({"team": "t2"}, [5]),
        ({"provider": "other"}, [3]),
        ({"model": "m2", "since": NOON}, [5]),
        ({"request_id": ROWS[4].request_id}, [4]),
        ({"key": ""}, [6]),
        ({"key": "nobody"}, []),
    ],
)
def test_usage_rows_are_listed_the_newest_first(
    filled: Store, filters: dict[str, Any], expected: list[int]
) -> None:
    rows = list_usage_rows(filled, **filters)
    assert rows == [{name: getattr(ROWS[index], name) for name in COLUMNS} for index in expected]


@pytest.mark.parametrize(
    ("scope", "subject", "since", "counted"),
    [
        ("all", "", 0, range(8)),
        ("all", "", NOON - NOON % DAY, range(3, 8)),
        ("key", "k1", 0, [0, 2, 3, 4, 7]),
        ("key", "k1", NOON - NOON % DAY - DAY, [2, 3, 4, 7]),
        ("key", "k1", NOON - NOON % DAY + DAY, []),
        ("team", "t1", 0, [0, 1, 2, 3, 4, 7]),
        ("provider", "other", 0, [3]),
        ("key", "nobody", 0, []),
    ],
)
def test_spending_since_the_beginning_of_a_day(
    filled: Store, scope: str, subject: str, since: int, counted: Sequence[int]
) -> None:
    rows = [ROWS[index] for index in counted]
    assert read_spending(filled, scope, subject, since) == (
        sum(each.cost_micros or 0 for each in rows),
        sum(each.prompt_tokens + each.completion_tokens for each in rows),
    )
