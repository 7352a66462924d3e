"""Answers that all nodes share, in Redis; and what the settings say of the cache."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from trunkline.errors import redact
from trunkline.pipeline.cache import CachePolicy
from trunkline.pipeline.response import CachedAnswer
from trunkline.settings import Settings

if TYPE_CHECKING:
    from redis.asyncio import Redis

TIMEOUT_S: Final = 0.5
"""Seconds that Redis gets: a cache that is away must not hold up what it is to speed up."""
REST_S: Final = 5.0
"""Seconds for which Redis is not asked again after it has failed."""

log: Final = structlog.stdlib.get_logger(__name__)


def cache_rule(settings: Settings) -> CachePolicy:
    """The cache's part of the settings."""
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
    """Answers in Redis, for all nodes; satisfies ``cache.AnswerStore``. While Redis is away the cache is
    empty."""

    def __init__(self, url: str, prefix: str) -> None:
        """``prefix`` begins all names in Redis."""
        import redis.asyncio as client

        self._redis: Redis = client.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._prefix = prefix
        self._away_until = 0.0
        self._keeping: set[asyncio.Task[None]] = set()
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
        """See the Protocol. The answer is on its way to Redis when this returns."""
        if now < self._away_until:
            return
        task = asyncio.get_running_loop().create_task(self._keep(name, kept, ttl_s, now))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep(self, name: str, kept: CachedAnswer, ttl_s: float, now: float) -> None:
        from redis.exceptions import RedisError

        try:
            milliseconds = max(1, int(ttl_s * 1000))
            await self._redis.set(f"{self._prefix}:answer:{name}", self._encode(kept), px=milliseconds)
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
        """Redis's own settings bound its memory."""

    def _failed(self, error: Exception, now: float) -> None:
        self._away_until = now + REST_S
        reason = redact(f"{type(error).__name__}: {error}")
        log.warning("the cache of answers is away", reason=reason)

    async def settled(self) -> None:
        """Let what is on its way arrive."""
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def aclose(self) -> None:
        """Let what is on its way arrive, and close the connections."""
        await self.settled()
        await self._redis.aclose()
