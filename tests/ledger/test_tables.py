"""The tables, and what other code takes for granted of their columns."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Table

from trunkline.ledger import tables
from trunkline.ledger.columns import PLACE, SUMS, TIMES
from trunkline.ledger.usage_rows import COLUMNS


def test_a_row_of_usage_has_the_tables_columns_in_their_order() -> None:
    assert tuple(tables.usage.columns.keys()) == COLUMNS


@pytest.mark.parametrize(
    ("table", "since"),
    [(tables.usage_hourly, "hour"), (tables.usage_daily, "day"), (tables.usage_monthly, "month")],
)
def test_tables_of_sums_have_their_place_and_then_the_sums(table: Table, since: str) -> None:
    assert tuple(table.columns.keys()) == (since, *PLACE, *SUMS, *TIMES)
    assert tuple(table.primary_key.columns.keys()) == (since, *PLACE)


def test_nothing_of_a_ledger_imports_sqlalchemy_before_a_store_is_opened() -> None:
    names = (
        "audit columns id_ranges journal keys migrate policies reader recording rules store teams usage "
        "usage_rows writer"
    )
    imports = "\n".join(f"import trunkline.ledger.{name}" for name in names.split())
    code = f"import sys\n{imports}\nsys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
