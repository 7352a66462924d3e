"""Tables: for a terminal as wide as it is, tab-separated and whole for a program.

On a terminal nothing is ever cut off, since what is cut off cannot be copied. A table that is too wide loses
first its columns without content, then has folded what may be, then loses columns from its right end, and
says which.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from trunkline.cli.common import note, say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

_GAP: Final = 2
"""Between two columns."""
_LEAST: Final = 20
"""A word that is longer may be folded in its midst, where its column may be folded at all."""


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
        columns: their titles, what matters most first.
        rows: a cell for each column.
        fold: the columns whose cells may take several lines; any title may.
        keep: so many columns are never left out; None: all of them.
        empty: what to say, to standard error, where there are no rows.
    """
    cells = [tuple(row) for row in rows]
    if not sys.stdout.isatty():
        for row in (columns, *cells):
            say("\t".join(row))
    elif cells or empty is None:
        _print(list(columns), cells, fold, len(columns) if keep is None else keep)
    if not cells and empty is not None:
        note(empty)


def show_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    import msgspec

    say(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def minute(time: datetime | float | None, otherwise: str = "") -> str:
    """A time (or Unix time) in UTC, to the minute, as every command takes it; ``otherwise`` for none."""
    if time is None:
        return otherwise
    found = time if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%MZ")


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
    wanted = [max(map(cell_len, column)) for column in texts]
    least = [_least(column, name in fold, cell_len) for name, column in zip(columns, texts, strict=True)]
    shown = _chosen(least, filled, keep, console.width)
    widths = _shared([least[n] for n in shown], [wanted[n] for n in shown], console.width)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for number, width in zip(shown, widths, strict=True):
        table.add_column(titles[number], width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(row[number]) for number in shown))
    Console(width=max(console.width, _total(widths))).print(table)
    lost = [title for n, title in enumerate(titles) if n not in shown and filled[n]]
    if lost:
        note(f"no room on this terminal for: {', '.join(lost)}")


def _least(column: Sequence[str], may_fold: bool, length: Callable[[str], int]) -> int:
    """The least width of a column, its title first."""
    title = max(map(length, column[0].split()))
    if not may_fold:
        return max(title, *map(length, column[1:]), 1)
    words = [length(word) for cell in column[1:] for word in cell.split()]
    return max(title, min(_LEAST, max(words, default=1)))


def _chosen(least: Sequence[int], filled: Sequence[bool], keep: int, room: int) -> list[int]:
    """The numbers of the columns that there is room for."""
    shown = list(range(len(least)))
    droppable = [n for n in reversed(shown) if n >= keep]
    for number in sorted(droppable, key=lambda n: filled[n]):
        if _total([least[n] for n in shown]) <= room:
            break
        shown.remove(number)
    return shown


def _shared(least: Sequence[int], wanted: Sequence[int], room: int) -> list[int]:
    """Each column's width: what it wants, less where there is no room, but never below its least."""
    widths = [max(pair) for pair in zip(least, wanted, strict=True)]
    while _total(widths) > room:
        spare = [(width, n) for n, width in enumerate(widths) if width > least[n]]
        if not spare:
            break
        widths[max(spare)[1]] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
