"""Single requests of a key, team, provider or model, found through the sums."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from trunkline.ledger.columns import PLACE
from trunkline.ledger.id_ranges import stretches
from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store
from trunkline.ledger.usage import requests, sums
from trunkline.ledger.usage_rows import HOUR_OF_IDS, OPTIONAL, UsageRow, id_at

HOUR = 3_600_000
NOON = 1_700_049_600_000
"""Unix time in milliseconds, at noon."""
FILTERS = ("key", "team", "provider", "model")


def row(number: int, at: int, place: tuple[str, str, str, str], ended: int | None = None) -> UsageRow:
    """A row with this place that happened ``at``; its request ended then, or at ``ended``."""
    key, team, provider, model = place
    fields: dict[str, Any] = dict.fromkeys(UsageRow.__struct_fields__, 0)
    fields |= {"id": id_at(at if ended is None else ended) + number, "at": at, "request_id": f"r{number}"}
    fields |= {"key_id": key, "team_id": team, "provider": provider, "model": model}
    fields |= dict.fromkeys(OPTIONAL, "") | {
        "dialect": "openai",
        "operation": "chat",
        "status": 200,
        "attempt": 1,
        "last": True,
    }
    return UsageRow(**fields | {"estimated": False, "streamed": False, "cached": False, "prompt": None})


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_asked_for_it_is_what_reading_all_rows_finds(
    store: Store, recording: Recording, seed: int
) -> None:
    some = random.Random(seed)
    rows = []
    for number in range(300):
        at = NOON - round(some.random() ** 3 * 200 * 24 * HOUR)
        place = (f"k{min(some.randrange(40), 30)}", f"t{some.randrange(3)}", f"p{some.randrange(3)}", "m")
        rows.append(row(number, at, place, ended=at + some.choice([0, 0, 5 * HOUR])))
    recording.write([rows])
    newest = sorted(rows, key=lambda each: -each.id)
    for _ in range(60):
        wanted = {name: some.choice(rows) for name in some.sample(FILTERS, some.randrange(1, 4))}
        values = {name: getattr(each, PLACE[FILTERS.index(name)]) for name, each in wanted.items()}
        since, until = (NOON - some.randrange(-10, 200 * 24) * HOUR - 1234 for _ in range(2))
        before, limit = some.choice([None, *newest]), some.choice([1, 3, 20, 1000])
        asked: dict[str, Any] = {}
        expected = [
            each.id
            for each in newest
            if all(getattr(each, PLACE[FILTERS.index(name)]) == value for name, value in values.items())
        ]
        if some.random() < 0.5:
            asked["since"] = since / 1000
            expected = [each for each in expected if each >= id_at(since)]
        if some.random() < 0.5:
            asked["until"] = until / 1000
            expected = [each for each in expected if each < id_at(until)]
        if before is not None and some.random() < 0.5:
            asked["before"] = before.id
            expected = [each for each in expected if each < before.id]
        found = requests(store, **values, **asked, limit=limit)
        assert [each["id"] for each in found] == expected[:limit], (values, asked, limit)


def test_only_the_hours_are_read_in_which_there_was_something(store: Store, recording: Recording) -> None:
    common, rare = ("often", "t", "p", "m"), ("seldom", "t", "p", "m")
    moments = [NOON - HOUR * each for each in (1, 2, 900, 3000)]
    rows = [row(0, NOON - HOUR * each, common) for each in range(3500)]
    recording.write([rows + [row(1, at, rare) for at in moments]])
    with store.begin() as connection:
        found = list(stretches(connection, {"key_id": "seldom"}, 0, 2**63 - 1))
        assert not list(stretches(connection, {"key_id": "nobody"}, 0, 2**63 - 1))
        assert not list(stretches(connection, {"key_id": "seldom", "model": "other"}, 0, 2**63 - 1))
    lengths = [(beyond - first) // HOUR_OF_IDS for first, beyond in found]
    assert lengths == [2, 1, 1]  # neighbours are one stretch
    assert all(any(first <= id_at(at) < beyond for first, beyond in found) for at in moments)


@pytest.mark.parametrize("gone", [False, True])
def test_rows_that_were_forgotten_are_not_looked_for(store: Store, recording: Recording, gone: bool) -> None:
    place = ("k", "t", "p", "m")
    recording.write([[row(each, NOON - each * 24 * HOUR, place) for each in range(100)]])
    if gone:
        recording.forget(NOON - 10 * 24 * HOUR)
    with store.begin() as connection:
        assert len(list(stretches(connection, {"key_id": "k"}, 0, 2**63 - 1))) == (11 if gone else 100)


@pytest.mark.parametrize("until", [-62_135_596_800, 0, 253_402_300_799])
@pytest.mark.parametrize("since", [-62_135_596_800, 0, 253_402_300_799])
@pytest.mark.parametrize("wanted", [{}, {"key": "k"}])
def test_times_may_be_beyond_all_calendars(
    store: Store, recording: Recording, since: float, until: float, wanted: dict[str, Any]
) -> None:
    recording.write([[row(0, NOON, ("k", "t", "p", "m"))]])
    inside = since <= 0 and until > 0
    assert len(requests(store, since=since, until=until, **wanted)) == inside
    assert len(sums(store, since=since, until=until, **wanted)) == inside


def test_an_empty_ledger_has_nothing_to_look_through(store: Store) -> None:
    with store.begin() as connection:
        assert not list(stretches(connection, {"key_id": "k"}, 0, 2**63 - 1))


def test_a_request_is_found_through_an_index(tmp_path: Path) -> None:
    with Store(f"sqlite:///{tmp_path}/l.db") as store, store.begin() as connection:
        query = "EXPLAIN QUERY PLAN SELECT * FROM usage WHERE request_id = 'r' ORDER BY id DESC LIMIT 100"
        (plan,) = connection.exec_driver_sql(query).all()
    assert plan[3] == "SEARCH usage USING INDEX ix_usage_request_id (request_id=?)"
