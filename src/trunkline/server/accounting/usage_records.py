"""What a call came to, as rows of the ledger: one for each attempt, the last of which is the request's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from trunkline.errors import redact
from trunkline.ledger.usage_rows import RowIds, UsageRow
from trunkline.pipeline.call import Attempt, Outcome

MOST_PROMPT: Final = 256 * 1024
"""Bytes of a request's body that are stored, where prompts are."""
_USERS: Final = (b"x-openwebui-user-email", b"x-openwebui-user-id", b"x-openwebui-user-name")
"""Headers in which Open WebUI names its user, the best first."""
_USER_HEADERS: Final = frozenset(_USERS)
_LONGEST: Final = 200
_LONGEST_CODE: Final = 64


def end_user(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Open WebUI's user, where it names one."""
    if _USER_HEADERS.isdisjoint(headers):
        return None
    for name in _USERS:
        if user := headers.get(name):
            return user
    return None


def rows_of(outcomes: Iterable[Outcome], offset: float, ids: RowIds) -> list[UsageRow]:
    """The rows of calls; ``offset`` makes Unix time of the pipeline's clock."""
    rows: list[UsageRow] = []
    for call, status, ended in outcomes:
        summary, key, exchange, candidate = call.summary, call.key, call.exchange, call.candidate
        asked, user, streamed = "", None, 0
        if summary is not None:
            asked, user = _fit(summary.model or ""), summary.user
            if summary.stream:
                streamed = 1
        if call.error is not None or call.past:  # what nobody knows may be anything
            asked = redact(asked)
        if not user and call.end_user:
            user = call.end_user.decode("latin-1")
        user = _clean(user) if user else ""
        whose = ("", "") if key is None else (key.id, key.team_id or "")
        provider = upstream = model = ""
        busy = 0.0
        if candidate is not None:
            provider, upstream, model = candidate.provider.name, candidate.upstream.name, candidate.model
        if exchange is not None:
            model = exchange.upstream_model or model
            if call.sent_at is not None:
                busy = (call.landed_at or ended) - call.sent_at
        if call.kept is not None:
            provider, model = call.kept.provider, call.kept.model
        at = int((ended + offset) * 1000)
        began, first_byte, attempts = call.began, call.first_byte_at, call.attempts
        usage, estimated, cost, source, _ = call.spent
        own = UsageRow(
            at=at,
            request_id=call.request_id,
            attempt=0 if exchange is None else attempts,
            key_id=whose[0],
            team_id=whose[1],
            provider=provider,
            model=_fit(model),
            dialect=call.front.dialect,
            operation=call.front.operation,
            status=status,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            duration_ms=(ended - began) * 1000,
            upstream_ms=busy * 1000,
            cached=0 if call.kept is None else 1,
        )
        own.end_user = user
        own.route = call.route or ""
        own.upstream = upstream
        own.asked = asked
        own.streamed = streamed
        if call.error is not None:
            own.error = _fit(call.error.code, _LONGEST_CODE)
        if usage.cached_tokens:
            own.cached_tokens = usage.cached_tokens
        if usage.reasoning_tokens:
            own.reasoning_tokens = usage.reasoning_tokens
        if estimated:
            own.estimated = 1
        own.cost_micros = cost
        own.cost_source = source or ""
        if first_byte is not None:
            own.ttft_ms = (first_byte - began) * 1000
        if call.waited:
            own.queued_ms = call.waited * 1000
        if attempts:
            own.retries = attempts - 1
        if call.prompt is not None:
            own.prompt = redact(call.prompt, MOST_PROMPT)
        if call.past:
            rows += _rows_of_attempts(own, call.past, offset, ids)
        own.id = ids.next(at)
        rows.append(own)
    return rows


def _rows_of_attempts(
    own: UsageRow, past: Iterable[Attempt], offset: float, ids: RowIds
) -> Iterator[UsageRow]:
    """The attempts before a call's last, which failed: the call's own row, but for what is theirs."""
    for number, (candidate, spent, began, ended, failure) in enumerate(past, start=1):
        at = int((ended + offset) * 1000)
        milliseconds = (ended - began) * 1000
        yield msgspec.structs.replace(
            own,
            id=ids.next(at),
            at=at,
            attempt=number,
            last=0,
            provider=candidate.provider.name,
            upstream=candidate.upstream.name,
            model=_fit(candidate.model),
            status=failure.status,
            error=_fit(failure.code, _LONGEST_CODE),
            prompt_tokens=spent.usage.prompt_tokens,
            completion_tokens=spent.usage.completion_tokens,
            cached_tokens=spent.usage.cached_tokens or 0,
            reasoning_tokens=spent.usage.reasoning_tokens or 0,
            estimated=1 if spent.estimated else 0,
            cost_micros=spent.cost,
            cost_source=spent.source or "",
            ttft_ms=None,
            duration_ms=milliseconds,
            upstream_ms=milliseconds,
            queued_ms=0.0,
            retries=0,
            cached=0,
            prompt=None,
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
