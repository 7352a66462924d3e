"""One request to one upstream and its answer, as bytes: the meeting of a front and a back dialect.

:class:`PassThrough` (same dialect on both sides: the upstream's bytes, watched) and :class:`Translate`
(through canonical events) stand behind one interface. An exchange does no I/O: it says which bytes to send,
takes what comes back, and returns what goes to the client. One is made per attempt and thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from trunkline.dialects.base import NO_DEFAULTS, Back, Front, Headers, RequestDefaults, RequestSummary
from trunkline.errors import (
    UNSUPPORTED,
    UPSTREAM_AUTH,
    UPSTREAM_CREDIT,
    UPSTREAM_PROTOCOL,
    CallerError,
    GatewayError,
    ProviderError,
    redact_body,
)
from trunkline.events import Metered, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta
from trunkline.framing import is_heartbeat
from trunkline.model import CanonicalRequest, Usage

MAX_ERROR_BODY: Final = 256 * 1024
"""Bytes of an upstream's error answer that are read; what follows is not waited for."""


_PARAMETER: Final = re.compile(rb"[\w%.~=-]+")
"""A parameter of a query that needs no escaping; others are not sent on."""
_OURS: Final = (UPSTREAM_AUTH, UPSTREAM_CREDIT)
"""Failures whose texts are not for clients: they are about our key, or our account."""


class Exchange(Protocol):
    """What an attempt knows of the exchange that it carries."""

    content_type: bytes
    """Of the answer to the client."""
    upstream_model: str
    """The model that the upstream is asked for."""
    streaming: bool
    """The client gets its answer in pieces."""
    error: GatewayError | None
    """Set when the answer is, or ended in, an error; bytes returned before it still count."""
    complete: bool
    """The upstream has said that the answer is whole."""
    progress: int
    """Raised by every record that says something; comments and heartbeats do not."""
    usage: Usage | None
    model: str | None
    """The upstream's own name for the model, once it was seen."""
    method: bytes
    """Of the request."""
    headers: Headers
    """Request headers that the upstream is to be sent, in place of the provider's own of that name."""
    pieces: int
    """Pieces of content seen in a streamed answer: its tokens, where the upstream does not tell them."""

    def target(self) -> str:
        """Path below the provider's base address."""

    def request(self) -> bytes:
        """The body to send."""

    def head(self, status: int, headers: Headers) -> None:
        """The upstream's status and headers."""

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client, from bytes of the upstream."""

    def finish(self) -> bytes:
        """The upstream's body ended cleanly: last bytes for the client. Sets ``error`` if it fell short."""

    def fail(self, error: GatewayError) -> bytes:
        """Last bytes of an answer that has begun and cannot go on."""

    def said(self, headers: Headers, query: bytes) -> None:
        """The client's request headers, and the query of its address."""


class _Carried:
    """What both exchanges share: where to ask, and error answers gathered up to a limit."""

    def __init__(self, front: Front, back: Back, model: str, streaming: bool) -> None:
        self.front = front
        self.back = back
        self.upstream_model = model
        self.streaming = streaming
        self.content_type = front.stream_type if streaming else b"application/json"
        self.error: GatewayError | None = None
        self.complete = False
        self.progress = 0
        self.usage: Usage | None = None
        self.model: str | None = None
        self.pieces = 0
        self.headers: Headers = ()
        self.method = b"POST"
        self._failed: tuple[int, Headers] | None = None
        self._error_body = b""

    def head(self, status: int, headers: Headers) -> None:
        """The upstream's status and headers; anything but a 2xx makes the body an error's."""
        if not 200 <= status < 300:
            self._failed = (status, headers)

    def fail(self, error: GatewayError) -> bytes:
        """The dialect's error event."""
        return self.front.stream_error(error)

    def said(self, headers: Headers, query: bytes) -> None:
        """Nothing of it goes on: it means nothing to an upstream of another dialect."""

    def _gather_error(self, failed: tuple[int, Headers], data: bytes) -> bytes:
        self.progress += 1
        self._error_body += data
        if len(self._error_body) < MAX_ERROR_BODY:
            return b""
        self._error_body = self._error_body[:MAX_ERROR_BODY]
        return self._finish_error(failed)

    def _finish_error(self, failed: tuple[int, Headers]) -> bytes:
        self.error = self.back.read_error(*failed, self._error_body)
        return b""


def find_target(back: Back, front: Front, request: CanonicalRequest | None, who: str) -> str:
    """The path that ``back`` has for the front's operation.

    Raises:
        CallerError: it has none (Cerebras and embeddings).
    """
    target = back.target(front.operation, request)
    if target is None:
        raise CallerError(f"Provider '{who}' has no {front.operation} endpoint", UNSUPPORTED, param="model")
    return target


