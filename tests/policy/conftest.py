"""A clock for tests of limits, and nodes that are not taken for dead on a slow machine."""

from __future__ import annotations

import time

import pytest

from trunkline.server.redis import limits


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day: it stands still, and a test sets it as the only item of this list."""
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


@pytest.fixture(autouse=True)
def _long_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the nodes of these tests alive: they have no heartbeat, and others would take them for dead."""
    monkeypatch.setattr(limits, "ALIVE_S", 3600.0)
