"""The operations of Ollama's API as fronts: what clients may ask, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from trunkline.dialects.base import ClientConventions, FrontDefaults, RequestSummary, Writer
from trunkline.dialects.ollama import errors, parse, write
from trunkline.dialects.ollama.request_schema import DIALECT
from trunkline.dialects.ollama.write import NDJSON_TYPE, Clocks, Form
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, EmbeddingRequest, Operation

LEGACY: Final = "ollama-legacy"
"""Dialect of /api/embeddings: it is answered from /api/embed, so it never passes through."""


class OllamaFront(FrontDefaults):
    """One operation of the dialect; satisfies ``dialects.base.Front``."""

    default_provider: ClassVar[str | None] = DIALECT
    stream_type = NDJSON_TYPE
    conventions = ClientConventions(forwards_errors=True, is_own_error=errors.is_own_error)

    def __init__(
        self,
        operation: Operation,
        summarize: Callable[[bytes], RequestSummary],
        parse: Callable[[bytes], CanonicalRequest],
        *,
        form: Form | None = None,
        dialect: str = DIALECT,
        clocks: Clocks = Clocks(),  # noqa: B008 - immutable
    ) -> None:
        self.operation = operation
        self.summarize = summarize
        self.parse = parse
        self.dialect = dialect
        self._form = form
        self._clocks = clocks

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Make a writer for one answer to ``request``. Ollama's answers have no ids."""
        if isinstance(request, EmbeddingRequest) or self._form is None:
            return write.EmbeddingWriter(model, self._clocks, self.dialect == LEGACY)
        kind = write.StreamWriter if request.stream else write.WholeWriter
        return kind(self._form, model, self._clocks)

    def answer_load_request(self, request: CanonicalRequest, model: str) -> bytes | None:
        """Return the whole answer, if ``request`` only loads or unloads its model; None if it asks for
        more."""
        if parse.load_reason(request) is None:
            return None
        if self.dialect == LEGACY:
            return b'{"embedding":[]}'
        return write.load_answer(request, model, self._form, self._clocks.wall)

    def error_body(self, error: GatewayError) -> bytes:
        """Return Ollama's error object."""
        return errors.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Return the line that ends a failed stream."""
        return errors.stream_error(error)

    def ping(self, model: str) -> bytes:
        """Return a record without content: Ollama's clients read every line as a record, also a blank one."""
        return b"" if self._form is None else write.ping(self._form, model, self._clocks)


CHAT: Final = OllamaFront("chat", parse.summarize_chat, parse.parse_chat, form=write.CHAT)
GENERATE: Final = OllamaFront(
    "completions", parse.summarize_generate, parse.parse_generate, form=write.GENERATE
)
EMBED: Final = OllamaFront("embeddings", parse.summarize_embed, parse.parse_embed)
EMBEDDINGS: Final = OllamaFront(
    "embeddings", parse.summarize_embed, parse.parse_legacy_embeddings, dialect=LEGACY
)
