"""Ollama's API as upstreams speak it: requests to them, clients' own bodies for them, and their answers.

The native API is always used: Ollama's own /v1 turns an error in the middle of a stream into an empty chunk
without an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import FitStep, Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import BodyPatch, decode_fields
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama import render
from trunkline.dialects.ollama.errors import read_error
from trunkline.dialects.ollama.inspect import StreamInspector, WholeInspector
from trunkline.dialects.ollama.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.ollama.request_schema import DIALECT, PATHS
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import CallerError, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, EmbeddingRequest, Operation

_OPEN_VALUES: Final = (b"null", b'""')
"""Values with which a client names a field and still leaves it open."""

_ROUTED: Final = ("model", "options", "stream")
"""Fields that decide about routing and budgets. Go's decoder takes them in any case and lets the last one
win, so other spellings are taken out of what passes through."""


class OllamaBack:
    """Ollama's dialect as its servers speak it; satisfies ``dialects.base.Back``.

    Args:
        maker: Whose the thinking is. It is plain, but no other vendor is to take it for its own.
    """

    dialect = DIALECT
    opening_records = 0
    """The first record already brings content."""
    holds: frozenset[str] = frozenset()
    thinks_unasked = True
    count_tokens_path: str | None = None
    state_mark: bytes | None = None
    fit_step: FitStep | None = None

    def __init__(self, maker: Maker | None = None) -> None:
        self._seal = maker.seal("field", "thinking") if maker is not None and maker.name else ""

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Return the path of the native endpoint, if there is one."""
        return PATHS.get(operation)

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """Return the body that asks ``model`` for ``request``. Embeddings are never streamed.

        Raises:
            CallerError: The request holds what Ollama has no field for.
        """
        match request:
            case ChatRequest():
                return render.chat(request, model, stream, defaults)
            case CompletionRequest():
                return render.generate(request, model, stream, defaults)
            case EmbeddingRequest():
                return render.embed(request, model, defaults)

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Make a reader for the answer to ``request``."""
        kind = StreamReader if stream else WholeReader
        match request:
            case ChatRequest():
                return kind(seal=self._seal)
            case CompletionRequest():
                return kind(is_legacy=True, echo="".join(request.prompts) if request.echo else "")
            case EmbeddingRequest():
                return EmbeddingReader(len(request.inputs))

    def patch(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """Return ``body`` for ``model``, with defaults where it leaves fields open, or ``body`` itself if
        nothing changes.

        Raises:
            CallerError: The body is not a JSON object.
        """
        patch = BodyPatch(body)
        fields = patch.fields
        dropped = [name for name in fields if name in defaults.drop or _is_other_spelling(name)]
        if dropped:
            patch.drop(dropped)
        if summary.model != model or "model" not in fields:
            patch.changes["model"] = model
        default_options = dict(defaults.options) if "input" in fields else render.default_options(defaults)
        if default_options:
            options = _fill_options(fields.get("options"), default_options)
            if options is not None:
                patch.changes["options"] = options
        for name, value in defaults.fields.items():
            if _is_open(fields.get(name)):
                patch.changes[name] = value
        return patch.result()

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """Make an inspector for an answer on its way to an Ollama client."""
        return StreamInspector() if summary.stream and operation != "embeddings" else WholeInspector()

    def note_state(self, answer: bytes) -> None:
        """Remember nothing: Ollama's servers give no state."""

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return Ollama's error answer as a value."""
        return read_error(status, headers, body)


def _is_open(value: msgspec.Raw | None) -> bool:
    return value is None or bytes(value) in _OPEN_VALUES


def _is_other_spelling(name: str) -> bool:
    return name not in _ROUTED and name.lower() in _ROUTED


def _fill_options(raw: msgspec.Raw | None, defaults: Mapping[str, Any]) -> dict[str, Any] | None:
    """The options, with ``defaults`` where they are open; None if there is nothing to fill in."""
    try:
        options = {} if raw is None or _is_open(raw) else decode_fields(raw)
    except UNREADABLE:
        raise CallerError("options must be an object", param="options") from None
    filled = {name: value for name, value in defaults.items() if _is_open_option(name, options.get(name))}
    return {**options, **filled} if filled else None


def _is_open_option(name: str, value: msgspec.Raw | None) -> bool:
    if value is None or _is_open(value):
        return True
    return name == "num_predict" and not render.is_bound(msgspec.json.decode(value))
