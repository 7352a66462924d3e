"""One request to one upstream and its answer, as bytes: where a front and a back meet.

:class:`PassThrough` (both sides speak the same dialect: the upstream's bytes, inspected) and
:class:`Translate` (through canonical events) have one interface. An exchange does no I/O: it says which
bytes to send, takes what comes back, and returns what goes to the client. One is made for each attempt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from trunkline.dialects.base import (
    NO_DEFAULTS,
    Back,
    FitStep,
    Fitted,
    Front,
    Headers,
    RequestDefaults,
    RequestSummary,
)
from trunkline.dialects.error_envelope import UNREADABLE, malformed
from trunkline.dialects.fit.answer import RestoringInspector, RestoringReader
from trunkline.dialects.kept_state import KeptState
from trunkline.dialects.other_form import OtherForm
from trunkline.dialects.rewrite import Refuser, Rewriter
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
from trunkline.model import CanonicalRequest, ChatRequest, Operation, Reasoning, Usage

MAX_ERROR_BODY: Final = 256 * 1024
"""The maximum number of bytes that are read of an upstream's error answer."""


_PARAMETER: Final = re.compile(rb"[\w%.~=-]+")
"""A parameter of a query that needs no escaping; others are not sent on."""
_OURS: Final = (UPSTREAM_AUTH, UPSTREAM_CREDIT)
"""Failures whose texts are not shown to clients: they concern the gateway's own key or account."""
_OF_A_SLOW_CLIENT: Final = (408, 425, 499)
"""Statuses that blame the upstream's client, which is the gateway: they do not go on to ours."""


class Exchange(Protocol):
    """An exchange, as an attempt and a provider use it."""

    content_type: bytes
    """Of the answer to the client."""
    upstream_model: str
    """The model that the upstream is asked for."""
    streaming: bool
    """The client gets its answer in pieces."""
    error: GatewayError | None
    """Set when the answer is, or ended in, an error; bytes returned before it still count."""
    complete: bool
    """The upstream has marked the answer as whole."""
    progress: int
    """Increased by every record that carries data; comments and heartbeats do not count."""
    usage: Usage | None
    model: str | None
    """The upstream's own name for the model, once it was seen."""
    method: bytes
    """Of the request."""
    headers: Headers
    """Request headers that the upstream is to be sent, in place of the provider's own of that name."""
    not_shown: Sequence[str]
    """What of a complete answer the client's dialect has no field for."""
    pieces: int
    """Pieces of content seen in a streamed answer: its tokens, where the upstream does not tell them."""

    owner: str
    """The id of the key that the request was sent with; empty without one."""
    fitted: Fitted | None
    """Set where the fit step has changed the request: known once ``body`` was read."""
    needs_head: bool
    """It is to see the head of an upstream's answer, also if that is no error."""
    path: str
    """Path of the request below the provider's base address."""
    left_out: Sequence[str]
    """Fields of the client's request that the upstream is not sent."""

    @property
    def holds(self) -> frozenset[str]:
        """The state fields that the upstream has, if it is sent the client's own body."""

    @property
    def body(self) -> bytes:
        """The body to send. Raises CallerError where the upstream's dialect has no field for some content."""

    def head(self, status: int, headers: Headers) -> None:
        """Take note of the upstream's status and headers."""

    def feed(self, data: bytes) -> bytes:
        """Bytes for the client, from bytes of the upstream."""

    def finish(self) -> bytes:
        """The upstream's body ended cleanly: the last bytes for the client. Sets ``error`` if the answer is
        incomplete."""

    def fail(self, error: GatewayError) -> bytes:
        """The last bytes of an answer that has begun and cannot go on."""

    def forward_head(self, headers: Headers, query: bytes) -> None:
        """Take over what an upstream of the same dialect is to see of the client's headers and query."""


