"""OpenAI's error envelope, which servers of several dialects answer with, as a value.

An envelope with an ``error`` inside, a flat one, plain text or HTML, whatever form a server gives it. Where
else than in an error answer an error may stand, each dialect knows for itself. Beside it stand the two errors
of answers that no upstream has put into words: one that was cut off, and one that cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.status import error_for_status
from trunkline.errors import (
    FORBIDDEN,
    MODEL_NOT_FOUND,
    UPSTREAM_CREDIT,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TRUNCATED,
    CallerError,
    GatewayError,
    Kind,
    ProviderError,
    redact,
)

UNREADABLE: Final = (ValueError, RecursionError)
"""What decoding raises: not JSON, not UTF-8 or of another shape; nested without end."""

_decode: Final = msgspec.json.Decoder().decode

_MOST_CAUSE: Final = 500
"""Characters that are shown of a provider's error behind OpenRouter."""
_KINDS: Final[dict[str, Kind]] = {
    "model_not_found": MODEL_NOT_FOUND,
    "insufficient_quota": UPSTREAM_CREDIT,
}
"""Vendors' own codes, and types, that say more than the status does."""


def unwrapped(body: bytes) -> Any:
    """The inside of an error answer's envelope, or plain text; HTML says nothing."""
    try:
        decoded: Any = _decode(body)
    except UNREADABLE:
        text = body.decode("utf-8", "replace").strip()
        return "" if text.startswith("<") else text
    return decoded.get("error") or decoded if isinstance(decoded, dict) else decoded


def read_detail(body: bytes) -> Detail:
    """What an error answer says: any of the envelopes that servers use, or plain text."""
    return Detail.of(unwrapped(body))


def read_error(status: int, headers: Headers, body: bytes, who: str) -> GatewayError:
    """An error answer as a value."""
    return read_detail(body).value(status, headers, who)


class Detail(msgspec.Struct):
    """The inside of an error envelope."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    status: int | None = None
    """An integer ``code`` is an HTTP status (OpenRouter, vLLM)."""
    param: str | None = None
    flagged: bool = False
    """OpenRouter's moderation refused the prompt: the caller's content, not our credentials."""

    @classmethod
    def of(cls, detail: Any) -> Detail:
        """Read an envelope's inside, whatever its form."""
        if not isinstance(detail, dict):
            return cls(message=detail if isinstance(detail, str) else "")
        code, message, param = detail.get("code"), detail.get("message"), detail.get("param")
        sort = detail.get("type")
        if not isinstance(message, str):
            message = detail.get("detail")
        metadata = detail.get("metadata")
        if isinstance(message, str) and isinstance(metadata, dict):
            message += _cause(metadata)
        numeric = isinstance(code, int) or (isinstance(code, str) and code.isdecimal() and len(code) == 3)
        return cls(
            message=message if isinstance(message, str) else "",
            code=code if isinstance(code, str) and not numeric else None,
            type=sort if isinstance(sort, str) else None,
            status=int(code) if numeric and code is not None else None,
            param=param if isinstance(param, str) else None,
            flagged=isinstance(metadata, dict) and "flagged_input" in metadata,
        )

    def value(self, status: int, headers: Headers, who: str) -> GatewayError:
        """The error that this is, at ``status``."""
        if self.flagged:
            return CallerError(redact(self.message), FORBIDDEN)
        kind = _KINDS.get(self.code or "") or _KINDS.get(self.type or "")
        if status == 400 and "not a valid model" in self.message:  # OpenRouter's words
            kind = MODEL_NOT_FOUND
        code = self.code if status in (400, 422) and kind is None else None
        return error_for_status(
            status, self.message, headers, who=who, kind=kind, code=code, param=self.param
        )


def _cause(metadata: Mapping[str, Any]) -> str:
    """What went wrong at the provider behind OpenRouter, which says "Provider returned error" itself."""
    raw, name = metadata.get("raw"), metadata.get("provider_name")
    if not isinstance(raw, str) or not raw.strip():
        return ""
    said = read_detail(raw.encode()).message or raw.strip()
    return f" ({name}: {said[:_MOST_CAUSE]})" if isinstance(name, str) else f" ({said[:_MOST_CAUSE]})"


def truncated(who: str) -> ProviderError:
    """The stream ended without saying that it was complete."""
    return ProviderError(f"{who} ended the stream before the answer was complete", UPSTREAM_TRUNCATED)


def malformed(who: str, error: object) -> ProviderError:
    """The upstream sent what is not JSON, or JSON of another shape."""
    return ProviderError(f"{who} sent a malformed answer: {redact(str(error), 200)}", UPSTREAM_PROTOCOL)
