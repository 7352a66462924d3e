"""The way of one request in the log at ``LOG_LEVEL=DEBUG``: what it resolved to, each attempt, its end.

Every line has the request's id. Retries and fallbacks have lines of their own (``pipeline``).
No line has a text of the client or of an upstream: either may hold a prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from trunkline.errors import redact, redact_keys

if TYPE_CHECKING:
    from trunkline.errors import GatewayError
    from trunkline.pipeline.active import ActiveRequest, Outcome
    from trunkline.routing.candidates import Candidate
    from trunkline.routing.pools import CandidatePool

log: Final = structlog.stdlib.get_logger(__name__)


def is_enabled() -> bool:
    """Whether these lines are logged. The level is set once, before the gateway is made."""
    return logging.getLogger(__name__).isEnabledFor(logging.DEBUG)


def log_resolved(active: ActiveRequest, pool: CandidatePool, now: float) -> None:
    """Log what the request's model resolved to: the candidates, and why each may be asked or not."""
    request = active.request
    log.debug(
        "resolved",
        request_id=request.request_id,
        asked=None if request.summary is None else redact(request.summary.model or ""),
        route=pool.route,
        candidates=[
            {
                "candidate": redact_keys(each.key),
                "tier": number,
                "by": tier.strategy_name,
                "now": _condition(each, now),
            }
            for number, tier in enumerate(pool.tiers, start=1)
            for each in tier.candidates
        ],
    )


def _condition(candidate: Candidate, now: float) -> str:
    """Whether the candidate may be asked, or why not."""
    wait = candidate.seconds_until_allowed(now)
    if wait > 0 or not candidate.allows_request(now):
        last = candidate.state.last_failure(now, candidate.model)
        return f"rests for {wait:.1f} s" + ("" if last is None else f" after {last}")
    return "may be asked" if candidate.has_room else "full"


def log_attempt(active: ActiveRequest, candidate: Candidate, *, is_probe: bool) -> None:
    """Log that an attempt begins."""
    log.debug(
        "attempt",
        request_id=active.request.request_id,
        number=len(active.attempts) + 1,
        candidate=redact_keys(candidate.key),
        probe=is_probe,
    )


def log_fit(active: ActiveRequest, candidate: Candidate, changes: Sequence[str]) -> None:
    """Log what was changed in a request so that its upstream takes it, by its paths."""
    log.debug(
        "made to fit",
        request_id=active.request.request_id,
        candidate=redact_keys(candidate.key),
        changes=list(changes),
    )


def log_attempt_ended(
    active: ActiveRequest, candidate: Candidate, failure: GatewayError | None, seconds: float
) -> None:
    """Log how an attempt ended: what failed, what that concerns, and whether another may follow."""
    found: dict[str, Any] = {"failure": None}
    if failure is not None:
        kind = failure.kind
        found = {"failure": kind.code, "status": failure.upstream_status, "concerns": failure.scope}
        found |= {"retry": kind.retry, "failover": failure.failover}
    log.debug(
        "attempt ended",
        request_id=active.request.request_id,
        number=len(active.attempts),
        candidate=redact_keys(candidate.key),
        ms=round(seconds * 1000, 1),
        **found,
    )


def log_settled(outcome: Outcome) -> None:
    """Log what the request came to: its status and outcome, its tokens and its cost."""
    active = outcome.active
    attempt, error = active.current, active.response.error
    charge = None if attempt is None else attempt.charge
    log.debug(
        "settled",
        request_id=active.request.request_id,
        status=outcome.status,
        outcome=outcome.label,
        code=None if error is None else error.code,
        times_sent=active.response.times_sent,
        prompt_tokens=None if charge is None else charge.usage.prompt_tokens,
        completion_tokens=None if charge is None else charge.usage.completion_tokens,
        cost_micros=None if charge is None else charge.cost,
        estimated=None if charge is None else charge.estimated,
    )