class PassThrough(_Carried):
    """Front and back speak the same dialect: the upstream's bytes, watched."""

    def __init__(
        self,
        front: Front,
        back: Back,
        body: bytes,
        summary: RequestSummary,
        model: str,
        defaults: RequestDefaults,
        who: str,
    ) -> None:
        super().__init__(front, back, model, summary.stream)
        self._target = find_target(back, front, None, who)
        self._body = body
        self._peek = summary
        self._fills = defaults
        self._inspector = back.inspector(front.operation, summary)
        self._opening = back.opening_records if summary.stream and front.operation == "chat" else 0

    def target(self) -> str:
        """Path below the provider's base address."""
        return self._target

    def request(self) -> bytes:
        """The client's body, changed only in its model and in what settings say. To be asked for once: a
        body may be large, and is let go of."""
        body, self._body = self._body, b""
        return self.back.patch(body, self._peek, self.upstream_model, self._fills)

    def said(self, headers: Headers, query: bytes) -> None:
        """What is of the dialect goes on."""
        conventions = self.front.conventions
        if conventions.forwarded_headers:
            self.headers = [pair for pair in headers if pair[0] in conventions.forwarded_headers]
        if query and (forwarded := conventions.forwarded_parameters):
            named = [each for each in query.split(b"&") if each.partition(b"=")[0] in forwarded]
            kept = [each.decode() for each in named if _PARAMETER.fullmatch(each)]
            if kept:
                self._target += "?" + "&".join(kept)

    def feed(self, data: bytes) -> bytes:
        """The upstream's bytes, as far as they are whole records."""
        if self._failed is not None:
            return self._gather_error(self._failed, data)
        inspector = self._inspector
        out = inspector.feed(data)
        if out or self.streaming:
            self._note()
        else:  # a whole answer tells nothing before its end
            self.progress, self.error = inspector.records, inspector.error
        return out

    def finish(self) -> bytes:
        """What the scanner still held."""
        if self._failed is not None:
            return self._finish_error(self._failed)
        out = self._inspector.close()
        self._note()
        return out

    def _note(self) -> None:
        """All that is known so far: the client may leave at any time, and what it used is settled then."""
        inspector = self._inspector
        self.progress, self.complete, self.error = inspector.records, inspector.complete, inspector.error
        self.pieces = max(0, inspector.records - self._opening)
        self.usage, self.model = inspector.usage, inspector.model

    def _finish_error(self, failed: tuple[int, Headers]) -> bytes:
        super()._finish_error(failed)
        error = self.error
        if self.front.conventions.forwards_errors and error is not None and error.kind not in _OURS:
            error.status = failed[0]
            error.body = redact_body(self._error_body)
        return b""


class Relay(PassThrough):
    """A path that nobody translates: any method, any content, both ways."""

    def __init__(
        self, front: Front, back: Back, body: bytes, summary: RequestSummary, model: str, who: str
    ) -> None:
        super().__init__(front, back, body, summary, model, NO_DEFAULTS, who)
        self.method = front.method.encode()
        self._target += front.subpath

    def head(self, status: int, headers: Headers) -> None:
        """See :class:`Exchange`; the content is of the type that the upstream says."""
        super().head(status, headers)
        found = (value for name, value in headers if name == b"content-type")
        self.content_type = next(found, b"application/octet-stream")


class Ready(_Carried):
    """An answer that no upstream need be asked for: all of it is there from the start."""

    def __init__(self, front: Front, back: Back, model: str, answer: bytes) -> None:
        super().__init__(front, back, model, streaming=False)
        self.model = model
        self.complete = True
        self._answer = answer

    def target(self) -> str:
        """Nowhere."""
        return ""

    def request(self) -> bytes:
        """Nothing."""
        return b""

    def feed(self, data: bytes) -> bytes:
        """Nothing comes."""
        return b""

    def finish(self) -> bytes:
        """The answer."""
        return self._answer


class Translate(_Carried):
    """Front and back differ: through canonical events."""

    def __init__(
        self,
        front: Front,
        back: Back,
        request: CanonicalRequest,
        model: str,
        defaults: RequestDefaults,
        who: str,
        *,
        stream: bool,
        upstream_stream: bool,
        id_prefix: str,
    ) -> None:
        super().__init__(front, back, model, stream)
        self._target = find_target(back, front, request, who)
        self._request = request
        self._fills = defaults
        self._upstream_stream = upstream_stream
        self._reader = back.reader(request, upstream_stream)
        self._writer = front.writer(request, model, id_prefix)

    def target(self) -> str:
        """Path below the provider's base address."""
        return self._target

    def request(self) -> bytes:
        """The job in the upstream's dialect."""
        return self.back.render(self._request, self.upstream_model, self._upstream_stream, self._fills)

    def feed(self, data: bytes) -> bytes:
        """The upstream's events, in the client's dialect."""
        if self._failed is not None:
            return self._gather_error(self._failed, data)
        if self.complete:
            return b""
        reader = self._reader
        events = reader.feed(data)
        self.error = reader.error
        out = self._write(events)
        if reader.complete:
            out += self._end()
        elif not self._upstream_stream and not is_heartbeat(data):
            self.progress += 1
        return out

    def finish(self) -> bytes:
        """Last events, and the end of the answer if it is whole."""
        if self._failed is not None:
            return self._finish_error(self._failed)
        if self.complete:
            return b""
        events = self._reader.close()
        self.error = self._reader.error
        out = self._write(events)
        if self._reader.complete and self.error is None:
            out += self._end()
        elif self.error is None:
            self.error = ProviderError("The upstream's answer has no end", UPSTREAM_PROTOCOL)
        return out

    def fail(self, error: GatewayError) -> bytes:
        """What the writer says: it knows what it has said before."""
        return self._writer.fail(error)

    def _write(self, events: Sequence[StreamEvent]) -> bytes:
        if not events:
            return b""
        self.progress += 1
        for event in events:
            match event:
                case Metered():
                    self.usage = event.usage
                case Started():
                    self.model = event.model
                case TextDelta() | ThinkingDelta() | ToolCallDelta():
                    self.pieces += 1
                case _:
                    pass
        try:
            return self._writer.feed(events)
        except GatewayError as error:  # what the upstream said has no form in the client's dialect
            self.error = self.error or error
            return b""

    def _end(self) -> bytes:
        if self.error is not None:
            return b""
        try:
            last = self._writer.finish()
        except GatewayError as error:
            self.error = error
            return b""
        self.complete = True
        return last
