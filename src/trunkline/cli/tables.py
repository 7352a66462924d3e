"""Prints tables: fitted to the width of a terminal, or tab-separated for programs.

On a terminal no text is ever truncated, because truncated text cannot be copied. If a table is too wide,
cells that may be folded are folded. If it is still too wide, columns without content are left out first, and
then others from the right end. A note names those that have content.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from trunkline.cli.common import print_note, print_result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_COLUMN_GAP: Final = 2
"""The number of spaces between two columns."""
_MAX_UNFOLDED_WORD: Final = 20
"""The length above which a word in a column that may be folded is itself folded."""


def show_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    fold: Collection[str] = (),
    keep: int | None = None,
    empty: str | None = None,
) -> None:
    """Print rows as a table, or tab-separated where the output goes to a program.

    Args:
        columns: The titles of the columns, the most important first.
        rows: The rows, with a cell for each column.
        fold: The columns whose cells may be folded onto several lines. Titles are always folded.
        keep: The number of columns, from the first on, that are never left out. None: all of them.
        empty: The note to print, to standard error, if there are no rows.
    """
    cells = [tuple(row) for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *cells):
            print_result("\t".join(row))
    elif cells or empty is None:
        _print_table(list(columns), cells, fold, len(columns) if keep is None else keep)
    if not cells and empty is not None:
        print_note(empty)


def show_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    import msgspec

    print_result(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def format_minute(time: datetime | float | None, default: str = "") -> str:
    """Format a time or Unix time in UTC, to the minute. Every command accepts this format.

    Args:
        time: The time.
        default: The text if there is no time.
    """
    if time is None:
        return default
    utc = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return utc.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


def _print_table(columns: list[str], rows: list[tuple[str, ...]], fold: Collection[str], keep: int) -> None:
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    titles = [column.replace("_", " ") for column in columns]
    has_content = [any(row[n] not in ("", "0") for row in rows) for n in range(len(columns))]
    texts = [(title, *(row[n] for row in rows)) for n, title in enumerate(titles)]
    full_widths = [max(map(cell_len, column)) for column in texts]
    min_widths = [
        _min_width(column, name in fold, cell_len) for name, column in zip(columns, texts, strict=True)
    ]
    shown = _choose_columns(min_widths, has_content, keep, console.width)
    widths = _fit_widths([min_widths[n] for n in shown], [full_widths[n] for n in shown], console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for index, width in zip(shown, widths, strict=True):
        table.add_column(titles[index], width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[index]) for index in shown))
    Console(width=max(console.width, _table_width(widths))).print(table)
    omitted = [title for n, title in enumerate(titles) if n not in shown and has_content[n]]
    if omitted:
        print_note(f"no room on this terminal for: {', '.join(omitted)}")


def _min_width(column: Sequence[str], may_fold: bool, length: Callable[[str], int]) -> int:
    """Return the minimum width of a column, whose first text is its title."""
    title = max(map(length, column[0].split()))
    if not may_fold:
        return max(title, *map(length, column[1:]), 1)
    words = [length(word) for cell in column[1:] for word in cell.split()]
    return max(title, min(_MAX_UNFOLDED_WORD, max(words, default=1)))


def _choose_columns(
    min_widths: Sequence[int], has_content: Sequence[bool], keep: int, max_width: int
) -> list[int]:
    """Return the indexes of the columns that fit into the maximum width of the table."""
    shown = list(range(len(min_widths)))
    droppable = [n for n in reversed(shown) if n >= keep]
    for index in sorted(droppable, key=lambda n: has_content[n]):
        if _table_width([min_widths[n] for n in shown]) <= max_width:
            break
        shown.remove(index)
    return shown


def _fit_widths(min_widths: Sequence[int], full_widths: Sequence[int], max_width: int) -> list[int]:
    """Return the width of each column: its full width, or less if the table is too wide, the widest first."""
    widths = [max(pair) for pair in zip(min_widths, full_widths, strict=True)]
    while _table_width(widths) > max_width:
        reducible = [(width, n) for n, width in enumerate(widths) if width > min_widths[n]]
        if not reducible:
            break
        widths[max(reducible)[1]] -= 1
    return widths


def _table_width(widths: Sequence[int]) -> int:
    return sum(widths) + _COLUMN_GAP * (len(widths) - 1)
