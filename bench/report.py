"""From samples to tables: medians, ratios and verdicts, on the terminal and in ``RESULTS.md``."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.cases import Measure
from bench.counted import BASE, Counted
from bench.rig import NGINX, NGINX_LOG
from bench.runs import DIRECT, GATEWAY, LIMITED, Sample, pool
from bench.session import QUIET, Outcome, Plan, Results

SUBJECTS: Final = (DIRECT, NGINX, NGINX_LOG, GATEWAY, LIMITED, BASE)
READY_S: Final = 1.0
RESIDENT_MB: Final = 65.0
OF_BASE: Final = 0.45
"""The most user instructions, as a share of the base's."""
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


def sections(results: Results) -> list[Section]:
    """All tables: the goals, the cases in their order, and the rest."""
    details = list(_details(results))
    goals = [
        line._replace(label=f"{section.title}: {line.label}", cells=_compared(line))
        for section in details
        for line in section.lines
        if line.goal
    ]
    return [Section("Goals", goals), *details]


def _details(results: Results) -> Iterator[Section]:
    for outcome in results.outcomes:
        lines = [_line(outcome, measure) for measure in outcome.case.measures]
        lines += _beside(outcome, results)
        yield Section(f"{outcome.case.title} ({outcome.case.name})", lines, _note(outcome))
    if results.counted is not None:
        yield _counted(results.counted)
    cells = {subject: f"{megabytes:.0f}" for subject, megabytes in results.resident.items()}
    goal = _verdict(f"≤ {RESIDENT_MB:g}", results.resident[GATEWAY] <= RESIDENT_MB)
    lines = [Line("resident after the runs, MB", cells, goal=goal)]
    if results.starts:
        ready = statistics.median(results.starts)
        goal = _verdict(f"≤ {READY_S:g}", ready <= READY_S)
        lines.append(Line("from start to first answer, s", {GATEWAY: f"{ready:.2f}"}, goal=goal))
    yield Section("Memory and start-up", lines)


def _counted(counted: Counted) -> Section:
    """User instructions, and the ratio of the gateway's to those of another checkout's gateway."""
    cells = {subject: f"{each / 1000:,.1f}" for subject, each in counted.each.items()}
    line = Line("user instructions per request, thousands", cells)
    if BASE in counted.each:
        share = counted.each[GATEWAY] / counted.each[BASE]
        line = line._replace(ratio=f"{share:.2f} of base", goal=_verdict(f"≤ {OF_BASE:g}", share <= OF_BASE))
    note = f"Counted by {counted.tool} over {counted.requests:,} requests. The kernel's are not among them."
    return Section("JSON requests, instructions", [line], note)


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
        cells[subject] = _ABSENT if math.isnan(value) else f"{value:,.{measure.digits}f}"
    if not measure.ratio:
        return Line(measure.label, cells)
    own = outcome.case.own
    pairs = [(_value(measure, each, own), _value(measure, each, NGINX)) for each in rounds]
    if measure.of_medians:
        gateways, nginxs = zip(*pairs, strict=True)
        pairs = [(statistics.median(gateways), statistics.median(nginxs))]
    if any(nginx <= 0 for _, nginx in pairs):  # an added latency that is lost in the noise
        return Line(measure.label, cells, _ABSENT)
    ratios = [gateway / nginx for gateway, nginx in pairs]
    ratio = statistics.median(ratios)
    text = f"{ratio:.2f}"
    if len(ratios) > 1:
        text += f" ({min(ratios):.2f}–{max(ratios):.2f})"
    goal = outcome.case.goals.get(measure.goal)
    if goal is None:
        return Line(measure.label, cells, text)
    return Line(measure.label, cells, text, _verdict(f"≤ {goal}", ratio <= goal))


def _beside(outcome: Outcome, results: Results) -> Iterator[Line]:
    """The case's cost as a multiple of another case's, for each subject; nothing where that was not run."""
    for other in results.outcomes:
        if other.case.name == outcome.case.beside:
            cells = {
                subject: f"{_cost(outcome, subject) / _cost(other, subject):.2f}"
                for subject in outcome.case.subjects
            }
            yield Line(f"CPU as a multiple of {other.case.name}'s", cells)


def _cost(outcome: Outcome, subject: str) -> float:
    """Microseconds of CPU per unit: the median of the rounds."""
    return statistics.median(each[subject].cpu_us for each in outcome.rounds)


def _value(measure: Measure, samples: Mapping[str, Sample], subject: str) -> float:
    value = measure.read(samples[subject])
    return value - measure.read(samples[DIRECT]) if measure.added else value


def _verdict(goal: str, met: bool) -> str:
    return f"{goal}: {'met' if met else 'MISSED'}"


def _note(outcome: Outcome) -> str:
    if not outcome.noisy:
        return ""
    return (
        f"In {outcome.noisy} of {len(outcome.rounds)} rounds other programs had more than {QUIET:.0%} of the "
        "core."
    )


def _compared(line: Line) -> Mapping[str, str]:
    """The cells that a goal is about."""
    return {name: line.cells[name] for name in (NGINX, GATEWAY, LIMITED, BASE) if name in line.cells}


def _used(section: Section) -> list[str]:
    """The subjects that a table has columns for."""
    return [subject for subject in SUBJECTS if any(subject in line.cells for line in section.lines)]


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    for section in sections(results):
        table = Table(title=section.title, title_justify="left", title_style="bold")
        table.add_column("", min_width=30)
        used = _used(section)
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
    used = _used(section)
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
