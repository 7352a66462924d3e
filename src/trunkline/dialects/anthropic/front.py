"""The Messages operation as a front: what Anthropic's clients may ask, and how they are answered."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.anthropic import errors, parse
from trunkline.dialects.anthropic.request_schema import DIALECT
from trunkline.dialects.anthropic.write import PING, StreamWriter, WholeWriter
from trunkline.dialects.base import ClientConventions, FrontDefaults, HeldState, RequestSummary, Writer
from trunkline.dialects.write import SSE_TYPE
from trunkline.errors import INTERNAL, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, Operation


class AnthropicFront(FrontDefaults):
    """``POST /v1/messages``; satisfies ``dialects.base.Front``."""

    dialect = DIALECT
    operation: Operation = "chat"
    emulates = frozenset({"context_management"})
    stream_type = SSE_TYPE
    hides_thinking = True
    conventions = ClientConventions(
        id_header=b"request-id",
        forwarded_headers=frozenset({b"anthropic-version", b"anthropic-beta"}),
        forwarded_parameters=frozenset({b"beta"}),
        forwards_errors=True,
    )

    def summarize(self, body: bytes) -> RequestSummary:
        """Return what routing needs of a request."""
        return parse.summarize(body)

    def parse(self, body: bytes) -> ChatRequest:
        """Return a request in canonical form."""
        return parse.parse(body)

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Make a writer for one answer to ``request``. Ids that the gateway makes have Anthropic's own
        prefix, whatever ``id_prefix`` says.

        Raises:
            GatewayError: The request is no chat.
        """
        if not isinstance(request, ChatRequest):
            raise GatewayError("Anthropic's dialect answers chats only", INTERNAL)
        return StreamWriter(request, model) if request.stream else WholeWriter(request, model)

    def error_body(self, error: GatewayError) -> bytes:
        """Return Anthropic's error envelope."""
        return errors.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Return the event that ends a failed stream."""
        return errors.stream_error(error)

    def ping(self, model: str) -> bytes:
        """Return the event that Anthropic sends for this purpose; its SDKs skip it."""
        return PING


class ThreadFront(AnthropicFront):
    """The same for one request that creates or continues a thread, which the gateway holds.

    Args:
        message_id: The answer's id, unless its upstream speaks this dialect: others' ids may not be unique.
        held: The request as it came, for a provider that holds the thread too.
    """

    def __init__(self, message_id: str, held: HeldState | None) -> None:
        self.held = held
        self._message_id = message_id

    def parse(self, body: bytes) -> ChatRequest:
        """Return a request in canonical form."""
        request = super().parse(body)
        if isinstance(request, parse.MessagesRequest):
            return msgspec.structs.replace(request, message_id=self._message_id)
        return parse.as_messages_request(request, message_id=self._message_id)


MESSAGES: Final = AnthropicFront()
