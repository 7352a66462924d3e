"""Names of columns that code without SQLAlchemy needs too."""

from __future__ import annotations

from typing import Final

TOKENS: Final = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
SUMS: Final = ("requests", "failures", "attempts", "cached", *TOKENS, "cost_micros", "unpriced")
"""Columns of the sums that are whole numbers."""
TIMES: Final = ("duration_ms", "upstream_ms")
"""Columns of the sums that are milliseconds."""
PLACE: Final = ("key_id", "team_id", "provider", "model")
"""What usage is summed up by, beside the time."""
