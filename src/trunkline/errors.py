"""Errors of the gateway, by whose fault they are.

One base, two children: :class:`CallerError` (mend the request) and :class:`ProviderError` (an upstream
let us down). What a failure means (status, code, what it concerns, whether another upstream may be tried) is
one row of :data:`KINDS`, never a decision at the place where it happens. A vendor's own rows are in
``providers.failures``. Nothing here knows HTTP frameworks, and no message may hold a secret: pass texts that
came from outside through :func:`redact` first.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias

Scope: TypeAlias = Literal["request", "model", "credential", "upstream"]
"""What a failure concerns, and so what may be left alone after it: nothing (the request alone), the model at
that upstream, the upstream's credential, or all of the upstream."""

OutcomeLabel: TypeAlias = Literal["success", "refused", "client", "upstream", "gateway"]
"""What log, metrics, ledger and traces call an outcome: a complete answer; a request that was refused by the
caller's own fault; or else who broke the answer off."""
SUCCESS: Final = "success"
REFUSED: Final = "refused"
BY_CLIENT: Final = "client"
BY_UPSTREAM: Final = "upstream"
BY_GATEWAY: Final = "gateway"

Failover: TypeAlias = Literal["none", "free", "any"]
"""Which other upstreams may be asked after a failure: none, those that cost nothing, or any."""


class Kind(NamedTuple):
    """What one kind of failure means to everybody who has to act on it."""

    code: str
    """Machine-readable name, the ``code`` of the error envelope."""
    status: int
    """HTTP status that the client sees."""
    type: str
    """The ``type`` of OpenAI's envelope."""
    retry: bool = False
    """The same upstream may be asked again (after a pause, if it asked for one)."""
    once: bool = False
    """The same upstream may be asked again only once: one that refuses twice will go on refusing."""
    failover: Failover = "none"
    """Which other upstreams may be asked, as long as no byte was sent to the client."""
    scope: Scope = "request"
    """What the failure concerns. A failure of the request alone counts against nothing."""


_CALLER: Final = "invalid_request_error"
_UPSTREAM: Final = "upstream_error"

INVALID_REQUEST: Final = Kind("invalid_request", 400, _CALLER)
INVALID_JSON: Final = Kind("invalid_json", 400, _CALLER)
UNSUPPORTED: Final = Kind("unsupported", 400, _CALLER)
INVALID_API_KEY: Final = Kind("invalid_api_key", 401, "authentication_error")
FORBIDDEN: Final = Kind("forbidden", 403, "permission_error")
NOT_FOUND: Final = Kind("not_found", 404, _CALLER)
MODEL_NOT_FOUND: Final = Kind("model_not_found", 404, _CALLER, failover="any")
PROVIDER_NOT_CONFIGURED: Final = Kind("provider_not_configured", 404, _CALLER)
METHOD_NOT_ALLOWED: Final = Kind("method_not_allowed", 405, _CALLER)
CONFLICT: Final = Kind("conflict", 409, _CALLER)
TOO_LARGE: Final = Kind("request_too_large", 413, _CALLER)
HEAD_TOO_LARGE: Final = Kind("request_head_too_large", 431, _CALLER)
LIMITED: Final = Kind("gateway_rate_limit", 429, "rate_limit_error")
BUDGET_EXCEEDED: Final = Kind("budget_exceeded", 429, "insufficient_quota", failover="any")
REQUEST_OVER_BUDGET: Final = Kind("request_over_budget", 429, "insufficient_quota", failover="any")
"""The budget is not used up, but the request may cost more than is left of it."""
MODEL_NOT_ALLOWED: Final = Kind("model_not_allowed", 403, "permission_error")
NO_PRICE: Final = Kind("no_price", 403, "permission_error", failover="any")
LIMITS_AWAY: Final = Kind("limits_unavailable", 503, "server_error")
UNPROCESSABLE: Final = Kind("unprocessable", 422, _CALLER)
CLIENT_GONE: Final = Kind("client_closed_request", 499, _CALLER)
INTERNAL: Final = Kind("internal_error", 500, "server_error")
STORE_AWAY: Final = Kind("store_unavailable", 503, "server_error")
SHUTTING_DOWN: Final = Kind("shutting_down", 503, "server_error")

