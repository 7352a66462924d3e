"""The operations of Ollama's API as fronts: what clients may ask, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trunkline.dialects.base import PLAIN, ClientConventions, RequestSummary, Writer
from trunkline.dialects.ollama import parse, write
from trunkline.dialects.ollama.schema import DIALECT, NDJSON_TYPE
from trunkline.dialects.ollama.write import Clocks, Form
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, EmbeddingRequest, Operation

LEGACY: Final = "ollama-legacy"
"""Dialect of /api/embeddings: answered from /api/embed, so it never passes through."""


class OllamaFront:
    """One operation of the dialect; satisfies ``dialects.base.Front``."""

    home = DIALECT
    stream_type = NDJSON_TYPE
    conventions: ClientConventions = PLAIN

    def __init__(
        self,
        operation: Operation,
        summarize: Callable[[bytes], RequestSummary],
        parse: Callable[[bytes], CanonicalRequest],
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
        """A writer for one answer to ``request``; Ollama's answers have no ids."""
        if isinstance(request, EmbeddingRequest) or self._form is None:
            return write.EmbeddingWriter(model, self._clocks, self.dialect == LEGACY)
        kind = write.LineWriter if request.stream else write.WholeWriter
        return kind(self._form, model, self._clocks)

    def error(self, error: GatewayError) -> bytes:
        """Ollama's error object."""
        return write.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """The line that ends a stream that went wrong."""
        return write.error_line(error)

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """The whole answer, if ``request`` only loads or unloads its model; None if it asks for more."""
        if parse.loading(request) is None:
            return None
        if self.dialect == LEGACY:
            return b'{"embedding":[]}'
        return write.load_answer(request, model, self._form, self._clocks.wall)


CHAT: Final = OllamaFront("chat", parse.peek_chat, parse.parse_chat, write.CHAT)
GENERATE: Final = OllamaFront("completions", parse.peek_generate, parse.parse_generate, write.GENERATE)
EMBED: Final = OllamaFront("embeddings", parse.peek_embed, parse.parse_embed)
EMBEDDINGS: Final = OllamaFront("embeddings", parse.peek_embed, parse.parse_embeddings, dialect=LEGACY)
