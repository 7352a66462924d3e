"""The table of cases: what is measured, on which traffic, and what the goal is. A new case is a row here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from bench.rig import NGINX, NGINX_LOG, Mock
from bench.runs import (
    CONNECTIONS,
    DIRECT,
    GATEWAY,
    LIMITED,
    RATE,
    Round,
    Sample,
    first_bytes,
    flooded,
    one_by_one,
    paced,
    steady,
)

_CHUNK: Final = (
    "A chunk of a hundred bytes, which is a little more than most models say at once, to be careful here. "
)

BRIEF: Final = Mock("brief", "openai", _CHUNK, chunks=2)
SLOW: Final = Mock("slow", "openai", _CHUNK, chunks=2, rules=400)
OPENAI_FIRST: Final = Mock("openai-first", "openai", _CHUNK, chunks=2, delay_s=0.001)
OPENAI_PACED: Final = Mock("openai-paced", "openai", _CHUNK, chunks=500, delay_s=0.001)
OPENAI_MANY: Final = Mock("openai-many", "openai", _CHUNK, chunks=100, delay_s=0.01)
OPENAI_FAST: Final = Mock("openai-fast", "openai", _CHUNK, chunks=200)
OLLAMA_FIRST: Final = Mock("ollama-first", "ollama", _CHUNK, chunks=2, delay_s=0.001)
OLLAMA_PACED: Final = Mock("ollama-paced", "ollama", _CHUNK, chunks=500, delay_s=0.001)
OLLAMA_MANY: Final = Mock("ollama-many", "ollama", _CHUNK, chunks=100, delay_s=0.01)
OLLAMA_FAST: Final = Mock("ollama-fast", "ollama", _CHUNK, chunks=200)


class Measure(NamedTuple):
    """One line of a case's table."""

    label: str
    read: Callable[[Sample], float]
    digits: int = 1
    ratio: bool = False
    """Compare the gateway's with nginx's."""
    of_medians: bool = False
    """The ratio is that of the medians, because single rounds are too unsteady."""
    pooled: bool = False
    """Of all rounds together, instead of their median."""
    client: bool = False
    """Seen by the client, so that the mock alone has it too."""
    added: bool = False
    """Less what the mock alone takes."""
    goal: str = ""
    """The case's goal of this name is about this line."""


class Case(NamedTuple):
    """One thing that is measured."""

    name: str
    title: str
    mock: Mock
    load: Round
    measures: tuple[Measure, ...]
    subjects: tuple[str, ...] = (NGINX, GATEWAY)
    goals: Mapping[str, float] = {}
    """By name, the most that the gateway may be, as a multiple of nginx."""
    own: str = GATEWAY
    """The subject that is compared with nginx."""
    front: str = "openai"
    """Dialect of the gateway's client."""
    stream: bool = True
    quick: bool = True
    """Part of ``--quick``."""
    beside: str | None = None
    """The case whose cost per chunk stands next to this one's."""


def _costs(unit: str) -> tuple[Measure, ...]:
    return (
        Measure(f"CPU µs per {unit}", attrgetter("cpu_us"), ratio=True, goal="cpu"),
        Measure("of it in its own code", attrgetter("user_us"), pooled=True),
        Measure("of it in the kernel", attrgetter("system_us"), pooled=True),
        Measure(f"wake-ups per {unit}", attrgetter("wakeups"), 2),
        Measure("busy, % of the core", attrgetter("busy"), 0),
    )


def _rate(unit: str) -> Measure:
    return Measure(f"{unit}s per second", attrgetter("rate"), 0, client=True)


_LATENCIES: Final = (
    Measure("p50, µs", attrgetter("p50_us"), 0, client=True),
    Measure("p50 added, µs", attrgetter("p50_us"), 0, ratio=True, added=True),
    Measure("p99, µs", attrgetter("p99_us"), 0, client=True),
    Measure("p99 added, µs", attrgetter("p99_us"), 0, ratio=True, of_medians=True, added=True, goal="p99"),
)
_REQUESTS: Final = (_rate("request"), *_costs("request"))
_CHUNKS: Final = (_rate("chunk"), *_costs("chunk"))
_THREE: Final = (DIRECT, NGINX, GATEWAY)
_ALONE: Final = one_by_one(paced, connections=1)
_MANY: Final = one_by_one(paced, connections=CONNECTIONS)
_FLOOD: Final = one_by_one(flooded)
_FIRST: Final = first_bytes

_JSON: Final = {"cpu": 2.5}
_JSON_LIMITED: Final = {"cpu": 3.0}
_LATENCY: Final = {"p99": 4.0}
_FORWARDED: Final = {"cpu": 1.4}
_TRANSLATED: Final = {"cpu": 1.6}

