"""Ids of usage rows, and roll-ups of rows."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.factories import NOON, group_rows, make_row, sum_rows
from trunkline.ledger.columns import COUNT_COLUMNS, DIMENSIONS, DURATION_COLUMNS
from trunkline.ledger.usage_rows import (
    RollUp,
    RowIds,
    UsageRow,
    first_id_at,
    roll_up_by_day,
    roll_up_by_hour,
    roll_up_by_month,
)

NOW_MS = NOON * 1000


@given(st.lists(st.integers(-50, 400), min_size=1, max_size=400))
def test_ids_ascend_whatever_the_clock_does(steps: list[int]) -> None:
    ids, now = RowIds(), NOW_MS
    generated = []
    for step in steps:
        now += step
        generated.append(ids.next(now))
    assert all(one < other for one, other in pairwise(generated))


def test_a_busy_process_takes_ids_of_the_near_future() -> None:
    ids = RowIds()
    generated = [ids.next(NOW_MS) for _ in range(1000)]
    assert generated == sorted(set(generated))
    assert first_id_at(NOW_MS) <= generated[0] < generated[-1] < first_id_at(NOW_MS + 80)
    assert generated[-1] < 2**63


def test_processes_generate_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = iter(range(2))
    monkeypatch.setattr("trunkline.ledger.usage_rows.secrets.randbits", lambda bits: next(nodes))
    one, other = RowIds(), RowIds()
    ones, others = ({ids.next(NOW_MS) for _ in range(1000)} for ids in (one, other))
    assert not ones & others


@pytest.mark.parametrize(("later_ms", "after"), [(-10, False), (0, True), (10, True), (86_400_000, True)])
def test_an_id_tells_the_time_of_its_row(later_ms: int, after: bool) -> None:
    assert (RowIds().next(NOW_MS + later_ms) >= first_id_at(NOW_MS)) is after


ROWS = st.lists(
    st.builds(
        make_row,
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


def roll_up_slowly(rows: list[UsageRow], span: str) -> list[RollUp]:
    names = (*COUNT_COLUMNS, *DURATION_COLUMNS)
    roll_ups = []
    for key, group in group_rows(rows, (span, *DIMENSIONS)).items():
        totals = sum_rows(group)
        roll_ups.append((*key, *(totals[name] for name in names)))
    return sorted(roll_ups)


@given(ROWS)
def test_roll_ups_are_the_same_as_those_of_a_simple_computation(rows: list[UsageRow]) -> None:
    hours = roll_up_by_hour(rows)
    assert hours == roll_up_slowly(rows, "hour")
    assert roll_up_by_day(hours) == roll_up_slowly(rows, "day")
    assert roll_up_by_month(roll_up_by_day(hours)) == roll_up_slowly(rows, "month")


def test_a_month_begins_on_its_first_day() -> None:
    times = ["2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-11-30T23:59:59", "2028-02-29T12:00:00"]
    rows = [make_row(datetime.fromisoformat(f"{each}+00:00").timestamp()) for each in times]
    months = roll_up_by_month(roll_up_by_day(roll_up_by_hour(rows)))
    begins = [datetime.fromtimestamp(int(each[0]), UTC).strftime("%Y-%m-%dT%X") for each in months]
    assert begins == ["2026-10-01T00:00:00", "2026-11-01T00:00:00", "2028-02-01T00:00:00"]
    assert [each[5] for each in months] == [1, 2, 1]


def test_a_row_counts_in_the_hour_of_its_id() -> None:
    later_id = make_row(NOON + 7200).id
    ((hour, *_),) = roll_up_by_hour([make_row(NOON, id=later_id, last=False)])
    assert hour == NOON + 7200


def test_an_hour_begins_at_its_first_millisecond() -> None:
    rows = [make_row(at) for at in (NOON - 0.001, NOON, NOON + 3599.999, NOON + 3600)]
    assert [(each[0], each[5]) for each in roll_up_by_hour(rows)] == [
        (NOON - 3600, 1),
        (NOON, 2),
        (NOON + 3600, 1),
    ]


@pytest.mark.parametrize(
    ("status", "outcome", "failed"),
    [
        (200, "success", False),
        (200, "upstream", True),
        (200, "gateway", True),
        (499, "client", True),
        (400, "refused", True),
        (200, "", False),  # of a version that did not tell outcomes
        (502, "", True),
    ],
)
def test_a_failure_is_what_has_no_complete_answer(status: int, outcome: str, failed: bool) -> None:
    (roll_up,) = roll_up_by_hour([make_row(status=status, outcome=outcome)])
    assert dict(zip(COUNT_COLUMNS, roll_up[5:], strict=False))["failures"] == failed
