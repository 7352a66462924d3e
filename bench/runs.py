"""Runs: load on one subject for some seconds, and what it cost there. A case says which it is made of.

A subject is what the client talks to: the mock itself, nginx or the gateway, all with the same upstream
traffic. A run gives a :class:`Sample`; medians and ratios are the report's business.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from bench.client import Ask, Wire, at_rate, first_byte, streams
from bench.machine import NOTHING, BenchError, Spent, busy_ns, spent
from bench.rig import GOVERNED, LOGGED, NGINX, NGINX_LOG, PLAIN, Mock, Rig
from bench.wrk import flood

DIRECT: Final = "direct"
GATEWAY: Final = PLAIN.name
LIMITED: Final = GOVERNED.name

CONNECTIONS: Final = 32
RATE: Final = 1000
"""Requests a second of the paced run."""

PATHS: Final = {"openai": "/v1/chat/completions", "ollama": "/api/chat"}
_SYSTEM: Final = (
    "You are a careful assistant. Answer in plain words, in the language of the question, and say so when "
    "you do not know. Prefer short sentences, name your sources, and never make up a number or a quotation."
)
_QUESTION: Final = (
    "What should one look at first when a service answers more slowly in the afternoon than in the morning, "
    "although it gets the same number of requests, and nothing was deployed in between?"
)

T = TypeVar("T")


class Sample(NamedTuple):
    """What one run of one subject came to."""

    units: int
    """Requests, or chunks."""
    seconds: float
    spent: Spent
    foreign: float
    """Part of the time, 0 to 1, that the subject's core worked for somebody else."""
    latencies: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU per unit."""
        return self.spent.cpu_ns / 1000 / self.units

    @property
    def user_us(self) -> float:
        """The part of it that is spent in the process's own code; NaN after a run too short to tell."""
        return self.cpu_us * self.spent.user_share

    @property
    def system_us(self) -> float:
        """The part of it that is spent in the kernel, TCP over loopback included; NaN likewise."""
        return self.cpu_us - self.user_us

    @property
    def busy(self) -> float:
        """Per cent of the run's time that the subject worked."""
        return self.spent.cpu_ns / 1e7 / self.seconds

    @property
    def wakeups(self) -> float:
        """Wake-ups per unit."""
        return self.spent.wakeups / self.units

    @property
    def p50_us(self) -> float:
        """Median latency in microseconds."""
        return statistics.median(self.latencies) * 1e6

    @property
    def p99_us(self) -> float:
        """99th percentile of the latency in microseconds."""
        return statistics.quantiles(self.latencies, n=100)[98] * 1e6


def pool(samples: Sequence[Sample]) -> Sample:
    """Several runs as one, without their latencies: for what a single run is too short to tell."""
    cost = Spent(*(sum(parts) for parts in zip(*(sample.spent for sample in samples), strict=True)))
    units = sum(sample.units for sample in samples)
    return Sample(units, sum(sample.seconds for sample in samples), cost, 0.0)


Run: TypeAlias = Callable[..., Sample]
"""Load on one subject: (rig, mock, subject, ask, seconds, options) → what it came to."""

Round: TypeAlias = Callable[[Rig, Mock, Mapping[str, Ask], float], dict[str, Sample]]
"""Load on every subject: (rig, mock, asks by subject, seconds each) → samples by subject."""


def make_ask(rig: Rig, subject: str, mock: Mock, front: str, *, stream: bool) -> Ask:
    """The request of a run. nginx and the mock are asked in the mock's dialect, the gateway in ``front``."""
    gateway = subject in (GATEWAY, LIMITED)
    dialect = front if gateway else mock.shape
    body = make_body(f"{mock.name}/bench" if gateway else "bench", dialect, stream=stream)
    if gateway:
        port = rig.processes[subject].port
    else:
        port = {
            DIRECT: rig.mocks[mock.name],
            NGINX: rig.nginx_ports[mock.name],
            NGINX_LOG: rig.nginx_ports[LOGGED],
        }[subject]
    headers = (("Authorization", f"Bearer {rig.keys[subject if gateway else GATEWAY]}"),)
    return Ask(port, PATHS[dialect], body, headers)


