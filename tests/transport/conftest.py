"""Both event loops, and an upstream that runs the script of a test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack

import pytest
import uvloop

from trunkline.transport import Client, Origin, ProxyConfig

from .upstream import Listen, Script, listening


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Starts scripted servers; stops them after the test."""
    async with AsyncExitStack() as stack:

        async def start(script: Script, tls: ssl.SSLContext | None = None) -> Origin:
            return await stack.enter_async_context(listening(script, tls))

        yield start


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """A client without proxies. It must have no connections and requests left when it is closed."""
    client = Client(proxy=ProxyConfig())
    yield client
    await client.aclose()
    assert client.stats == (0, 0, 0, 0)