class _BaseExchange:
    """What all exchanges share: the request's address, and error answers gathered up to a limit."""

    error: GatewayError | None = None
    complete = False
    progress = 0
    usage: Usage | None = None
    model: str | None = None
    not_shown: Sequence[str] = ()
    pieces = 0
    headers: Headers = ()
    method = b"POST"
    owner = ""
    needs_head = False
    left_out: Sequence[str] = ()
    holds: frozenset[str] = frozenset()
    fitted: Fitted | None = None
    content_type: bytes
    streaming: bool
    _failed: tuple[int, Headers] | None = None
    """Status and headers of the upstream's error answer, if it is one."""
    _error_body = b""

    def __init__(self, front: Front, back: Back, model: str, path: str) -> None:
        self.front = front
        self.back = back
        self.upstream_model = model
        self.path = path

    def head(self, status: int, headers: Headers) -> None:
        """Take note of the upstream's status; any but 2xx makes the body an error's."""
        if not 200 <= status < 300:
            self._failed = (status, headers)

    def fail(self, error: GatewayError) -> bytes:
        """The dialect's error event."""
        return self.front.stream_error(error)

    def forward_head(self, headers: Headers, query: bytes) -> None:
        """Forward nothing: it means nothing to an upstream of another dialect."""

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


def no_endpoint(who: str, operation: Operation) -> CallerError:
    """The error for an operation that the provider ``who`` has no path for (Cerebras and embeddings)."""
    return CallerError(f"Provider '{who}' has no {operation} endpoint", UNSUPPORTED, param="model")


class PassThrough(_BaseExchange):
    """Front and back speak the same dialect: the upstream's bytes, inspected.

    Of the client's body, only the model and what settings say are changed.
    """

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
        operation = front.operation
        self.front = front
        self.back = back
        self.upstream_model = model
        path = back.target(operation, None)
        if path is None:
            raise no_endpoint(who, operation)
        self.path = path
        self.streaming = streaming = summary.stream
        self.content_type = front.stream_type if streaming else b"application/json"
        self.body = back.patch(body, summary, model, defaults)
        self._inspector = back.inspector(operation, summary)
        inspector = self._inspector
        self._summary = summary
        self._state_mark = back.state_mark
        step = back.fit_step
        if step is not None and operation == "chat":
            try:
                step.decode(self.body)
            except UNREADABLE:
                self._fit(step)
        inspector.request = self.body
        self._opening = back.opening_records if streaming and operation == "chat" else 0

    @property
    def holds(self) -> frozenset[str]:  # type: ignore[override]
        """The back's."""
        return self.back.holds

    def _fit(self, step: FitStep) -> None:
        """Send what fits, and give the client its own names in the answer."""
        fitted = self.fitted = step.fit(self.body, self.upstream_model)
        if fitted is None:
            return
        self.body = fitted.body
        if fitted.names:
            inspector = self._inspector
            self._inspector = RestoringInspector(inspector, fitted.names, fitted.restore, self.streaming)

    def forward_head(self, headers: Headers, query: bytes) -> None:
        """Forward the headers and the parameters that belong to the dialect."""
        conventions = self.front.conventions
        if conventions.forwarded_headers:
            self.headers = [pair for pair in headers if pair[0] in conventions.forwarded_headers]
        if query and conventions.forwarded_parameters:
            named = [
                each
                for each in query.split(b"&")
                if each.partition(b"=")[0] in conventions.forwarded_parameters
            ]
            kept = [each.decode() for each in named if _PARAMETER.fullmatch(each)]
            if kept:
                self.path += "?" + "&".join(kept)

    def feed(self, data: bytes) -> bytes:
        """The upstream's bytes, as far as they are whole records."""
        if self._failed is not None:
            return self._gather_error(self._failed, data)
        inspector = self._inspector
        if self.streaming and inspector.passes_alone(data):
            records = self.progress = inspector.records
            self.pieces = records - self._opening if records > self._opening else 0
            if self._state_mark is not None and self._state_mark in data:
                self.back.note_state(data)
            return data
        try:
            out = inspector.feed(data)
        except OtherForm as other:
            return self._switch(other.data)
        if self._state_mark is not None and self._state_mark in out:
            self.back.note_state(out)
        if out or self.streaming:
            self._note()
        else:  # nothing is known of a whole answer before its end
            self.progress, self.error = inspector.records, inspector.error
        return out

    def finish(self) -> bytes:
        """What the inspector still held."""
        if self._failed is not None:
            return self._finish_error(self._failed)
        try:
            out = self._inspector.close()
        except OtherForm as other:
            out = self._switch(other.data)
            if self.error is None and not self.complete:
                out += self._inspector.close()
        if self._state_mark is not None and self._state_mark in out:
            self.back.note_state(out)
        self._note()
        return out

    def _switch(self, data: bytes) -> bytes:
        """Go on with an answer of the other form, of which ``data`` has come: it is read, and written anew in
        the form that the client asked for."""
        try:
            request = self.front.parse(self.body)
            reader = self.back.reader(request, not self.streaming)
            if self.fitted is not None and self.fitted.names:
                reader = RestoringReader(reader, self.fitted.names)
            self._inspector = Rewriter(reader, self.front.writer(request, self.upstream_model, "chatcmpl-"))
        except GatewayError:  # what cannot be read as events still may hold an error's words
            other = msgspec.structs.replace(self._summary, stream=not self.streaming)
            self._inspector = Refuser(self.back.inspector(self.front.operation, other))
        self._opening = 0
        return self.feed(data)

    def _note(self) -> None:
        """Copy what is known so far: the client may disconnect at any time, and is charged for it then."""
        inspector = self._inspector
        self.progress, self.complete, self.error = inspector.records, inspector.complete, inspector.error
        self.pieces = max(0, inspector.records - self._opening)
        self.usage, self.model = inspector.usage, inspector.model

    def _finish_error(self, failed: tuple[int, Headers]) -> bytes:
        super()._finish_error(failed)
        error = self.error
        conventions = self.front.conventions
        if not conventions.forwards_errors or error is None or error.kind in _OURS:
            return b""
        if conventions.is_own_error is None or conventions.is_own_error(self._error_body):
            if failed[0] not in _OF_A_SLOW_CLIENT:
                error.status = failed[0]
            error.body = redact_body(self._error_body)
        return b""