def make_body(model: str, dialect: str, *, stream: bool) -> bytes:
    """The body of a chat request."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}],
        "stream": stream,
    }
    if stream and dialect == "openai":
        # Asked for by the client, so that the gateway need not: the upstream sends both the same.
        body["stream_options"] = {"include_usage": True}
    return json.dumps(body).encode()


def one_by_one(run: Run, **options: Any) -> Round:
    """A round of ``run`` on each subject in turn, in the order of the asks."""

    def load(rig: Rig, mock: Mock, asks: Mapping[str, Ask], seconds: float) -> dict[str, Sample]:
        return {subject: run(rig, mock, subject, ask, seconds, **options) for subject, ask in asks.items()}

    return load


def flooded(rig: Rig, mock: Mock, subject: str, ask: Ask, seconds: float) -> Sample:
    """As many answers as go, over :data:`CONNECTIONS`; a stream counts by its chunks."""
    load = partial(
        flood,
        ask,
        connections=CONNECTIONS,
        seconds=max(round(seconds), 1),
        folder=rig.folder,
        core=rig.cores.client,
    )
    result, cost, foreign = _watch(rig, subject, load)
    return Sample(result.requests * _units(mock, ask), result.seconds, cost, foreign)


def steady(rig: Rig, mock: Mock, subject: str, ask: Ask, seconds: float, *, rate: int = RATE) -> Sample:
    """Whole answers or streams, ``rate`` a second; a stream counts by its chunks."""
    load = partial(at_rate, ask, rate=rate, seconds=seconds, connections=CONNECTIONS)
    result, cost, foreign = _watch(rig, subject, load)
    units = len(result.latencies) * _units(mock, ask)
    return Sample(units, result.seconds, cost, foreign, result.latencies)


def _units(mock: Mock, ask: Ask) -> int:
    """What one answer counts."""
    return mock.chunks if b'"stream": true' in ask.body else 1


def paced(rig: Rig, mock: Mock, subject: str, ask: Ask, seconds: float, *, connections: int) -> Sample:
    """Streams at the mock's pace, one after the other on each connection, their chunks spread in time."""
    each = max(round(seconds / (mock.chunks * mock.delay_s)), 1)
    stagger = mock.delay_s / connections
    load = partial(streams, ask, connections=connections, each=each, stagger_s=stagger)
    result, cost, foreign = _watch(rig, subject, load)
    return Sample(connections * each * mock.chunks, result.seconds, cost, foreign, result.latencies)


def first_bytes(rig: Rig, mock: Mock, asks: Mapping[str, Ask], seconds: float) -> dict[str, Sample]:
    """Time to the first byte of streams, one at a time, every subject in turn."""
    found: dict[str, list[float]] = {subject: [] for subject in asks}
    over = time.perf_counter() + seconds * len(asks)
    with ExitStack() as stack:
        wires = {subject: stack.enter_context(closing(Wire(ask))) for subject, ask in asks.items()}
        while time.perf_counter() < over:
            for subject, wire in wires.items():
                found[subject].append(first_byte(wire))
    return {
        subject: Sample(len(latencies), sum(latencies), NOTHING, 0.0, latencies)
        for subject, latencies in found.items()
    }


def _watch(rig: Rig, subject: str, load: Callable[[], T]) -> tuple[T, Spent, float]:
    """Run ``load``; also what it cost the subject, and how much else ran on its core."""
    process = rig.processes.get(subject)
    pids = process.pids if process is not None else []
    core = rig.cores.measured
    busy, start, before = busy_ns(core), time.perf_counter(), spent(pids)
    result = load()
    if process is not None and process.pids != pids:
        raise BenchError(f"{subject} changed its processes during a run")
    cost = spent(pids).since(before)
    seconds = time.perf_counter() - start
    foreign = (busy_ns(core) - busy - cost.cpu_ns) / 1e9 / seconds
    return result, cost, max(foreign, 0.0)
