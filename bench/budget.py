"""Shows where the CPU of a JSON request goes, stage by stage.

``python -m bench.budget`` measures a ladder of servers and writes ``BUDGET.md``. The first server only reads
and writes, each further one does one thing more, and the last does all that a deployment switches on. A stage
costs what its server takes more than the one before. They are measured in turn, in the opposite order in each
second round, and compared within the same round. Beside time stand user instructions, which hardly differ
between runs, and Python frames and bytecodes, room by room.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench import frames
from bench.cases import BRIEF
from bench.client import Ask
from bench.counted import SETTLE_S, count, started
from bench.ending import end_after, run
from bench.instructions import MISSING, Counter, find_counter
from bench.machine import choose_cores, describe
from bench.rig import Process, Rig, free_ports
from bench.runs import PATHS, Sample, flooded, make_body
from bench.session import check, warm

RESULTS: Final = Path(__file__).with_name("BUDGET.md")
LIMIT_S: Final = 3600
KEY: Final = "gw_" + "b" * 43


class Rung(NamedTuple):
    """One server of the ladder."""

    name: str
    stage: str
    """What it does that the one before does not."""
    settings: Mapping[str, Any] | None = None
    """Of a gateway, those that are added here."""
    ledger: bool = False


_LIMITS: Final = {"key": "*", "requests_per_minute": 10**9, "tokens_per_minute": 10**12, "concurrent": 10_000}

RUNGS: Final = (
    Rung("loop", "event loop and kernel: one read, one write"),
    Rung("http", "HTTP parsed and written"),
    Rung("forward", "an upstream: its connection, its HTTP (the least that a proxy in Python does)"),
    Rung(
        "gateway",
        "the gateway: route, exchange, pipeline, answer inspected, metrics",
        {"development_mode": True, "require_auth": False},
    ),
    Rung(
        "key",
        "a key required and checked",
        {"development_mode": False, "require_auth": True, "allowed_api_keys": [KEY]},
    ),
    Rung("price", "what the request cost", {"prices": {"*": {"input": 1, "output": 2}}}),
    Rung("ledger", "a row in the ledger, and its database thread", {}, True),
    Rung("limits", "limits: requests and tokens a minute, concurrency", {"limits": [_LIMITS]}, True),
    Rung("budget", "a hard budget", {"budgets": [{"key": "*", "usd": 10**6, "per": "month"}]}, True),
    Rung("log", "a log line at INFO", {"log_level": "INFO"}, True),
)
PLAIN: Final = "ledger"
"""The gateway with key and ledger; the last rung is the one with everything."""


class Stage(NamedTuple):
    """What one rung adds."""

    rung: Rung
    cpu_us: float
    """Of a request, up to and with this stage."""
    added_us: float
    thousands: float | None
    """User instructions likewise, in thousands."""
    added_thousands: float | None


class Ladder:
    """Starts rungs: next to each other to be timed, or one alone to be counted."""

    def __init__(self, folder: Path, upstream: int, core: int) -> None:
        """``upstream`` is the port of the mock, ``core`` where they run."""
        self._folder = folder
        self._upstream = upstream
        self._core = core
        self._answer = folder / "answer.json"
        self._answer.write_bytes(_answer_of(upstream))

    def start(self, rung: Rung, name: str, prefix: Sequence[str] = (), module: Sequence[str] = ()) -> Process:
        """Start one. The caller stops it.

        Args:
            rung: which.
            name: the process's name, and its folder's.
            prefix: what stands before the interpreter.
            module: the module that runs the rung's own, with its arguments.
        """
        folder = self._folder / name
        folder.mkdir()
        port = free_ports(1)[0]
        if rung.settings is None:
            what = str(self._upstream) if rung.name == "forward" else str(self._answer)
            words = [rung.name, str(port), what]
        else:
            file = folder / "settings.json"
            file.write_text(
                json.dumps({"settings": self.settings(rung, port, folder), "ledger": rung.ledger})
            )
            words = ["gateway", str(file)]
        command = (*prefix, sys.executable, "-m", *(module or ()), "bench.rungs", *words)
        return Process(name, command, folder, self._core, port=port, path="/health")

    def settings(self, rung: Rung, port: int, folder: Path) -> dict[str, Any]:
        """The settings of a gateway of the ladder."""
        url = f"http://127.0.0.1:{self._upstream}/v1"
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": port,
            "ollama_enabled": False,
            "database_url": f"sqlite:///{folder}/rung.db",
            "providers": {BRIEF.name: {"type": "openai-compatible", "url": url, "local": False}},
            "log_level": "CRITICAL",
        }
        for each in RUNGS[: RUNGS.index(rung) + 1]:
            settings |= each.settings or {}
        return settings


def make_ask(port: int, rung: Rung) -> Ask:
    """What a rung is asked; the model's name says its provider only to a gateway."""
    model = "bench" if rung.settings is None else f"{BRIEF.name}/bench"
    headers = (("Authorization", f"Bearer {KEY}"),)
    return Ask(port, PATHS["openai"], make_body(model, "openai", stream=False), headers)


