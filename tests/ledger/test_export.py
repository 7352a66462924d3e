"""Usage as CSV, without text that a spreadsheet would run as a formula."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.ledger.export import as_csv

EXAMPLES: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing": ([], ""),
    "a row": ([{"model": "m", "cost": 1.5, "team": None}], "model,cost,team\r\nm,1.5,\r\n"),
    "commas, quotes and lines": ([{"a": 'x,"y"\nz'}], 'a\r\n"x,""y""\nz"\r\n'),
    "a negative number": ([{"a": -1}], "a\r\n-1\r\n"),
    **{
        f"begins with {prefix!r}": ([{"a": f"{prefix}1"}], f"a\r\n'{prefix}1\r\n")
        for prefix in ("=", "+", "-", "@", "\t")
    },
}


@pytest.mark.parametrize(("rows", "text"), EXAMPLES.values(), ids=EXAMPLES)
def test_rows_as_csv(rows: list[dict[str, Any]], text: str) -> None:
    assert as_csv(rows) == text
