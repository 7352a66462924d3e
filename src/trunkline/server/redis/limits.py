"""Redis (or Valkey) as the store of leases: every step is one script, which Redis runs without interruption.

Times are Redis's own. A node is alive while it sends a heartbeat every few seconds; the leases of a dead node
no longer count. The class satisfies ``policy.leases.LeaseStore``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog

from trunkline.errors import redact
from trunkline.policy.leases import BudgetLease, LeasedCounters, RateLease, StoreUnavailableError

if TYPE_CHECKING:
    from redis.asyncio import Redis

ALIVE_S: Final = 8.0
"""Seconds without a heartbeat after which a node is dead."""
HEARTBEAT_S: Final = 2.0
"""Seconds between two heartbeats of a node."""
REPORT_S: Final = 0.05
"""Seconds between two reports of what was spent."""
RETRY_S: Final = 0.5
"""Seconds between two attempts to reach Redis while it is away."""
TIMEOUT_S: Final = 1.0
"""Seconds in which Redis must answer."""
_CONNECTIONS: Final = 8
_KEEP_S: Final = 86400
"""Seconds for which a budget is kept after its period."""

log: Final = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")

_NOW: Final = "local t = redis.call('TIME') local now = t[1] * 1000 + t[2] / 1000\n"

_KEEP: Final = """
local function keep(full)
  local ms = math.min(math.ceil(full - now) + 1000, 1e15)
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', string.format('%.0f', ms))
end
"""
"""Stores a rate until it is full again. Redis accepts neither Lua's 1e+15 nor a time beyond all dates."""

_TAKE_RATE: Final = (
    _NOW
    + _KEEP
    + """
local limit, per, need, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local interval = per / limit
local full = tonumber(redis.call('GET', KEYS[1]) or now)
if full < now then full = now end
local free = math.floor((per - (full - now)) / interval + 0.000001)
local granted = 0
if free >= need then granted = math.min(want, free)
elseif need > limit and full <= now then granted = need end
if granted > 0 then
  full = full + granted * interval
  keep(full)
  return {granted, free - granted, 0}
end
return {0, free, math.ceil((math.min(need, limit) - free) * interval)}
"""
)

_RETURN_RATE: Final = (
    _NOW
    + _KEEP
    + """
local limit, per, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = tonumber(redis.call('GET', KEYS[1]) or now)
if full < now then full = now end
full = full - amount * per / limit
if full <= now then redis.call('DEL', KEYS[1]) return 0 end
keep(full)
return 0
"""
)

_TAKE_BUDGET: Final = (
    _NOW
    + """
local node, limit, need, want = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZADD', KEYS[2], now, node)
local spent = redis.call('HGET', KEYS[1], 's')
if not spent then
  if ARGV[5] == '0' then return {-1, 0, 0} end
  spent = 0
end
local held = 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 2) == 'n:' then
    local holder = string.sub(fields[i], 3)
    local heartbeat = redis.call('ZSCORE', KEYS[2], holder)
    if holder ~= node and (not heartbeat or tonumber(heartbeat) < now - tonumber(ARGV[6])) then
      redis.call('HDEL', KEYS[1], fields[i])
    else
      held = held + tonumber(fields[i + 1])
    end
  end
end
local free = limit - tonumber(spent) - held
local granted = 0
if free >= need then
  granted = math.min(want, free)
  redis.call('HINCRBY', KEYS[1], 'n:' .. node, granted)
end
return {granted, tonumber(spent), held + granted}
"""
)

_SEED_BUDGET: Final = """
local spent = redis.call('HGET', KEYS[1], 's')
if not spent or tonumber(spent) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 's', ARGV[1]) end
if ARGV[2] ~= '0' then redis.call('EXPIREAT', KEYS[1], ARGV[2]) end
return 0
"""

_SETTLE_BUDGET: Final = """
if redis.call('HEXISTS', KEYS[1], 's') == 0 then
  if ARGV[4] == '0' then return {-1, 0} end
  redis.call('HSET', KEYS[1], 's', 0)
end
local spent = redis.call('HINCRBY', KEYS[1], 's', ARGV[2])
local held = redis.call('HINCRBY', KEYS[1], 'n:' .. ARGV[1], ARGV[3])
if held <= 0 then redis.call('HDEL', KEYS[1], 'n:' .. ARGV[1]) held = 0 end
return {spent, held}
"""


