"""The backoff before a retry, and the retry budget."""

from __future__ import annotations

import random

import pytest

from trunkline.routing.retries import BASE_BACKOFF_S, MAX_BACKOFF_S, RetryBudget, backoff


@pytest.mark.parametrize("retry", [1, 2, 3, 20])
def test_the_backoff_grows_with_jitter_up_to_a_limit(retry: int) -> None:
    longest = min(MAX_BACKOFF_S, BASE_BACKOFF_S * 2 ** (retry - 1))
    found = [backoff(retry, None, random.Random(seed)) for seed in range(50)]
    assert all(longest / 2 <= each <= longest for each in found)
    assert len(set(found)) == 50


def test_an_upstreams_retry_after_is_the_backoff() -> None:
    assert backoff(1, 7.0, random.Random(0)) == 7.0


@pytest.mark.parametrize(("requests", "allowed"), [(0, 10), (50, 20), (1000, 210)])
def test_ten_retries_and_a_fifth_of_the_requests_are_allowed(requests: int, allowed: int) -> None:
    budget = RetryBudget()
    for number in range(requests):
        budget.record_request(100.0 + number * 9.0 / max(1, requests))
    taken = sum(budget.take_retry(109.5) for _ in range(2000))
    assert taken == allowed


def test_old_requests_and_retries_count_no_more() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.record_request(0.0)
    assert sum(budget.take_retry(1.0) for _ in range(100)) == 30
    assert not budget.take_retry(10.0)
    budget.record_request(30.0)
    assert sum(budget.take_retry(30.0) for _ in range(100)) == 11
