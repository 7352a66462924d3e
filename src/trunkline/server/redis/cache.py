"""The answer cache's store in Redis, which all nodes share, and its policy as the settings have it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from trunkline.errors import redact
from trunkline.pipeline.cache import CachePolicy
from trunkline.pipeline.responder import CachedAnswer
from trunkline.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S: Final = 0.5
"""Seconds in which Redis must answer: a cache that is away must not slow down the requests that it is to
speed up."""
AWAY_S: Final = 5.0
"""Seconds for which Redis is not asked again after it has failed."""

log: Final = structlog.stdlib.get_logger(__name__)


def cache_policy(settings: Settings) -> CachePolicy:
    """When answers are cached, as the settings have it."""
    rule = settings.cache
    routes = {name: route.cache for name, route in settings.routes.items() if route.cache is not None}
    return CachePolicy(
        enabled=rule.enabled,
        ttl_s=rule.ttl_s,
        max_bytes=rule.max_bytes,
        shared=rule.shared,
        routes=routes,
    )


class RedisAnswers:
    """Answers in Redis, for all nodes. Satisfies ``pipeline.cache.AnswerStore``. While Redis is away the
    cache is empty."""

    def __init__(self, url: str, prefix: str) -> None:
        """Use a Redis.

        Args:
            url: where it is.
            prefix: begins all names in it.
        """
        import redis.asyncio as client

        self._redis: Redis = client.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._prefix = prefix
        self._away_until = 0.0
        self._writes: set[asyncio.Task[None]] = set()
        self._decode = msgspec.msgpack.Decoder(CachedAnswer).decode
        self._encode = msgspec.msgpack.Encoder().encode

    async def find(self, name: str, now: float) -> CachedAnswer | None:
        """See the Protocol."""
        if now < self._away_until:
            return None
        from redis.exceptions import RedisError

        try:
            found = await self._redis.get(f"{self._prefix}:answer:{name}")
            return None if found is None else self._decode(bytes(found))  # type: ignore[arg-type]
        except (RedisError, OSError, msgspec.DecodeError) as error:
            self._failed(error, now)
            return None

    def keep(self, name: str, kept: CachedAnswer, ttl_s: float, now: float) -> None:
        """See the Protocol. The answer is written to Redis after this has returned."""
        if now < self._away_until:
            return
        task = asyncio.get_running_loop().create_task(self._write(name, kept, ttl_s, now))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, name: str, answer: CachedAnswer, ttl_s: float, now: float) -> None:
        from redis.exceptions import RedisError

        try:
            milliseconds = max(1, int(ttl_s * 1000))
            await self._redis.set(f"{self._prefix}:answer:{name}", self._encode(answer), px=milliseconds)
        except (RedisError, OSError) as error:
            self._failed(error, now)

    async def drop(self, name: str) -> None:
        """See the Protocol."""
        from redis.exceptions import RedisError

        try:
            await self._redis.delete(f"{self._prefix}:answer:{name}")
        except (RedisError, OSError) as error:
            self._failed(error, time.time())

    def resize(self, most_bytes: int) -> None:
        """See the Protocol. Redis's own settings bound its memory."""

    def _failed(self, error: Exception, now: float) -> None:
        self._away_until = now + AWAY_S
        reason = redact(f"{type(error).__name__}: {error}")
        log.warning("the cache of answers is away", reason=reason)

    async def settled(self) -> None:
        """Wait until all answers are written."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def aclose(self) -> None:
        """Wait until all answers are written, and close the connections."""
        await self.settled()
        await self._redis.aclose()
