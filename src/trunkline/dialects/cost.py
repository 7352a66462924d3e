"""The cost of an answer, where a server splits it up instead of naming a sum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_SUMS: Final = ("total_cost", "total", "cost", "amount", "usd", "total_cost_usd")
"""Fields that hold the sum."""


def read_cost(cost: Mapping[str, Any]) -> float | None:
    """Return the sum in USD that is in ``cost``; None if none is."""
    for name in _SUMS:
        value = cost.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None
