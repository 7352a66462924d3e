"""The page of the fidelity matrix."""

from __future__ import annotations

from tests.fidelity.expected import CELLS, COUNTED, share
from tests.fidelity.page import PAGE, render


def test_the_page_says_what_the_matrix_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "write it again: python -m tests.fidelity"


def test_nine_in_ten_cells_are_kept() -> None:
    assert share(COUNTED) >= 0.9


def test_what_is_not_kept_says_why() -> None:
    assert all(cell.note for cell in CELLS.values() if cell.kind != "kept")
