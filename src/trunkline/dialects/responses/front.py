"""The Responses API as a front: what clients may ask, and how they are answered."""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from trunkline.dialects.base import PLAIN, ClientConventions, RequestSummary, Writer
from trunkline.dialects.responses import parse, write_stream
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.write import Whole, error_body
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, Operation


class ResponsesFront(NamedTuple):
    """The dialect's one operation; satisfies ``dialects.base.Front``."""

    stored: bool = False
    """Whoever calls ``parse`` can look up a ``previous_response_id``."""
    previous: str | None = None
    """The kept response that a request goes on from, if what went before it stands in its input already."""
    thoughts: tuple[tuple[int, bytes], ...] = ()
    """Items that stand in its input as well, at these places, for ``parse`` only: what an upstream that is
    asked in this dialect does not take."""
    operation: Operation = "chat"
    dialect: str = "responses"
    stream_type: bytes = write_stream.SSE_TYPE
    home: str | None = None
    conventions: ClientConventions = PLAIN

    def summarize(self, body: bytes) -> RequestSummary:
        """What routing needs."""
        return parse.summarize(body)

    def parse(self, body: bytes) -> ResponsesRequest:
        """All of a request in canonical form."""
        request = parse.parse(body, self.stored, self.thoughts)
        return request if self.previous is None else replace(request, previous_response_id=self.previous)

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """A writer for one answer to a job of ``parse``; a response's id has a prefix of its own."""
        assert isinstance(request, ResponsesRequest)
        return write_stream.Stream(request, model) if request.stream else Whole(request, model)

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """OpenAI's API knows no loading."""
        return None

    def error(self, error: GatewayError) -> bytes:
        """OpenAI's error envelope."""
        return error_body(error)

    def stream_error(self, error: GatewayError) -> bytes:
        """The event that says what went wrong, for who does not have the writer: only that knows the event's
        number and the response."""
        return write_stream.error_event(error, 0)


RESPONSES: Final = ResponsesFront()
