"""The latency predictor: what it learns, and what that is worth to a fleet."""

from __future__ import annotations

import pytest
from bench.fleet import SCENARIOS, SEEDS, Scenario, p95

from trunkline.routing.latency_predictor import (
    DEFAULT_LOAD_S,
    DEFAULT_SERVICE_S,
    LOAD_BYTES_PER_S,
    LOAD_PENALTY,
    FleetAverages,
    LatencyPredictor,
)


def test_before_anything_was_measured() -> None:
    predictor = LatencyPredictor(FleetAverages())
    assert predictor.predict("m", True, None, 0.0) == DEFAULT_SERVICE_S
    assert predictor.predict("m", False, None, 0.0) == DEFAULT_SERVICE_S + LOAD_PENALTY * DEFAULT_LOAD_S
    assert predictor.load_time("m", int(LOAD_BYTES_PER_S)) == 1.5


def test_service_and_load_times_are_learned_and_shared_with_new_servers() -> None:
    fleet = FleetAverages()
    predictor = LatencyPredictor(fleet)
    predicted = predictor.begin("m", True, None, 0.0)
    predictor.end(predicted, True, 1.0)
    assert predictor.service_time("m") == 1.0
    cold = predictor.begin("m", False, None, 10.0)
    assert cold.cold
    assert (
        predictor.predict("m", False, None, 10.0) > DEFAULT_LOAD_S
    )  # it is being loaded, and is not loaded twice
    predictor.end(cold, True, 15.0)
    assert predictor.load_time("m", None) == 4.0
    assert LatencyPredictor(fleet).service_time("m") == 1.0
    assert LatencyPredictor(fleet).load_time("m", None) == 4.0


def test_requests_in_flight_count_less_as_time_passes() -> None:
    predictor = LatencyPredictor(FleetAverages())
    first = predictor.begin("m", True, None, 0.0)
    predictor.begin("m", True, None, 0.0)
    assert predictor.predict("m", True, None, 0.0) == 3 * DEFAULT_SERVICE_S
    assert predictor.predict("m", True, None, 1.0) == 3 * DEFAULT_SERVICE_S - 1.0
    assert (
        predictor.predict("m", True, None, 99.0) == 2 * DEFAULT_SERVICE_S
    )  # the first is late, the second is not
    predictor.end(first, False, 2.0)
    assert predictor.predict("m", True, None, 2.0) == 2 * DEFAULT_SERVICE_S
    assert LatencyPredictor(FleetAverages(), slots=2).predict("m", True, None, 0.0) == DEFAULT_SERVICE_S


def test_a_failure_teaches_nothing() -> None:
    predictor = LatencyPredictor(FleetAverages())
    predictor.end(predictor.begin("m", False, None, 0.0), False, 100.0)
    assert predictor.service_time("m") == DEFAULT_SERVICE_S
    assert predictor.load_time("m", None) == DEFAULT_LOAD_S


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_predictions_shorten_the_waits_of_a_fleet(scenario: Scenario) -> None:
    """The time is simulated, so the result is the same on every machine."""
    found = {name: p95(scenario, name, SEEDS) for name in ("round_robin", "least_busy", "predicted_wait")}
    bound = 0.8 if scenario.name in ("cold", "skewed popularity") else 1.05
    assert found["predicted_wait"] <= bound * min(found["round_robin"], found["least_busy"])


def test_averages_move_by_a_share_of_the_difference() -> None:
    predictor = LatencyPredictor(FleetAverages())
    now = 0.0
    for seconds in (1.0, 3.0):
        predicted = predictor.begin("m", True, None, now)
        now += seconds
        predictor.end(predicted, True, now)
    assert 1.0 < predictor.service_time("m") < 2.0
    assert predictor.service_time("n") == DEFAULT_SERVICE_S


def test_what_has_ended_is_no_longer_ahead() -> None:
    predictor = LatencyPredictor(FleetAverages())
    requests = [predictor.begin("m", True, None, 0.0) for _ in range(3)]
    for request in requests:
        predictor.end(request, False, 1.0)
    assert predictor.predict("m", True, None, 1.0) == DEFAULT_SERVICE_S


def test_a_quick_load_is_learned_as_what_it_took() -> None:
    predictor = LatencyPredictor(FleetAverages())
    predictor.end(predictor.begin("m", False, None, 0.0), True, DEFAULT_SERVICE_S + 0.25)
    assert predictor.load_time("m", None) == 0.25


def test_the_first_in_line_is_late_and_the_others_still_count() -> None:
    predictor = LatencyPredictor(FleetAverages())
    first, *_ = [predictor.begin("m", True, None, 0.0) for _ in range(3)]
    predictor.end(first, False, 1.0)
    assert predictor.predict("m", True, None, 99.0) == 2 * DEFAULT_SERVICE_S


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_load_that_is_over_is_no_longer_waited_for(succeeded: bool) -> None:
    predictor = LatencyPredictor(FleetAverages())
    predictor.end(predictor.begin("m", False, None, 0.0), succeeded, 1.0)
    assert predictor.predict("n", True, None, 1.0) == DEFAULT_SERVICE_S
    cold = LOAD_PENALTY * DEFAULT_LOAD_S
    assert predictor.predict("n", False, None, 1.0) == DEFAULT_SERVICE_S + cold
