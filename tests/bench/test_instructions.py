"""Counting instructions, with stand-ins for perf and valgrind: no machine has to have them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench.instructions import Callgrind, Perf, find_counter, read_callgrind, read_perf
from bench.machine import BenchError

COUNTS = "12345678,,instructions:u,1002003,100.00,,"
COUNTS_NOT = "<not supported>,,instructions:u,0,100.00,,"


def test_a_count_of_perf_is_read() -> None:
    assert read_perf(f"# started on Monday\n\n{COUNTS}\n") == 12_345_678


@pytest.mark.parametrize(
    "text", ["", COUNTS_NOT, "<not counted>,,instructions:u,0,0.00,,", "1,,cycles:u,1,1,,"]
)
def test_what_perf_could_not_count_is_an_error(text: str) -> None:
    with pytest.raises(BenchError, match="perf counted nothing"):
        read_perf(text)


def test_a_dump_of_callgrind_is_read_when_it_is_complete() -> None:
    assert read_callgrind("# callgrind format\nsummary: 7\n\ntotals: 8\n") == 8
    assert read_callgrind("# callgrind format\nsummary: 7\n") is None


@pytest.mark.parametrize(
    ("programs", "name"),
    [
        ({"perf": f"echo '{COUNTS}' >&2", "valgrind": "", "callgrind_control": ""}, "perf"),
        ({"perf": f"echo '{COUNTS_NOT}' >&2", "valgrind": "", "callgrind_control": ""}, "callgrind"),
        ({"perf": "exit 1", "valgrind": "", "callgrind_control": ""}, "callgrind"),
        ({"valgrind": "", "callgrind_control": ""}, "callgrind"),
        ({"valgrind": ""}, None),
        ({"perf": f"echo '{COUNTS_NOT}' >&2"}, None),
        ({}, None),
    ],
)
def test_perf_comes_first_if_the_machine_counts(
    programs: dict[str, str], name: str | None, tmp_path: Path
) -> None:
    for each, script in programs.items():
        program(tmp_path / each, script)
    counter = find_counter(str(tmp_path))
    assert (counter.name if counter else None) == name


def test_perf_counts_while_the_load_runs(tmp_path: Path) -> None:
    """The stand-in writes its count when it is interrupted, as perf does."""
    perf = tmp_path / "perf"
    perf.write_text(
        f"""#!{sys.executable}
import pathlib, signal, sys
told = dict(zip(sys.argv, sys.argv[1:]))
def write(*_):
    pathlib.Path(told["-o"]).write_text({COUNTS!r})
    pathlib.Path(told["-o"] + ".pids").write_text(told["-p"])
    sys.exit()
signal.signal(signal.SIGINT, write)  # also where the shell that began the tests ignores it
pathlib.Path({str(tmp_path / "started")!r}).touch()
while True:
    signal.pause()
"""
    )
    perf.chmod(0o700)
    loaded = []
    counter = Perf(str(perf))
    assert counter.prefix("gateway", tmp_path) == ()

    def load() -> None:
        while not (tmp_path / "started").exists():
            pass
        loaded.append(True)

    assert counter.count("gateway", [11, 12], tmp_path, load) == 12_345_678
    assert loaded == [True]
    assert (tmp_path / "perf-gateway.txt.pids").read_text() == "11,12"


def test_callgrind_is_on_during_the_load_only(tmp_path: Path) -> None:
    orders = tmp_path / "orders"
    control = program(
        tmp_path / "callgrind_control",
        f"""
        echo $1 $2 >>{orders}
        if [ $1 = --dump ]; then echo "totals: ${{2}}00" >{tmp_path}/callgrind-gateway.$2.1; fi
        """,
    )
    counter = Callgrind("valgrind", str(control))
    program_, tool, *options = counter.prefix("gateway", tmp_path)
    assert (program_, tool) == ("valgrind", "--tool=callgrind")
    assert "--instr-atstart=no" in options

    def load() -> None:
        with orders.open("a") as file:
            file.write("load\n")

    (tmp_path / "callgrind-gateway.5").write_text("totals: 999\n")  # an earlier dump does not count
    assert counter.count("gateway", [5, 6], tmp_path, load) == 500 + 600
    assert orders.read_text().splitlines() == [
        "--instr=on 5",
        "--instr=on 6",
        "load",
        "--instr=off 5",
        "--instr=off 6",
        "--dump 5",
        "--dump 6",
    ]


@pytest.mark.parametrize(
    "script", ["exit 1", "echo \"Error: Callgrind task with PID/name '5' not detected.\""]
)
def test_a_process_that_callgrind_does_not_have_is_an_error(script: str, tmp_path: Path) -> None:
    counter = Callgrind("valgrind", str(program(tmp_path / "callgrind_control", script)))
    with pytest.raises(BenchError, match="--instr=on failed for 5"):
        counter.count("gateway", [5], tmp_path, lambda: None)


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path
