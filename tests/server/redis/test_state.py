"""The store of state in Redis: all nodes see it, at once."""

from __future__ import annotations

import uuid

from tests.services import Redis
from trunkline.server.redis.state import RedisState
from trunkline.server.state.store import StateStore


async def test_nodes_share_entries_and_their_deletion(redis: Redis) -> None:
    prefix = f"test-{uuid.uuid4().hex}"
    one, two = (StateStore(RedisState(redis.url, prefix)) for _ in range(2))
    one.put("a", "x", b"1")
    assert await one.get("a", "x") == b"1"
    assert await two.get("a", "x") == b"1"
    assert await two.get("b", "x") is None
    two.drop("a", "x")
    await two.aclose()
    assert await one.get("a", "x") is None
    await one.aclose()