UPSTREAM_ERROR: Final = Kind("upstream_error", 502, _UPSTREAM, retry=True, failover="any", scope="model")
UPSTREAM_MODEL_ERROR: Final = Kind("upstream_model_error", 502, _UPSTREAM, failover="free", scope="model")
"""An upstream of ours works and says that it cannot run the model."""
MODEL_PULL_FAILED: Final = Kind("model_pull_failed", 502, _UPSTREAM)
"""A model that a request asks for could not be pulled (OLLAMA_AUTO_PULL)."""
UPSTREAM_UNREACHABLE: Final = Kind(
    "upstream_unreachable", 502, _UPSTREAM, retry=True, once=True, failover="any", scope="upstream"
)
UPSTREAM_RESET: Final = Kind(
    "upstream_reset", 502, _UPSTREAM, retry=True, once=True, failover="any", scope="model"
)
UPSTREAM_TIMEOUT: Final = Kind("upstream_timeout", 502, _UPSTREAM, failover="any", scope="model")
UPSTREAM_TLS: Final = Kind("upstream_tls", 502, _UPSTREAM, failover="any", scope="upstream")
UPSTREAM_PROTOCOL: Final = Kind("upstream_protocol", 502, _UPSTREAM, failover="any", scope="model")
UPSTREAM_TRUNCATED: Final = Kind("upstream_truncated", 502, _UPSTREAM, failover="any", scope="model")
UPSTREAM_TOO_LARGE: Final = Kind("upstream_too_large", 502, _UPSTREAM, failover="any")
UPSTREAM_AUTH: Final = Kind("upstream_auth", 502, _UPSTREAM, failover="any", scope="credential")
UPSTREAM_CREDIT: Final = Kind("upstream_credit", 502, _UPSTREAM, failover="any", scope="credential")
UPSTREAM_RATE_LIMIT: Final = Kind(
    "rate_limit_exceeded", 429, "rate_limit_error", retry=True, failover="any", scope="model"
)
UPSTREAM_BUSY: Final = Kind("upstream_busy", 503, _UPSTREAM, failover="any")

KINDS: Final[dict[str, Kind]] = {
    kind.code: kind for kind in list(globals().values()) if isinstance(kind, Kind)
}
"""Every kind by its code."""