def _answer_of(port: int) -> bytes:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", PATHS["openai"], make_body("bench", "openai", stream=False), headers)
        return connection.getresponse().read()


def _ladder(rig: Rig) -> Ladder:
    return Ladder(rig.folder, rig.mocks[BRIEF.name], rig.cores.measured)


def time_rungs(rig: Rig, rungs: Sequence[Rung], rounds: int, seconds: float) -> list[dict[str, Sample]]:
    """Time all rungs in every round."""
    ladder = _ladder(rig)
    found = []
    with ExitStack() as stack:
        asks = {}
        for rung in rungs:
            process = ladder.start(rung, f"rung-{rung.name}")
            stack.callback(process.stop)
            process.wait_ready()
            rig.processes[rung.name] = process
            asks[rung.name] = make_ask(process.port, rung)
        for ask in asks.values():
            check(ask, BRIEF, whole=True)
            warm(ask, BRIEF)
        for number in range(rounds):
            names = list(asks) if number % 2 == 0 else list(reversed(asks))
            found.append({name: flooded(rig, BRIEF, name, asks[name], seconds) for name in names})
    return found


def count_rungs(
    rig: Rig, rungs: Sequence[Rung], counter: Counter, each: int, say: Callable[[str], None]
) -> dict[str, float]:
    """Count the user instructions of a request of each rung."""
    ladder = _ladder(rig)
    slowed = ("bench.dilated", str(counter.slowdown)) if counter.slowdown > 1 else ()
    found = {}
    for rung in rungs:
        say(f"Instructions of {rung.name}")
        name = f"counted-{rung.name}"
        prefix = counter.prefix(name, rig.folder / name)
        with started(partial(ladder.start, rung, name, prefix, slowed)) as process:
            settle_s = 0.0 if rung.settings is None else SETTLE_S
            found[rung.name] = count(counter, process, make_ask(process.port, rung), each, settle_s=settle_s)
    return found


def stages(
    rungs: Sequence[Rung], rounds: Sequence[Mapping[str, Sample]], counted: Mapping[str, float]
) -> list[Stage]:
    """What each rung costs, and what it adds to the one before: the median of the rounds' differences."""
    found: list[Stage] = []
    for number, rung in enumerate(rungs):
        before = rungs[number - 1].name if number else None
        total = statistics.median(each[rung.name].cpu_us for each in rounds)
        added = statistics.median(
            each[rung.name].cpu_us - (each[before].cpu_us if before else 0.0) for each in rounds
        )
        thousands = counted[rung.name] / 1000 if counted else None
        added_thousands = (
            (counted[rung.name] - (counted[before] if before else 0.0)) / 1000 if counted else None
        )
        found.append(Stage(rung, total, added, thousands, added_thousands))
    return found


HEADER: Final = ("stage", "CPU µs added", "share", "CPU µs so far", "instructions added, thousands", "so far")
ROOMS_HEADER: Final = ("room", "frames", "bytecodes", "frames with everything", "bytecodes with everything")


def rows(found: Sequence[Stage]) -> list[list[str]]:
    """The table of the stages."""
    whole = found[-1].cpu_us
    return [
        [
            f"{stage.rung.stage} (`{stage.rung.name}`)",
            f"{stage.added_us:.1f}",
            f"{stage.added_us / whole:.0%}",
            f"{stage.cpu_us:.1f}",
            "–" if stage.added_thousands is None else f"{stage.added_thousands:.1f}",
            "–" if stage.thousands is None else f"{stage.thousands:.1f}",
        ]
        for stage in found
    ]