class Relay(PassThrough):
    """A path that no dialect translates: any method, any content, both ways."""

    needs_head = True

    def __init__(
        self, front: Front, back: Back, body: bytes, summary: RequestSummary, model: str, who: str
    ) -> None:
        super().__init__(front, back, body, summary, model, NO_DEFAULTS, who)
        self.method = front.method.encode()
        self.path += front.subpath

    def head(self, status: int, headers: Headers) -> None:
        """See :class:`Exchange`; the content is of the type that the upstream says."""
        super().head(status, headers)
        found = (value for name, value in headers if name == b"content-type")
        self.content_type = next(found, b"application/octet-stream")


class LocalAnswer(_BaseExchange):
    """An answer that no upstream needs to be asked for: all of it is there from the start."""

    content_type = b"application/json"
    streaming = False
    complete = True

    def __init__(self, front: Front, back: Back, model: str, answer: bytes) -> None:
        super().__init__(front, back, model, "")
        self.model = model
        self._answer = answer

    body = b""

    def feed(self, data: bytes) -> bytes:
        """Nothing comes."""
        return b""

    def finish(self) -> bytes:
        """The answer."""
        return self._answer


def _shown_thinking(request: ChatRequest) -> ChatRequest:
    """The request to write the answer for, where its upstream thinks unless told not to: a client that left
    the choice open is shown what the model thought."""
    if request.reasoning is not None:
        return request
    return msgspec.structs.replace(request, reasoning=Reasoning(any_level=True))


