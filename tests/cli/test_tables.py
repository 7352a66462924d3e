"""Tables on terminals of all widths: cells are folded, columns are left out, and no cell is truncated."""

import re

import pytest

from tests.cli.conftest import Terminal
from trunkline.cli.tables import format_time, show_rows

COLUMNS = ("name", "id", "team", "last used", "total_tokens", "note")
ROWS = [
    ("laptop", "6beea8877c24", "", "2026-11-21 10:21Z", "0", "one two three four"),
    ("a-name-of-24-characters-", "7034df3d29b4", "", "never", "0", "words"),
]


def printed_table(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], str]:
    """The lines of the table, and standard error."""
    out, err = capsys.readouterr()
    return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in out.splitlines()], err


def test_without_a_terminal_the_table_is_complete_and_tab_separated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_rows(COLUMNS, ROWS, keep=1)
    lines, err = printed_table(capsys)
    assert [tuple(line.split("\t")) for line in lines] == [COLUMNS, *ROWS]
    assert err == ""


@pytest.mark.parametrize(
    ("columns", "titles", "omitted"),
    [
        ("120", "name id team last used total tokens note", ""),
        ("80", "name id team last used total tokens note", ""),  # folded
        ("70", "name id team last used note", ""),  # columns that are empty or 0 are left out first
        ("60", "name id last used note", ""),
        ("55", "name id last used", "note"),
        ("45", "name id", "last used, note"),
        ("20", "name id", "last used, note"),
    ],
)
def test_columns_that_do_not_fit_are_left_out_and_named(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], columns: str, titles: str, omitted: str
) -> None:
    terminal(columns)
    show_rows(COLUMNS, ROWS, fold=("last used", "note"), keep=2)
    lines, err = printed_table(capsys)
    rule = next(number for number, line in enumerate(lines) if line.startswith("─"))
    assert sorted(" ".join(lines[:rule]).split()) == sorted(titles.split())
    assert all(cell in " ".join(lines) for row in ROWS for cell in row[:2])
    assert max(map(len, lines)) <= max(int(columns), 38)
    assert err == (f"trunkline: no room on this terminal for: {omitted}\n" if omitted else "")


@pytest.mark.parametrize("columns", ["30", "50"])
def test_folding_loses_no_character(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    text = "0123456789" * 6
    terminal(columns)
    show_rows(("id", "model"), [("x", text)], fold=("model",))
    lines, _ = printed_table(capsys)
    assert len(lines) > 3
    assert "".join(line.removeprefix("x").strip() for line in lines[2:]) == text


@pytest.mark.parametrize("columns", [None, "80"])
def test_a_text_is_printed_if_there_are_no_rows(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], columns: str | None
) -> None:
    if columns:
        terminal(columns)
    show_rows(COLUMNS, [], empty="there is nothing")
    out, err = capsys.readouterr()
    assert (out, err) == ("" if columns else "\t".join(COLUMNS) + "\n", "trunkline: there is nothing\n")


def test_times_are_formatted_in_utc() -> None:
    assert format_time(1_700_000_000) == "2023-11-14 22:13Z"
    assert format_time(None, "never") == "never"
