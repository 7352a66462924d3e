"""What a call came to, as rows of the ledger: one for each attempt, the last of which is the request's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from trunkline.errors import blame, redact, redact_keys
from trunkline.ledger.usage_rows import RowIds, UsageRow
from trunkline.pipeline.active import ActiveRequest, Outcome
from trunkline.pipeline.request import MAX_STORED_PROMPT
from trunkline.policy.reservations import NO_CHARGE

_LONGEST: Final = 200
_LONGEST_CODE: Final = 64


def rows_of(
    outcomes: Iterable[Outcome], offset: float, ids: RowIds, redact_name: Callable[[str], str] = redact_keys
) -> list[UsageRow]:
    """The usage rows of requests.

    Args:
        outcomes: how they ended.
        offset: turns the pipeline's clock into Unix time.
        ids: gives the rows their ids.
        redact_name: takes keys out of the names that clients have written.
    """
    rows: list[UsageRow] = []
    for outcome in outcomes:
        active, ended_at = outcome.active, outcome.ended_at
        request, response, attempts = active.request, active.response, active.attempts
        summary, key, error, cached = request.summary, request.key, response.error, response.cached
        attempt = active.current
        retries = len(attempts) - 1
        asked, user, streamed = "", None, 0
        if summary is not None:
            asked, user = redact_name(summary.model or ""), summary.user
            if len(asked) > _LONGEST or "\0" in asked:
                asked = _fit(asked)
            if summary.stream:
                streamed = 1
        if error is not None or retries > 0:  # a name that no provider knows may be anything
            asked = redact(asked)
        if not user and request.end_user:
            user = request.end_user.decode("latin-1")
        provider = upstream = model = ""
        upstream_s = 0.0
        charge = NO_CHARGE
        if attempts:
            candidate = attempts[-1].candidate
            provider, upstream, model = candidate.provider.name, candidate.upstream.name, candidate.model
        if attempt is not None:
            charge = attempt.charge
            model = attempt.exchange.upstream_model or model
            if attempt.sent_at is not None:
                upstream_s = (attempt.ended_at or ended_at) - attempt.sent_at
        if cached is not None:
            provider, model = cached.provider, cached.model
        if len(model) > _LONGEST or "\0" in model:
            model = _fit(model)
        model = redact_name(model)
        at = int((ended_at + offset) * 1000)
        first_byte_at = response.first_byte_at
        usage = charge.usage
        own = UsageRow(
            at=at,
            request_id=request.request_id,
            attempt=0 if attempt is None else retries + 1,
            key_id="" if key is None else key.id,
            team_id="" if key is None else key.team_id or "",
            provider=provider,
            model=model,
            dialect=request.front.dialect,
            operation=request.front.operation,
            status=outcome.status,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            duration_ms=(ended_at - request.received_at) * 1000,
            upstream_ms=upstream_s * 1000,
            cached=0 if cached is None else 1,
        )
        # Python would pass more than 15 keywords in a dict, which takes longer than these assignments.
        own.outcome = outcome.label
        own.upstream = upstream
        own.asked = asked
        own.streamed = streamed
        own.cost_micros = charge.cost
        if user:
            own.end_user = _clean(redact_name(user))
        if active.route is not None:
            own.route = active.route
        if error is not None:
            own.error = _fit(error.code, _LONGEST_CODE)
        if usage.cached_tokens:
            own.cached_tokens = usage.cached_tokens
        if usage.reasoning_tokens:
            own.reasoning_tokens = usage.reasoning_tokens
        if charge.estimated:
            own.estimated = 1
        if charge.source is not None:
            own.cost_source = charge.source
        if first_byte_at is not None:
            own.ttft_ms = (first_byte_at - request.received_at) * 1000
        if active.queued_s:
            own.queued_ms = active.queued_s * 1000
        if retries > 0:
            own.retries = retries
        if request.stored_prompt is not None:
            own.prompt = redact(request.stored_prompt, MAX_STORED_PROMPT)
        if retries > 0 or attempt is None:
            rows += _rows_of_failed(own, active, offset, ids)
        own.id = ids.next(at)
        rows.append(own)
    return rows


def _rows_of_failed(own: UsageRow, active: ActiveRequest, offset: float, ids: RowIds) -> Iterator[UsageRow]:
    """The attempts that another one followed: the request's own row, but for what is theirs."""
    for number, attempt in enumerate(active.attempts, start=1):
        failure, charge = attempt.failure, attempt.charge
        if attempt is active.current or failure is None or attempt.ended_at is None:
            continue
        at = int((attempt.ended_at + offset) * 1000)
        milliseconds = (attempt.ended_at - (attempt.sent_at or attempt.ended_at)) * 1000
        yield msgspec.structs.replace(
            own,
            id=ids.next(at),
            at=at,
            attempt=number,
            last=0,
            provider=attempt.candidate.provider.name,
            upstream=attempt.candidate.upstream.name,
            model=_fit(redact(attempt.candidate.model)),
            status=failure.status,
            error=_fit(failure.code, _LONGEST_CODE),
            prompt_tokens=charge.usage.prompt_tokens,
            completion_tokens=charge.usage.completion_tokens,
            cached_tokens=charge.usage.cached_tokens or 0,
            reasoning_tokens=charge.usage.reasoning_tokens or 0,
            estimated=1 if charge.estimated else 0,
            cost_micros=charge.cost,
            cost_source=charge.source or "",
            ttft_ms=None,
            duration_ms=milliseconds,
            upstream_ms=milliseconds,
            queued_ms=0.0,
            retries=0,
            cached=0,
            prompt=None,
            outcome=blame(failure),
        )


def _clean(text: str) -> str:
    """Fit for a column, and without secrets."""
    return redact(text.replace("\0", ""))[:_LONGEST]


def _fit(text: str, longest: int = _LONGEST) -> str:
    """Fit for a column: PostgreSQL takes neither NUL nor more characters than were agreed, and one row that
    it does not take keeps out all others."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if len(text) <= longest else text[:longest]
