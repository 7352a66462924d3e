"""The state of an upstream: its circuit breaker, cooldowns, averages and limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import UPSTREAM_BUSY, UPSTREAM_ERROR, UPSTREAM_RATE_LIMIT, ProviderError
from trunkline.routing.upstream_state import (
    MAX_COOLDOWN_S,
    CircuitBreaker,
    ConcurrencyGate,
    PeakEwma,
    UpstreamState,
)

RECOVERY = 10.0

steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "succeed", "fail", "cancel", "health check"]),
        st.floats(min_value=0, max_value=30),
        st.integers(min_value=0, max_value=5),
    ),
    max_size=60,
)


@given(steps, st.integers(min_value=1, max_value=4))
def test_the_breaker_allows_one_probe_at_a_time_and_always_recovers(
    story: list[tuple[str, float, int]], threshold: int
) -> None:
    breaker, now = CircuitBreaker(threshold, RECOVERY), 0.0
    in_flight: list[bool] = []
    """Requests in flight: whether each is a probe."""
    probes: list[float] = []
    """When probes were sent while the result of the one before was not recorded."""
    for what, pause, which in story:
        now += pause
        if what == "send" and breaker.allows_request(now):
            was_open = breaker.is_open
            probe = breaker.record_request(now)
            assert probe == was_open
            in_flight.append(probe)
            if probe:
                assert all(now >= at + RECOVERY for at in probes)
                probes.append(now)
        elif what == "health check":
            breaker.allow_probe(now)
        elif in_flight and what != "send":
            probe = in_flight.pop(which % len(in_flight))
            if what == "succeed":
                breaker.record_success(probe)
            elif what == "fail":
                breaker.record_failure(probe, now)
            else:
                breaker.record_cancelled(probe)
            if probe:
                probes.clear()
        assert breaker.allows_request(now) == (breaker.seconds_until_allowed(now) == 0)
        assert breaker.state(now) == (0 if not breaker.is_open else 1 if breaker.allows_request(now) else 2)
        assert breaker.allows_request(now + RECOVERY)  # it always recovers
    breaker.record_request(now + RECOVERY)
    breaker.record_success(probe=True)
    assert not breaker.is_open
    assert breaker.failures == 0


def test_a_breaker_opens_probes_and_closes() -> None:
    breaker = CircuitBreaker(3, RECOVERY)
    for _ in range(2):
        breaker.record_failure(False, 0.0)
    breaker.record_success(False)  # only failures in a row count
    for _ in range(2):
        breaker.record_failure(False, 0.0)
    assert breaker.allows_request(0.0)
    breaker.record_failure(False, 1.0)
    assert breaker.is_open
    assert not breaker.allows_request(10.9)
    assert breaker.seconds_until_allowed(2.0) == 9.0
    assert breaker.allows_request(11.0)
    assert breaker.record_request(11.0)
    assert not breaker.allows_request(11.0)
    breaker.record_success(False)  # an old request's late success is no proof
    assert breaker.is_open
    breaker.record_failure(True, 12.0)
    assert not breaker.allows_request(21.9)
    assert breaker.record_request(22.0)
    breaker.record_cancelled(True)  # no verdict: the next one may try at once
    assert breaker.allows_request(22.0)
    assert breaker.record_request(22.0)
    breaker.record_success(True)
    assert not breaker.is_open


def test_a_probe_without_a_result_does_not_block() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(False, 0.0)
    assert breaker.record_request(10.0)
    assert not breaker.allows_request(19.9)
    assert breaker.allows_request(20.0)


def test_a_health_check_allows_a_probe() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.allow_probe(0.0)
    breaker.record_failure(False, 1.0)
    breaker.allow_probe(2.0)
    assert breaker.record_request(2.0)
    breaker.allow_probe(3.0)  # a probe is under way
    assert not breaker.allows_request(3.0)


def test_a_breaker_that_is_switched_off() -> None:
    state = UpstreamState(CircuitBreaker(0))
    for _ in range(100):
        state.record_failure(ProviderError("no", UPSTREAM_RATE_LIMIT, retry_after=60), "m", False, 0.0)
    assert state.allows_request("m", 0.0)
    assert not state.breaker.is_enabled


def test_a_retry_after_starts_a_cooldown() -> None:
    state = UpstreamState(CircuitBreaker(5))
    state.record_failure(ProviderError("slow down", UPSTREAM_BUSY, retry_after=7), "m", False, 100.0)
    assert not state.allows_request("m", 106.9)
    assert not state.allows_request("other", 106.9)
    assert state.seconds_until_allowed(105.0) == state.seconds_until_allowed(105.0, "m") == 2.0
    assert state.allows_request("m", 107.0)
    assert not state.degraded
    state.start_cooldown(1e9, 200.0)
    assert state.allows_request("m", 200.0 + MAX_COOLDOWN_S)


def test_a_rate_limit_starts_a_cooldown_of_its_model() -> None:
    state = UpstreamState(CircuitBreaker(5))
    state.record_failure(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=7), "m", False, 100.0)
    state.record_failure(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=3), "m", False, 101.0)
    state.record_failure(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=2), "n", False, 101.0)
    allowed = [state.allows_request(model, 105.0) for model in ("m", "n", "other")]
    assert allowed == [False, True, True]
    waits = [state.seconds_until_allowed(105.0, model) for model in (None, "m", "n")]
    assert waits == [0.0, 2.0, 0.0]
    assert list(state.model_cooldowns) == ["m"]
    assert state.allows_request("m", 107.0)
    assert not state.degraded


def test_an_upstream_that_fails_fast_is_not_idle() -> None:
    working, failing = UpstreamState(), UpstreamState()
    working.gate.in_flight = 3
    for _ in range(2):
        failing.record_failure(ProviderError("no", UPSTREAM_ERROR), "m", False, 0.0)
    assert working.load < failing.load


@pytest.mark.parametrize(
    ("measured", "value"),
    [
        ([(1.0, 0)], 1.0),
        ([(1.0, 0), (5.0, 1)], 5.0),
        ([(5.0, 0), (1.0, 0)], 5.0),
        ([(5.0, 0), (1.0, 1000)], 1.0),
    ],
)
def test_an_average_rises_at_once_and_falls_slowly(measured: list[tuple[float, float]], value: float) -> None:
    average = PeakEwma()
    for each, now in measured:
        average.add(each, now)
    assert average.value == pytest.approx(value)


@pytest.mark.parametrize(("limit", "room"), [(None, [True] * 4), (2, [True, True, False, False])])
def test_a_concurrency_gate(limit: Any, room: list[bool]) -> None:
    gate, found = ConcurrencyGate(limit), []
    for _ in range(4):
        found.append(gate.has_room)
        gate.in_flight += 1
    assert found == room
