"""What a call came to, as rows of the ledger: one for each attempt, the last of which is the request's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from trunkline.call import Attempt, Call, Outcome, Spent
from trunkline.errors import redact
from trunkline.ledger.rows import Ids, UsageRow

MOST_PROMPT: Final = 256 * 1024
"""Bytes of a request's body that are stored, where prompts are."""
_USERS: Final = (b"x-openwebui-user-email", b"x-openwebui-user-id", b"x-openwebui-user-name")
"""Headers in which Open WebUI names its user, the best first."""
_LONGEST: Final = 200
_LONGEST_CODE: Final = 64


def end_user(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Open WebUI's user, where it names one."""
    for name in _USERS:
        if user := headers.get(name):
            return user
    return None


def rows_of(outcome: Outcome, offset: float, ids: Ids) -> list[UsageRow]:
    """The rows of one call; ``offset`` makes Unix time of the pipeline's clock."""
    call = outcome.call
    peek, key = call.peek, call.key
    whose = ("", "") if key is None else (key.id, key.team_id or "")
    asked, user = None, None
    if peek is not None:
        asked, user = peek.model, peek.user
        if asked is not None:
            asked = _fit(asked)
            if call.error is not None or call.past:  # what nobody knows may be anything
                asked = redact(asked)
    if not user and call.end_user:
        user = call.end_user.decode("latin-1")
    user = _clean(user) if user else None
    rows = [
        _row_of_attempt(call, past, number, offset, ids, asked, user, whose)
        for number, past in enumerate(call.past, start=1)
    ]
    rows.append(_row_of_call(outcome, offset, ids, asked, user, whose))
    return rows


def _row_of_call(
    outcome: Outcome, offset: float, ids: Ids, asked: str | None, user: str | None, whose: Sequence[str]
) -> UsageRow:
    """The call's own row, which is its last attempt's as well, if there was any."""
    call, status, ended = outcome
    exchange, candidate, error = call.exchange, call.candidate, call.error
    provider = "" if candidate is None else candidate.provider.name
    model = "" if exchange is None else exchange.upstream_model
    if call.kept is not None:
        provider, model = call.kept.provider, call.kept.model
    if not model and candidate is not None:
        model = candidate.model
    at = int((ended + offset) * 1000)
    began, first_byte = call.began, call.first_byte_at
    usage, estimated, cost, source = call.spent
    busy = 0.0 if call.sent_at is None or exchange is None else (call.landed_at or ended) - call.sent_at
    return UsageRow(
        ids.next(at),
        at,
        call.request_id,
        0 if exchange is None else call.attempts,
        True,
        whose[0],
        whose[1],
        user,
        call.route,
        provider,
        None if candidate is None else candidate.upstream.name,
        asked,
        _fit(model),
        call.front.dialect,
        call.front.operation,
        call.peek is not None and call.peek.stream,
        status,
        None if error is None else _fit(error.code, _LONGEST_CODE),
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.cached_tokens or 0,
        usage.reasoning_tokens or 0,
        estimated,
        cost,
        source,
        None if first_byte is None else (first_byte - began) * 1000,
        (ended - began) * 1000,
        busy * 1000,
        call.waited * 1000,
        max(0, call.attempts - 1),
        call.kept is not None,
        None if call.prompt is None else redact(call.prompt, MOST_PROMPT),
    )


def _row_of_attempt(
    call: Call,
    past: Attempt,
    number: int,
    offset: float,
    ids: Ids,
    asked: str | None,
    user: str | None,
    whose: Sequence[str],
) -> UsageRow:
    at = int((past.ended + offset) * 1000)
    spent: Spent = past.spent
    milliseconds = (past.ended - past.began) * 1000
    return UsageRow(
        ids.next(at),
        at,
        call.request_id,
        number,
        False,
        whose[0],
        whose[1],
        user,
        call.route,
        past.choice.provider.name,
        past.choice.upstream.name,
        asked,
        _fit(past.choice.model),
        call.front.dialect,
        call.front.operation,
        call.peek is not None and call.peek.stream,
        past.failure.status,
        _fit(past.failure.code, _LONGEST_CODE),
        spent.usage.prompt_tokens,
        spent.usage.completion_tokens,
        spent.usage.cached_tokens or 0,
        spent.usage.reasoning_tokens or 0,
        spent.estimated,
        spent.cost,
        spent.source,
        None,
        milliseconds,
        milliseconds,
        0.0,
        0,
        False,
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