class Translate(_BaseExchange):
    """Front and back differ: the answer passes through canonical events."""

    _has_switched = False
    """The answer turned out to be of the other form than was asked for."""
    _turn: list[ThinkingDelta | ToolCallDelta] | None = None
    """The thinking and the calls of this turn so far, if it has some."""
    _has_calls = False

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
        kept: KeptState | None = None,
    ) -> None:
        path = back.target(front.operation, request)
        if path is None:
            raise no_endpoint(who, front.operation)
        super().__init__(front, back, model, path)
        self.streaming = stream
        self.content_type = front.stream_type if stream else b"application/json"
        self._request = request
        self.left_out = request.left_out
        self._defaults = defaults
        self._upstream_stream = upstream_stream
        self._kept = kept
        """What earlier turns left, for clients that have no field for it."""
        self._reader = back.reader(request, upstream_stream)
        if back.thinks_unasked and front.hides_thinking and isinstance(request, ChatRequest):
            request = _shown_thinking(request)
        self._writer = front.writer(request, model, id_prefix)

    @property
    def body(self) -> bytes:
        """The request in the upstream's dialect, as it fits the upstream."""
        request = self._request
        if self._kept is not None and isinstance(request, ChatRequest) and request.tools:
            request = self._kept.restore(self.owner, request)
        body = self.back.render(request, self.upstream_model, self._upstream_stream, self._defaults)
        step = self.back.fit_step
        if step is None:
            return body
        try:
            step.decode(body)
        except UNREADABLE:
            return self._fit(step, body)
        return body

    def _fit(self, step: FitStep, body: bytes) -> bytes:
        """The body that fits. The client gets its own names in the answer."""
        before, fitted = self.fitted, step.fit(body, self.upstream_model)
        self.fitted = fitted
        if fitted is None:
            return body
        if fitted.names and before is None:
            self._reader = RestoringReader(self._reader, fitted.names)
        return fitted.body

    def feed(self, data: bytes) -> bytes:
        """The upstream's events, in the client's dialect."""
        if self._failed is not None:
            return self._gather_error(self._failed, data)
        if self.complete:
            return b""
        reader = self._reader
        try:
            events = reader.feed(data)
        except OtherForm as other:
            return self._switch(other.data)
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
        try:
            events = self._reader.close()
        except OtherForm as other:
            out = self._switch(other.data)
            return out if self.complete or self.error is not None else out + self.finish()
        self.error = self._reader.error
        out = self._write(events)
        if self._reader.complete and self.error is None:
            out += self._end()
        elif self.error is None:
            self.error = ProviderError("The upstream's answer has no end", UPSTREAM_PROTOCOL)
        return out

    def _switch(self, data: bytes) -> bytes:
        """Go on with an answer of the other form, of which ``data`` has come."""
        if self._has_switched:
            self.error = malformed("The upstream", "it is neither a stream nor a whole answer")
            return b""
        self._has_switched = True
        self._upstream_stream = not self._upstream_stream
        reader = self.back.reader(self._request, self._upstream_stream)
        fitted = self.fitted
        self._reader = RestoringReader(reader, fitted.names) if fitted and fitted.names else reader
        return self.feed(data)

    def fail(self, error: GatewayError) -> bytes:
        """The writer's error event, which depends on what it has written before."""
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
                case TextDelta():
                    self.pieces += 1
                case ThinkingDelta() | ToolCallDelta():
                    self.pieces += 1
                    self._has_calls = self._has_calls or isinstance(event, ToolCallDelta)
                    if self._turn is None:
                        self._turn = [event]
                    else:
                        self._turn.append(event)
                case _:
                    pass
        try:
            return self._writer.feed(events)
        except GatewayError as error:  # the client's dialect cannot express what the upstream sent
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
        self.not_shown = self._writer.not_shown
        request = self._request  # a completion offers no tools, and a model may call some all the same
        if self._has_calls and self._turn and self._kept is not None and isinstance(request, ChatRequest):
            self._kept.keep(self.owner, request, self._turn)
        return last
