"""One candidate: whether it may be asked, its limits, and its header lines."""

from __future__ import annotations

import pytest

from tests.routing.fakes import make_candidates, start_cooldown
from trunkline.errors import Scope
from trunkline.routing.upstream_state import ConcurrencyGate


def test_a_models_own_limit() -> None:
    (candidate,) = make_candidates(1, gate=ConcurrencyGate(1))
    available = [candidate.has_room]
    for change in (candidate.acquire, candidate.acquire, candidate.release, candidate.release):
        change()
        available.append(candidate.has_room)
    assert available == [True, False, False, False, True]
    assert candidate.state.gate.in_flight == 0


@pytest.mark.parametrize("limited", ["model", "upstream"])
def test_a_place_is_taken_only_where_there_is_room(limited: str) -> None:
    (candidate,) = make_candidates(1, gate=ConcurrencyGate(1 if limited == "model" else None))
    candidate.state.gate.limit = 1 if limited == "upstream" else None
    assert [candidate.try_acquire() for _ in range(3)] == [True, False, False]
    assert candidate.state.gate.in_flight == 1
    candidate.release()
    candidate.state.degraded = True
    assert not candidate.try_acquire()


def test_the_upstreams_limit_holds_for_all_of_its_models() -> None:
    (candidate,) = make_candidates(1, gate=ConcurrencyGate(5))
    candidate.state.gate.limit = 1
    candidate.acquire()
    assert not candidate.has_room
    assert candidate.gate is not None
    assert candidate.gate.has_room


@pytest.mark.parametrize(
    ("scope", "asked", "seconds"),
    [("upstream", "m", 2.0), ("credential", "other", 2.0), ("model", "m", 2.0), ("model", "other", 0.0)],
)
def test_when_a_candidate_may_be_asked_again(scope: Scope, asked: str, seconds: float) -> None:
    (candidate,) = make_candidates(1, threshold=5)
    start_cooldown(candidate, 3.0, 100.0, scope=scope)
    candidate.model = asked
    assert candidate.seconds_until_allowed(101.0) == seconds
    assert candidate.allows_request(101.0) == (seconds == 0.0)
    assert candidate.allows_request(101.0 + seconds)


def test_the_header_lines_name_the_provider_and_the_upstream() -> None:
    assert [candidate.header_lines for candidate in make_candidates(2, "vllm")] == [
        b"x-trunkline-provider: vllm\r\nx-trunkline-upstream: vllm-0\r\n",
        b"x-trunkline-provider: vllm\r\nx-trunkline-upstream: vllm-1\r\n",
    ]


def test_without_a_predictor_the_expected_latency_is_the_average_for_the_load() -> None:
    (candidate,) = make_candidates(1)
    assert candidate.expected_latency(0.0) == 0.0
    candidate.state.latency.add(0.5, 0.0)
    candidate.acquire()
    assert candidate.expected_latency(0.0) == 1.0
