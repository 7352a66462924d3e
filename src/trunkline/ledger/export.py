"""Exports rows of usage for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

_FORMULA_PREFIXES: Final = ("=", "+", "-", "@", "\t", "\r")
"""The characters that a spreadsheet takes for the beginning of a formula."""


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render rows as CSV (RFC 4180) with a header.

    Text that a spreadsheet would run as a formula is prefixed with a quote, which makes it plain text.
    """
    output = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(output, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _escape_formula(value) for name, value in row.items()})
    return output.getvalue()


def _escape_formula(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_PREFIXES) else value
