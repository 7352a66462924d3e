"""Predicted waits: what is learned, and what it is worth to a fleet."""

from __future__ import annotations

import pytest
from bench.fleet import SCENARIOS, SEEDS, Scenario, p95

from trunkline.routing.prediction import BYTES_PER_S, DISPLACES, LOAD_S, SERVICE_S, Learned, Outlook


def test_before_anything_was_learned() -> None:
    outlook = Outlook(Learned())
    assert outlook.wait("m", True, None, 0.0) == SERVICE_S
    assert outlook.wait("m", False, None, 0.0) == SERVICE_S + DISPLACES * LOAD_S
    assert outlook.load("m", int(BYTES_PER_S)) == 1.5


def test_services_and_loads_are_learned_and_shared_with_new_servers() -> None:
    fleet = Learned()
    outlook = Outlook(fleet)
    job = outlook.begin("m", True, None, 0.0)
    outlook.end(job, True, 1.0)
    assert outlook.service("m") == 1.0
    cold = outlook.begin("m", False, None, 10.0)
    assert cold.cold
    assert outlook.wait("m", False, None, 10.0) > LOAD_S  # it is being loaded: not once more
    outlook.end(cold, True, 15.0)
    assert outlook.load("m", None) == 4.0
    assert Outlook(fleet).service("m") == 1.0
    assert Outlook(fleet).load("m", None) == 4.0


def test_what_is_under_way_counts_and_time_passes() -> None:
    outlook = Outlook(Learned())
    first = outlook.begin("m", True, None, 0.0)
    outlook.begin("m", True, None, 0.0)
    assert outlook.wait("m", True, None, 0.0) == 3 * SERVICE_S
    assert outlook.wait("m", True, None, 1.0) == 3 * SERVICE_S - 1.0
    assert outlook.wait("m", True, None, 99.0) == 2 * SERVICE_S  # the first is late, the second is not
    outlook.end(first, False, 2.0)
    assert outlook.wait("m", True, None, 2.0) == 2 * SERVICE_S
    assert Outlook(Learned(), slots=2).wait("m", True, None, 0.0) == SERVICE_S


def test_a_failure_teaches_nothing() -> None:
    outlook = Outlook(Learned())
    outlook.end(outlook.begin("m", False, None, 0.0), False, 100.0)
    assert outlook.service("m") == SERVICE_S
    assert outlook.load("m", None) == LOAD_S


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_fleet_is_better_off(scenario: Scenario) -> None:
    """In simulated time, which is the same on every machine."""
    found = {name: p95(scenario, name, SEEDS) for name in ("round_robin", "least_busy", "predicted_wait")}
    bound = 0.8 if scenario.name in ("cold", "skewed popularity") else 1.05
    assert found["predicted_wait"] <= bound * min(found["round_robin"], found["least_busy"])
