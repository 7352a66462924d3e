"""Circuit breakers and cooldowns: one breaker by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import (
    UPSTREAM_AUTH,
    UPSTREAM_CREDIT,
    UPSTREAM_ERROR,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_UNREACHABLE,
    Kind,
    ProviderError,
)
from trunkline.routing.breaker import MAX_COOLDOWN_S, CircuitBreaker, FailureRecord

RECOVERY = 10.0
FAILURE = FailureRecord.of(ProviderError("no"))

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
                breaker.record_failure(FAILURE, probe, now)
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
        breaker.record_failure(FAILURE, False, 0.0)
    breaker.record_success(False)  # only failures in a row count
    for _ in range(2):
        breaker.record_failure(FAILURE, False, 0.0)
    assert breaker.allows_request(0.0)
    breaker.record_failure(FAILURE, False, 1.0)
    assert breaker.is_open
    assert not breaker.allows_request(10.9)
    assert breaker.seconds_until_allowed(2.0) == 9.0
    assert breaker.allows_request(11.0)
    assert breaker.record_request(11.0)
    assert not breaker.allows_request(11.0)
    breaker.record_success(False)  # an old request's late success is no proof
    assert breaker.is_open
    breaker.record_failure(FAILURE, True, 12.0)
    assert not breaker.allows_request(21.9)
    assert breaker.record_request(22.0)
    breaker.record_cancelled(True)  # no verdict: the next one may try at once
    assert breaker.allows_request(22.0)
    assert breaker.record_request(22.0)
    breaker.record_success(True)
    assert not breaker.is_open


def test_a_probe_without_a_result_does_not_block() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(FAILURE, False, 0.0)
    assert breaker.record_request(10.0)
    assert not breaker.allows_request(19.9)
    assert breaker.allows_request(20.0)


def test_a_health_check_allows_a_probe() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.allow_probe(0.0)
    breaker.record_failure(FAILURE, False, 1.0)
    breaker.allow_probe(2.0)
    assert breaker.record_request(2.0)
    breaker.allow_probe(3.0)  # a probe is under way
    assert not breaker.allows_request(3.0)


def test_a_breaker_that_is_switched_off() -> None:
    breaker = CircuitBreaker(0)
    for _ in range(100):
        breaker.record_failure(FAILURE, False, 0.0)
        breaker.start_cooldown(60.0, 0.0)
    assert breaker.allows_request(0.0)
    assert not breaker.is_enabled


def test_a_cooldown_lasts_as_long_as_asked_for_up_to_a_limit() -> None:
    breaker = CircuitBreaker(5)
    breaker.start_cooldown(7.0, 100.0)
    breaker.start_cooldown(3.0, 101.0)  # it ends no earlier for that
    assert (breaker.allows_request(106.9), breaker.state(106.9)) == (False, 2)
    assert breaker.seconds_until_allowed(105.0) == 2.0
    assert (breaker.allows_request(107.0), breaker.state(107.0)) == (True, 0)
    assert not breaker.record_request(107.0)  # no probe: all that wait may go
    breaker.start_cooldown(1e9, 200.0)
    assert breaker.allows_request(200.0 + MAX_COOLDOWN_S)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (UPSTREAM_ERROR, True),
        (UPSTREAM_UNREACHABLE, True),
        (UPSTREAM_AUTH, True),
        (UPSTREAM_RATE_LIMIT, False),
        (UPSTREAM_CREDIT, False),
    ],
)
def test_a_health_check_ends_a_cooldown_that_it_disproves(kind: Kind, allowed: bool) -> None:
    breaker = CircuitBreaker(5, RECOVERY)
    breaker.record_failure(FailureRecord.of(ProviderError("no", kind)), False, 0.0)
    breaker.start_cooldown(60.0, 0.0)
    breaker.allow_probe(1.0)
    assert breaker.allows_request(1.0) is allowed
    if allowed:
        assert breaker.record_request(1.0)  # one request at a time, until one was answered
        assert not breaker.allows_request(1.0)
        breaker.record_success(True)
        assert (breaker.allows_request(1.0), breaker.is_open) == (True, False)


def test_a_probe_that_could_be_sent_closes_the_breaker() -> None:
    breaker, sent = CircuitBreaker(1, RECOVERY), list[bool]()
    breaker.record_failure(FAILURE, False, 0.0)
    assert breaker.record_request(10.0, lambda: bool(sent))
    assert not breaker.allows_request(11.0)
    sent.append(True)
    assert breaker.allows_request(11.0)
    assert (breaker.is_open, breaker.failures, breaker.last_failure) == (False, 0, None)
    breaker.record_failure(FAILURE, False, 12.0)  # the failed probe does not speak for a later one
    sent.clear()
    assert breaker.record_request(22.0)
    sent.append(True)
    assert not breaker.allows_request(22.0)


def test_a_reset_forgets_everything() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(FAILURE, False, 0.0)
    breaker.start_cooldown(60.0, 0.0)
    breaker.reset()
    assert (breaker.allows_request(0.0), breaker.failures, breaker.last_failure) == (True, 0, None)


@pytest.mark.parametrize(
    ("code", "kept", "text"),
    [
        ("context_length_exceeded", "context_length_exceeded", "context_length_exceeded (status 500)"),
        ("A private prompt", "upstream_error", "upstream_error (status 500)"),
        ("x" * 65, "upstream_error", "upstream_error (status 500)"),
        ("", "upstream_error", "upstream_error (status 500)"),
    ],
)
def test_a_record_keeps_no_text(code: str, kept: str, text: str) -> None:
    failure = ProviderError("The prompt was: my secret", code=code)
    failure.upstream_status = 500
    record = FailureRecord.of(failure)
    assert (record.code, str(record)) == (kept, text)
    assert "secret" not in repr(record)
    failure.upstream_status = None
    assert str(FailureRecord.of(failure)) == kept


def test_a_record_keeps_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 77.5)
    failure = ProviderError("x", UPSTREAM_RATE_LIMIT, status=529)
    failure.scope, failure.upstream_status = "credential", 529
    assert FailureRecord.of(failure) == FailureRecord(
        UPSTREAM_RATE_LIMIT, 529, "rate_limit_exceeded", "credential", 529, 77.5
    )


def test_a_health_check_lets_no_second_probe_out() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(FAILURE, False, 0.0)
    assert breaker.record_request(10.0)
    breaker.start_cooldown(60.0, 10.0)
    breaker.allow_probe(11.0)
    assert not breaker.allows_request(11.0)


def test_other_settings_hold_for_what_goes_on() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(FAILURE, False, 0.0)
    breaker.adopt(CircuitBreaker(3, 2.0))
    assert breaker.seconds_until_allowed(0.0) == RECOVERY  # a rest that has begun ends as planned
    assert breaker.record_request(RECOVERY)
    breaker.record_failure(FAILURE, True, RECOVERY)
    assert breaker.seconds_until_allowed(RECOVERY) == 2.0
    assert (breaker.threshold, breaker.failures) == (3, 2)


def test_breakers_that_are_switched_off_let_everything_pass() -> None:
    breaker = CircuitBreaker(1, RECOVERY)
    breaker.record_failure(FAILURE, False, 0.0)
    breaker.start_cooldown(60.0, 0.0)
    breaker.adopt(CircuitBreaker(0, RECOVERY))
    assert (breaker.seconds_until_allowed(0.0), breaker.is_open, breaker.is_enabled) == (0.0, False, False)
