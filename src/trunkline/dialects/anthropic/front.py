"""The Messages operation as a front: what Anthropic's clients may ask, and how they are answered."""

from __future__ import annotations

from typing import Final

from trunkline.dialects.anthropic import parse
from trunkline.dialects.anthropic.errors import error_body, stream_error
from trunkline.dialects.anthropic.request_schema import DIALECT, SSE_TYPE
from trunkline.dialects.anthropic.write import PING, Stream, Whole
from trunkline.dialects.base import ClientConventions, RequestSummary, Writer
from trunkline.errors import INTERNAL, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, Operation


class AnthropicFront:
    """``POST /v1/messages``; satisfies ``dialects.base.Front``."""

    dialect = DIALECT
    operation: Operation = "chat"
    home: str | None = None
    stream_type = SSE_TYPE
    conventions = ClientConventions(
        id_header=b"request-id",
        passes=frozenset({b"anthropic-version", b"anthropic-beta"}),
        parameters=frozenset({b"beta"}),
        keeps_errors=True,
        ping=PING,
    )

    def summarize(self, body: bytes) -> RequestSummary:
        """What routing needs of a request."""
        return parse.summarize(body)

    def parse(self, body: bytes) -> ChatRequest:
        """A request in canonical form."""
        return parse.parse(body)

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """A writer for one answer to ``request``. Ids that we make have Anthropic's own prefix, whatever the
        provider's row says."""
        if not isinstance(request, ChatRequest):
            raise GatewayError("Anthropic's dialect answers chats only", INTERNAL)
        return Stream(request, model) if request.stream else Whole(request, model)

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """Anthropic's API knows no loading."""
        return None

    def error(self, error: GatewayError) -> bytes:
        """Anthropic's error envelope."""
        return error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """The event that ends a stream that went wrong."""
        return stream_error(error)


MESSAGES: Final = AnthropicFront()
