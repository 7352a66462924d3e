"""Tables of the peers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from bench.machine import Spent
from bench.peers.tables import better_than_gateway, markdown, plain_section, section
from bench.peers.trials import TRIALS, Cell, Outcome
from bench.runs import Sample

CLOSED = TRIALS[0]
SUBJECTS = ["direct", "nginx", "gateway", "other"]


def sample(rate: float, microseconds: float) -> Sample:
    return Sample(int(rate), 1.0, Spent(int(rate * microseconds * 1000), 0, 0, 0), 0.0)


def rounds(*others: Cell) -> list[Mapping[str, Cell]]:
    return [
        {
            "direct": sample(900, 0),
            "nginx": sample(800 + number, 20),
            "gateway": sample(100, 70),
            "other": other,
        }
        for number, other in enumerate(others)
    ]


def test_a_cell_is_the_median_of_the_rounds_and_the_better_are_named() -> None:
    found = section(Outcome(CLOSED, rounds(sample(300, 60), sample(90, 90), sample(110, 65))), SUBJECTS)
    served, cpu = found.lines
    assert served.label == "requests per second"
    assert served.cells == {"direct": "900", "nginx": "801", "gateway": "100", "other": "110"}
    assert served.better == "nginx, other"
    assert cpu.cells == {"nginx": "20.0", "gateway": "70.0", "other": "65.0"}
    assert cpu.better == "nginx, other"
    assert found.notes == []


@pytest.mark.parametrize(
    ("cell", "note"),
    [
        ("failed: status 500:\n{body}", "other failed: status 500: {body}"),
        ("cannot", "other did not serve that many in the closed loop, and was not asked to."),
    ],
)
def test_one_that_failed_in_a_round_has_no_cell_and_a_note(cell: str, note: str) -> None:
    found = section(Outcome(CLOSED, rounds(sample(300, 60), cell)), SUBJECTS)
    assert all("other" not in line.cells for line in found.lines)
    assert found.notes == [note]
    text = markdown([found], {"date": "today"}, 2)
    assert f"- {note}" in text
    assert "| requests per second | 900 | 800 | 100 | – | nginx |" in text


@pytest.mark.parametrize(
    ("label", "medians", "better"),
    [
        ("CPU µs per request", {"direct": 1, "gateway": 70, "a": 60, "b": 50, "c": 71}, "b, a"),
        ("requests per second", {"direct": 9, "gateway": 70, "a": 60, "b": 90, "c": 80}, "b, c"),
        ("CPU µs per request", {"gateway": 70, "a": 70}, ""),
        ("CPU µs per request", {"a": 70}, ""),
    ],
)
def test_better_is_less_of_a_cost_and_more_of_a_rate(
    label: str, medians: dict[str, float], better: str
) -> None:
    assert better_than_gateway(label, medians) == better


def test_memory_is_better_the_less_it_is() -> None:
    found = plain_section(
        "Memory", SUBJECTS, {"resident, MB": {"gateway": 80.0, "nginx": 12.0, "other": 90.0}}
    )
    assert found.lines[0].better == "nginx"
    assert found.lines[0].cells["gateway"] == "80.00"
