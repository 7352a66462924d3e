"""The three operations of OpenAI's API as fronts: what clients may ask, and how they are answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from trunkline.dialects.base import FrontDefaults, RequestSummary, Writer
from trunkline.dialects.openai import errors, parse, write
from trunkline.dialects.openai.request_schema import DIALECT
from trunkline.dialects.write import SSE_PING, SSE_TYPE
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, Operation


class OpenAIFront(FrontDefaults):
    """One operation of the dialect; satisfies ``dialects.base.Front``."""

    dialect = DIALECT
    stream_type = SSE_TYPE

    def __init__(
        self,
        operation: Operation,
        summarize: Callable[[bytes], RequestSummary],
        parse: Callable[[bytes], CanonicalRequest],
    ) -> None:
        self.operation = operation
        self.summarize = summarize
        self.parse = parse

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Make a writer for one answer to ``request``."""
        if isinstance(request, ChatRequest) and request.stream:
            return write.ChatStreamWriter(request, model, id_prefix)
        if isinstance(request, CompletionRequest) and request.stream:
            return write.CompletionStreamWriter(request, model, id_prefix)
        return write.WholeWriter(request, model, id_prefix)

    def error_body(self, error: GatewayError) -> bytes:
        """Return OpenAI's error envelope."""
        return errors.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Return the event that ends a failed stream."""
        return errors.stream_error(error)

    def ping(self, model: str) -> bytes:
        """Return a comment."""
        return SSE_PING


CHAT: Final = OpenAIFront("chat", parse.summarize_chat, parse.parse_chat)
COMPLETIONS: Final = OpenAIFront("completions", parse.summarize_completion, parse.parse_completion)
EMBEDDINGS: Final = OpenAIFront("embeddings", parse.summarize_embedding, parse.parse_embedding)
