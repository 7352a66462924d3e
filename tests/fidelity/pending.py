"""Cells that are not as they ought to be yet, by pattern, with the number of the work that mends them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

import pytest

STRICT_PENDING: Final[Sequence[tuple[str, str, str, int]]] = ()
"""Patterns of front, vendor and feature, and the number."""


def strict_mark(front: str, vendor: str, feature: str) -> Sequence[pytest.MarkDecorator]:
    """The mark of a cell of the axis of strict vendors."""
    for *patterns, number in STRICT_PENDING:
        if all(fnmatchcase(name, str(p)) for name, p in zip((front, vendor, feature), patterns, strict=True)):
            return [pytest.mark.xfail(strict=False, reason=f"mended by item {number}")]
    return []
