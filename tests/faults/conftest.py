"""The loop that gateways run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[True, False], ids=["fast", "asgi"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Which end of the server."""
    return bool(request.param)
