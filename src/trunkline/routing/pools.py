"""Candidate pools: all candidates for one model name, in tiers, and the selection of one of them.

A :class:`CandidatePool` is built once for a name and kept; a selection reads live state only. The tiers are
tried in order: a later tier is used only when no upstream of an earlier one may be asked. An upstream that
is merely at its concurrency limit is waited for instead, because the next tier may cost money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from trunkline.errors import Failover
from trunkline.routing.candidates import Candidate
from trunkline.routing.strategies import SelectionContext, Strategy, StrategyMemory


class Tier(NamedTuple):
    """Candidates of the same rank, and the strategy that chooses among them."""

    candidates: Sequence[Candidate]
    strategy: Strategy
    memory: StrategyMemory
    strategy_name: str = "round_robin"


class CandidatePool:
    """All candidates for one model name."""

    __slots__ = ("candidates", "fallback", "missing", "only", "route", "saves", "tiers")

    def __init__(self, tiers: Sequence[Tier], *, fallback: bool = True, route: str | None = None) -> None:
        """
        Args:
            tiers: the tiers in order; those without candidates are dropped.
            fallback: whether another provider may be asked after a failure.
            route: the name of the configured route that this is the pool of, if it is one's.
        """
        self.route = route
        self.missing: tuple[tuple[str, str], ...] = ()
        """Providers, and models that they lack and may pull (OLLAMA_AUTO_PULL), in the order of the tiers."""
        self.tiers = tuple(tier for tier in tiers if tier.candidates)
        self.fallback = fallback
        self.candidates = tuple(candidate for tier in self.tiers for candidate in tier.candidates)
        """All candidates, tier by tier."""
        single = len(self.tiers) == 1 and len(self.tiers[0].candidates) == 1
        self.only = self.tiers[0].candidates[0] if single else None
        """The only candidate, if the pool has just one."""
        if self.only is not None:
            self.only.is_only = True
        self.saves = route is None and len({each.costs for each in self.candidates}) == 2
        """There are candidates that cost money and others that do not, and no route names the former."""

    @property
    def is_all_missing(self) -> bool:
        """Whether no candidate has its model."""
        missing = set(self.missing)
        return all((each.provider.name, each.model) in missing for each in self.candidates)

    def narrowed(self, keys: Collection[str]) -> CandidatePool:
        """The pool of those candidates that ``keys`` names; this one, if it has none or no other."""
        if not keys or all(each.key in keys for each in self.candidates):
            return self
        tiers = [
            tier._replace(candidates=[each for each in tier.candidates if each.key in keys])
            for tier in self.tiers
        ]
        return CandidatePool(tiers, fallback=self.fallback, route=self.route)

    def __iter__(self) -> Iterator[Candidate]:
        """All candidates, tier by tier."""
        return iter(self.candidates)

    def pick(self, context: SelectionContext, tried: Collection[str] = ()) -> Candidate | None:
        """Select the upstream to ask now.

        Args:
            context: what the strategies may look at.
            tried: the keys of candidates that must not be selected.

        Returns:
            None if no candidate may be asked, or all that may be asked are at their concurrency limits.
        """
        now = context.now
        only = self.only
        if only is not None:
            return only if only.key not in tried and only.allows_request(now) and only.has_room else None
        for tier in self.tiers:
            allowed = _allowed(tier, now, tried)
            if not allowed:
                continue
            available = [candidate for candidate in allowed if candidate.has_room]
            if not available:
                return None
            return available[0] if len(available) == 1 else tier.strategy(available, tier.memory, context)
        return None

    def busy_candidates(self, now: float, tried: Collection[str] = ()) -> Sequence[Candidate]:
        """The candidates that are worth waiting for when :meth:`pick` has found none with room.

        These are the ones of the first tier that may be asked.
        """
        for tier in self.tiers:
            allowed = _allowed(tier, now, tried)
            if allowed:
                return allowed
        return ()

    def last_resort(
        self, now: float, tried: Collection[str], before: Candidate | None = None
    ) -> Candidate | None:
        """The candidate to ask where :meth:`pick` and :meth:`busy_candidates` find none, or where what they
        find costs money: one whose server tells its failures itself.

        Args:
            now: the time.
            tried: the keys of candidates that must not be asked.
            before: what was found; only what comes before it counts.
        """
        for candidate in self.candidates:
            if candidate is before:
                return None
            answers = candidate.state.answers_with_failures(candidate.model, now)
            if answers and candidate.has_room and candidate.key not in tried:
                return candidate
        return None

    def excluded_after(self, failed: Candidate, failover: Failover = "any") -> set[str]:
        """The keys of the candidates that must not be asked after ``failed`` has failed.

        These are its own key; without fallback, those of all other providers; if its provider is
        ``local_only``, those of providers that are not local; and where ``failover`` says ``free``, those
        that cost money, unless a route names them.
        """
        excluded = {failed.key}
        if failover == "free" and self.route is None:
            excluded |= {each.key for each in self if each.costs}
        if not self.fallback:
            excluded |= {each.key for each in self if each.provider is not failed.provider}
        if failed.provider.local_only:
            excluded |= {each.key for each in self if not each.local}
        return excluded

    def order(self, context: SelectionContext) -> list[Candidate]:
        """The candidates in the order in which they would be asked if each failed in turn.

        This is for explanations and listings. It leaves the strategies' memories as they were.
        """
        rehearsal = CandidatePool([tier._replace(memory=tier.memory.copy()) for tier in self.tiers])
        found: list[Candidate] = []
        tried: set[str] = set()
        while True:
            candidate = rehearsal.pick(context._replace(failed=found[-1] if found else None), tried)
            if candidate is None:
                return found
            found.append(candidate)
            tried.add(candidate.key)


def _allowed(tier: Tier, now: float, tried: Collection[str]) -> list[Candidate]:
    """The candidates of a tier that may be asked. Most are not degraded, which one attribute tells."""
    return [
        each
        for each in tier.candidates
        if (not each.state.degraded or each.allows_request(now)) and each.key not in tried
    ]
