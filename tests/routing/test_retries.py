"""Pauses and the budget."""

from __future__ import annotations

import random

import pytest

from trunkline.routing.retries import FIRST_PAUSE_S, LONGEST_PAUSE_S, RetryBudget, pause


@pytest.mark.parametrize("repeat", [1, 2, 3, 20])
def test_pauses_grow_with_jitter_up_to_a_limit(repeat: int) -> None:
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (repeat - 1))
    found = [pause(repeat, None, random.Random(seed)) for seed in range(50)]
    assert all(longest / 2 <= each <= longest for each in found)
    assert len(set(found)) == 50


def test_an_upstream_says_itself_when_to_come_again() -> None:
    assert pause(1, 7.0, random.Random(0)) == 7.0


@pytest.mark.parametrize(("requests", "allowed"), [(0, 10), (50, 20), (1000, 210)])
def test_a_fifth_of_the_requests_and_ten(requests: int, allowed: int) -> None:
    budget = RetryBudget()
    for at in range(requests):
        budget.request(100.0 + at * 9.0 / max(1, requests))
    taken = sum(budget.take(109.5) for _ in range(2000))
    assert taken == allowed


def test_old_requests_and_repeats_count_no_more() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.request(0.0)
    assert sum(budget.take(1.0) for _ in range(100)) == 30
    assert not budget.take(10.0)
    budget.request(30.0)
    assert sum(budget.take(30.0) for _ in range(100)) == 11
