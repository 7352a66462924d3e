"""Answers to Ollama clients: canonical events → NDJSON lines, whole answers and embeddings.

Only whole lines are written, and no blank one: Ollama's own clients fail on it. Durations are measured here,
by the clocks that are passed in, unless the upstream measured its own. A tool call's arguments come in pieces
and are written as one object, when the choice is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from trunkline.dialects import write
from trunkline.dialects.media import add_name, notice, shown_as_text, split_data_url
from trunkline.dialects.ollama.errors import error_body, stream_error
from trunkline.dialects.ollama.logprobs import from_openai
from trunkline.dialects.ollama.parse import load_reason
from trunkline.dialects.ollama.tool_calls import new_call_id
from trunkline.dialects.tool_arguments import is_object
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.events import (
    Answer,
    Call,
    Choice,
    Cited,
    Finished,
    FinishReason,
    Media,
    Metered,
    NotShown,
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

JSON_TYPE: Final = b"application/json; charset=utf-8"
NDJSON_TYPE: Final = b"application/x-ndjson"

DONE_REASONS: Final[dict[FinishReason | None, str]] = {"length": "length"}
"""Canonical → ``done_reason``; every other reason is Ollama's "stop"."""


class Clocks(NamedTuple):
    """The clocks that times are read from, in nanoseconds."""

    monotonic: Callable[[], int] = time.monotonic_ns
    wall: Callable[[], int] = time.time_ns


class Form(NamedTuple):
    """How an answer of chat or of generate wraps the same content."""

    opening: bytes
    closing: bytes
    has_images: bool = False
    """It has a list of images; the other form has a field for one."""

    def wrap(
        self,
        text: bytes,
        thinking: str = "",
        calls: Sequence[object] = (),
        images: Sequence[str] = (),
        citations: Sequence[Cited] = (),
    ) -> bytes:
        """Return the content's fields. ``text`` is JSON already."""
        out = self.opening + text
        if thinking:
            out += b',"thinking":' + _encode(thinking)
        if calls:
            out += b',"tool_calls":' + _encode(calls)
        if images:
            out += b',"images":' + _encode(images) if self.has_images else b',"image":' + _encode(images[-1])
        if citations:
            out += b',"annotations":' + _encode([_annotation(cited) for cited in citations])
        return out + self.closing


CHAT: Final = Form(b'"message":{"role":"assistant","content":', b"}", has_images=True)
GENERATE: Final = Form(b'"response":', b"")


