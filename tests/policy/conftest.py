"""A clock for tests of limits, and nodes that do not die of a slow machine."""

from __future__ import annotations

import time

import pytest

from trunkline.server.redis import limits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, which stands still; set its only item."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _long_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """These nodes have no heartbeat, and would be dead to the others after some seconds."""
    monkeypatch.setattr(limits, "ALIVE_S", 3600.0)
