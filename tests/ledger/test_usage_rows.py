"""Numbers of rows, and sums over rows."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.making import NOON, counted, grouped, row
from trunkline.ledger.columns import PLACE, SUMS, TIMES
from trunkline.ledger.usage_rows import RowIds, Sum, UsageRow, by_day, by_hour, by_month, id_at

MOMENT_MS = NOON * 1000


@given(st.lists(st.integers(-50, 400), min_size=1, max_size=400))
def test_numbers_rise_whatever_the_clock_does(steps: list[int]) -> None:
    ids, now = RowIds(), MOMENT_MS
    given_out = []
    for step in steps:
        now += step
        given_out.append(ids.next(now))
    assert all(one < other for one, other in pairwise(given_out))


def test_a_busy_process_runs_a_little_ahead_of_its_clock() -> None:
    ids = RowIds()
    given_out = [ids.next(MOMENT_MS) for _ in range(1000)]
    assert given_out == sorted(set(given_out))
    assert id_at(MOMENT_MS) <= given_out[0] < given_out[-1] < id_at(MOMENT_MS + 80)
    assert given_out[-1] < 2**63


def test_processes_give_numbers_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = iter(range(2))
    monkeypatch.setattr("trunkline.ledger.usage_rows.secrets.randbits", lambda bits: next(nodes))
    one, other = RowIds(), RowIds()
    ones, others = ({ids.next(MOMENT_MS) for _ in range(1000)} for ids in (one, other))
    assert not ones & others


@pytest.mark.parametrize(("later_ms", "after"), [(-10, False), (0, True), (10, True), (86_400_000, True)])
def test_a_number_tells_when_its_row_was(later_ms: int, after: bool) -> None:
    assert (RowIds().next(MOMENT_MS + later_ms) >= id_at(MOMENT_MS)) is after


ROWS = st.lists(
    st.builds(
        row,
        at=st.integers(0, 3 * 24).map(lambda quarters: NOON + quarters * 2999),
        attempt=st.integers(0, 3),
        last=st.booleans(),
        key_id=st.sampled_from(["", "k1", "k2"]),
        team_id=st.sampled_from(["", "t1"]),
        provider=st.sampled_from(["", "up", "other"]),
        model=st.sampled_from(["m1", "m2"]),
        status=st.sampled_from([200, 399, 400, 429, 500]),
        prompt_tokens=st.integers(0, 10**9),
        completion_tokens=st.integers(0, 10**9),
        cached_tokens=st.integers(0, 10**9),
        reasoning_tokens=st.integers(0, 10**9),
        cost_micros=st.none() | st.integers(0, 10**12),
        duration_ms=st.integers(0, 10**6).map(float),
        upstream_ms=st.integers(0, 10**6).map(float),
        cached=st.booleans(),
    ),
    max_size=40,
)


def naive(rows: list[UsageRow], since: str) -> list[Sum]:
    names = (*SUMS, *TIMES)
    found = []
    for place, group in grouped(rows, (since, *PLACE)).items():
        sums = counted(group)
        found.append((*place, *(sums[name] for name in names)))
    return sorted(found)


@given(ROWS)
def test_sums_are_those_of_a_plain_count(rows: list[UsageRow]) -> None:
    hours = by_hour(rows)
    assert hours == naive(rows, "hour")
    assert by_day(hours) == naive(rows, "day")
    assert by_month(by_day(hours)) == naive(rows, "month")


def test_a_month_begins_with_its_first_day() -> None:
    moments = ["2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-11-30T23:59:59", "2028-02-29T12:00:00"]
    rows = [row(datetime.fromisoformat(f"{each}+00:00").timestamp()) for each in moments]
    months = by_month(by_day(by_hour(rows)))
    begins = [datetime.fromtimestamp(int(each[0]), UTC).strftime("%Y-%m-%dT%X") for each in months]
    assert begins == ["2026-10-01T00:00:00", "2026-11-01T00:00:00", "2028-02-01T00:00:00"]
    assert [each[5] for each in months] == [1, 2, 1]


def test_an_attempt_counts_where_its_number_is() -> None:
    number = row(NOON + 7200).id
    ((hour, *_),) = by_hour([row(NOON, id=number, last=False)])
    assert hour == NOON + 7200


def test_an_hour_begins_with_its_first_millisecond() -> None:
    rows = [row(at) for at in (NOON - 0.001, NOON, NOON + 3599.999, NOON + 3600)]
    assert [(each[0], each[5]) for each in by_hour(rows)] == [(NOON - 3600, 1), (NOON, 2), (NOON + 3600, 1)]
