"""The tables, and what other modules assume about their columns."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Table

from trunkline.ledger import tables
from trunkline.ledger.columns import COUNT_COLUMNS, DIMENSIONS, DURATION_COLUMNS
from trunkline.ledger.usage_rows import COLUMNS


def test_a_usage_row_has_the_columns_of_the_table_in_order() -> None:
    assert tuple(tables.usage.columns.keys()) == COLUMNS


@pytest.mark.parametrize(
    ("table", "start"),
    [(tables.usage_hourly, "hour"), (tables.usage_daily, "day"), (tables.usage_monthly, "month")],
)
def test_roll_up_tables_have_their_key_and_then_the_totals(table: Table, start: str) -> None:
    assert tuple(table.columns.keys()) == (start, *DIMENSIONS, *COUNT_COLUMNS, *DURATION_COLUMNS)
    assert tuple(table.primary_key.columns.keys()) == (start, *DIMENSIONS)


def test_no_module_imports_sqlalchemy_before_a_store_is_opened() -> None:
    modules = "audit columns export id_ranges journal keys locate migrate policies reader rules store teams"
    modules += " usage usage_rows usage_store writer"
    imports = "\n".join(f"import trunkline.ledger.{name}" for name in modules.split())
    code = f"import sys\n{imports}\nsys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