class GatewayError(Exception):
    """Anything that ends a request with an error. Raised itself, and not one of its children, it is the
    gateway's own fault (500)."""

    def __init__(
        self,
        message: str,
        kind: Kind = INTERNAL,
        *,
        param: str | None = None,
        provider: str | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.param = param
        """Path of the offending request field, as OpenAI's ``param``."""
        self.provider = provider
        """Name of the provider that the failure came from, if any."""
        self.status = kind.status if status is None else status
        self.code = kind.code if code is None else code
        """The kind's code, or the upstream's own where it gave a more exact one."""
        self.retry_after = retry_after
        """Seconds after which a retry makes sense, if the upstream or a limit named them."""
        self.scope: Scope = kind.scope
        """What the failure concerns: as its kind says, unless its cause says more."""
        self.failover: Failover = kind.failover
        """Which other upstreams may be asked: as its kind says, unless its cause says more."""
        self.upstream_status: int | None = None
        """The status of the upstream's answer, where it answered."""
        self.advice = advice
        """Value of the header ``x-should-retry``, which OpenAI's SDKs obey: ``true``, ``false``, or none."""
        self.body: bytes | None = None
        """The upstream's own error body, for a client who speaks its dialect and is to have it as it came."""
        self.details: dict[str, object] | None = None
        """What Anthropic's clients read beside the error: ``error.details``."""
        self.lines = b""
        """Further header lines of the answer, each ended by CRLF: what is left of a limit that refuses."""

    def reclassify(self, kind: Kind, status: int | None = None) -> None:
        """Make it a failure of another kind, with all that this says, but for a ``status`` given.
        The upstream's own body is not passed on any more."""
        self.kind, self.code, self.scope, self.failover = kind, kind.code, kind.scope, kind.failover
        self.status = kind.status if status is None else status
        self.body = None

    def __str__(self) -> str:
        return self.message

    @property
    def status_code(self) -> int:
        """The HTTP status, under the name that FastAPI's users look for."""
        return self.status


class CallerError(GatewayError):
    """The request is wrong; asking again, or elsewhere, does not help."""

    def __init__(self, message: str, kind: Kind = INVALID_REQUEST, **details: object) -> None:
        super().__init__(message, kind, **details)  # type: ignore[arg-type]


class ProviderError(GatewayError):
    """An upstream failed: refused, timed out, answered an error, or broke off."""

    def __init__(self, message: str, kind: Kind = UPSTREAM_ERROR, **details: object) -> None:
        super().__init__(message, kind, **details)  # type: ignore[arg-type]


def blame(error: GatewayError, *, begun: bool = False) -> OutcomeLabel:
    """Who broke an answer off, by the error that ended it.

    Args:
        error: why the request, or one attempt, failed.
        begun: a part of the answer was sent. An upstream that calls the request wrong after that has broken
            its answer off; before, the request was refused.
    """
    kind = error.kind
    if kind is CLIENT_GONE:
        return BY_CLIENT
    if kind.type == "server_error":
        return BY_GATEWAY
    if kind.type == _CALLER or isinstance(error, CallerError):
        return BY_UPSTREAM if begun else REFUSED
    return BY_UPSTREAM if isinstance(error, ProviderError) else BY_GATEWAY


_SECRETS: Final = re.compile(
    r"(?i)(?<![a-z0-9])(?:sk|gw|csk|pk|rk|hf|xai|gsk|nvapi|pplx|r8|fw)[-_][a-z0-9_\-*.]{6,}"  # vendors', ours
    r"|(?<![a-z0-9])AIza[a-z0-9_\-]{16,}"  # Google's
    r"|(?<![a-z0-9])(?:AKIA|ASIA)[a-z0-9]{16}|(?<![a-z0-9])gh[pousr]_[a-z0-9]{20,}"  # Amazon's, GitHub's
    r"|(?<![a-z0-9])eyJ[a-z0-9_\-]{8,}\.[a-z0-9_\-]{8,}(?:\.[a-z0-9_\-]*)?"  # a JSON Web Token
    r"|(?<=bearer )[^\s\"',;]{6,}|(?<=basic )[a-z0-9+/=]{8,}"  # an Authorization header that was echoed
    r"|(?<=key=)[^\s&\"',;]{6,}|(?<=token=)[^\s&\"',;]{6,}"  # in a query
    r"|(?<=://)[^/\s\"']+@"  # user:password@ in an address; the password may hold an @
)


def redact(text: str, limit: int = 2000) -> str:
    """``text`` without anything that looks like a key or an address's credentials, cut to ``limit``."""
    if len(text) > limit:
        text = text[:limit] + "…"
    return _SECRETS.sub(lambda match: "***@" if match.group().endswith("@") else "***", text)


_KEYS: Final = re.compile(
    r"(?i)(?<![a-z0-9])(?:(?:sk|gw|csk)[-_][a-z0-9_\-]{16,}"
    r"|(?:pk|rk|hf|xai|gsk|nvapi|pplx|r8|fw)[-_][a-z0-9]{20,}"  # names of models have more hyphens than keys
    r"|AIza[a-z0-9_\-]{16,}|(?:AKIA|ASIA)[a-z0-9]{16}(?![a-z0-9])|gh[pousr]_[a-z0-9]{20,}"
    r"|eyJ[a-z0-9_\-]{8,}\.[a-z0-9_\-]{8,}(?:\.[a-z0-9_\-]*)?)"
)


def redact_keys(text: str) -> str:
    """``text`` without whole keys. Unlike :func:`redact` it leaves alone what may be the name of a model."""
    return _KEYS.sub("***", text)


def redact_body(body: bytes) -> bytes:
    """The text in ``body`` without secrets, as :func:`redact`, but not cut."""
    text = body.decode("utf-8", "replace")
    return redact(text, len(text)).encode()
