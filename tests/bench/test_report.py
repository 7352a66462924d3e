"""Ratios, goals and verdicts of the tables."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from bench.cases import CASES, Case
from bench.counted import BASE, Counted
from bench.machine import Spent
from bench.report import Line, sections
from bench.rig import NGINX
from bench.runs import DIRECT, GATEWAY, LIMITED, Sample
from bench.session import Outcome, Results

BY_NAME = {case.name: case for case in CASES}
RESIDENT = {NGINX: 12.0, GATEWAY: 64.0, LIMITED: 70.0}


class Cost(NamedTuple):
    """Of one request in one round."""

    cpu_us: float
    latency_us: float = 100.0


def sample(cost: Cost) -> Sample:
    latencies = [cost.latency_us / 1e6] * 10
    return Sample(1000, 1.0, Spent(int(cost.cpu_us * 1e6), 60, 40, 5), 0.0, latencies)


def lines(case: Case, *rounds: dict[str, Cost]) -> dict[str, Line]:
    each = [{subject: sample(cost) for subject, cost in found.items()} for found in rounds]
    found = sections(Results([Outcome(case, each, 0)], [], RESIDENT))
    return {line.label: line for section in found[1:] for line in section.lines}


@pytest.mark.parametrize(
    ("name", "own", "least_missed"),
    [
        ("json", GATEWAY, 2.6),
        ("json-rate", GATEWAY, 2.6),
        ("json-limits", LIMITED, 3.1),
        ("json-rate-limits", LIMITED, 3.1),
        ("forwarded", GATEWAY, 1.5),
        ("translated", GATEWAY, 1.7),
    ],
)
def test_each_case_compares_its_own_gateway_with_nginx_and_has_its_goal(
    name: str, own: str, least_missed: float
) -> None:
    case = BY_NAME[name]
    assert own in case.subjects
    for ratio, verdict in ((least_missed, "MISSED"), (least_missed - 0.15, "met")):
        found = {subject: Cost(10) for subject in case.subjects} | {own: Cost(10 * ratio)}
        [cpu] = [line for label, line in lines(case, found).items() if label.startswith("CPU µs per ")]
        assert cpu.ratio == f"{ratio:.2f}"
        assert cpu.goal.endswith(verdict)


def test_the_slowest_requests_are_compared_by_their_medians() -> None:
    """In one round nginx adds nothing that could be told; the ratio of that round would mean nothing."""
    rounds = [
        {DIRECT: Cost(1, 100), NGINX: Cost(1, nginx), GATEWAY: Cost(1, gateway)}
        for nginx, gateway in ((150, 400), (99, 280), (160, 300))
    ]
    added = lines(BY_NAME["json-rate"], *rounds)["p99 added, µs"]
    assert added.cells == {NGINX: "50", GATEWAY: "200"}
    assert (added.ratio, added.goal) == ("4.00", "≤ 4.0: met")


@pytest.mark.parametrize(
    ("each", "ratio", "goal"),
    [
        ({NGINX: 9e3, GATEWAY: 100e3}, "", ""),
        ({NGINX: 9e3, GATEWAY: 140e3, BASE: 320e3}, "0.44 of base", "≤ 0.45: met"),
        ({NGINX: 9e3, GATEWAY: 150e3, BASE: 320e3}, "0.47 of base", "≤ 0.45: MISSED"),
    ],
)
def test_instructions_have_a_goal_where_there_is_a_base(
    each: dict[str, float], ratio: str, goal: str
) -> None:
    found = sections(Results([], [], RESIDENT, Counted("callgrind", 1920, each)))
    [section] = [section for section in found if "instructions" in section.title]
    [line] = section.lines
    assert (line.ratio, line.goal) == (ratio, goal)
    assert line.cells[GATEWAY] == f"{each[GATEWAY] / 1000:,.1f}"
    assert "callgrind" in section.note


@pytest.mark.parametrize(("megabytes", "verdict"), [(65.0, "met"), (65.4, "MISSED")])
def test_memory_is_that_of_the_plain_gateway(megabytes: float, verdict: str) -> None:
    found = sections(Results([], [], RESIDENT | {GATEWAY: megabytes}))
    assert found[-1].lines[0].goal == f"≤ 65: {verdict}"
