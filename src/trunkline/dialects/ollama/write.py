"""Answers to Ollama clients: canonical events → NDJSON lines, whole answers, embeddings, errors.

Every write is whole lines, and no line is blank: Ollama's own clients fail on one. Durations are measured
here, by the clocks that are passed in, unless the upstream measured its own. A tool call's arguments come in
pieces and go out as one object, when the choice is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama.logprobs import from_openai
from trunkline.dialects.ollama.parse import loading
from trunkline.dialects.ollama.schema import JSON_TYPE, NDJSON_TYPE, new_call_id
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.events import (
    Answer,
    Call,
    Choice,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import CanonicalRequest, Usage

_encode: Final = msgspec.json.Encoder().encode

DONE_REASONS: Final[dict[FinishReason | None, str]] = {"length": "length"}
"""Canonical → ``done_reason``; everything else is Ollama's "stop"."""


class Clocks(NamedTuple):
    """Where times come from, in nanoseconds."""

    monotonic: Callable[[], int] = time.monotonic_ns
    wall: Callable[[], int] = time.time_ns


class Form(NamedTuple):
    """How chat and generate wrap the same content."""

    opening: bytes
    closing: bytes

    def wrap(self, text: bytes, thinking: str = "", calls: Sequence[object] = ()) -> bytes:
        """The content's fields; ``text`` is JSON already."""
        out = self.opening + text
        if thinking:
            out += b',"thinking":' + _encode(thinking)
        if calls:
            out += b',"tool_calls":' + _encode(calls)
        return out + self.closing


CHAT: Final = Form(b'"message":{"role":"assistant","content":', b"}")
GENERATE: Final = Form(b'"response":', b"")


