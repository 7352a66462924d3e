"""Predicted waits: what is learned, and what it is worth to a fleet."""

from __future__ import annotations

import pytest
from bench.fleet import SCENARIOS, SEEDS, Scenario, p95

from trunkline.routing.prediction import BYTES_PER_S, DISPLACES, LOAD_S, SERVICE_S, LatencyPredictor, Learned


def test_before_anything_was_learned() -> None:
    predictor = LatencyPredictor(Learned())
    assert predictor.wait("m", True, None, 0.0) == SERVICE_S
    assert predictor.wait("m", False, None, 0.0) == SERVICE_S + DISPLACES * LOAD_S
    assert predictor.load("m", int(BYTES_PER_S)) == 1.5


def test_services_and_loads_are_learned_and_shared_with_new_servers() -> None:
    fleet = Learned()
    predictor = LatencyPredictor(fleet)
    predicted = predictor.begin("m", True, None, 0.0)
    predictor.end(predicted, True, 1.0)
    assert predictor.service("m") == 1.0
    cold = predictor.begin("m", False, None, 10.0)
    assert cold.cold
    assert predictor.wait("m", False, None, 10.0) > LOAD_S  # it is being loaded: not once more
    predictor.end(cold, True, 15.0)
    assert predictor.load("m", None) == 4.0
    assert LatencyPredictor(fleet).service("m") == 1.0
    assert LatencyPredictor(fleet).load("m", None) == 4.0


def test_what_is_under_way_counts_and_time_passes() -> None:
    predictor = LatencyPredictor(Learned())
    first = predictor.begin("m", True, None, 0.0)
    predictor.begin("m", True, None, 0.0)
    assert predictor.wait("m", True, None, 0.0) == 3 * SERVICE_S
    assert predictor.wait("m", True, None, 1.0) == 3 * SERVICE_S - 1.0
    assert predictor.wait("m", True, None, 99.0) == 2 * SERVICE_S  # the first is late, the second is not
    predictor.end(first, False, 2.0)
    assert predictor.wait("m", True, None, 2.0) == 2 * SERVICE_S
    assert LatencyPredictor(Learned(), slots=2).wait("m", True, None, 0.0) == SERVICE_S


def test_a_failure_teaches_nothing() -> None:
    predictor = LatencyPredictor(Learned())
    predictor.end(predictor.begin("m", False, None, 0.0), False, 100.0)
    assert predictor.service("m") == SERVICE_S
    assert predictor.load("m", None) == LOAD_S


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_fleet_is_better_off(scenario: Scenario) -> None:
    """In simulated time, which is the same on every machine."""
    found = {name: p95(scenario, name, SEEDS) for name in ("round_robin", "least_busy", "predicted_wait")}
    bound = 0.8 if scenario.name in ("cold", "skewed popularity") else 1.05
    assert found["predicted_wait"] <= bound * min(found["round_robin"], found["least_busy"])
