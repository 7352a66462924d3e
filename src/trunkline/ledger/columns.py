"""Column names that modules without SQLAlchemy need too."""

from __future__ import annotations

from typing import Final

TOKEN_COLUMNS: Final = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
COUNT_COLUMNS: Final = (
    "requests",
    "failures",
    "attempts",
    "cached",
    *TOKEN_COLUMNS,
    "cost_micros",
    "unpriced",
)
"""The columns of a roll-up that hold whole numbers."""
DURATION_COLUMNS: Final = ("duration_ms", "upstream_ms")
"""The columns of a roll-up that hold milliseconds."""
DIMENSIONS: Final = ("key_id", "team_id", "provider", "model")
"""The columns that a roll-up is grouped by, besides the time."""