def room_rows(plain: Mapping[str, frames.Work], whole: Mapping[str, frames.Work]) -> list[list[str]]:
    """The table of the rooms, those with most bytecodes first, and their sum."""
    nothing = frames.Work(0.0, 0.0)
    names = sorted({*plain, *whole}, key=lambda name: -whole.get(name, nothing).bytecodes)
    pairs = [(name, plain.get(name, nothing), whole.get(name, nothing)) for name in names]
    sums = [frames.Work(*map(sum, zip(*(pair[column] for pair in pairs), strict=True))) for column in (1, 2)]
    return [
        [name, *(f"{number:.1f}" for work in works for number in work)]
        for name, works in [*((name, pair) for name, *pair in pairs), ("all", sums)]
    ]


def markdown(
    facts: Mapping[str, str], tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]
) -> str:
    """The text of ``BUDGET.md``."""
    parts = [
        "# Where the CPU of a JSON request goes",
        "Written by `python -m bench.budget`. [README.md](README.md#the-budget-of-a-request) says how.",
        "\n".join(f"- {name.capitalize()}: {text}" for name, text in facts.items()),
    ]
    for title, header, body in tables:
        lines = [list(header), ["---", *["---:"] * (len(header) - 1)], *map(list, body)]
        parts += [f"## {title}", "\n".join("| " + " | ".join(line) + " |" for line in lines)]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.budget", description="Where the CPU of a request goes."
    )
    parser.add_argument("--quick", action="store_true", help="one short round, nothing counted; prints only")
    parser.add_argument("--rounds", type=int, default=None, help="rounds (8)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a run")
    parser.add_argument("--no-instructions", action="store_true", help="count no instructions")
    parser.add_argument("--output", type=Path, help="write the tables here (a full run: bench/BUDGET.md)")
    given = parser.parse_args(arguments)
    end_after(LIMIT_S)
    return run(partial(_bench, given))


def _bench(given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, 140)

    def say(text: str) -> None:
        console.print(f"… {text}", style="dim")

    counts = not (given.quick or given.no_instructions)
    counter = find_counter() if counts else None
    number = given.rounds or (1 if given.quick else 8)
    with Rig([BRIEF], choose_cores(), setups=()) as rig:
        say(f"{len(RUNGS)} servers in turn, {number} rounds")
        rounds = time_rungs(rig, RUNGS, number, given.seconds)
        ladder = _ladder(rig)
        rooms = []
        for rung in (next(rung for rung in RUNGS if rung.name == PLAIN), RUNGS[-1]):
            say(f"Frames and bytecodes of {rung.name}")
            start = partial(ladder.start, rung, f"traced-{rung.name}")
            rooms.append(frames.measure(start, partial(make_ask, rung=rung)))
        counted = {}
        if counter is not None:
            counted = count_rungs(rig, RUNGS, counter, 60 if counter.slowdown > 1 else 600, say)
    found = stages(RUNGS, rounds, counted)
    tables = [
        (f"Stage by stage, medians of {number} rounds", HEADER, rows(found)),
        ("Python frames and bytecodes of a request, room by room", ROOMS_HEADER, room_rows(*rooms)),
    ]
    for title, header, body in tables:
        table = Table(title=title, title_justify="left", title_style="bold")
        for name in header:
            table.add_column(name, justify="left" if name == header[0] else "right")
        for line in body:
            table.add_row(*line)
        console.print(table)
    how = f"counted by {counter.name}" if counter else MISSING if counts else "not counted"
    console.print(f"Instructions: {how}")
    full = not (given.quick or given.no_instructions or given.rounds)
    target = given.output or (RESULTS if full else None)
    if target is not None:
        facts = {"date": datetime.now(UTC).date().isoformat(), **describe(), "instructions": how}
        target.write_text(markdown(facts, tables), encoding="utf-8")
        console.print(f"Written to {target.name}.")


if __name__ == "__main__":
    sys.exit(main())
