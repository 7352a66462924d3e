"""The state of all providers and their upstreams, as JSON values for pages and the admin API.

It is shown to everybody who has a key. So it holds kinds, statuses and codes of failures, and the names of
models that the catalog lists; a name that only a client has used may be a secret of that client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from trunkline.providers.base import Provider, Upstream
from trunkline.routing.breaker import FailureRecord
from trunkline.routing.catalog import Discovery, ModelListing
from trunkline.routing.router import Router
from trunkline.routing.upstream_state import UpstreamState
from trunkline.settings import BUILT_IN_PROVIDERS

MayAsk: TypeAlias = Callable[[str, str], bool]
"""Whether the reader may ask this provider for this model."""


def describe_providers(router: Router, may_ask: MayAsk = lambda provider, model: True) -> dict[str, Any]:
    """All providers as JSON values: those that are configured, and the built-in ones that are not.

    Args:
        router: the running gateway's router.
        may_ask: decides which models are named to the reader.
    """
    preferred = router.preferred
    names = dict.fromkeys([*router.providers, *BUILT_IN_PROVIDERS])
    data = [_describe(router, name, router.providers.get(name), name == preferred, may_ask) for name in names]
    return {"object": "list", "data": data, "default_provider": preferred}


def describe_upstreams(router: Router) -> list[dict[str, Any]]:
    """The upstreams of all providers as JSON values, for an admin: every model that rests is named."""
    return [_describe_for_admin(router, *each) for each in _upstreams(router)]


def reset_upstreams(router: Router, which: str) -> list[dict[str, Any]]:
    """Forget the failures of upstreams, so that they are asked again at once.

    Args:
        router: the running gateway's router.
        which: the id of an upstream, or the name of a provider for all of its upstreams.

    Returns:
        The upstreams as JSON values, after it; none if nothing has this name.
    """
    found = [
        (name, upstream, state)
        for name, upstream, state in _upstreams(router)
        if which in (name, f"{name}/{upstream.name}")
    ]
    for _, _, state in found:
        state.reset()
    return [_describe_for_admin(router, *each) for each in found]


def _upstreams(router: Router) -> Iterator[tuple[str, Upstream, UpstreamState]]:
    for name, provider in router.providers.items():
        for upstream, state in router.states(provider):
            yield name, upstream, state


def _describe_for_admin(
    router: Router, name: str, upstream: Upstream, state: UpstreamState
) -> dict[str, Any]:
    listing = router.catalog.listings[name]
    return {"provider": name} | describe_upstream(name, upstream, state, listing, None)


def _describe(
    router: Router, name: str, provider: Provider | None, default: bool, may_ask: MayAsk
) -> dict[str, Any]:
    if provider is None:
        missing = {"object": "provider", "name": name, "type": name, "configured": False, "healthy": False}
        return missing | {"default": False}
    listing = router.catalog.listings[name]
    upstreams = [
        describe_upstream(name, upstream, state, listing, may_ask)
        for upstream, state in router.states(provider)
    ]
    return {
        "object": "provider",
        "name": name,
        "type": provider.kind,
        "configured": True,
        "healthy": any(each["healthy"] for each in upstreams),
        "default": default,
        "local": provider.local,
        "local_only": provider.local_only,
        "models": len(listing.models),
        "stale": listing.stale,
        "upstreams": upstreams,
    }


def describe_upstream(
    provider: str, upstream: Upstream, state: UpstreamState, listing: ModelListing, may_ask: MayAsk | None
) -> dict[str, Any]:
    """One upstream as JSON values, with the resting models that ``may_ask`` allows; all, if it is None."""
    now = time.perf_counter()
    discovery: Discovery | None = listing.discoveries.get(upstream.origin)
    wait = state.seconds_until_allowed(now)
    breaker = ("closed", "half-open", "open")[state.state(now)]
    failure = state.last_failure(now)
    discovery_error = None if discovery is None else discovery.error
    last_error = discovery_error or (None if failure is None else str(failure))
    return {
        "id": f"{provider}/{upstream.name}",
        "name": upstream.name,
        "healthy": wait == 0 and discovery_error is None,
        "breaker": breaker,
        "rests_for_s": round(wait, 1),
        "in_flight": state.gate.in_flight,
        "sent": state.requests_sent,
        "failures_in_a_row": state.failures(),
        "latency_ms": round(state.latency.value * 1000, 1) or None,
        "last_error": last_error,
        "last_failure": None if failure is None else _describe_failure(failure),
        "resting_models": list(_resting_models(provider, state, listing, may_ask, now)),
        "checked_at": None if discovery is None else int(discovery.ended_at),
    }


def _resting_models(
    provider: str, state: UpstreamState, listing: ModelListing, may_ask: MayAsk | None, now: float
) -> Iterator[dict[str, Any]]:
    for model, breaker in state.resting_models(now):
        if may_ask is not None and (listing.find(model) is None or not may_ask(provider, model)):
            continue
        failure = breaker.last_failure
        yield {
            "model": model,
            "rests_for_s": round(breaker.seconds_until_allowed(now), 1),
            "failures_in_a_row": breaker.failures,
            "last_failure": None if failure is None else _describe_failure(failure),
        }


def _describe_failure(failure: FailureRecord) -> dict[str, Any]:
    return {
        "code": failure.code,
        "status": failure.upstream_status,
        "concerns": failure.scope,
        "at": int(failure.at),
    }


def resting(router: Router) -> list[dict[str, Any]]:
    """What rests now and why, without addresses and models: for probes, which show no key."""
    now = time.perf_counter()
    found = []
    for name, upstream, state in _upstreams(router):
        failure, wait = state.last_failure(now), state.seconds_until_allowed(now)
        models = sum(1 for _ in state.resting_models(now))
        if wait > 0 or models:
            found.append(
                {
                    "provider": name,
                    "upstream": 1 + list(router.providers[name].upstreams).index(upstream),
                    "rests_for_s": round(wait, 1),
                    "after": None if failure is None else str(failure),
                    "resting_models": models,
                }
            )
    return found
