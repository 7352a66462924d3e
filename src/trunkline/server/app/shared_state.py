"""What the nodes of a gateway share through Redis, where it is configured: answers, stored state, limits and
budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.pipeline.cache import AnswerStore, MemoryStore
from trunkline.policy.leases import LeasedCounters
from trunkline.server.app.policy_config import period
from trunkline.server.redis.cache import RedisAnswers
from trunkline.server.redis.limits import RedisLeases
from trunkline.server.redis.state import RedisState
from trunkline.server.state.disk import DiskState
from trunkline.server.state.store import Bounds, StateStore

if TYPE_CHECKING:
    from trunkline.policy.rules import CounterRule
    from trunkline.server.app.policy_config import SpendingReader
    from trunkline.settings import Settings


def make_answer_store(settings: Settings) -> AnswerStore:
    """Where answers are kept: in Redis for all nodes, else in this process's memory."""
    if settings.redis_url is None:
        return MemoryStore(settings.cache.max_bytes)
    return RedisAnswers(settings.redis_url.get_secret_value(), settings.redis_prefix)


def state_bounds(settings: Settings) -> Bounds:
    """How much state is stored, as the settings have it."""
    rule = settings.responses
    return Bounds(rule.ttl_s, rule.max_bytes, rule.max_disk_bytes, rule.max_key_bytes)


def make_state_store(settings: Settings) -> StateStore:
    """Where state is kept between requests: in Redis for all nodes, else in memory and on disk."""
    if settings.redis_url is not None:
        shared = RedisState(settings.redis_url.get_secret_value(), settings.redis_prefix)
        return StateStore(shared, state_bounds(settings))
    return StateStore(DiskState(settings.ledger_dir / "stored-state.db"), state_bounds(settings))


class SharedCounters:
    """The counters of limits and budgets that all nodes share, and this node's leases of them."""

    def __init__(self, redis_url: str, settings: Settings, spending: SpendingReader | None) -> None:
        """Share counters.

        Args:
            redis_url: where Redis is.
            settings: say what to do without Redis, and how its names begin.
            spending: tells what was spent before Redis began to count.
        """

        async def spent_before(rule: CounterRule, since: int) -> int:
            return 0 if spending is None else await spending(rule.counter_key, since)

        self._leases = RedisLeases(redis_url, settings.redis_prefix)
        self.counters = LeasedCounters(
            self._leases,
            period,
            spent_before,
            fail_closed=settings.redis_loss == "closed",
            local_share=settings.redis_local_share,
        )

    def start(self) -> None:
        """Begin to report to Redis."""
        self._leases.start(self.counters)

    async def aclose(self) -> None:
        """Report the rest, and give the leases back."""
        await self._leases.aclose(self.counters)
