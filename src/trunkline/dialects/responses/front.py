"""The Responses API as a front: what clients may ask, and how they are answered."""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

from trunkline.dialects.base import FrontDefaults, HeldState, RequestSummary, Writer
from trunkline.dialects.responses import errors, parse
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.request_schema import DIALECT
from trunkline.dialects.responses.write import WholeWriter
from trunkline.dialects.responses.write_stream import StreamWriter
from trunkline.dialects.write import SSE_PING, SSE_TYPE
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, Operation


class ResponsesFront(FrontDefaults, msgspec.Struct, frozen=True):
    """The dialect's one operation; satisfies ``dialects.base.Front``."""

    stored: bool = False
    """Whoever calls ``parse`` can look up a ``previous_response_id``."""
    previous_response_id: str | None = None
    """The id of the stored response that a request continues, if the items before it are already in the
    request's input."""
    conversation_id: str | None = None
    """The same of the conversation that it continues."""
    reasoning_items: tuple[tuple[int, bytes], ...] = ()
    """Further items of the input, with their positions, for ``parse`` only: an upstream that is asked in this
    dialect does not take them."""

    held: HeldState | None = None
    """The request as it came, for the provider that stores what it refers to."""

    dialect: ClassVar[str] = DIALECT
    operation: ClassVar[Operation] = "chat"
    stream_type: ClassVar[bytes] = SSE_TYPE

    def summarize(self, body: bytes) -> RequestSummary:
        """Return what routing needs of a request."""
        return parse.summarize(body)

    def parse(self, body: bytes) -> ResponsesRequest:
        """Return a request in canonical form."""
        request = parse.parse(body, self.stored, self.reasoning_items)
        if self.previous_response_id is None and self.conversation_id is None:
            return request
        return msgspec.structs.replace(
            request,
            previous_response_id=self.previous_response_id,
            conversation_id=self.conversation_id,
        )

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Make a writer for one answer to a request of ``parse``. A response's id has a prefix of its own,
        whatever ``id_prefix`` says."""
        assert isinstance(request, ResponsesRequest)
        return StreamWriter(request, model) if request.stream else WholeWriter(request, model)

    def error_body(self, error: GatewayError) -> bytes:
        """Return OpenAI's error envelope."""
        return errors.error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """Return the event that says what went wrong, with the number 0: only a writer knows the number that
        the event has in its stream, and the response so far."""
        return errors.stream_error(error, 0)

    def ping(self, model: str) -> bytes:
        """Return a comment: an event would need a number, and only a writer knows it."""
        return SSE_PING


RESPONSES: Final = ResponsesFront()
