"""Tables of what was measured, on the terminal and in ``PEERS.md``."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.cases import Measure
from bench.peers.trials import HIGHER_IS_BETTER, Outcome
from bench.runs import DIRECT, GATEWAY, Sample

_ABSENT: Final = "–"


class Line(NamedTuple):
    """One line of a table."""

    label: str
    cells: Mapping[str, str]
    better: str
    """Who is better than the gateway here, the mock alone left aside."""


class Section(NamedTuple):
    """One table."""

    title: str
    subjects: Sequence[str]
    lines: Sequence[Line]
    notes: Sequence[str] = ()


def section(outcome: Outcome, subjects: Sequence[str]) -> Section:
    """The table of one trial."""
    lines, notes = [], []
    for subject in subjects:
        words = {cell for cells in outcome.rounds if isinstance(cell := cells.get(subject), str)}
        notes += [f"{subject} {_one_line(text)}" for text in sorted(words) if text != "cannot"]
        if "cannot" in words:
            notes.append(f"{subject} did not serve that many in the closed loop, and was not asked to.")
    for measure in outcome.trial.measures:
        values = {subject: _values(outcome, measure, subject) for subject in subjects}
        medians = {subject: statistics.median(found) for subject, found in values.items() if found}
        cells = {subject: f"{value:,.{measure.digits}f}" for subject, value in medians.items()}
        lines.append(Line(measure.label, cells, better_than_gateway(measure.label, medians)))
    return Section(f"{outcome.trial.title} ({outcome.trial.name})", subjects, lines, notes)


def plain_section(title: str, subjects: Sequence[str], rows: Mapping[str, Mapping[str, float]]) -> Section:
    """A table of numbers that are the better the less they are."""
    lines = [
        Line(
            label,
            {subject: f"{value:,.2f}" for subject, value in row.items()},
            better_than_gateway(label, row),
        )
        for label, row in rows.items()
    ]
    return Section(title, subjects, lines)


def better_than_gateway(label: str, medians: Mapping[str, float]) -> str:
    """The subjects that do better, best first."""
    own = medians.get(GATEWAY)
    if own is None:
        return ""
    sign = -1 if label in HIGHER_IS_BETTER else 1
    better = [name for name, value in medians.items() if name != DIRECT and sign * value < sign * own]
    return ", ".join(sorted(better, key=lambda name: sign * medians[name]))


def _values(outcome: Outcome, measure: Measure, subject: str) -> list[float]:
    """A measure in every round; nothing of one that is only of the client's, or that failed in a round."""
    if subject == DIRECT and not measure.client:
        return []
    found = [cells.get(subject) for cells in outcome.rounds]
    samples = [cell for cell in found if isinstance(cell, Sample)]
    return [measure.read(sample) for sample in samples] if len(samples) == len(found) else []


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def show(sections: Sequence[Section], console: Console) -> None:
    """Print the tables."""
    for each in sections:
        table = Table(title=each.title, title_justify="left", title_style="bold")
        table.add_column("", min_width=24)
        for name in (*each.subjects, "better than the gateway"):
            table.add_column(name, justify="right")
        for line in each.lines:
            table.add_row(line.label, *_row(line, each.subjects), line.better)
        console.print(table)
        for note in each.notes:
            console.print(f"  {note}", style="yellow", markup=False)


def markdown(sections: Sequence[Section], facts: Mapping[str, str], rounds: int) -> str:
    """The text of ``PEERS.md``."""
    parts = [
        "# Other gateways beside this one",
        (
            "Written by `make bench-peers`. [README.md](README.md#other-gateways) says how it measures, and "
            "what each of them does in this configuration."
        ),
        "\n".join(f"- {name.capitalize()}: {text}" for name, text in facts.items()),
        f"Medians of {rounds} rounds. The last column names who is better than the gateway, best first.",
    ]
    for each in sections:
        rows = [
            ["", *each.subjects, "better than the gateway"],
            ["---", *["---:"] * (len(each.subjects) + 1)],
            *([line.label, *_row(line, each.subjects), line.better] for line in each.lines),
        ]
        parts += [f"## {each.title}", "\n".join("| " + " | ".join(row) + " |" for row in rows)]
        parts += [f"- {note}" for note in each.notes]
    return "\n\n".join(parts) + "\n"


def _row(line: Line, subjects: Sequence[str]) -> list[str]:
    return [line.cells.get(subject, _ABSENT) for subject in subjects]
