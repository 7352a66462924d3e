"""Counting frames and bytecodes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import httptools
import pytest
from bench.frames import Tracer, room

import trunkline
from trunkline.server.http import dispatcher

SOURCE = Path(trunkline.__file__).parent


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        (dispatcher.__file__, "server/http"),
        (str(SOURCE / "exchange.py"), "exchange.py"),
        (str(SOURCE / "pipeline" / "pipeline.py"), "pipeline"),
        (str(SOURCE / "dialects" / "openai" / "front.py"), "dialects/openai"),
        (str(SOURCE / "dialects" / "body_patch.py"), "dialects"),
        ("/x/lib/python3.11/site-packages/trunkline/server/app/run.py", "server/app"),
        ("/x/trunkline/y/.venv/lib/python3.11/site-packages/uvicorn/main.py", "package uvicorn"),
        (httptools.__file__, "package httptools"),
        ("<string>", "generated code"),
    ],
)
def test_a_file_has_a_room(filename: str, name: str) -> None:
    assert room(filename) == name


def test_the_standard_library_is_one_room() -> None:
    assert room(sys.modules["threading"].__file__ or "") == "standard library"


def test_only_what_runs_while_it_is_on_is_counted() -> None:
    tracer = Tracer()

    def leaf() -> int:
        return 1

    def steps() -> Iterator[int]:
        yield leaf()
        yield leaf()

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        leaf()
        tracer.on = True
        sum(steps())
        tracer.on = False
        leaf()
    finally:
        sys.settrace(before)
    frames = {code.co_name: number for code, number in tracer.frames.items()}
    assert frames == {"leaf": 2, "steps": 3}  # a generator that goes on is entered again
    assert tracer.bytecodes[leaf.__code__] >= 4
    assert tracer.rooms()["other"][0] == 5
