"""The spans of a trace that show how a request ended: its own, and below it one for each attempt.

Names are those of OpenTelemetry's GenAI conventions where these have one, else ``trunkline.…``. No prompt, no
answer, no key and no text of an error stands in a span.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from trunkline.errors import BY_GATEWAY, BY_UPSTREAM, CLIENT_GONE, GatewayError, redact, redact_keys
from trunkline.observe.traces import Span, Trace, Value
from trunkline.pipeline.active import ActiveRequest, Attempt, Outcome
from trunkline.policy.reservations import NO_CHARGE, Charge
from trunkline.providers.base import Provider, Upstream

_LONGEST: Final = 200
_OPERATIONS: Final = {"completions": "text_completion"}
"""Our operations that OpenTelemetry's conventions have another name for."""
_ANYBODY: Final = frozenset({"openai-compatible", "python", "custom"})
"""Types of providers that do not say whose models they serve; spans name such a provider as it is
configured."""

_NAMES: Final = ("gen_ai.request.model", "gen_ai.response.model")
"""Attributes that a client's text may stand in."""

_Attributes: TypeAlias = dict[str, Value]


def spans_of(outcome: Outcome, offset: float, redact_name: Callable[[str], str] = redact_keys) -> list[Span]:
    """The spans of one request, if it is traced.

    Args:
        outcome: how it ended.
        offset: turns the pipeline's clock into Unix time.
        redact_name: takes keys out of the names that clients have written.
    """
    active, ended_at = outcome.active, outcome.ended_at
    request, trace = active.request, active.trace
    if not isinstance(trace, Trace):
        return []
    operation = _OPERATIONS.get(request.operation, request.operation)
    attributes: _Attributes = {
        "gen_ai.operation.name": operation,
        "http.request.method": "POST",
        "http.response.status_code": outcome.status,
        "url.path": request.path,
        "trunkline.request_id": request.request_id,
        "trunkline.dialect": request.front.dialect,
        "trunkline.outcome": outcome.label,
        "trunkline.retries": max(0, len(active.attempts) - 1),
        **_asked(active),
        **_answered(active),
    }
    spans = [
        Span(
            _name(attributes),
            trace.trace_id,
            trace.span_id,
            trace.parent,
            request.received_at + offset,
            ended_at + offset,
            attributes,
            outcome.label in (BY_UPSTREAM, BY_GATEWAY),
        )
    ]
    for number, attempt in enumerate(active.attempts, start=1):
        if attempt.sent_at is not None:
            failure = attempt.failure
            if failure is None and attempt is active.current:  # it was not sent, or could not be rendered
                failure = active.response.error
            spans.append(_span_of_attempt(trace, attempt, failure, number, operation, offset))
    return [_without_keys(span, redact_name) for span in spans]


def _without_keys(span: Span, redact_name: Callable[[str], str]) -> Span:
    """A span whose model has no key in its name."""
    attributes = dict(span.attributes)
    for name in _NAMES:
        if isinstance(value := attributes.get(name), str):
            attributes[name] = redact_name(value)
    return span._replace(name=_name(attributes), attributes=attributes)


def _span_of_attempt(
    trace: Trace, attempt: Attempt, failure: GatewayError | None, number: int, operation: str, offset: float
) -> Span:
    candidate = attempt.candidate
    sent_at = attempt.sent_at or 0.0
    attributes: _Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": candidate.model[:_LONGEST],
        "trunkline.attempt": number,
        **_served_by(candidate.provider, candidate.upstream),
        **_address(candidate.upstream),
        **_used(attempt.charge),
    }
    if failure is not None:
        attributes["error.type"] = failure.kind.code
    return Span(
        _name(attributes),
        trace.trace_id,
        attempt.span_id or 0,
        trace.span_id,
        sent_at + offset,
        (attempt.ended_at or sent_at) + offset,
        attributes,
        failure is not None and failure.kind is not CLIENT_GONE,
        is_client=True,
    )


def _name(attributes: _Attributes) -> str:
    model = attributes.get("gen_ai.request.model")
    doing = str(attributes["gen_ai.operation.name"])
    return doing if model is None else f"{doing} {model}"


def _asked(active: ActiveRequest) -> _Attributes:
    """What was asked, and with which key."""
    found: _Attributes = {}
    summary, key, error = active.request.summary, active.request.key, active.response.error
    if summary is not None:
        if summary.model:  # a name that no provider knows may be a key in the wrong place
            model = summary.model if error is None else redact(summary.model)
            found["gen_ai.request.model"] = model[:_LONGEST]
        found["gen_ai.request.stream"] = summary.stream
        if summary.max_tokens is not None:
            found["gen_ai.request.max_tokens"] = summary.max_tokens
    if key is not None:
        found["trunkline.key.id"] = key.id
        if key.team_id:
            found["trunkline.team.id"] = key.team_id
    if active.route is not None:
        found["trunkline.route"] = active.route
    return found


def _answered(active: ActiveRequest) -> _Attributes:
    """Who answered, what was used, and what it cost."""
    found: _Attributes = {}
    request, response, attempt = active.request, active.response, active.current
    if active.attempts:
        candidate = active.attempts[-1].candidate
        found |= _served_by(candidate.provider, candidate.upstream)
    if attempt is not None and attempt.exchange.model:
        found["gen_ai.response.model"] = attempt.exchange.model[:_LONGEST]
    if response.cache_status:
        found["trunkline.cache"] = response.cache_status
    if response.cached is not None:
        found["trunkline.provider"] = response.cached.provider
        found["gen_ai.response.model"] = response.cached.model[:_LONGEST]
    if response.error is not None:
        found["error.type"] = response.error.kind.code
    if response.first_byte_at is not None and request.summary is not None and request.summary.stream:
        found["gen_ai.response.time_to_first_chunk"] = response.first_byte_at - request.received_at
    if active.queued_s:
        found["trunkline.queued_ms"] = active.queued_s * 1000
    found |= _used(NO_CHARGE if attempt is None else attempt.charge)
    costs = [each.charge.cost for each in active.attempts]
    if None in costs:
        found.pop("trunkline.cost_micros", None)
    else:
        found["trunkline.cost_micros"] = sum(cost for cost in costs if cost is not None)
    return found


def _served_by(provider: Provider, upstream: Upstream) -> _Attributes:
    return {
        "gen_ai.provider.name": provider.name if provider.kind in _ANYBODY else provider.kind,
        "trunkline.provider": provider.name,
        "trunkline.upstream": upstream.name,
    }


def _address(upstream: Upstream) -> _Attributes:
    """Where an upstream is; a Python provider is nowhere."""
    parts = urlsplit(upstream.url)
    if parts.hostname is None:
        return {}
    return {
        "server.address": parts.hostname,
        "server.port": parts.port or (443 if parts.scheme == "https" else 80),
    }


def _used(spent: Charge) -> _Attributes:
    """Tokens and cost of one attempt."""
    if spent is NO_CHARGE:
        return {}
    usage = spent.usage
    found: _Attributes = {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }
    if usage.cached_tokens is not None:
        found["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
    if usage.reasoning_tokens is not None:
        found["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    if spent.estimated:
        found["trunkline.usage_estimated"] = True
    if spent.cost is not None:
        found["trunkline.cost_micros"] = spent.cost
    if spent.source is not None:
        found["trunkline.cost_source"] = spent.source
    return found
