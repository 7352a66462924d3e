"""Tables: as wide as the terminal, or complete and tab-separated where a program reads the output.

On a terminal no cell is ever truncated, because a truncated text cannot be copied. If a table is too wide,
columns that may be folded are folded. If that is not enough, columns are left out: first those without
content, then those on the right. A line on standard error names the columns with content that are left out.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from trunkline.cli.common import print_line, print_notice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_GAP: Final = 2
"""Spaces between two columns."""
_MAX_UNFOLDED_WORD: Final = 20
"""A longer word may be folded inside the word, if its column may be folded. In terminal cells."""


def show_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    fold: Collection[str] = (),
    keep: int | None = None,
    empty: str | None = None,
) -> None:
    """Print rows as a table, or tab-separated if standard output is not a terminal.

    Args:
        columns: the titles of the columns, the most important first.
        rows: the rows, each with a cell for each column.
        fold: the columns whose cells may be folded to several lines. Titles always may.
        keep: the number of columns, from the left, that are never left out; None: all of them.
        empty: the text to print to standard error if there are no rows.
    """
    cells = [tuple(row) for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *cells):
            print_line("\t".join(row))
    elif cells or empty is None:
        _print(list(columns), cells, fold, len(columns) if keep is None else keep)
    if not cells and empty is not None:
        print_notice(empty)


def show_json(value: Any) -> None:
    """Print a value as indented JSON."""
    import msgspec

    print_line(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def format_time(time: datetime | float | None, default: str = "") -> str:
    """Format a time to the minute, in a form that every command accepts.

    Args:
        time: a time, or a Unix time in seconds.
        default: the text if there is no time.
    """
    if time is None:
        return default
    moment = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


def _print(columns: list[str], rows: list[tuple[str, ...]], fold: Collection[str], keep: int) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    titles = [column.replace("_", " ") for column in columns]
    filled = [any(row[n] not in ("", "0") for row in rows) for n in range(len(columns))]
    texts = [(title, *(row[n] for row in rows)) for n, title in enumerate(titles)]
    full = [max(map(cell_len, column)) for column in texts]
    minimal = [
        _min_width(column, name in fold, cell_len) for name, column in zip(columns, texts, strict=True)
    ]
    visible = _select_columns(minimal, filled, keep, console.width)
    widths = _fit_widths([minimal[n] for n in visible], [full[n] for n in visible], console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for number, width in zip(visible, widths, strict=True):
        table.add_column(titles[number], width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[number]) for number in visible))
    Console(width=max(console.width, _total_width(widths))).print(table)
    omitted = [title for n, title in enumerate(titles) if n not in visible and filled[n]]
    if omitted:
        print_notice(f"no room on this terminal for: {', '.join(omitted)}")


def _min_width(column: Sequence[str], may_fold: bool, length: Callable[[str], int]) -> int:
    """The minimal width of a column.

    Args:
        column: its title, then its cells.
        may_fold: whether its cells may be folded.
        length: measures a text in terminal cells.
    """
    title = max(map(length, column[0].split()))
    if not may_fold:
        return max(title, *map(length, column[1:]), 1)
    words = [length(word) for cell in column[1:] for word in cell.split()]
    return max(title, min(_MAX_UNFOLDED_WORD, max(words, default=1)))


def _select_columns(minimal: Sequence[int], filled: Sequence[bool], keep: int, available: int) -> list[int]:
    """The indices of the columns that fit.

    Args:
        minimal: each column's minimal width.
        filled: whether each column has content.
        keep: the number of columns that are never left out.
        available: the terminal's width.
    """
    visible = list(range(len(minimal)))
    removable = [n for n in reversed(visible) if n >= keep]
    for number in sorted(removable, key=lambda n: filled[n]):
        if _total_width([minimal[n] for n in visible]) <= available:
            break
        visible.remove(number)
    return visible


def _fit_widths(minimal: Sequence[int], full: Sequence[int], available: int) -> list[int]:
    """Each column's width: its full one, or less on a narrow terminal, but at least its minimal one."""
    widths = [max(pair) for pair in zip(minimal, full, strict=True)]
    while _total_width(widths) > available:
        shrinkable = [(width, n) for n, width in enumerate(widths) if width > minimal[n]]
        if not shrinkable:
            break
        widths[max(shrinkable)[1]] -= 1
    return widths


def _total_width(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