def _annotation(cited: Cited) -> dict[str, Any]:
    """A source in OpenAI's form. Ollama has none, and its clients skip fields that they do not know."""
    start, end = cited.start or 0, cited.end or 0
    citation = {"url": cited.url, "title": cited.title or "", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": citation}


class _Heading:
    """The beginning of each object: the model's name, and the time with nanoseconds."""

    __slots__ = ("_date", "_model", "_second", "_wall")

    def __init__(self, model: str, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._second = -1
        self._date = b""
        self.set_model(model)

    def set_model(self, model: str) -> None:
        self._model = b'{"model":' + _encode(model) + b',"created_at":"'

    def now(self) -> bytes:
        second, rest = divmod(self._wall(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b'%b%b.%09dZ",' % (self._model, self._date, rest)


class StreamWriter:
    """Writes a streamed chat or generate answer: a line for each delta, then the one with ``done``."""

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
        self.not_shown: list[str] = []

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the lines that these events become.

        Raises:
            ProviderError: The model called a tool with arguments that are no JSON object.
        """
        return b"".join([self._line(event) for event in events])

    def finish(self) -> bytes:
        """Return the last line, after calls for which no ``Finished`` came."""
        end = self._clock()
        first = self._first or end
        timed = self._timed or Timed(end - self._start, 0, first - self._start, end - first)
        closing = self._form.wrap(b'""') + b"," + _ending(self._reason, self._usage, timed)
        return self._flush_calls() + self._heading.now() + closing + b"}\n"

    def fail(self, error: GatewayError) -> bytes:
        """Return the line that ends a failed stream."""
        return stream_error(error)

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
            case Media():
                if data := _image_data(event):
                    self._first = self._first or self._clock()
                    return self._piece(self._form.wrap(b'""', images=(data,)))
                return self._line(
                    TextDelta(shown_as_text(event, self.not_shown, follows_text=self._first > 0))
                )
            case Cited():
                return self._piece(self._form.wrap(b'""', citations=(event,)))
            case NotShown():
                add_name(self.not_shown, event.what)
            case Finished():
                self._reason = event.reason
                if self.not_shown and not self._first:
                    return self._line(TextDelta(notice(self.not_shown))) + self._flush_calls()
                return self._flush_calls()
            case Started():
                if event.model:
                    self._heading.set_model(event.model)
            case Metered():
                self._usage = event.usage
            case Timed():
                self._timed = event if event.total else None
            case _:
                pass
        return b""

    def _flush_calls(self) -> bytes:
        calls = build_tool_calls(self._calls, self._reason)
        self._calls = {}
        return self._piece(self._form.wrap(b'""', calls=calls)) if calls else b""

    def _piece(self, content: bytes) -> bytes:
        return self._heading.now() + content + b',"done":false}\n'


def ping(form: Form, model: str, clocks: Clocks) -> bytes:
    """Return a line of a streamed answer that has no content."""
    return _Heading(model, clocks.wall).now() + form.wrap(b'""') + b',"done":false}\n'


class WholeWriter(write.WholeWriter[Answer]):
    """Writes a chat or generate answer as one object."""

    content_type = JSON_TYPE
    not_shown: Sequence[str] = ()

    def __init__(self, form: Form, model: str, clocks: Clocks) -> None:
        super().__init__(Answer())
        self._form = form
        self._heading = _Heading(model, clocks.wall)
        self._clock = clocks.monotonic
        self._start = clocks.monotonic()

    def finish(self) -> bytes:
        """Return the answer.

        Raises:
            ProviderError: The model called a tool with arguments that are no JSON object.
        """
        answer = self._answer
        choice = answer.choices.get(0) or Choice()
        if answer.model:
            self._heading.set_model(answer.model)
        # An upstream that answers at once does not show where its prompt ended: all of it counts as eval.
        elapsed = self._clock() - self._start
        timed = answer.timed if answer.timed and answer.timed.total else Timed(elapsed, 0, 0, elapsed)
        text = "".join(choice.text) + "".join(choice.refusal)
        calls = build_tool_calls(choice.calls, choice.reason)
        images = [data for media in choice.media if (data := _image_data(media))]
        if choice.media or choice.citations or choice.not_shown:
            text = self._settle(choice, text, is_shown=bool(calls or images))
        content = self._form.wrap(_encode(text), "".join(choice.thinking), calls, images, choice.citations)
        if choice.logprobs:
            logprobs = [each for piece in choice.logprobs for each in from_openai(piece)]
            content += b',"logprobs":' + _encode(logprobs)
        ending = _ending(choice.reason, answer.usage or Usage(), timed)
        return self._heading.now() + content + b"," + ending + b"}"

    def _settle(self, choice: Choice, text: str, *, is_shown: bool) -> str:
        """The text, with what can be shown as text of the rest."""
        not_shown: list[str] = []
        for what in choice.not_shown:
            add_name(not_shown, what)
        for media in choice.media:
            if not _image_data(media):
                text += shown_as_text(media, not_shown, follows_text=bool(text))
        self.not_shown = not_shown
        return text or (notice(not_shown) if not_shown and not is_shown else "")

    def fail(self, error: GatewayError) -> bytes:
        """Return the body of an error answer."""
        return error_body(error)


def _image_data(media: Media) -> str | None:
    """The base64 of an image, if it is here and not elsewhere."""
    found = split_data_url(media.url) if media.kind == "image" else None
    return None if found is None else found[1]


class EmbeddingWriter(write.WholeWriter[Answer]):
    """Writes vectors: all of them, or the one of the legacy endpoint."""

    content_type = JSON_TYPE

    def __init__(self, model: str, clocks: Clocks, is_legacy: bool) -> None:
        super().__init__(Answer())
        self._model = model
        self._clock = clocks.monotonic
        self._start = clocks.monotonic()
        self._is_legacy = is_legacy

    def finish(self) -> bytes:
        """Return the answer."""
        answer = self._answer
        if self._is_legacy:
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

    def fail(self, error: GatewayError) -> bytes:
        """Return the body of an error answer."""
        return error_body(error)


def load_answer(
    request: CanonicalRequest, model: str, form: Form | None, wall: Callable[[], int] = time.time_ns
) -> bytes:
    """Return the answer to a request that only loads or unloads its model (see :func:`.parse.load_reason`).

    Args:
        request: The request.
        model: The model's name in the answer.
        form: The form of the endpoint's answers; None for embeddings.
        wall: The clock for the answer's time, in nanoseconds.
    """
    if form is None:
        return _encode({"model": model, "embeddings": []})
    reason = (load_reason(request) or "load").encode()
    head = _Heading(model, wall).now()
    return head + form.wrap(b'""') + b',"done":true,"done_reason":"' + reason + b'"}'


def build_tool_calls(calls: dict[int, Call], reason: FinishReason | None) -> list[dict[str, Any]]:
    """Return gathered calls in Ollama's form, each with its arguments as an object.

    A call that the bound on the answer cut short is left out: ``done_reason`` then says ``length``.

    Raises:
        ProviderError: Arguments are no JSON object though the answer is complete.
    """
    out: list[dict[str, Any]] = []
    for _, call in sorted(calls.items()):
        arguments = call.arguments.strip() or "{}"
        if is_object(arguments):
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
