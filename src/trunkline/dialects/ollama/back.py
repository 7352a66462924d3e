"""The Ollama API as upstreams speak it: requests out, answers and errors in, and the way past both.

Always the native API: Ollama's own /v1 turns an error in mid-stream into an empty chunk without an end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama import render
from trunkline.dialects.ollama.inspect import LineScanner, WholeInspector
from trunkline.dialects.ollama.read import AnswerReader, EmbeddingReader
from trunkline.dialects.ollama.schema import DIALECT, PATHS, error_text
from trunkline.dialects.status import error_for_status
from trunkline.errors import (
    MODEL_NOT_FOUND,
    UPSTREAM_BUSY,
    UPSTREAM_PROTOCOL,
    CallerError,
    GatewayError,
    ProviderError,
    redact,
)
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, EmbeddingRequest, Operation

_MISSING_MODEL: Final = re.compile(r"model\s+['\"](?P<model>[^'\"]+)['\"](?: was)? not found", re.IGNORECASE)

_OPEN: Final = (b"null", b'""')
"""Values by which a client names a field and still leaves it open."""

_ROUTED: Final = ("model", "options", "stream")
"""Fields that decide about routing and budgets. Go's decoder takes them in any case and lets the last one
win, so other spellings are taken out of what passes through."""

_Fields = dict[str, msgspec.Raw]
_decode_fields: Final = msgspec.json.Decoder(_Fields).decode


class OllamaBack:
    """Asks Ollama servers; satisfies ``dialects.base.Back``."""

    dialect = DIALECT
    opening = 0

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Path of the native endpoint, if there is one."""
        return PATHS.get(operation)

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """The body that asks ``model`` for ``request``; embeddings are never streamed.

        Raises:
            CallerError: the job holds what Ollama has no field for.
        """
        match request:
            case ChatRequest():
                return render.chat(request, model, stream, defaults)
            case CompletionRequest():
                return render.generate(request, model, stream, defaults)
            case EmbeddingRequest():
                return render.embed(request, model, defaults)

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """A reader for the answer to ``request``."""
        match request:
            case ChatRequest():
                return AnswerReader(stream)
            case CompletionRequest():
                return AnswerReader(
                    stream, legacy=True, echo="".join(request.prompts) if request.echo else ""
                )
            case EmbeddingRequest():
                return EmbeddingReader(len(request.inputs))

    def rewrite(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """``body`` for ``model``, filled where it leaves open what ``defaults`` say; itself if nothing
        changes.

        Raises:
            CallerError: the body is not a JSON object.
        """
        try:
            fields = _decode_fields(body)
        except UNREADABLE as error:
            raise CallerError(f"The request body is not a JSON object: {error}") from None
        changes: dict[str, Any] = {}
        if summary.model != model or "model" not in fields:
            changes["model"] = model
        own = dict(defaults.options) if "input" in fields else render.default_options(defaults)
        options = _filled_options(fields.get("options"), own)
        if options is not None:
            changes["options"] = options
        changes |= {name: value for name, value in defaults.fields.items() if _is_open(fields.get(name))}
        dropped = [name for name in fields if name in defaults.drop or _is_alias(name)]
        if not changes and not dropped:
            return body
        kept: dict[str, Any] = {name: value for name, value in fields.items() if name not in dropped}
        return render.encode(kept | changes)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """A scanner for an answer on its way to an Ollama client."""
        return LineScanner() if summary.stream and operation != "embeddings" else WholeInspector()

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """An error answer; the two that Ollama's users know best in their own words."""
        said = _said(body)
        if status == 404:
            found = _MISSING_MODEL.search(said)
            if found is None:  # not Ollama's words: the address is wrong, not the model
                return error_for_status(status, said, headers, who="Ollama", kind=UPSTREAM_PROTOCOL)
            model = redact(found["model"])
            return ProviderError(
                f"Model '{model}' not found in Ollama. Pull the model with `ollama pull {model}`",
                MODEL_NOT_FOUND,
                param="model",
            )
        kind = UPSTREAM_BUSY if status == 503 and "server busy" in said else None
        return error_for_status(status, said, headers, who="Ollama", kind=kind)


def _said(body: bytes) -> str:
    """The words of an error body, whatever its form."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return body.decode("utf-8", "replace")
    return error_text(answer.get("error", answer) if isinstance(answer, dict) else answer)


def _is_open(value: msgspec.Raw | None) -> bool:
    return value is None or bytes(value) in _OPEN


def _is_alias(name: str) -> bool:
    return name not in _ROUTED and name.lower() in _ROUTED


def _filled_options(raw: msgspec.Raw | None, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options with ``defaults`` where they are open, or None if there is nothing to fill."""
    if not defaults:
        return None
    try:
        options = {} if raw is None or _is_open(raw) else _decode_fields(raw)
    except UNREADABLE:
        raise CallerError("options must be an object", param="options") from None
    filled = {name: value for name, value in defaults.items() if _leaves_open(name, options.get(name))}
    return {**options, **filled} if filled else None


def _leaves_open(name: str, value: msgspec.Raw | None) -> bool:
    if value is None or _is_open(value):
        return True
    return name == "num_predict" and not render.is_bound(msgspec.json.decode(value))
