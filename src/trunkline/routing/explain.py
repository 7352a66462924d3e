"""Explanations of routing: the candidates for a name in order, and what speaks for or against each.

An explanation reads the pools that requests use, and changes nothing that their strategies remember.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from trunkline.errors import MODEL_NOT_ALLOWED, CallerError, redact
from trunkline.model import Operation
from trunkline.providers.base import Provider
from trunkline.routing.candidates import Candidate
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.router import Router
from trunkline.routing.strategies import SelectionContext


def explain(
    router: Router,
    model: str | None,
    now: float,
    *,
    operation: Operation = "chat",
    only: str | None = None,
    local_only: bool = False,
    is_for: Callable[[str, Provider, str], bool] = lambda name, provider, model: True,
) -> dict[str, Any]:
    """What would be done with a request, as JSON values.

    Args:
        router: the running gateway's router, or one made for the question.
        model: the name as a client would write it.
        now: the time by the router's clock.
        operation: what is asked.
        only: the provider that the path names.
        local_only: whether the key is limited to local providers.
        is_for: whether who asks may use a model, by the name that was written, its provider, and its name
            there. What is not for them is left out.

    Raises:
        CallerError: the name leads nowhere; the text says why. 403, no candidate is for who asks.
    """
    pool = router.pool(model, operation, only, local_only)
    order = pool.order(SelectionContext(now))
    positions = {candidate.key: position for position, candidate in enumerate(order, start=1)}
    candidates = [
        _describe(candidate, positions.get(candidate.key), tier, now)
        for tier in pool.tiers
        for candidate in tier.candidates
        if is_for(model or candidate.model, candidate.provider, candidate.model)
    ]
    if not candidates:
        text = f"This key may not use model '{redact(model or '')}'"
        raise CallerError(text, MODEL_NOT_ALLOWED, param="model")
    for each in candidates:
        listing = router.catalog.listings[each["provider"]]
        if listing.known and listing.find(each["model"]) is None:  # misspelt in a route, or not pulled yet
            each["reason"] += "; does not list the model"
    candidates.sort(key=lambda each: each["order"] or math.inf)
    return {
        "model": model,
        "operation": operation,
        "route": None if only or model is None else router.resolver.route_name(model),
        "strategy": [tier.strategy_name for tier in pool.tiers],
        "fallback": pool.fallback,
        "candidates": candidates,
        "others": [
            each
            for each in _other_providers(router, model, operation, pool, only)
            if is_for(model or "", router.providers[each["provider"]], model or "")
        ],
    }


def _describe(candidate: Candidate, order: int | None, tier: Tier, now: float) -> dict[str, Any]:
    state = candidate.state
    wait = candidate.seconds_until_allowed(now)
    if wait > 0 or not candidate.allows_request(now):
        last = state.last_failure(now, candidate.model)
        reason = f"not asked for {wait:.0f} s" + ("" if last is None else f": it failed with {last}")
    elif not candidate.has_room:
        reason = f"full: {state.gate.in_flight} under way; requests wait for room"
    elif order == 1:
        reason = f"first by {tier.strategy_name}" if len(tier.candidates) > 1 else "the only one of its tier"
    else:
        reason = "asked if those before it fail"
    return {
        "order": order,
        "provider": candidate.provider.name,
        "upstream": candidate.upstream.name,
        "model": candidate.model,
        "eligible": order is not None,
        "reason": reason,
        "local": candidate.local,
        "weight": round(candidate.weight, 4),
        "priority": candidate.priority,
        "price_per_million_tokens": candidate.price if math.isfinite(candidate.price) else None,
        "in_flight": state.gate.in_flight,
        "loaded": candidate.is_loaded if candidate.provider.loads_models else None,
        "expected_s": round(candidate.expected_latency(now), 2) if candidate.predictor is not None else None,
        "latency_s": round(state.latency.value, 3) or None,
    }


def _other_providers(
    router: Router, model: str | None, operation: Operation, pool: CandidatePool, only: str | None
) -> list[dict[str, str]]:
    """The providers that are not among the candidates, and why."""
    inside = {candidate.provider.name for candidate in pool}
    return [
        {"provider": name, "reason": _why_not(router, name, model, operation, only)}
        for name in router.providers
        if name not in inside
    ]


def _why_not(router: Router, name: str, model: str | None, operation: Operation, only: str | None) -> str:
    if only is not None:
        return f"the path pins provider '{only}'"
    if model is None:
        return "no model was named"
    listing, provider = router.catalog.listings[name], router.providers[name]
    if not provider.supports(operation):
        return f"has no {operation} endpoint"
    if router.resolver.route(model) is not None:
        return "is no target of the route"
    if not listing.known:
        return "has not listed its models yet"
    if router.resolver.is_pinned(model):
        return "the name pins another provider"
    if listing.find(model) is None:
        return "does not list the model"
    return "is not asked: fallback is off, or it is not local"
