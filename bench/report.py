"""From samples to tables: medians, ratios and verdicts, on the terminal and in ``RESULTS.md``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.cases import Measure
from bench.runs import DIRECT, GATEWAY, NGINX, NGINX_LOG, Sample, pool
from bench.session import QUIET, Outcome, Plan, Results

SUBJECTS: Final = (DIRECT, NGINX, NGINX_LOG, GATEWAY)
READY_S: Final = 1.0
RESIDENT_MB: Final = 80.0
_ABSENT: Final = "–"


class Line(NamedTuple):
    """One line of a table."""

    label: str
    cells: Mapping[str, str]
    """Medians, by subject."""
    ratio: str = ""
    """The gateway's to nginx's: the median of the pairs, and their least and greatest."""
    goal: str = ""


class Section(NamedTuple):
    """One case's table."""

    title: str
    lines: Sequence[Line]
    note: str = ""


def sections(results: Results) -> Iterator[Section]:
    """All tables, in the order of the cases."""
    for outcome in results.outcomes:
        lines = [_line(outcome, measure) for measure in outcome.case.measures]
        yield Section(f"{outcome.case.title} (`{outcome.case.name}`)", lines, _note(outcome))
    lines = [_limit("resident after the runs, MB", results.resident[GATEWAY], RESIDENT_MB, "<", 0)]
    lines[0] = lines[0]._replace(cells={NGINX: f"{results.resident[NGINX]:.0f}", **lines[0].cells})
    if results.starts:
        ready = statistics.median(results.starts)
        lines.append(_limit("from start to the first 200 of /health, s", ready, READY_S, "≤", 2))
    yield Section("Memory and start-up", lines)


def _line(outcome: Outcome, measure: Measure) -> Line:
    rounds = outcome.rounds
    cells = {}
    for subject in outcome.case.subjects:
        if subject == DIRECT and not measure.client:
            continue
        if measure.pooled:
            value = measure.read(pool([each[subject] for each in rounds]))
        else:
            value = statistics.median(_value(measure, each, subject) for each in rounds)
        cells[subject] = f"{value:,.{measure.digits}f}"
    if not measure.ratio:
        return Line(measure.label, cells)
    ratios = [_value(measure, each, GATEWAY) / _value(measure, each, NGINX) for each in rounds]
    ratio = statistics.median(ratios)
    text = f"{ratio:.2f}"
    if len(ratios) > 1:
        text += f" ({min(ratios):.2f}–{max(ratios):.2f})"
    goal = outcome.case.goal
    if not measure.goal or goal is None:
        return Line(measure.label, cells, text)
    return Line(measure.label, cells, text, _verdict(f"≤ {goal}", ratio <= goal))


def _value(measure: Measure, samples: Mapping[str, Sample], subject: str) -> float:
    value = measure.read(samples[subject])
    return value - measure.read(samples[DIRECT]) if measure.added else value


def _limit(label: str, value: float, limit: float, sign: str, digits: int) -> Line:
    met = value < limit if sign == "<" else value <= limit
    return Line(label, {GATEWAY: f"{value:.{digits}f}"}, goal=_verdict(f"{sign} {limit:g}", met))


def _verdict(goal: str, met: bool) -> str:
    return f"{goal}: {'met' if met else 'MISSED'}"


def _note(outcome: Outcome) -> str:
    if not outcome.noisy:
        return ""
    return (
        f"In {outcome.noisy} of {len(outcome.rounds)} rounds other programs had more than {QUIET:.0%} of the "
        "core."
    )


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    for section in sections(results):
        table = Table(title=section.title.replace("`", ""), title_justify="left", title_style="bold")
        table.add_column("", min_width=30)
        used = [subject for subject in SUBJECTS if any(subject in line.cells for line in section.lines)]
        for name in (*used, "ratio", "goal"):
            table.add_column(name, justify="right")
        for line in section.lines:
            cells = [line.cells.get(subject, _ABSENT) for subject in used]
            style = "red" if "MISSED" in line.goal else ""
            table.add_row(line.label, *cells, line.ratio, line.goal, style=style)
        console.print(table)
        if section.note:
            console.print(f"  {section.note}", style="yellow")


def markdown(results: Results, plan: Plan, facts: Mapping[str, str], command: str) -> str:
    """The text of ``RESULTS.md``."""
    parts = [
        "# Results of the bench",
        (
            f"Written by `{command}`. [README.md](README.md) says how it measures, and what the numbers do "
            "not say."
        ),
        "\n".join(f"- {name.capitalize()}: {text}" for name, text in facts.items()),
        (
            f"Medians of {plan.rounds} rounds. Ratios are the gateway's to nginx's in the same round: the "
            "median, and in parentheses the least and the greatest."
        ),
    ]
    parts += [_table(section) for section in sections(results)]
    return "\n\n".join(parts) + "\n"


def _table(section: Section) -> str:
    used = [subject for subject in SUBJECTS if any(subject in line.cells for line in section.lines)]
    rows = [
        ["", *used, "ratio", "goal"],
        ["---", *["---:"] * (len(used) + 2)],
        *(
            [line.label, *(line.cells.get(subject, _ABSENT) for subject in used), line.ratio, line.goal]
            for line in section.lines
        ),
    ]
    text = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    note = f"\n\n{section.note}" if section.note else ""
    return f"## {section.title}\n\n{text}{note}"