CASES: Final = (
    Case(
        "json",
        f"JSON requests, {CONNECTIONS} connections, as many as go",
        BRIEF,
        _FLOOD,
        _REQUESTS,
        (DIRECT, NGINX, NGINX_LOG, GATEWAY),
        _JSON,
        stream=False,
    ),
    Case(
        "json-limits",
        f"JSON requests, {CONNECTIONS} connections, as many as go, with limits, budget and log",
        BRIEF,
        _FLOOD,
        _REQUESTS,
        (NGINX, LIMITED),
        _JSON_LIMITED,
        LIMITED,
        stream=False,
    ),
    Case(
        "json-slow",
        f"JSON requests, {CONNECTIONS} connections, a slower upstream",
        SLOW,
        _FLOOD,
        _REQUESTS,
        _THREE,
        _JSON,
        stream=False,
    ),
    Case(
        "json-rate",
        f"JSON requests, {RATE:,} per second, evenly",
        BRIEF,
        one_by_one(steady),
        (*_REQUESTS, *_LATENCIES),
        _THREE,
        _JSON | _LATENCY,
        stream=False,
    ),
    Case(
        "json-rate-limits",
        f"JSON requests, {RATE:,} per second, evenly, with limits, budget and log",
        BRIEF,
        one_by_one(steady),
        (*_REQUESTS, *_LATENCIES),
        (DIRECT, NGINX, LIMITED),
        _JSON_LIMITED,
        LIMITED,
        stream=False,
    ),
    Case(
        "forwarded",
        "Streamed chunks, forwarded, each alone",
        OPENAI_PACED,
        _ALONE,
        _CHUNKS,
        goals=_FORWARDED,
    ),
    Case(
        "translated",
        "Streamed chunks, translated, each alone",
        OLLAMA_PACED,
        _ALONE,
        _CHUNKS,
        goals=_TRANSLATED,
    ),
    Case(
        "lines-forwarded",
        "Streamed lines, forwarded, each alone",
        OLLAMA_PACED,
        _ALONE,
        _CHUNKS,
        goals=_FORWARDED,
        front="ollama",
        beside="forwarded",
    ),
    Case(
        "lines-translated",
        "Streamed lines, translated, each alone",
        OPENAI_PACED,
        _ALONE,
        _CHUNKS,
        goals=_TRANSLATED,
        front="ollama",
        beside="forwarded",
    ),
    Case(
        "forwarded-many",
        f"Streamed chunks, forwarded, {CONNECTIONS} streams at once",
        OPENAI_MANY,
        _MANY,
        _CHUNKS,
        quick=False,
    ),
    Case(
        "translated-many",
        f"Streamed chunks, translated, {CONNECTIONS} streams at once",
        OLLAMA_MANY,
        _MANY,
        _CHUNKS,
        quick=False,
    ),
    Case(
        "lines-forwarded-many",
        f"Streamed lines, forwarded, {CONNECTIONS} streams at once",
        OLLAMA_MANY,
        _MANY,
        _CHUNKS,
        front="ollama",
        quick=False,
        beside="forwarded-many",
    ),
    Case(
        "lines-translated-many",
        f"Streamed lines, translated, {CONNECTIONS} streams at once",
        OPENAI_MANY,
        _MANY,
        _CHUNKS,
        front="ollama",
        quick=False,
        beside="forwarded-many",
    ),
    Case(
        "forwarded-fast",
        f"Streamed chunks, forwarded, {CONNECTIONS} streams, as many as go",
        OPENAI_FAST,
        _FLOOD,
        _CHUNKS,
        quick=False,
    ),
    Case(
        "translated-fast",
        f"Streamed chunks, translated, {CONNECTIONS} streams, as many as go",
        OLLAMA_FAST,
        _FLOOD,
        _CHUNKS,
        quick=False,
    ),
    Case(
        "lines-forwarded-fast",
        f"Streamed lines, forwarded, {CONNECTIONS} streams, as many as go",
        OLLAMA_FAST,
        _FLOOD,
        _CHUNKS,
        front="ollama",
        quick=False,
        beside="forwarded-fast",
    ),
    Case(
        "lines-translated-fast",
        f"Streamed lines, translated, {CONNECTIONS} streams, as many as go",
        OPENAI_FAST,
        _FLOOD,
        _CHUNKS,
        front="ollama",
        quick=False,
        beside="forwarded-fast",
    ),
    Case("first-forwarded", "First byte of a stream, forwarded", OPENAI_FIRST, _FIRST, _LATENCIES, _THREE),
    Case("first-translated", "First byte of a stream, translated", OLLAMA_FIRST, _FIRST, _LATENCIES, _THREE),
)
