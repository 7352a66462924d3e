"""What a call came to, as spans of a trace: the request's, and below it one for each attempt.

Names are those of OpenTelemetry's GenAI conventions where these have one, else ``trunkline.…``. No prompt, no
answer, no key and no text of an error stands in a span.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from trunkline.errors import CLIENT_GONE, GatewayError, redact
from trunkline.observe.traces import Span, Trace, Value
from trunkline.pipeline.call import Call, Outcome
from trunkline.policy.reservations import NO_CHARGE, Charge
from trunkline.providers.base import Provider, Upstream
from trunkline.routing.candidates import Candidate

_LONGEST: Final = 200
_OPERATIONS: Final = {"completions": "text_completion"}
"""Our operations that OpenTelemetry's conventions have another name for."""
_ANYBODY: Final = frozenset({"openai-compatible", "python", "custom"})
"""Types of providers that do not say whose models they serve; spans name such a provider as it is
configured."""

_Attributes: TypeAlias = dict[str, Value]
_Tried: TypeAlias = tuple[Candidate, Charge, float, float, GatewayError | None]
"""An attempt: what it used, when it began and ended, and how it failed."""


def spans_of(outcome: Outcome, offset: float) -> list[Span]:
    """The spans of one call, if it is traced; ``offset`` makes Unix time of the pipeline's clock."""
    call, status, ended = outcome
    trace = call.trace
    if not isinstance(trace, Trace):
        return []
    operation = (
        call.front.operation if call.summary is None else call.summary.operation or call.front.operation
    )
    doing = _OPERATIONS.get(operation, operation)
    attributes: _Attributes = {
        "gen_ai.operation.name": doing,
        "http.request.method": "POST",
        "http.response.status_code": status,
        "url.path": call.path,
        "trunkline.request_id": call.request_id,
        "trunkline.dialect": call.front.dialect,
        "trunkline.retries": max(0, call.attempts - 1),
        **_asked(call),
        **_answered(call, outcome),
    }
    spans = [
        Span(
            _name(attributes),
            trace.trace_id,
            trace.span_id,
            trace.parent,
            call.began + offset,
            ended + offset,
            attributes,
            call.error is not None and call.error.status >= 500,
        )
    ]
    for number, (span_id, tried) in enumerate(zip(trace.attempts, _tried(call, trace, ended), strict=False)):
        spans.append(_span_of_attempt(trace, span_id, tried, number + 1, doing, offset))
    return spans


def _span_of_attempt(
    trace: Trace, span_id: int, tried: _Tried, number: int, doing: str, offset: float
) -> Span:
    candidate, spent, began, ended, failure = tried
    attributes: _Attributes = {
        "gen_ai.operation.name": doing,
        "gen_ai.request.model": candidate.model[:_LONGEST],
        "trunkline.attempt": number,
        **_whom(candidate.provider, candidate.upstream),
        **_place(candidate.upstream),
        **_used(spent),
    }
    if failure is not None:
        attributes["error.type"] = failure.kind.code
    return Span(
        _name(attributes),
        trace.trace_id,
        span_id,
        trace.span_id,
        began + offset,
        ended + offset,
        attributes,
        failure is not None and failure.kind is not CLIENT_GONE,
        inside=True,
    )


def _tried(call: Call, trace: Trace, ended: float) -> Iterator[_Tried]:
    """Every attempt that was sent, in order."""
    for past in call.past:
        yield past.candidate, past.spent, past.began, past.ended, past.failure
    if call.candidate is not None and call.sent_at is not None:
        if trace.ended is None:  # it was stopped
            yield call.candidate, call.spent, call.sent_at, ended, call.error
        else:
            yield call.candidate, call.spent, call.sent_at, trace.ended, trace.failure


def _name(attributes: _Attributes) -> str:
    model = attributes.get("gen_ai.request.model")
    doing = str(attributes["gen_ai.operation.name"])
    return doing if model is None else f"{doing} {model}"


def _asked(call: Call) -> _Attributes:
    """What was asked, and by whom."""
    found: _Attributes = {}
    summary, key = call.summary, call.key
    if summary is not None:
        if summary.model:  # a name that nobody knows may be a key in the wrong place
            model = summary.model if call.error is None else redact(summary.model)
            found["gen_ai.request.model"] = model[:_LONGEST]
        found["gen_ai.request.stream"] = summary.stream
        if summary.max_tokens is not None:
            found["gen_ai.request.max_tokens"] = summary.max_tokens
    if key is not None:
        found["trunkline.key.id"] = key.id
        if key.team_id:
            found["trunkline.team.id"] = key.team_id
    if call.route is not None:
        found["trunkline.route"] = call.route
    return found


def _answered(call: Call, outcome: Outcome) -> _Attributes:
    """Who answered, and what it came to."""
    found: _Attributes = {}
    if call.candidate is not None:
        found |= _whom(call.candidate.provider, call.candidate.upstream)
    if call.exchange is not None and call.exchange.model:
        found["gen_ai.response.model"] = call.exchange.model[:_LONGEST]
    if call.cache:
        found["trunkline.pipeline.cache"] = call.cache
    if call.kept is not None:
        found["trunkline.provider"] = call.kept.provider
        found["gen_ai.response.model"] = call.kept.model[:_LONGEST]
    if call.error is not None:
        found["error.type"] = call.error.kind.code
    if outcome.first_byte is not None and call.summary is not None and call.summary.stream:
        found["gen_ai.response.time_to_first_chunk"] = outcome.first_byte
    if call.waited:
        found["trunkline.queued_ms"] = call.waited * 1000
    found |= _used(call.spent)
    costs = [call.spent.cost, *(past.spent.cost for past in call.past)]
    if None in costs:
        found.pop("trunkline.cost_micros", None)
    else:
        found["trunkline.cost_micros"] = sum(cost for cost in costs if cost is not None)
    return found


def _whom(provider: Provider, upstream: Upstream) -> _Attributes:
    return {
        "gen_ai.provider.name": provider.name if provider.kind in _ANYBODY else provider.kind,
        "trunkline.provider": provider.name,
        "trunkline.upstream": upstream.name,
    }


def _place(upstream: Upstream) -> _Attributes:
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
