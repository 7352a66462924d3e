"""OpenAI's error envelope: written for clients, and read from the servers of several dialects.

An envelope that is read has an ``error`` inside or is flat; instead of one there may be plain text or HTML.
Each dialect knows for itself where an error may stand besides an error answer. Here are also the errors for
answers that the upstream itself did not call an error: one that was cut off, one that cannot be decoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.error_words import open_envelope, read_text, seek_words
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
"""What decoding raises for bytes that are not JSON, not UTF-8, of another shape, or nested too deeply."""

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

_MAX_CAUSE: Final = 500
"""Characters that are shown of the error of a provider behind OpenRouter."""
_KINDS: Final[dict[str, Kind]] = {
    "model_not_found": MODEL_NOT_FOUND,
    "insufficient_quota": UPSTREAM_CREDIT,
}
"""Vendors' own codes, and types, that say more than the status does."""


def error_body(error: GatewayError) -> bytes:
    """Return OpenAI's error envelope with all four keys."""
    return _encode({"error": error_detail(error)})


def error_detail(error: GatewayError) -> dict[str, Any]:
    """Return the inside of the envelope."""
    return {
        "message": error.message,
        "type": error.kind.type,
        "param": error.param,
        "code": error.code,
    }


def unwrap(body: bytes) -> Any:
    """Return the inside of an error answer's envelope, its plain text, or the title of a page of HTML."""
    try:
        decoded: Any = _decode(body)
    except UNREADABLE:
        return read_text(body)
    return open_envelope(decoded)


def read_detail(body: bytes) -> Detail:
    """Read any of the envelopes that servers use for error answers, or plain text."""
    return Detail.of(unwrap(body))


def read_error(status: int, headers: Headers, body: bytes, upstream_name: str) -> GatewayError:
    """Return an error answer as a value."""
    return read_detail(body).to_error(status, headers, upstream_name)


class Detail(msgspec.Struct):
    """The inside of an error envelope."""

    message: str = ""
    code: str | None = None
    type: str | None = None
    status: int | None = None
    """An integer ``code`` is an HTTP status (OpenRouter, vLLM)."""
    param: str | None = None
    flagged: bool = False
    """OpenRouter's moderation refused the prompt: the fault is in the caller's content, not our key."""

    @classmethod
    def of(cls, detail: Any) -> Detail:
        """Read the inside of an envelope, whatever its form."""
        message = seek_words(detail)
        if not isinstance(detail, dict):
            return cls(message=message)
        code, param, kind = detail.get("code"), detail.get("param"), detail.get("type")
        metadata = detail.get("metadata")
        if message and isinstance(metadata, dict):
            message += _cause(metadata)
        numeric = isinstance(code, int) or (isinstance(code, str) and code.isdecimal() and len(code) == 3)
        return cls(
            message=message,
            code=code if isinstance(code, str) and not numeric else None,
            type=kind if isinstance(kind, str) else None,
            status=int(code) if numeric and code is not None else None,
            param=param if isinstance(param, str) else None,
            flagged=isinstance(metadata, dict) and "flagged_input" in metadata,
        )

    def to_error(self, status: int, headers: Headers, upstream_name: str) -> GatewayError:
        """Return the error that this detail stands for in an answer of ``status``."""
        if self.flagged:
            return CallerError(redact(self.message), FORBIDDEN)
        kind = _KINDS.get(self.code or "") or _KINDS.get(self.type or "")
        if status == 400 and "not a valid model" in self.message:  # OpenRouter's words
            kind = MODEL_NOT_FOUND
        return error_for_status(
            status,
            self.message,
            headers,
            upstream_name=upstream_name,
            kind=kind,
            code=self.code if status in (400, 422) and kind is None else None,
            param=self.param,
        )


def _cause(metadata: Mapping[str, Any]) -> str:
    """What went wrong at the provider behind OpenRouter, which itself says only "Provider returned error"."""
    raw, name = metadata.get("raw"), metadata.get("provider_name")
    if not isinstance(raw, str) or not raw.strip():
        return ""
    message = (read_detail(raw.encode()).message or raw.strip())[:_MAX_CAUSE]
    return f" ({name}: {message})" if isinstance(name, str) else f" ({message})"


def truncated(upstream_name: str) -> ProviderError:
    """The error for a stream that ended without its terminal marker."""
    text = f"{upstream_name} ended the stream before the answer was complete"
    return ProviderError(text, UPSTREAM_TRUNCATED)


def malformed(upstream_name: str, error: object) -> ProviderError:
    """The error for an answer that is not JSON, or JSON of another shape."""
    text = f"{upstream_name} sent a malformed answer: {redact(str(error), 200)}"
    return ProviderError(text, UPSTREAM_PROTOCOL)
