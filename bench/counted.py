"""Counts the user instructions of a JSON request: nginx and the gateways are started once more for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from bench.client import Ask, streams
from bench.instructions import Counter
from bench.rig import GOVERNED, LOGGED, NGINX, PLAIN, SOURCES, Mock, Process, Rig, Setup, free_ports
from bench.runs import CONNECTIONS, GATEWAY, make_ask

BASE: Final = "base"
"""The gateway of another checkout."""
_WARM_EACH: Final = 10
"""Requests of each connection before the count."""
_READY_S: Final = 600.0
_GUARD_S: Final = 120.0
SETTLE_S: Final = 0.5
"""At full speed, a gateway has written down after so long what it has gathered."""


class Counted(NamedTuple):
    """What was counted."""

    tool: str
    requests: int
    each: dict[str, float]
    """User instructions of one request, by subject."""


def count_all(
    rig: Rig,
    counter: Counter,
    mock: Mock,
    *,
    each: int,
    base: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Counted:
    """Count nginx and both gateways, one after the other.

    Args:
        rig: has the mocks.
        counter: counts.
        mock: the upstream that is asked.
        each: requests of each connection.
        base: the packages' folder of another checkout, whose gateway is counted as well.
        say: is told what happens.
    """
    found = {}
    subjects: list[tuple[str, Setup | None, Path]] = [
        (NGINX, None, SOURCES),
        (GATEWAY, PLAIN, SOURCES),
        (GOVERNED.name, GOVERNED, SOURCES),
    ]
    if base is not None:
        subjects.append((BASE, PLAIN, base))
    for subject, setup, source in subjects:
        say(f"Instructions of {subject}, counted by {counter.name}")
        if setup is None:
            with started(partial(_nginx, rig, counter, mock)) as process:
                ask = make_ask(rig, NGINX, mock, "openai", stream=False)._replace(port=process.port)
                found[subject] = count(counter, process, ask, each, settle_s=0.0)
            continue
        own = setup._replace(name=f"counted-{subject}")
        key = rig.configure(own, source)
        with started(partial(_gateway, rig, counter, own, source)) as process:
            ask = make_ask(rig, GATEWAY, mock, "openai", stream=False)
            ask = ask._replace(port=process.port, headers=(("Authorization", f"Bearer {key}"),))
            found[subject] = count(counter, process, ask, each)
    return Counted(counter.name, each * CONNECTIONS, found)


@contextmanager
def started(start: Callable[[], Process]) -> Iterator[Process]:
    """A process that is ready, and stopped in the end."""
    process = start()
    try:
        process.wait_ready(_READY_S)
        yield process
    finally:
        process.stop()


def count(counter: Counter, process: Process, ask: Ask, each: int, *, settle_s: float = SETTLE_S) -> float:
    """User instructions of one request, at saturation, with what is written down afterwards.

    Args:
        counter: counts.
        process: was started with the counter's prefix.
        ask: what it is asked.
        each: requests of each connection.
        settle_s: for so long, at full speed, what was gathered is written down.
    """
    load = partial(streams, ask, connections=CONNECTIONS, guard_s=_GUARD_S)
    settle_s *= counter.slowdown
    load(each=_WARM_EACH)
    time.sleep(settle_s)

    def counted() -> None:
        load(each=each)
        time.sleep(settle_s)

    pids: Sequence[int] = process.pids
    return counter.count(process.name, pids, process.folder, counted) / (each * CONNECTIONS)


def _nginx(rig: Rig, counter: Counter, mock: Mock) -> Process:
    names = [*rig.mocks, LOGGED]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    name = "counted-nginx"
    process = rig.start_nginx(name, ports, counter.prefix(name, rig.folder / name), alone=True)
    process.port = ports[mock.name]
    return process


def _gateway(rig: Rig, counter: Counter, setup: Setup, source: Path) -> Process:
    module = (
        ("trunkline",) if counter.slowdown == 1 else ("bench.dilated", str(counter.slowdown), "trunkline")
    )
    prefix = counter.prefix(setup.name, rig.folder / setup.name)
    return rig.start_gateway(setup, prefix=prefix, module=module, source=source)
