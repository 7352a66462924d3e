"""Errors of OpenAI-compatible upstreams → values, whatever form and place a server gives them.

An envelope with an ``error`` inside, a flat one, plain text or HTML; as an error answer, inside a 200, or in
the middle of a stream.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.openai.replies import UNREADABLE, Chunk
from trunkline.dialects.status import error_for_status
from trunkline.errors import (
    FORBIDDEN,
    MODEL_NOT_FOUND,
    UPSTREAM_CREDIT,
    UPSTREAM_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TRUNCATED,
    CallerError,
    GatewayError,
    Kind,
    ProviderError,
    redact,
)

_decode: Final = msgspec.json.Decoder().decode

_KINDS: Final[dict[str, Kind]] = {
    "model_not_found": MODEL_NOT_FOUND,
    "insufficient_quota": UPSTREAM_CREDIT,
}
"""Vendors' own codes that say more than the status does."""


def find_error(chunk: Chunk, who: str) -> GatewayError | None:
    """The error that a 200 answer or a stream's chunk holds, if it holds one."""
    detail, choices = chunk.error, chunk.choices
    ended_badly = False
    if choices:
        for choice in choices:
            detail = detail or choice.error
            ended_badly = ended_badly or choice.finish_reason == "error"
    elif choices is None and not detail and chunk.message and not chunk.id:
        detail = {"message": chunk.message, "code": chunk.code, "param": chunk.param}
    if detail:
        error = _Detail.of(detail)
        status = chunk.status_code or error.status or 500
        return error.value(status if 400 <= status < 600 else 500, (), who)
    if ended_badly:
        return ProviderError(f"{who} ended its answer with an error that it did not name", UPSTREAM_ERROR)
    return None


def read_error(status: int, headers: Headers, body: bytes, who: str) -> GatewayError:
    """An error answer as a value: any of the envelopes that OpenAI-compatible servers use, or plain text."""
    try:
        decoded: Any = _decode(body)
    except UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        decoded = "" if text.startswith("<") else text
    if isinstance(decoded, dict):
        decoded = decoded.get("error") or decoded
    return _Detail.of(decoded).value(status, headers, who)


class _Detail(msgspec.Struct):
    """The inside of an error envelope."""

    message: str = ""
    code: str | None = None
    status: int | None = None
    """An integer ``code`` is an HTTP status (OpenRouter, vLLM)."""
    param: str | None = None
    flagged: bool = False
    """OpenRouter's moderation refused the prompt: the caller's content, not our credentials."""

    @classmethod
    def of(cls, detail: Any) -> _Detail:
        """Read an envelope's inside, whatever its form."""
        if not isinstance(detail, dict):
            return cls(message=detail if isinstance(detail, str) else "")
        code, message, param = detail.get("code"), detail.get("message"), detail.get("param")
        if not isinstance(message, str):
            message = detail.get("detail")
        metadata = detail.get("metadata")
        numeric = isinstance(code, int) or (isinstance(code, str) and code.isdecimal() and len(code) == 3)
        return cls(
            message=message if isinstance(message, str) else "",
            code=code if isinstance(code, str) and not numeric else None,
            status=int(code) if numeric and code is not None else None,
            param=param if isinstance(param, str) else None,
            flagged=isinstance(metadata, dict) and "flagged_input" in metadata,
        )

    def value(self, status: int, headers: Headers, who: str) -> GatewayError:
        """The error that this is, at ``status``."""
        if self.flagged:
            return CallerError(redact(self.message), FORBIDDEN)
        kind = _KINDS.get(self.code or "")
        if status == 400 and "not a valid model" in self.message:  # OpenRouter's words
            kind = MODEL_NOT_FOUND
        code = self.code if status in (400, 422) and kind is None else None
        return error_for_status(
            status, self.message, headers, who=who, kind=kind, code=code, param=self.param
        )


def truncated(who: str) -> ProviderError:
    """The stream ended without saying that it was complete."""
    return ProviderError(f"{who} ended the stream before the answer was complete", UPSTREAM_TRUNCATED)


def malformed(who: str, error: Exception) -> ProviderError:
    """The upstream sent what is not JSON, or JSON of another shape."""
    return ProviderError(f"{who} sent a malformed answer: {redact(str(error), 200)}", UPSTREAM_PROTOCOL)