class RedisLeases:
    """The leases of all nodes, stored in Redis. ``start`` begins this node's heartbeat, ``aclose`` ends
    it."""

    def __init__(self, url: str, prefix: str) -> None:
        """Use a Redis.

        Args:
            url: where it is.
            prefix: begins all names in it.
        """
        import redis.asyncio as client

        pool = client.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )
        self._redis: Redis = client.Redis.from_pool(pool)
        self._prefix = prefix
        self.node = secrets.token_hex(6)
        scripts = {
            "take_rate": _TAKE_RATE,
            "return_rate": _RETURN_RATE,
            "take_budget": _TAKE_BUDGET,
            "seed_budget": _SEED_BUDGET,
            "settle_budget": _SETTLE_BUDGET,
        }
        self._scripts = {name: self._redis.register_script(text) for name, text in scripts.items()}
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def take_rate(self, name: str, limit: int, per_s: float, need: int, want: int) -> RateLease:
        """See the Protocol."""
        granted, left, wait_ms = await self._run("take_rate", [name], limit, per_s * 1000, need, want)
        return RateLease(granted, left, wait_ms / 1000)

    async def return_rate(self, name: str, limit: int, per_s: float, amount: int) -> None:
        """See the Protocol."""
        await self._run("return_rate", [name], limit, per_s * 1000, amount)

    async def take_budget(
        self, name: str, limit: int, need: int, want: int, *, seeded: bool
    ) -> BudgetLease | None:
        """See the Protocol."""
        granted, spent, held = await self._run(
            "take_budget", [name, "nodes"], self.node, limit, need, want, int(seeded), ALIVE_S * 1000
        )
        return None if granted < 0 else BudgetLease(granted, spent, held)

    async def seed_budget(self, name: str, spent: int, ends: float) -> None:
        """See the Protocol."""
        await self._run("seed_budget", [name], spent, 0 if ends == float("inf") else int(ends) + _KEEP_S)

    async def settle_budget(self, name: str, spent: int, released: int) -> BudgetLease | None:
        """See the Protocol."""
        counts_slots = int(":slots:" in f"{name}:")
        total, held = await self._run("settle_budget", [name], self.node, spent, -released, counts_slots)
        return None if total < 0 else BudgetLease(0, total, held)

    async def claim(self, name: str, ends: float) -> bool:
        """See the Protocol."""
        until = None if ends == float("inf") else int(ends) + _KEEP_S
        command = self._redis.set(f"{self._prefix}:{name}", self.node, nx=True, exat=until)
        return await self._guarded(command) is not None

    async def send_heartbeat(self) -> None:
        """Store that this node is alive."""
        seconds, micros = await self._guarded(self._redis.time())
        now = seconds * 1000 + micros // 1000
        await self._guarded(self._redis.zadd(f"{self._prefix}:nodes", {self.node: now}))

    async def _run(self, script: str, names: list[str], *arguments: str | int | float) -> Any:
        keys = [f"{self._prefix}:{name}" for name in names]
        return await self._guarded(self._scripts[script](keys=keys, args=arguments))

    async def _guarded(self, command: Awaitable[T]) -> T:
        """The result of a command; an error of Redis becomes StoreUnavailableError."""
        from redis.exceptions import RedisError

        try:
            return await command
        except (RedisError, OSError) as error:
            raise StoreUnavailableError(redact(f"{type(error).__name__}: {error}")) from None

    def start(self, counters: LeasedCounters) -> None:
        """Begin to send heartbeats, and to report what this node's counters have spent."""
        self._task = asyncio.get_running_loop().create_task(self._report(counters))

    async def _report(self, counters: LeasedCounters) -> None:
        loop = asyncio.get_running_loop()
        last_heartbeat, away = -HEARTBEAT_S, False
        while not self._closing:
            try:
                if (
                    counters.store_unavailable
                ):  # All connections are dead: drop them at once, not one by one as they fail.
                    await self._redis.connection_pool.disconnect(inuse_connections=False)
                if loop.time() - last_heartbeat >= HEARTBEAT_S or counters.store_unavailable:
                    await self.send_heartbeat()
                    last_heartbeat = loop.time()
                await counters.sync()
                if away:
                    log.info("Redis answers again")
                away = counters.store_unavailable = False
            except StoreUnavailableError as error:
                if not away:
                    log.error("Redis is away", reason=str(error), closed=counters.fail_closed)
                away = counters.store_unavailable = True
            except Exception:
                log.exception("limits could not be shared")
            await asyncio.sleep(RETRY_S if away else REPORT_S)

    async def aclose(self, counters: LeasedCounters) -> None:
        """Report the rest and stop. What this node had leased is free at once."""
        self._closing = True  # Redis's client may swallow the cancellation
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await counters.sync(return_all=True)
            await self._guarded(self._redis.zrem(f"{self._prefix}:nodes", self.node))
        except StoreUnavailableError as error:
            log.warning("Redis was not told that this node ends", reason=str(error))
        await self._redis.aclose()