class _Heading:
    """The beginning of each object: the model's name and the time."""

    __slots__ = ("_date", "_model", "_second", "_wall")

    def __init__(self, model: str, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._second = -1
        self._date = b""
        self.name(model)

    def name(self, model: str) -> None:
        self._model = b'{"model":' + _encode(model) + b',"created_at":"'

    def now(self) -> bytes:
        second, rest = divmod(self._wall(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b'%b%b.%09dZ",' % (self._model, self._date, rest)


class LineWriter:
    """A streamed chat or generate answer: a line for each delta, then the one that says ``done``."""

    content_type = NDJSON_TYPE

    def __init__(self, form: Form, model: str, clocks: Clocks) -> None:
        self._form = form
        self._heading = _Heading(model, clocks.wall)
        self._clock = clocks.monotonic
        self._start = clocks.monotonic()
        self._first = 0
        self._calls: dict[int, Call] = {}
        self._reason: FinishReason | None = None
        self._usage = Usage()
        self._timed: Timed | None = None

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """The lines that these events become.

        Raises:
            ProviderError: the model called a tool with arguments that are no JSON object.
        """
        return b"".join([self._line(event) for event in events])

    def finish(self) -> bytes:
        """The last line, and calls that no ``Finished`` has sent yet."""
        end = self._clock()
        first = self._first or end
        timed = self._timed or Timed(end - self._start, 0, first - self._start, end - first)
        closing = self._form.wrap(b'""') + b"," + _ending(self._reason, self._usage, timed)
        return self._flush_calls() + self._heading.now() + closing + b"}\n"

    def error(self, error: GatewayError) -> bytes:
        """The line that ends a stream in mid-air."""
        return error_line(error)

    def _line(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                if not event.text:
                    return b""
                self._first = self._first or self._clock()
                more = b""
                if isinstance(event, TextDelta) and event.logprobs is not None:
                    more = b',"logprobs":' + _encode(from_openai(event.logprobs))
                form = self._form
                text = _encode(event.text)
                closing = form.closing + more
                return self._heading.now() + form.opening + text + closing + b',"done":false}\n'
            case ThinkingDelta():
                self._first = self._first or self._clock()
                return self._piece(self._form.wrap(b'""', event.text)) if event.text else b""
            case ToolCallDelta():
                self._first = self._first or self._clock()
                call = self._calls.get(event.index)
                if call is None:
                    call = self._calls[event.index] = Call(event.id, event.name or "")
                call.arguments += event.arguments
            case Finished():
                self._reason = event.reason
                return self._flush_calls()
            case Started():
                if event.model:
                    self._heading.name(event.model)
            case Metered():
                self._usage = event.usage
            case Timed():
                self._timed = event if event.total else None
            case _:
                pass
        return b""

    def _flush_calls(self) -> bytes:
        calls = tool_calls(self._calls, self._reason)
        self._calls = {}
        return self._piece(self._form.wrap(b'""', calls=calls)) if calls else b""

    def _piece(self, content: bytes) -> bytes:
        return self._heading.now() + content + b',"done":false}\n'


class WholeWriter:
    """A chat or generate answer in one object."""

    content_type = JSON_TYPE

    def __init__(self, form: Form, model: str, clocks: Clocks) -> None:
        self._form = form
        self._heading = _Heading(model, clocks.wall)
        self._clock = clocks.monotonic
        self._start = clocks.monotonic()
        self._answer = Answer()

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Keep the events; the answer comes from :meth:`finish`."""
        for event in events:
            self._answer.add(event)
        return b""

    def finish(self) -> bytes:
        """The answer.

        Raises:
            ProviderError: the model called a tool with arguments that are no JSON object.
        """
        answer = self._answer
        choice = answer.choices.get(0) or Choice()
        if answer.model:
            self._heading.name(answer.model)
        # An upstream that answers at once does not show where its prompt ended: all of it counts as eval.
        took = self._clock() - self._start
        timed = answer.timed if answer.timed and answer.timed.total else Timed(took, 0, 0, took)
        content = self._form.wrap(
            _encode("".join(choice.text) + "".join(choice.refusal)),
            "".join(choice.thinking),
            tool_calls(choice.calls, choice.reason),
        )
        if choice.logprobs:
            logprobs = [one for piece in choice.logprobs for one in from_openai(piece)]
            content += b',"logprobs":' + _encode(logprobs)
        ending = _ending(choice.reason, answer.usage or Usage(), timed)
        return self._heading.now() + content + b"," + ending + b"}"

    def error(self, error: GatewayError) -> bytes:
        """The body of an error answer."""
        return error_body(error)


class EmbeddingWriter:
    """Vectors: all of them, or the one of the legacy endpoint."""

    content_type = JSON_TYPE

    def __init__(self, model: str, clocks: Clocks, legacy: bool) -> None:
        self._model = model
        self._clock = clocks.monotonic
        self._start = clocks.monotonic()
        self._legacy = legacy
        self._answer = Answer()

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Keep the events; the answer comes from :meth:`finish`."""
        for event in events:
            self._answer.add(event)
        return b""

    def finish(self) -> bytes:
        """The answer."""
        answer = self._answer
        if self._legacy:
            return _encode({"embedding": answer.vectors[0] if answer.vectors else []})
        timed = answer.timed if answer.timed and answer.timed.total else Timed(self._clock() - self._start)
        return _encode(
            {
                "model": answer.model or self._model,
                "embeddings": answer.vectors,
                "total_duration": timed.total,
                "load_duration": timed.load,
                "prompt_eval_count": (answer.usage or Usage()).prompt_tokens,
            }
        )

    def error(self, error: GatewayError) -> bytes:
        """The body of an error answer."""
        return error_body(error)


def error_body(error: GatewayError) -> bytes:
    """Ollama's error object: the text alone."""
    return _encode({"error": error.message})


def error_line(error: GatewayError) -> bytes:
    """The same as the last line of a stream."""
    return error_body(error) + b"\n"


def load_answer(
    request: CanonicalRequest, model: str, form: Form | None, wall: Callable[[], int] = time.time_ns
) -> bytes:
    """The answer to a request that only loads or unloads its model (see ``incoming.loading``).

    Args:
        form: of the endpoint; None for embeddings.
    """
    if form is None:
        return _encode({"model": model, "embeddings": []})
    reason = (loading(request) or "load").encode()
    head = _Heading(model, wall).now()
    return head + form.wrap(b'""') + b',"done":true,"done_reason":"' + reason + b'"}'


def tool_calls(calls: dict[int, Call], reason: FinishReason | None) -> list[dict[str, Any]]:
    """Gathered calls as Ollama's, each with its arguments as an object.

    A call that the answer's length cut short is left out: ``done_reason`` says why.

    Raises:
        ProviderError: arguments are no JSON object though the answer is complete.
    """
    out: list[dict[str, Any]] = []
    for _, call in sorted(calls.items()):
        arguments = call.arguments.strip() or "{}"
        try:
            fits = isinstance(msgspec.json.decode(arguments), dict)
        except UNREADABLE:
            fits = False
        if fits:
            function = {"index": len(out), "name": call.name, "arguments": msgspec.Raw(arguments.encode())}
            out.append({"id": call.id or new_call_id(), "function": function})
        elif reason != "length":
            raise ProviderError(
                f"error parsing tool call: the arguments of {call.name!r} are not a JSON object",
                UPSTREAM_PROTOCOL,
            )
    return out


def _ending(reason: FinishReason | None, usage: Usage, timed: Timed) -> bytes:
    return (
        b'"done":true,"done_reason":"%b","total_duration":%d,"load_duration":%d,"prompt_eval_count":%d,'
        b'"prompt_eval_duration":%d,"eval_count":%d,"eval_duration":%d'
    ) % (
        DONE_REASONS.get(reason, "stop").encode(),
        timed.total,
        timed.load,
        usage.prompt_tokens,
        timed.prompt_eval,
        usage.completion_tokens,
        timed.eval,
    )
