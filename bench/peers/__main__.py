"""``python -m bench.peers``: measures, prints tables, and after a full run writes ``bench/PEERS.md``."""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from bench.client import Ask
from bench.ending import end_after, run
from bench.interpreters import this_build
from bench.machine import BenchError, choose_cores, describe, resident_mb
from bench.peers import catalog
from bench.peers.catalog import PEERS, Installed, Peer
from bench.peers.tables import Section, markdown, plain_section, section, show
from bench.peers.trials import MOCKS, TRIALS, run_trial
from bench.rig import NGINX, PLAIN, Mock, Rig
from bench.runs import DIRECT, GATEWAY, Sample, make_ask

RESULTS: Final = Path(__file__).resolve().parents[1] / "PEERS.md"
LIMIT_S: Final = 3600
"""When something hangs, the end comes after so long; installing is not counted."""
_READY_S: Final = 180.0
T = TypeVar("T")

_OWN: Final = (DIRECT, NGINX, GATEWAY)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns the exit status. Speed never makes it fail, nor does a peer that is missing."""
    given = _parser().parse_args(arguments)
    return run(partial(_bench, given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.peers",
        description="Measures other gateways and nginx beside this one, with the same mocks and loads.",
        epilog=f"Peers: {', '.join(peer.name for peer in PEERS)}. "
        f"Trials: {', '.join(trial.name for trial in TRIALS)}.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round of each; prints only")
    parser.add_argument("--peer", action="append", metavar="NAME", help="this peer only; may be repeated")
    parser.add_argument("--only", action="append", metavar="TRIAL", help="this trial only; may be repeated")
    parser.add_argument("--rounds", type=int, help="rounds of each trial")
    parser.add_argument("--seconds", type=float, help="length of a run")
    parser.add_argument("--output", type=Path, help="write the tables here (a full run: bench/PEERS.md)")
    parser.add_argument("--olla", type=Path, metavar="PATH", help="Olla's program, if it is not on the PATH")
    return parser


def _bench(given: argparse.Namespace) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, 140)
    chosen = _chosen("peer", given.peer, {peer.name: peer for peer in PEERS})
    trials = _chosen("trial", given.only, {trial.name: trial for trial in TRIALS})
    rounds = given.rounds or (1 if given.quick else 5)
    seconds = given.seconds or (1.0 if given.quick else 2.0)
    starts = 1 if given.quick else 3

    def say(text: str) -> None:
        console.print(f"… {text}", style="dim", markup=False)

    build = this_build()
    console.print(f"Python: {build.words}", style="" if build.optimised else "yellow")
    installed, missing = _install(chosen, given.olla, say)
    end_after(LIMIT_S)
    cores = choose_cores()
    with ExitStack() as stack:
        rig = stack.enter_context(Rig(MOCKS, cores, setups=(PLAIN,)))
        started: dict[str, list[float]] = {}
        peers = {peer.name: peer for peer in chosen if peer.name in installed}
        for name, peer in peers.items():
            say(f"Starting {name}")
            try:
                started[name] = [_start(rig, peer, installed[name], stack)]
            except BenchError as error:
                missing[name] = str(error)
        subjects = [*_OWN, *started]
        running = [subject for subject in subjects if subject != DIRECT]
        idle = {subject: resident_mb(rig.processes[subject].pids) for subject in running}
        ask = _asker(rig, peers)
        served: dict[str, float] = {}
        sections: list[Section] = []
        for trial in trials:
            say(trial.title)
            outcome = run_trial(rig, trial, subjects, ask, rounds=rounds, seconds=seconds, served=served)
            sections.append(section(outcome, subjects))
            if trial.name == "json-closed":
                served = _served(outcome.rounds)
        loaded = {subject: resident_mb(rig.processes[subject].pids) for subject in running}
        say("Start-up")
        started[GATEWAY] = [rig.time_start() for _ in range(starts)]
        for name in subjects[len(_OWN) :]:
            started[name] += [_start_again(rig, peers[name], installed[name]) for _ in range(starts - 1)]
        rows = {
            "resident before the runs, MB": idle,
            "resident after the runs, MB": loaded,
            "from start to first answer, s": {
                name: statistics.median(seconds) for name, seconds in started.items()
            },
        }
        sections.append(plain_section("Memory and start-up", subjects, rows))
    signal.alarm(0)
    show(sections, console)
    for name, text in missing.items():
        console.print(f"{name} was not measured: {text}", style="yellow", markup=False)
    full = not (given.quick or given.only or given.peer or given.rounds or given.seconds)
    target = given.output or (RESULTS if full else None)
    if target is None:
        console.print("Not a full run: PEERS.md stays as it is.")
        return
    facts = {"date": datetime.now(UTC).date().isoformat(), **describe()}
    facts |= {
        name: f"{installed[name].version}; {peer.does}" for name, peer in peers.items() if name not in missing
    }
    facts |= {name: f"not measured: {text.splitlines()[0]}" for name, text in missing.items()}
    target.write_text(markdown(sections, facts, rounds), encoding="utf-8")
    console.print(f"Written to {target.name}.")


def _install(
    peers: Sequence[Peer], olla: Path | None, say: Callable[[str], None]
) -> tuple[dict[str, Installed], dict[str, str]]:
    """Install them; returns those that are here, and why the others are not."""
    found, missing = {}, {}
    for peer in peers:
        say(f"Installing {peer.name}")
        try:
            found[peer.name] = peer.install(olla if peer.name == "olla" else None)
        except BenchError as error:
            missing[peer.name] = str(error)
    return found, missing


def _start(rig: Rig, peer: Peer, installed: Installed, stack: ExitStack) -> float:
    """Start a peer that stays until the end; returns the seconds until it answered."""
    process = catalog.start(peer, installed, rig.folder / peer.name, rig.mocks, rig.cores.measured)
    stack.callback(process.stop)
    seconds = process.wait_ready(_READY_S)
    catalog.wait_routed(peer, process.port, MOCKS, rig.mocks)
    rig.processes[peer.name] = process
    return seconds


def _start_again(rig: Rig, peer: Peer, installed: Installed) -> float:
    process = catalog.start(peer, installed, rig.folder / f"{peer.name}-2", rig.mocks, rig.cores.measured)
    try:
        return process.wait_ready(_READY_S)
    finally:
        process.stop()


def _asker(rig: Rig, peers: Mapping[str, Peer]) -> Callable[[str, Mock, bool], Ask]:
    def make(subject: str, mock: Mock, stream: bool) -> Ask:
        if subject in peers:
            port = rig.processes[subject].port
            return catalog.make_ask(peers[subject], port, mock, rig.mocks[mock.name], stream=stream)
        return make_ask(rig, subject, mock, "openai", stream=stream)

    return make


def _served(rounds: Sequence[Mapping[str, Sample | str]]) -> dict[str, float]:
    """Requests a second of each subject: the median of the rounds, 0 of one that failed."""
    rates: dict[str, list[float]] = {}
    for cells in rounds:
        for subject, cell in cells.items():
            rates.setdefault(subject, []).append(cell.rate if isinstance(cell, Sample) else 0.0)
    return {subject: statistics.median(found) for subject, found in rates.items()}


def _chosen(kind: str, names: Sequence[str] | None, known: Mapping[str, T]) -> list[T]:
    unknown = set(names or ()) - set(known)
    if unknown:
        raise BenchError(f"no such {kind}: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return [each for name, each in known.items() if not names or name in names]


if __name__ == "__main__":
    sys.exit(main())
