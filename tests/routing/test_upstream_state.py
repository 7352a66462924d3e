"""The state of an upstream: what each failure concerns, averages and limits."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest

from trunkline import errors
from trunkline.errors import ProviderError, Scope
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.upstream_state import (
    MAX_MODELS,
    SEVERAL_MODELS,
    Address,
    ConcurrencyGate,
    PeakEwma,
    UpstreamState,
)

RECOVERY = 10.0
MODELS = ("m", "n")


def make_state(threshold: int = 2, address: Address | None = None) -> UpstreamState:
    return UpstreamState(partial(CircuitBreaker, threshold, RECOVERY), None, address)


def make_failure(
    scope: Scope, *, status: int | None = 500, retry_after: float | None = None
) -> ProviderError:
    failure = ProviderError("no", errors.UPSTREAM_ERROR, retry_after=retry_after)
    failure.scope, failure.upstream_status = scope, status
    return failure


def fail(
    state: UpstreamState, failure: ProviderError, times: int, model: str = "m", *, now: float = 0.0
) -> None:
    for _ in range(times):
        state.record_failure(failure, model, False, now)


def send(state: UpstreamState, model: str, now: float) -> bool:
    return state.record_request(model, now, lambda: False)


@pytest.mark.parametrize(
    ("scope", "allowed", "other_key"),
    [
        ("request", [True, True], True),
        ("model", [False, True], True),
        ("credential", [False, False], True),
        ("upstream", [False, False], False),
    ],
)
@pytest.mark.parametrize("retry_after", [None, 60.0])
def test_a_failure_rests_what_it_concerns(
    scope: Scope, allowed: list[bool], other_key: bool, retry_after: float | None
) -> None:
    state = make_state()
    sibling = make_state(address=state.address)
    failure = make_failure(scope, status=None if scope == "upstream" else 500, retry_after=retry_after)
    fail(state, failure, 2 if retry_after is None else 1)
    assert [state.allows_request(model, 1.0) for model in MODELS] == allowed
    assert sibling.allows_request("m", 1.0) is other_key
    longest = RECOVERY if retry_after is None else retry_after
    waits = [0.0 if each else longest - 1.0 for each in allowed]
    assert [state.seconds_until_allowed(1.0, model) for model in MODELS] == waits
    assert state.degraded is state.failing is (scope != "request")
    assert sibling.degraded is sibling.failing is (scope == "upstream")
    assert all(state.allows_request(model, longest) for model in MODELS)
    told = state.last_failure(1.0, "m")
    assert (None if told is None else told.scope) == (None if scope == "request" else scope)


def test_too_few_failures_rest_nothing() -> None:
    state = make_state(5)
    for scope in ("model", "credential", "upstream"):
        fail(state, make_failure(scope, status=None), 4)
    assert state.allows_request("m", 0.0)
    assert (state.degraded, state.failing, state.failures("m"), state.failures("n")) == (False, True, 12, 8)


@pytest.mark.parametrize("scope", ["model", "credential", "upstream"])
def test_a_success_ends_a_run_of_failures(scope: Scope) -> None:
    state = make_state(3)
    for _ in range(3):
        fail(state, make_failure(scope, status=None), 2)
        state.record_success("m", False)
    assert (state.failing, state.degraded, state.failures("m"), state.models) == (False, False, 0, {})


def test_a_success_of_one_model_says_nothing_of_another() -> None:
    state = make_state(3)
    fail(state, make_failure("model"), 2)
    state.record_success("n", False)
    fail(state, make_failure("model"), 1)
    assert not state.allows_request("m", 0.0)
    assert state.failing


def test_while_a_model_is_probed_the_others_are_served() -> None:
    state = make_state()
    fail(state, make_failure("model"), 2)
    assert send(state, "m", RECOVERY)
    assert not state.allows_request("m", RECOVERY)
    assert state.allows_request("n", RECOVERY)
    assert not send(state, "n", RECOVERY)
    state.record_success("m", True)
    assert state.allows_request("m", RECOVERY)
    assert not state.degraded


@pytest.mark.parametrize(
    ("scope", "status", "allowed"),
    [
        ("upstream", None, False),  # it is still away
        ("credential", 401, False),  # the address answers; the credential is refused
        ("model", 500, False),  # for this model
        ("request", 400, True),  # an answer, whatever it is, proves that the address works
        ("model", None, False),  # no answer in time: nothing is proved
    ],
)
def test_what_a_failed_probe_of_an_address_says(scope: Scope, status: int | None, allowed: bool) -> None:
    state = make_state(1)
    fail(state, make_failure("upstream", status=None), 1)
    assert send(state, "m", RECOVERY)
    state.record_failure(make_failure(scope, status=status), "m", True, RECOVERY)
    assert state.allows_request("m", RECOVERY) is allowed
    assert state.address.breaker.is_open is (status is None)


def test_a_probe_that_ends_without_a_verdict_is_followed_by_another() -> None:
    state = make_state()
    fail(state, make_failure("model"), 2)
    assert send(state, "m", RECOVERY)
    state.record_cancelled("m", True)
    assert state.allows_request("m", RECOVERY)
    assert send(state, "m", RECOVERY)
    state.record_failure(make_failure("request", status=400), "m", True, RECOVERY)
    assert state.allows_request("m", RECOVERY)  # the caller's fault proves nothing about the model
    assert send(state, "m", RECOVERY)


def test_the_same_failure_at_several_models_rests_the_upstream() -> None:
    state = make_state(5)
    sibling = make_state(address=state.address)
    for number in range(SEVERAL_MODELS):
        fail(state, make_failure("model"), 2, f"m{number}")
    assert not state.allows_request("another", 0.0)
    assert sibling.allows_request("another", 0.0)
    told = state.last_failure(0.0, "another")
    assert told is not None
    assert str(told) == "upstream_error (status 500)"
    assert send(state, "another", RECOVERY)
    state.record_success("another", True)
    assert state.allows_request("m0", RECOVERY)


def test_each_further_model_counts_in_the_same_failure_of_several() -> None:
    state = make_state(SEVERAL_MODELS + 2)
    for number in range(SEVERAL_MODELS + 1):
        fail(state, make_failure("model"), 1, f"m{number}")
    assert state.allows_request("another", 0.0)
    fail(state, make_failure("model"), 1, "the last one")
    assert not state.allows_request("another", 0.0)


def test_a_probe_of_a_credential_that_fails_for_its_model_leaves_room_for_another() -> None:
    state = make_state(1)
    fail(state, make_failure("credential", status=401), 1)
    assert send(state, "m", RECOVERY)
    state.record_failure(make_failure("model", status=None), "m", True, RECOVERY)
    assert [state.allows_request(model, RECOVERY) for model in MODELS] == [False, True]


@pytest.mark.parametrize("what", ["two models", "two failures", "a success between", "too few"])
def test_what_is_not_the_same_failure_at_several_models(what: str) -> None:
    state = make_state(10)
    for turn in range(9):
        model = f"m{turn % (2 if what == 'two models' else SEVERAL_MODELS)}"
        failure = make_failure("model", status=500 + turn % 2 if what == "two failures" else 500)
        fail(state, failure, 1 if what == "too few" else 3, model)
        if what == "a success between" and turn % 3 == 2:
            state.record_success("healthy", False)
    assert state.allows_request("healthy", 0.0)


@pytest.mark.parametrize("kind", [errors.UPSTREAM_MODEL_ERROR, errors.UPSTREAM_AUTH])
def test_what_an_upstream_says_of_several_models_is_no_matter_of_another(kind: errors.Kind) -> None:
    state = make_state(1)
    for number in range(SEVERAL_MODELS):
        said = ProviderError("no", kind)
        said.scope, said.upstream_status = "model", 500
        fail(state, said, 2, f"m{number}")
        assert not state.allows_request(f"m{number}", 0.0)
    assert state.allows_request("another", 0.0)


def test_a_health_check_lets_one_request_of_each_kind_through() -> None:
    state = make_state(1)
    sibling = make_state(1, state.address)
    fail(state, make_failure("model", retry_after=300.0), 1)
    fail(state, make_failure("credential", status=401), 1)
    fail(sibling, make_failure("credential", status=401), 1)
    fail(state, make_failure("upstream", status=None), 1)
    assert not state.allows_request("m", 1.0)
    state.allow_probe(1.0)
    sibling.allow_probe(1.0, only_address=True)
    assert (state.allows_request("m", 1.0), sibling.allows_request("m", 1.0)) == (True, False)
    assert send(state, "m", 1.0)
    assert not state.allows_request("m", 1.0)
    state.record_success("m", True)
    assert state.allows_request("m", 1.0)
    assert (state.degraded, state.failing) == (False, False)


def test_an_address_that_could_be_sent_to_is_open_before_the_answer() -> None:
    """A probe proves by its sending that the address works; a credential waits for the answer."""
    state = make_state(1)
    sibling = make_state(1, state.address)
    fail(state, make_failure("credential", status=None), 1)
    fail(state, make_failure("upstream", status=None), 1)
    sent = False
    assert state.record_request("m", RECOVERY, lambda: sent)
    assert (state.allows_request("m", RECOVERY), sibling.allows_request("m", RECOVERY)) == (False, False)
    sent = True
    assert (state.allows_request("m", RECOVERY), sibling.allows_request("m", RECOVERY)) == (False, True)


@pytest.mark.parametrize(
    ("failed", "asked", "answers"),
    [
        ([("model", errors.UPSTREAM_MODEL_ERROR)], "m", True),
        ([("model", errors.UPSTREAM_MODEL_ERROR)], "n", False),  # it has not failed
        ([("model", errors.UPSTREAM_ERROR)], "m", False),  # anybody on the way may have said so
        ([("model", errors.UPSTREAM_MODEL_ERROR), ("upstream", errors.UPSTREAM_ERROR)], "m", False),
        ([("model", errors.UPSTREAM_MODEL_ERROR), ("credential", errors.UPSTREAM_AUTH)], "m", False),
        ([], "m", False),
    ],
)
def test_whether_a_server_tells_its_failures_itself(
    failed: list[tuple[Scope, errors.Kind]], asked: str, answers: bool
) -> None:
    state = make_state(1)
    for scope, kind in failed:
        failure = make_failure(scope, status=None)
        failure.kind = kind
        fail(state, failure, 1)
    assert state.answers_with_failures(asked, 1.0) is answers


def test_a_reset_forgets_all_failures() -> None:
    state = make_state(1)
    for scope in ("model", "credential", "upstream"):
        fail(state, make_failure(scope, status=None, retry_after=300.0), 1)
    assert [model for model, _ in state.resting_models(1.0)] == ["m"]
    state.reset()
    assert (state.allows_request("m", 1.0), state.failing, state.failures("m")) == (True, False, 0)
    assert list(state.resting_models(1.0)) == []


def test_names_that_clients_make_up_do_not_fill_the_memory() -> None:
    state = make_state(10**9)
    for number in range(MAX_MODELS + 100):
        fail(state, make_failure("model"), 1, f"m{number}")
    assert len(state.models) == MAX_MODELS


def test_breakers_that_are_switched_off() -> None:
    state = make_state(0)
    for number in range(20):
        fail(state, make_failure("model", retry_after=60.0), 5, f"m{number}")
        fail(state, make_failure("upstream", status=None, retry_after=60.0), 5)
    assert state.allows_request("m1", 0.0)


@pytest.mark.parametrize("model", [None, "m", "other"])
def test_the_longest_rest_counts(model: str | None) -> None:
    state = make_state(1)
    fail(state, make_failure("credential", status=401), 1)
    fail(state, make_failure("model", retry_after=50.0), 1)
    assert state.seconds_until_allowed(0.0, model) == (50.0 if model == "m" else RECOVERY)
    told = state.last_failure(0.0, model)
    assert told is not None
    assert told.scope == ("model" if model == "m" else "credential")


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


def test_a_latency_falls_with_the_time_since_the_last_one() -> None:
    latency = PeakEwma(tau_s=10.0)
    latency.add(8.0, 100.0)
    latency.add(0.0, 110.0)
    assert latency.value == pytest.approx(8.0 / math.e)
    latency.add(5.0, 111.0)
    assert latency.value == 5.0


def test_a_success_of_one_model_leaves_the_failures_of_others() -> None:
    state = UpstreamState()
    for model in ("m", "n"):
        state.record_failure(ProviderError("x"), model, False, 0.0)
    state.record_success("m", False)
    assert (state.failing, state.failures("m"), state.failures("n")) == (True, 0, 1)
    state.record_success("n", False)
    assert not state.failing
