"""Errors in Ollama's dialect: written for clients, and read from upstreams wherever they stand."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.error_words import find_hidden, find_words, open_envelope, read_text
from trunkline.dialects.status import error_for_status, retry_after
from trunkline.errors import (
    MODEL_NOT_FOUND,
    UPSTREAM_BUSY,
    UPSTREAM_ERROR,
    UPSTREAM_MODEL_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TRUNCATED,
    GatewayError,
    ProviderError,
    redact,
)

_MISSING_MODEL: Final = re.compile(r"model\s+['\"](?P<model>[^'\"]+)['\"](?: was)? not found", re.IGNORECASE)

_encode: Final = msgspec.json.Encoder().encode


def error_body(error: GatewayError) -> bytes:
    """Return Ollama's error object, which holds the text alone."""
    return _encode({"error": error.message})


def stream_error(error: GatewayError) -> bytes:
    """Return the same object as the line that ends a failed stream."""
    return error_body(error) + b"\n"


def error_text(error: Any) -> str:
    """Return the text in an ``error`` field: Ollama sends a string; look-alikes send an object with a
    message."""
    return find_words(error) or (error if isinstance(error, str) else _encode(error).decode())


def read_error(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Return an error answer as a value.

    A missing model and a busy server, the errors that Ollama's users know best, have kinds and texts of their
    own. So has any other 5xx with Ollama's own JSON: it proves that the server works. A client gets its
    status and text as they are.
    """
    text, is_own = _read_body(body)
    if status == 404:
        missing = _MISSING_MODEL.search(text)
        if missing is None:  # not Ollama's words: the address is wrong, not the model
            return error_for_status(status, text, headers, upstream_name="Ollama", kind=UPSTREAM_PROTOCOL)
        model = redact(missing["model"])
        return ProviderError(
            f"Model '{model}' not found in Ollama. Pull the model with `ollama pull {model}`",
            MODEL_NOT_FOUND,
            param="model",
        )
    if status == 503 and "server busy" in text:
        return error_for_status(status, text, headers, upstream_name="Ollama", kind=UPSTREAM_BUSY)
    if status >= 500 and is_own:
        wait = retry_after(headers)
        error = ProviderError(
            redact(text), UPSTREAM_MODEL_ERROR, status=status, advice="false", retry_after=wait
        )
        error.upstream_status = status
        return error
    return error_for_status(status, text, headers, upstream_name="Ollama")


def is_own_error(body: bytes) -> bool:
    """Return whether an error body is Ollama's own, which its clients are to have as it came."""
    return _read_body(body)[1]


def _read_body(body: bytes) -> tuple[str, bool]:
    """The text of an error body, whatever its form, and whether it is Ollama's own: ``{"error": "text"}``."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return read_text(body), False
    error = open_envelope(answer)
    is_own = isinstance(answer, dict) and isinstance(error, str) and bool(error.strip())
    return error_text(error), is_own


def read_error_field(error: object) -> ProviderError:
    """Return the error in the ``error`` field of an answer of status 200, in the server's own words."""
    return ProviderError(redact(error_text(error)), UPSTREAM_ERROR)


def find_hidden_error(record: bytes) -> ProviderError | None:
    """Return the error that a record without content is in any other form than Ollama's."""
    try:
        detail = find_hidden(msgspec.json.decode(record))
    except UNREADABLE:
        return None
    return read_error_field(detail) if detail else None


def malformed(error: Exception | str) -> ProviderError:
    """The error for a record that cannot be decoded; it quotes the decoder, never the record."""
    return ProviderError(f"The upstream sent a record that is not valid: {error}", UPSTREAM_PROTOCOL)


def truncated() -> ProviderError:
    """The error for a stream without its ``done: true``."""
    return ProviderError("The upstream ended its answer before it was complete", UPSTREAM_TRUNCATED)


class OllamaErrors:
    """The errors of this dialect's readers and inspectors, for the hooks of their base classes."""

    def _malformed(self, error: Exception | str) -> GatewayError:
        return malformed(error)

    def _truncated(self) -> GatewayError:
        return truncated()
