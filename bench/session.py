"""A session: every case for some rounds, the subjects in turn, noisy rounds set aside; then what else counts.

The machine is seldom quiet. So nginx and the gateway are measured shortly after one another, in alternating
order, and compared pair by pair; a round in which something else ran on their core is repeated, within
bounds, and the quietest rounds are kept.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final, NamedTuple

from bench.cases import Case
from bench.client import Ask, Wire, first_byte
from bench.counted import Counted
from bench.machine import BenchError, resident_mb
from bench.rig import NGINX_LOG, Mock, Rig
from bench.runs import DIRECT, Sample, make_ask

QUIET: Final = 0.1
"""Part of a run's time that others may have had of the subject's core."""
_WARM_REQUESTS: Final = 200


class Plan(NamedTuple):
    """How much is done."""

    rounds: int
    extra: int
    """Rounds that may be added in place of noisy ones."""
    seconds: float
    """Of each run; wrk knows whole ones only."""
    starts: int


class Outcome(NamedTuple):
    """One case, measured."""

    case: Case
    rounds: Sequence[Mapping[str, Sample]]
    noisy: int
    """How many of the rounds kept were not quiet."""


class Results(NamedTuple):
    """Everything."""

    outcomes: list[Outcome]
    starts: list[float]
    """Seconds from start to ready, of the gateway."""
    resident: dict[str, float]
    """Megabytes after the runs, by subject."""
    counted: Counted | None = None


def measure(rig: Rig, cases: Sequence[Case], plan: Plan, say: Callable[[str], None]) -> Results:
    """Run ``cases``, one after the other, then look at memory and start-up.

    Raises:
        BenchError: something did not answer as it should.
    """
    outcomes = []
    for case in cases:
        say(case.title)
        outcomes.append(_run(rig, case, plan))
    resident = {
        subject: resident_mb(process.pids)
        for subject, process in rig.processes.items()
        if subject != NGINX_LOG
    }
    if plan.starts:
        say("Start-up")
    return Results(outcomes, [rig.time_start() for _ in range(plan.starts)], resident)


def _run(rig: Rig, case: Case, plan: Plan) -> Outcome:
    asks = {
        subject: make_ask(rig, subject, case.mock, case.front, stream=case.stream)
        for subject in case.subjects
    }
    for ask in asks.values():
        check(ask, case.mock, whole=not case.stream)
        warm(ask, case.mock)
    rounds: list[dict[str, Sample]] = []
    while len(rounds) < plan.rounds or (
        sum(_noise(each) <= QUIET for each in rounds) < plan.rounds and len(rounds) < plan.rounds + plan.extra
    ):
        ordered = asks if len(rounds) % 2 == 0 else dict(reversed(asks.items()))
        rounds.append(case.load(rig, case.mock, ordered, plan.seconds))
    kept = sorted(rounds, key=_noise)[: plan.rounds]
    return Outcome(case, kept, sum(_noise(each) > QUIET for each in kept))


def _noise(samples: Mapping[str, Sample]) -> float:
    return max(sample.foreign for subject, sample in samples.items() if subject != DIRECT)


def check(ask: Ask, mock: Mock, *, whole: bool) -> None:
    """Ask once, and see that all of the mock's text comes back."""
    connection = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=30)
    with closing(connection):
        headers = {"Content-Type": "application/json", **dict(ask.headers)}
        connection.request("POST", ask.path, ask.body, headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    found = text.count(mock.chunk)
    lines = text.count("\n")
    if response.status != 200 or found != mock.chunks or (not whole and lines < mock.chunks):
        raise BenchError(f"{found} of {mock.chunks} chunks, status {response.status}:\n{text[:500]}")


def warm(ask: Ask, mock: Mock) -> None:
    """Let caches fill and the interpreter settle."""
    with closing(Wire(ask)) as wire:
        for _ in range(1 if mock.delay_s else max(_WARM_REQUESTS // mock.chunks, 10)):
            first_byte(wire)
