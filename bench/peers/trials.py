"""The loads that every peer gets, and a session that gives them in turn.

In each round the subjects follow one another, in the opposite order in every second round. A subject that
fails one load is shown as failed there, and goes on with the next.
"""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final, NamedTuple, TypeAlias

from bench.cases import BRIEF, OPENAI_PACED, Measure
from bench.client import Ask
from bench.machine import BenchError
from bench.rig import Mock, Rig
from bench.runs import CONNECTIONS, DIRECT, Run, Sample, flooded, paced, steady
from bench.session import check, warm

LOW_RATE: Final = 20
HIGH_RATE: Final = 1000
"""Requests a second."""
STREAM_RATE: Final = 10
"""Streams a second."""
_SPARE: Final = 1.3
"""A subject is given a rate only if it has served so much more in the closed loop; else it would queue."""

RECOVERS_S: Final = 60.0

_UNREACHED: Final = re.compile(r"status 50[234]\b")

FAILURES: Final = (BenchError, OSError, ValueError, http.client.HTTPException)
"""What a subject may do wrong without ending the whole."""

SHORT: Final = Mock("openai-short", "openai", BRIEF.chunk, chunks=20)

MOCKS: Final = (BRIEF, OPENAI_PACED, SHORT)


class Trial(NamedTuple):
    """One load."""

    name: str
    title: str
    mock: Mock
    run: Run
    measures: tuple[Measure, ...]
    stream: bool = False
    rate: int = 0
    """Requests a second that a subject must be able to serve."""
    direct: bool = True
    """The mock alone gets it too."""
    longer: int = 1
    """The factor by which it is longer than the others."""


_CPU_REQUEST: Final = Measure("CPU µs per request", attrgetter("cpu_us"))
_CPU_CHUNK: Final = Measure("CPU µs per chunk", attrgetter("cpu_us"))
_RATE_REQUEST: Final = Measure("requests per second", attrgetter("rate"), 0, client=True)
_RATE_CHUNK: Final = Measure("chunks per second", attrgetter("rate"), 0, client=True)
_LATENCIES: Final = (
    Measure("p50, µs", attrgetter("p50_us"), 0, client=True),
    Measure("p99, µs", attrgetter("p99_us"), 0, client=True),
)
HIGHER_IS_BETTER: Final = (_RATE_REQUEST.label, _RATE_CHUNK.label)

TRIALS: Final = (
    Trial(
        "json-closed",
        f"JSON, closed loop: {CONNECTIONS} connections, as many as go",
        BRIEF,
        flooded,
        (_RATE_REQUEST, _CPU_REQUEST),
    ),
    Trial(
        "json-open-low",
        f"JSON, open loop: {LOW_RATE} requests a second",
        BRIEF,
        partial(steady, rate=LOW_RATE),
        (_CPU_REQUEST, *_LATENCIES),
        rate=LOW_RATE,
        longer=3,
    ),
    Trial(
        "json-open-high",
        f"JSON, open loop: {HIGH_RATE:,} requests a second",
        BRIEF,
        partial(steady, rate=HIGH_RATE),
        (_CPU_REQUEST, *_LATENCIES),
        rate=HIGH_RATE,
    ),
    Trial(
        "stream-closed",
        f"Streams of {SHORT.chunks} chunks, closed loop: {CONNECTIONS} at once, as many as go",
        SHORT,
        flooded,
        (_RATE_CHUNK, _CPU_CHUNK),
        stream=True,
        longer=2,
    ),
    Trial(
        "stream-open",
        f"Streams, open loop: {STREAM_RATE} streams of {SHORT.chunks} chunks a second",
        SHORT,
        partial(steady, rate=STREAM_RATE),
        (_CPU_CHUNK, *_LATENCIES),
        stream=True,
        rate=STREAM_RATE,
        longer=3,
    ),
    Trial(
        "stream-alone",
        "Streams, one at a time, a chunk every millisecond",
        OPENAI_PACED,
        partial(paced, connections=1),
        (_CPU_CHUNK,),
        stream=True,
        direct=False,
    ),
)

Cell: TypeAlias = Sample | str
"""What came of it; or why nothing did."""

MakeAsk: TypeAlias = Callable[[str, Mock, bool], Ask]
"""(subject, mock, whether it streams) → what the subject is asked."""


class Outcome(NamedTuple):
    """One trial, in all rounds."""

    trial: Trial
    rounds: Sequence[Mapping[str, Cell]]


def wait_well(ask: Ask, trial: Trial, limit_s: float = RECOVERS_S) -> None:
    """Wait until the answer is right, as long as it says that the upstream is not reached (502 to 504).

    The closed loop ends with requests under way, and some take the upstream for broken when clients go.

    Raises:
        BenchError: the answer is another one, or does not become right in time.
    """
    end = time.monotonic() + limit_s
    while True:
        try:
            check(ask, trial.mock, whole=not trial.stream)
        except BenchError as error:
            if not _UNREACHED.search(str(error)) or time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return


def run_trial(
    rig: Rig,
    trial: Trial,
    subjects: Sequence[str],
    make: MakeAsk,
    *,
    rounds: int,
    seconds: float,
    served: Mapping[str, float],
) -> Outcome:
    """Give one load to every subject.

    Args:
        rig: has the mocks and the subjects' processes.
        trial: the load.
        subjects: in the order of the first round.
        make: makes the requests.
        rounds: how often.
        seconds: for how long each time.
        served: requests a second that each subject has served in the closed loop, as far as it is known.
    """
    asks: dict[str, Ask] = {}
    failed: dict[str, str] = {}
    for subject in subjects:
        if subject == DIRECT and not trial.direct:
            continue
        if served.get(subject, float("inf")) < trial.rate * _SPARE:
            failed[subject] = "cannot"
            continue
        ask = make(subject, trial.mock, trial.stream)
        try:
            wait_well(ask, trial)
            warm(ask, trial.mock)
        except FAILURES as error:
            failed[subject] = f"failed: {error}"
        else:
            asks[subject] = ask
    found: list[dict[str, Cell]] = []
    for number in range(rounds):
        ordered = list(asks) if number % 2 == 0 else list(reversed(asks))
        cells: dict[str, Cell] = dict(failed)
        for subject in ordered:
            try:
                wait_well(asks[subject], trial)
                sample = trial.run(rig, trial.mock, subject, asks[subject], seconds * trial.longer)
                cells[subject] = sample if sample.units else "failed: no answer was complete in time"
            except FAILURES as error:
                cells[subject] = f"failed: {error}"
        found.append(cells)
    return Outcome(trial, found)
