"""The store of state in Redis, which all nodes share."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from trunkline.pipeline.responder import CachedAnswer
from trunkline.server.redis.cache import RedisAnswers
from trunkline.server.state.store import Bounds, Entry

_LATER: Final = 3600.0


class RedisState:
    """Satisfies ``server.state.store.Backing``. Redis forgets entries in time, and bounds its own memory."""

    is_shared = True

    def __init__(self, url: str, prefix: str) -> None:
        """Use a Redis.

        Args:
            url: where it is.
            prefix: begins all names in it.
        """
        self._answers = RedisAnswers(url, prefix)
        self._deletions: set[asyncio.Task[None]] = set()

    async def load(self, owner: str, name: str) -> Entry | None:
        """See the Protocol."""
        now = time.time()
        await self._answers.settled()
        found = await self._answers.find(f"state:{owner}:{name}", now)
        return None if found is None else Entry(found.body, now + _LATER)

    def save(self, owner: str, name: str, entry: Entry) -> None:
        """See the Protocol."""
        now = time.time()
        answer = CachedAnswer(
            streaming=False, content_type=b"", lines=b"", body=entry.data, provider="", model=""
        )
        self._answers.keep(f"state:{owner}:{name}", answer, entry.until - now, now)

    def delete(self, owner: str, name: str) -> None:
        """See the Protocol."""
        task = asyncio.get_running_loop().create_task(self._answers.drop(f"state:{owner}:{name}"))
        self._deletions.add(task)
        task.add_done_callback(self._deletions.discard)

    def resize(self, bounds: Bounds) -> None:
        """See the Protocol."""

    async def aclose(self) -> None:
        """See the Protocol."""
        await asyncio.gather(*self._deletions, return_exceptions=True)
        await self._answers.aclose()
