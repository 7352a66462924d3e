"""``python -m bench``: measures, prints tables, and after a full run writes ``bench/RESULTS.md``."""

from __future__ import annotations

import argparse
import pstats
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.cases import BRIEF, CASES
from bench.counted import count_all
from bench.ending import end_after, run
from bench.instructions import MISSING, Counter, find_counter
from bench.interpreters import this_build
from bench.machine import BenchError, choose_cores, describe
from bench.report import markdown, show
from bench.rig import GOVERNED, PLAIN, Rig
from bench.runs import LIMITED
from bench.session import Plan, measure

RESULTS: Final = Path(__file__).with_name("RESULTS.md")

LIMIT_S: Final = 3600
"""When something hangs, the end comes after so long."""

FULL: Final = Plan(rounds=5, extra=1, seconds=1.2, starts=5)
QUICK: Final = Plan(rounds=2, extra=0, seconds=0.6, starts=3)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit status. Speed never makes it fail."""
    given = _parser().parse_args(arguments)
    end_after(LIMIT_S)
    return run(partial(_bench, given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the gateway against nginx forwarding to the same mock upstream.",
        epilog=f"Cases: {', '.join(case.name for case in CASES)}",
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, under a minute")
    parser.add_argument("--only", action="append", metavar="CASE", help="this case; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each case")
    parser.add_argument("--seconds", type=float, help="length of a run")
    parser.add_argument("--output", type=Path, help="write the tables here (a full run: bench/RESULTS.md)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the gateway, such as FAST_HTTP=false; may be repeated",
    )
    parser.add_argument(
        "--base",
        type=Path,
        metavar="FOLDER",
        help="another checkout's src, whose gateway's instructions are counted as well",
    )
    parser.add_argument("--no-instructions", action="store_true", help="count no instructions")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="run the gateway under cProfile; the numbers mean little",
    )
    return parser


def _bench(given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, 110)
    known = {case.name: case for case in CASES}
    unknown = set(given.only or ()) - set(known)
    if unknown:
        raise BenchError(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    cases = [case for case in CASES if case.name in given.only] if given.only else list(CASES)
    if given.quick and not given.only:
        cases = [case for case in cases if case.quick]
    plan = QUICK if given.quick else FULL
    plan = plan._replace(rounds=given.rounds or plan.rounds, seconds=given.seconds or plan.seconds)
    settings = dict(_setting(text) for text in given.set)
    if given.profile or given.only:
        plan = plan._replace(starts=0)
    cores = choose_cores()
    if not cores.apart:
        console.print("There is one core only: what is measured shares it with the rest.", style="yellow")

    start = time.monotonic()
    mocks = list(dict.fromkeys(case.mock for case in cases))
    limited = any(LIMITED in case.subjects for case in cases)
    setups = (PLAIN, GOVERNED) if limited else (PLAIN,)
    counts = not (given.quick or given.only or given.profile or given.no_instructions)
    counter = find_counter() if counts or given.base else None
    build = this_build()
    console.print(f"Python: {build.words}", style="" if build.optimised else "yellow")

    def say(text: str) -> None:
        console.print(f"… {text}", style="dim")

    with Rig(mocks, cores, setups=setups, gateway_env=settings, profile=given.profile) as rig:
        results = measure(rig, cases, plan, say)
        if counter is not None:
            base = given.base and given.base.absolute()
            counted = count_all(rig, counter, BRIEF, each=_each(counter), base=base, say=say)
            results = results._replace(counted=counted)
    show(results, console)
    if counts and counter is None:
        console.print(MISSING, style="yellow")
    console.print(f"Took {time.monotonic() - start:.0f} s.")

    if given.profile:
        console.print(f"The profile is in {given.profile}; its first lines:")
        pstats.Stats(str(given.profile)).sort_stats("tottime").print_stats(30)
        return
    full = not (given.quick or given.only or settings or given.rounds or given.seconds)
    target = given.output or (RESULTS if full else None)
    if target is not None:
        today = datetime.now(UTC).date().isoformat()
        facts = {"date": today, **describe()}
        if counter is None:
            facts["instructions"] = MISSING if counts else "not counted"
        target.write_text(markdown(results, plan, facts, _command(given)), encoding="utf-8")
        console.print(f"Written to {target.name}.")
    else:
        console.print("Not a full run: RESULTS.md stays as it is.")


def _each(counter: Counter) -> int:
    """Requests of each connection: a slow counter needs fewer, since it differs less from one to the next."""
    return 60 if counter.slowdown > 1 else 600


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise BenchError(f"--set {text}: write NAME=VALUE")
    return name, value


def _command(given: argparse.Namespace) -> str:
    words = [f"--{name} {value}" for name in ("rounds", "seconds") if (value := getattr(given, name))]
    words += [f"--only {name}" for name in given.only or ()] + [f"--set {text}" for text in given.set]
    return " ".join(["python -m bench", *(["--quick"] if given.quick else []), *words])


if __name__ == "__main__":
    sys.exit(main())
