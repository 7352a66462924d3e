"""A clock for tests of limits."""

from __future__ import annotations

import time

import pytest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, which stands still; set its only item."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now
