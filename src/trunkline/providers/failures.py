"""What vendors' failures concern, in one table: the request, the model, the credential, or the upstream.

A failure has a kind by its status (``dialects.status``), and the kind says what it concerns. A row here says
where a vendor means something else: a 402 that is about one request, a 429 that no wait helps against. Rows
are read in order, the vendor's before those for everybody, and the first that fits decides.

Facts: the vendors' error references, and Ollama's server (``server/routes.go``, ``llm/server.go``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from trunkline.errors import (
    INVALID_REQUEST,
    UPSTREAM_BUSY,
    UPSTREAM_CREDIT,
    UPSTREAM_ERROR,
    UPSTREAM_MODEL_ERROR,
    Failover,
    GatewayError,
    Kind,
    Scope,
)

_5XX: Final = frozenset(range(500, 600))


class FailureRule(NamedTuple):
    """One row: which answers it is about, and what they mean."""

    statuses: frozenset[int]
    words: re.Pattern[str]
    """What the upstream's text holds."""
    kind: Kind | None = None
    """The failure's kind, where the status says too little."""
    scope: Scope | None = None
    """What it concerns, where that is not what its kind says."""
    only: Kind | None = None
    """The row is about failures that are of this kind so far."""
    failover: Failover | None = None
    """Which other upstreams may be asked, where that is not what its kind says."""


def _rule(
    statuses: int | frozenset[int],
    words: str,
    kind: Kind | None = None,
    *,
    scope: Scope | None = None,
    only: Kind | None = None,
    failover: Failover | None = None,
) -> FailureRule:
    numbers = frozenset({statuses}) if isinstance(statuses, int) else statuses
    return FailureRule(numbers, re.compile(words, re.IGNORECASE), kind, scope, only, failover)


EVERYBODY: Final = (
    _rule(
        429,
        r"insufficient[_ ](?:quota|balance)|current[_ ]quota|no credits|out of credits"
        r"|billing|spend(?:ing)?[_ ]limit|arrearage",
        UPSTREAM_CREDIT,
    ),
    _rule(400, r"billing[_ ]hard[_ ]limit", UPSTREAM_CREDIT),
    # What is too large for the account's rate or credit, or for the model, is that request's matter: a
    # smaller one is answered.
    _rule(
        402,
        r"can only afford|requested up to|(?:fewer|lower|reduce) max_tokens|\btokens? limit exceeded",
        scope="request",
    ),
    _rule(429, r"\brequest (?:is )?too large|\bmust be reduced|long context requests?\b", scope="request"),
    _rule(
        _5XX,
        r"\bcontext (?:length|size|window)|\b(?:input|prompt|request) is too (?:large|long)",
        scope="request",
        only=UPSTREAM_ERROR,
    ),
    _rule(403, r"\bmodels?\b", scope="model"),
)
"""The rows that hold for every vendor."""

VENDORS: Final[Mapping[str, tuple[FailureRule, ...]]] = {
    "anthropic": (_rule(400, r"credit balance is too low|you have reached your specified", UPSTREAM_CREDIT),),
    "openrouter": (
        _rule(403, r"limit exceeded", UPSTREAM_CREDIT),
        _rule(403, r"moderation|flagged", scope="request"),
    ),
    # Of Ollama's own errors some are about the model (it cannot be loaded, it crashed), the others about the
    # request: an option of a wrong type, an image that is none, an embedding of a chat model.
    "ollama": (
        _rule(
            _5XX,
            r"\bload(?:ing)?\b.*\bmodel|\bmodel\b.*\bload|\brunner\b|\bmemory\b|\b(?:cuda|v?ram|gpu)\b"
            r"|no space left",
            only=UPSTREAM_MODEL_ERROR,
        ),
        _rule(
            _5XX,
            r"^json: |unmarshal|\binvalid\b|not support|n't support|unsupported|\bunknown (?:option|field)"
            r"|\bmust\b|\brequired\b|context length|illegal base64|\btoo (?:long|large|many)"
            r"|failed to (?:parse|process|decode)|\bimages?\b.*\bformat|\bload image",
            INVALID_REQUEST,
            only=UPSTREAM_MODEL_ERROR,
        ),
        # It works, and its answer is waited for elsewhere only where that costs nothing.
        _rule(503, r"\bbusy\b", only=UPSTREAM_BUSY, failover="free"),
    ),
}
"""The rows of each vendor, by the provider's type."""


def classify(vendor: str, error: GatewayError) -> None:
    """Give ``error`` the kind and the scope that the table says.

    Args:
        vendor: the provider's type.
        error: an upstream's answer as an error; one that is no answer stays as it is.
    """
    status = error.upstream_status
    if status is None:
        return
    for rule in (*VENDORS.get(vendor, ()), *EVERYBODY):
        if status not in rule.statuses or (rule.only is not None and rule.only is not error.kind):
            continue
        if not rule.words.search(error.message):
            continue
        if rule.kind is not None and rule.kind is not error.kind:
            if error.kind is INVALID_REQUEST:  # its text has been the upstream's alone
                error.message = f"Provider '{error.provider}' answered {status}: {error.message}"
            error.reclassify(rule.kind, error.status if rule.kind is INVALID_REQUEST else None)
        if rule.scope is not None:
            error.scope = rule.scope
        if rule.failover is not None:
            error.failover = rule.failover
        return
