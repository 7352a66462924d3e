"""The three operations of OpenAI's API as fronts: what clients may ask, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from trunkline.dialects.base import PLAIN, ClientConventions, RequestSummary, Writer
from trunkline.dialects.openai import parse, write
from trunkline.dialects.openai.write import error_body
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, Operation

__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "OpenAIFront", "error_body"]


class OpenAIFront(NamedTuple):
    """One operation of the dialect; satisfies ``dialects.base.Front``."""

    operation: Operation
    summarize: Callable[[bytes], RequestSummary]
    parse: Callable[[bytes], CanonicalRequest]
    dialect: str = "openai"
    stream_type: bytes = write.SSE_TYPE
    home: str | None = None
    conventions: ClientConventions = PLAIN

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """A writer for one answer to ``request``."""
        if isinstance(request, ChatRequest) and request.stream:
            return write.ChatStream(request, model, id_prefix)
        if isinstance(request, CompletionRequest) and request.stream:
            return write.CompletionStream(request, model, id_prefix)
        return write.Whole(request, model, id_prefix)

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """OpenAI's API knows no loading."""
        return None

    def error(self, error: GatewayError) -> bytes:
        """OpenAI's error envelope."""
        return error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """The event that ends a stream that went wrong."""
        return write.stream_error(error)


CHAT: Final = OpenAIFront("chat", parse.peek_chat, parse.parse_chat)
COMPLETIONS: Final = OpenAIFront("completions", parse.peek_completion, parse.parse_completion)
EMBEDDINGS: Final = OpenAIFront("embeddings", parse.peek_embedding, parse.parse_embedding)
