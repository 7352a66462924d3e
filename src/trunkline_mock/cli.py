"""The mock as a process: ``python -m trunkline_mock``, and the function that ``trunkline mock`` calls."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from trunkline_mock.script import Scenario, load_scenario
from trunkline_mock.shapes import SHAPES
from trunkline_mock.upstream import MockUpstream, new_event_loop

_RECORDED_REQUESTS: Final = 100
"""How many requests a mock process remembers."""


def run(
    shape: str = "openai",
    host: str = "127.0.0.1",
    port: int = 0,
    script_path: Path | None = None,
    models: Sequence[str] | None = None,
    strict: bool = False,
    awkward: str | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Args:
        shape: The API to play, one of :data:`trunkline_mock.SHAPES`.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        script_path: A scenario in YAML or JSON.
        models: Names of the models to have, instead of the scenario's or the shape's own.
        strict: Refuse what the vendor is known to refuse, besides what the scenario says.
        awkward: An awkward shape for the answers of the scenario's own script.
        announce: A function that is given one line with the address as soon as the mock listens.

    Raises:
        OSError: The script file cannot be read, or the port is taken.
        ValueError: There is no such shape, or the script file is invalid; the message says where.
    """
    scenario = Scenario() if script_path is None else load_scenario(script_path)
    if models:
        scenario = msgspec.structs.replace(scenario, models=tuple(models))
    if strict:
        scenario = msgspec.structs.replace(scenario, strict=True)
    if awkward is not None:
        script = msgspec.structs.replace(scenario.script, awkward=awkward)
        scenario = msgspec.structs.replace(scenario, script=script)
    mock = MockUpstream.from_scenario(shape, scenario, host=host, port=port, record=_RECORDED_REQUESTS)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(mock, announce))


async def _serve(mock: MockUpstream, announce: Callable[[str], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            # This fails in a thread and on Windows. The process's own signal handling ends it there.
            loop.add_signal_handler(signal_number, stopped.set)
    async with mock:
        announce(f"Mock {mock.shape.name} upstream ready at {mock.base_url or mock.url}")
        await stopped.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of ``python -m trunkline_mock``; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m trunkline_mock", description="A server that plays an LLM vendor, faults included."
    )
    parser.add_argument("--shape", choices=SHAPES, default="openai")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 (the default) takes a free one")
    parser.add_argument("--script", type=Path, help="a scenario, in YAML or JSON")
    parser.add_argument("--model", action="append", dest="models", help="a model to have; may be repeated")
    parser.add_argument("--strict", action="store_true", help="refuse what the vendor is known to refuse")
    parser.add_argument("--awkward", metavar="NAME", help="answer in this awkward shape")
    options = parser.parse_args(arguments)
    try:
        run(
            options.shape,
            options.host,
            options.port,
            options.script,
            options.models,
            options.strict,
            options.awkward,
            _announce,
        )
    except (OSError, ValueError) as error:
        parser.exit(2, f"{error}\n")
    return 0


def _announce(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the command's output; flushed, because a reader waits for it
