"""What is known of an upstream: the breaker's promises whatever happens, pauses, averages, limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import UPSTREAM_BUSY, UPSTREAM_ERROR, UPSTREAM_RATE_LIMIT, ProviderError
from trunkline.routing.upstream_state import (
    LONGEST_PAUSE_S,
    CircuitBreaker,
    ConcurrencyGate,
    PeakEwma,
    UpstreamState,
)

RECOVERY = 10.0

steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "succeed", "fail", "drop", "hint"]),
        st.floats(min_value=0, max_value=30),
        st.integers(min_value=0, max_value=5),
    ),
    max_size=60,
)


@given(steps, st.integers(min_value=1, max_value=4))
def test_whatever_happens_the_breaker_lets_one_probe_through_at_a_time_and_never_sticks(
    story: list[tuple[str, float, int]], threshold: int
) -> None:
    breaker, now = CircuitBreaker(threshold, RECOVERY), 0.0
    flights: list[bool] = []
    """Requests under way; whether each is a probe."""
    probes: list[float] = []
    """When probes were let through while nothing had been heard of the one before."""
    for what, pause, which in story:
        now += pause
        if what == "send" and breaker.allows(now):
            was_open = breaker.is_open
            probe = breaker.send(now)
            assert probe == was_open
            flights.append(probe)
            if probe:
                assert all(now >= at + RECOVERY for at in probes)
                probes.append(now)
        elif what == "hint":
            breaker.hint(now)
        elif flights and what != "send":
            probe = flights.pop(which % len(flights))
            if what == "succeed":
                breaker.succeed(probe)
            elif what == "fail":
                breaker.fail(probe, now)
            else:
                breaker.drop(probe)
            if probe:
                probes.clear()
        assert breaker.allows(now) == (breaker.opens_in(now) == 0)
        assert breaker.state(now) == (0 if not breaker.is_open else 1 if breaker.allows(now) else 2)
        assert breaker.allows(now + RECOVERY)  # it never sticks
    breaker.send(now + RECOVERY)
    breaker.succeed(probe=True)
    assert not breaker.is_open
    assert breaker.failures == 0


def test_a_breakers_life() -> None:
    breaker = CircuitBreaker(3, RECOVERY)
    for _ in range(2):
        breaker.fail(False, 0.0)
    breaker.succeed(False)  # failures in a row are what counts
    for _ in range(2):
        breaker.fail(False, 0.0)
    assert breaker.allows(0.0)
    breaker.fail(False, 1.0)
    assert breaker.is_open
    assert not breaker.allows(10.9)
    assert breaker.opens_in(2.0) == 9.0
    assert breaker.allows(11.0)
    assert breaker.send(11.0)
    assert not breaker.allows(11.0)
    breaker.succeed(False)  # an old request's late success is no proof
    assert breaker.is_open
    breaker.fail(True, 12.0)
    assert not breaker.allows(21.9)
    assert breaker.send(22.0)
    breaker.drop(True)  # no verdict: the next one may try at once
    assert breaker.allows(22.0)
    assert breaker.send(22.0)
    breaker.succeed(True)
    assert not breaker.is_open


def test_a_probe_that_is_never_heard_of_again_does_not_block() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.fail(False, 0.0)
    assert breaker.send(10.0)
    assert not breaker.allows(19.9)
    assert breaker.allows(20.0)


def test_a_hint() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.hint(0.0)
    breaker.fail(False, 1.0)
    breaker.hint(2.0)
    assert breaker.send(2.0)
    breaker.hint(3.0)  # a probe is under way
    assert not breaker.allows(3.0)


def test_switched_off() -> None:
    state = UpstreamState("a", CircuitBreaker(0))
    for _ in range(100):
        state.failed(ProviderError("no", UPSTREAM_RATE_LIMIT, retry_after=60), "m", False, 0.0)
    assert state.may("m", 0.0)
    assert not state.breaker.is_on


def test_left_alone_for_as_long_as_it_says() -> None:
    state = UpstreamState("a", CircuitBreaker(5))
    state.failed(ProviderError("slow down", UPSTREAM_BUSY, retry_after=7), "m", False, 100.0)
    assert not state.may("m", 106.9)
    assert not state.may("other", 106.9)
    assert state.may_in(105.0) == state.may_in(105.0, "m") == 2.0
    assert state.may("m", 107.0)
    assert not state.resting
    state.pause(1e9, 200.0)
    assert state.may("m", 200.0 + LONGEST_PAUSE_S)


def test_a_rate_limit_is_the_models_own() -> None:
    state = UpstreamState("a", CircuitBreaker(5))
    state.failed(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=7), "m", False, 100.0)
    state.failed(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=3), "m", False, 101.0)
    state.failed(ProviderError("slow down", UPSTREAM_RATE_LIMIT, retry_after=2), "n", False, 101.0)
    assert (state.may("m", 105.0), state.may("n", 105.0), state.may("other", 105.0)) == (False, True, True)
    assert (state.may_in(105.0), state.may_in(105.0, "m"), state.may_in(105.0, "n")) == (0.0, 2.0, 0.0)
    assert list(state.paused) == ["m"]
    assert state.may("m", 107.0)
    assert not state.resting


def test_what_fails_fast_is_not_idle() -> None:
    well, ill = UpstreamState("well"), UpstreamState("ill")
    well.gate.in_flight = 3
    for _ in range(2):
        ill.failed(ProviderError("no", UPSTREAM_ERROR), "m", False, 0.0)
    assert well.load < ill.load


@pytest.mark.parametrize(
    ("measured", "value"),
    [
        ([(1.0, 0)], 1.0),
        ([(1.0, 0), (5.0, 1)], 5.0),
        ([(5.0, 0), (1.0, 0)], 5.0),
        ([(5.0, 0), (1.0, 1000)], 1.0),
    ],
)
def test_a_peak_comes_at_once_and_goes_slowly(measured: list[tuple[float, float]], value: float) -> None:
    average = PeakEwma()
    for each, at in measured:
        average.add(each, at)
    assert average.value == pytest.approx(value)


@pytest.mark.parametrize(("limit", "room"), [(None, [True] * 4), (2, [True, True, False, False])])
def test_a_gate(limit: Any, room: list[bool]) -> None:
    gate, found = ConcurrencyGate(limit), []
    for _ in range(4):
        found.append(gate.has_room)
        gate.in_flight += 1
    assert found == room
