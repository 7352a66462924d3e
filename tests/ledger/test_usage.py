"""What was used, read: periods, sums, single requests, spendings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.ledger.making import DAY, NOON, counted, grouped, row
from tests.services import Postgres
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Period
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store
from trunkline.ledger.teams import TeamStore
from trunkline.ledger.usage import (
    GROUPS,
    Group,
    day_start,
    moment,
    period_end,
    period_start,
    requests,
    spent,
    sums,
)
from trunkline.ledger.usage_rows import COLUMNS, UsageRow


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


def test_all_of_time_is_a_period_too() -> None:
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
def test_times_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert moment(text, NOON) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "-3d", "1.5h", "d", "7y", "9" * 400 + "d", "9" * 5000 + "d"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="is no time; write 2026-11-20") as caught:
        moment(text)
    assert caught.value.why == "wrong"


LONG_AGO = NOON - 40 * DAY
USED: list[tuple[float, str, str, str, str, dict[str, Any]]] = [
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
    row(at, key_id=key, team_id=team, provider=provider, model=model, **more)
    for at, key, team, provider, model, more in USED
]
FIELD = {"key": "key_id", "team": "team_id"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with all rows, once of each kind for all the tests that only read."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('usage')}/trunkline.db"
    else:
        server: Postgres = request.getfixturevalue("postgres")
        url = server.database()
    recording = Recording(url)
    recording.write([ROWS])
    recording.close()
    with Store(url) as opened:
        yield opened


def expected_sums(rows: list[UsageRow], by: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for place, group in grouped(rows, (FIELD.get(name, name) for name in by)).items():
        shown = []
        for name, value in zip(by, place, strict=True):
            text = {"day": "%Y-%m-%d", "hour": "%Y-%m-%dT%H:00Z"}.get(name)
            shown.append(datetime.fromtimestamp(value, UTC).strftime(text) if text else value)
        sums = counted(group)
        sums["cost_usd"] = sums.pop("cost_micros") / 1_000_000
        found[tuple(shown)] = sums
    return found


def told(found: list[dict[str, Any]], by: Sequence[str]) -> dict[tuple[Any, ...], dict[str, float]]:
    drop = {*by, "key_name", "team_name"}
    return {
        tuple(each[name] for name in by): {k: v for k, v in each.items() if k not in drop} for each in found
    }


@pytest.mark.parametrize(
    "by",
    [(), *((group,) for group in GROUPS), ("day", "provider"), ("team", "model"), ("hour", "key", "model")],
)
def test_sums_are_those_of_the_rows(filled: Store, by: tuple[Group, ...]) -> None:
    found = sums(filled, by=by)
    assert told(found, by) == expected_sums(ROWS, by)
    assert len(found) == len(told(found, by))


@pytest.mark.parametrize(
    ("by", "wanted"),
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
def test_sums_of_a_part(filled: Store, by: tuple[Group, ...], wanted: dict[str, Any]) -> None:
    rows = [
        each
        for each in ROWS
        if all(getattr(each, FIELD.get(name, name)) == value for name, value in wanted.items())
    ]
    assert told(sums(filled, by=by, **wanted), by) == expected_sums(rows, by)


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
def test_sums_of_a_time_are_by_the_hour_for_a_week_and_else_by_the_day(
    filled: Store, since: float | None, until: float | None, begin: float, end: float
) -> None:
    rows = [each for each in ROWS if begin <= each.at / 1000 < end]
    assert told(sums(filled, since=since, until=until), ()) == expected_sums(rows, ())


BOUNDS = [
    unix(each)
    for each in (
        *("2026-09-15", "2026-09-30", "2026-10-01", "2026-10-02", "2026-10-31", "2026-11-01"),
        *("2026-11-20", "2026-12-01", "2026-12-31", "2027-01-01", "2027-01-02", "2027-02-10"),
    )
]


def test_sums_of_months_and_of_what_is_around_them(store: Store, recording: Recording) -> None:
    last = int(BOUNDS[-1])
    rows = [row(at, key_id=f"k{at // DAY % 3}") for at in range(int(BOUNDS[0]), last, 23 * 3600)]
    recording.write([rows])
    for since in (None, *BOUNDS):
        for until in (None, *BOUNDS):
            inside = [
                each
                for each in rows
                if (since is None or each.at >= since * 1000) and (until is None or each.at < until * 1000)
            ]
            found = sums(store, by=["key"], since=since, until=until)
            assert told(found, ["key"]) == expected_sums(inside, ["key"]), (since, until)
        inside = [each for each in rows if each.key_id == "k1" and each.at >= (since or 0) * 1000]
        assert spent(store, "key", "k1", int(since or 0)) == (100 * len(inside), 15 * len(inside))


def test_the_dearest_comes_first_and_times_in_their_order(filled: Store) -> None:
    assert [each["key"] for each in sums(filled, by=["key"])] == ["k1", "k2", ""]
    assert [each["model"] for each in sums(filled, by=["model"])] == ["m1", "m2", ""]
    days = [(each["day"], each["key"]) for each in sums(filled, by=["key", "day"])]
    assert days == [
        ("2026-10-09", "k1"),
        ("2026-10-09", "k2"),
        ("2026-11-17", "k1"),
        ("2026-11-18", "k2"),
        ("2026-11-18", "k1"),
        ("2026-11-18", ""),
    ]


def test_keys_and_teams_are_named_while_they_are_known(store: Store, database: str) -> None:
    team = TeamStore(store).create("sales")
    key, _ = KeyStore(store).create("laptop", team_id=team.id)
    KeyStore(store).revoke("laptop")
    recording = Recording(database)
    recording.write([[row(key_id=key.id, team_id=team.id), row(key_id="env-1", team_id="", cost_micros=1)]])
    recording.close()
    found = sums(store, by=["key", "team"])
    assert [[each[name] for name in ("key", "key_name", "team", "team_name")] for each in found] == [
        [key.id, "laptop", team.id, "sales"],
        ["env-1", "", "", ""],
    ]


def test_nothing_used_is_no_sum(store: Store) -> None:
    assert sums(store) == sums(store, by=["day"]) == requests(store) == []
    assert spent(store, "all", "", 0) == (0, 0)


@pytest.mark.parametrize(
    ("wanted", "which"),
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
def test_single_requests_come_the_newest_first(
    filled: Store, wanted: dict[str, Any], which: list[int]
) -> None:
    found = requests(filled, **wanted)
    assert found == [{name: getattr(ROWS[number], name) for name in COLUMNS} for number in which]


@pytest.mark.parametrize(
    ("scope", "subject", "since", "which"),
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
def test_what_was_spent_since_a_day_began(
    filled: Store, scope: str, subject: str, since: int, which: Sequence[int]
) -> None:
    rows = [ROWS[number] for number in which]
    assert spent(filled, scope, subject, since) == (
        sum(each.cost_micros or 0 for each in rows),
        sum(each.prompt_tokens + each.completion_tokens for each in rows),
    )
