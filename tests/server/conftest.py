"""Gateways at both HTTP ends, on the event loop that the server runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest
import uvloop

from tests.gateways import Running, make_settings, serving
from trunkline.settings import Settings


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


class Serve(Protocol):
    async def __call__(self, settings: Settings | None = None, **more: Any) -> Running: ...


@pytest.fixture(params=[True, False], ids=["fast", "asgi"])
def fast(request: pytest.FixtureRequest) -> bool:
    """Whether the gateway uses the fast end; else the ASGI end."""
    return bool(request.param)


@pytest.fixture
async def serve(fast: bool) -> AsyncIterator[Serve]:
    """Starts gateways at one end; stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(settings: Settings | None = None, **more: Any) -> Running:
            return await stack.enter_async_context(serving(settings or make_settings(), fast=fast, **more))

        yield start


@pytest.fixture
async def running(serve: Serve) -> Running:
    """A gateway with one key and the model ``custom``."""
    return await serve()
