"""Requests to OpenAI-compatible upstreams: canonical → bytes, and clients' own bytes, rewritten.

How one vendor's server differs from another's is data (:class:`Quirks`), given by the provider's row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.error_envelope import read_error
from trunkline.dialects.openai.inspect import StreamInspector, WholeInspector
from trunkline.dialects.openai.number_tool_calls import CountingScanner
from trunkline.dialects.openai.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.openai.reasoning import ReasoningProfile, adapt
from trunkline.dialects.openai.relay import AnyScanner, is_form, renamed
from trunkline.dialects.tool_matching import pair_tools
from trunkline.errors import UNSUPPORTED, CallerError, GatewayError
from trunkline.model import (
    Audio,
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    Document,
    EmbeddingRequest,
    Format,
    Image,
    Message,
    Operation,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

ENDPOINTS: Final[Mapping[Operation, str]] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "other": "",
}
"""Paths of the operations; ``other`` stands for every other path."""
EXTRA_KNOBS: Final = frozenset({"top_k", "min_p", "repetition_penalty"})
"""Sampling fields that OpenAI does not have and many compatible servers do."""


MOST_USER: Final = 64
"""Characters of ``user`` that OpenAI takes; other dialects' clients may send more (Claude Code does)."""


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How one vendor's server differs from OpenAI's."""

    who: str = "The upstream"
    """Its name in error texts."""
    endpoints: Mapping[Operation, str] = msgspec.field(default_factory=lambda: ENDPOINTS)
    """Paths of the operations that it has."""
    max_tokens: str = "max_tokens"
    """What it calls the bound on an answer."""
    reasoning: Literal["effort", "object", "none"] = "effort"
    """``reasoning_effort``, OpenRouter's ``reasoning`` object, or nothing."""
    history_reasoning: str | None = None
    """The field in which earlier turns' reasoning is sent back, if it takes it."""
    knobs: frozenset[str] = EXTRA_KNOBS
    """Which of the extra sampling fields it knows."""
    counts_calls: bool = True
    """It numbers the tool calls of a stream; where it does not, that is mended on the way through."""
    ask_usage: bool = True
    """A stream's usage comes only when ``stream_options.include_usage`` asks for it."""
    routes: bool = False
    """It takes OpenRouter's ``provider`` object."""
    profiles: tuple[ReasoningProfile, ...] = ()
    """Which of its models take what, the first that matches; the others take everything."""


_encode: Final = msgspec.json.Encoder().encode
_RAW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_INCLUDE_USAGE: Final = {"include_usage": True}


class OpenAIBack:
    """OpenAI's dialect as one upstream speaks it; satisfies ``dialects.base.Back``."""

    dialect = "openai"
    opening = 1
    """The first chunk names the role."""

    def __init__(self, quirks: Quirks) -> None:
        self.quirks = quirks

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """The operation's path below the base address, if the vendor has it."""
        if isinstance(request, CompletionRequest) and request.templated:
            operation = "chat"
        return self.quirks.endpoints.get(operation)

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """The body that asks ``model`` for ``request``.

        Raises:
            CallerError: the job holds content that OpenAI's API has no field for.
        """
        match request:
            case ChatRequest():
                body = self._chat(request)
            case CompletionRequest(templated=True):
                body = self._chat(request.as_chat())
            case CompletionRequest():
                body = self._completion(request)
            case EmbeddingRequest():
                body = _embedding(request)
        body = {"model": model} | body
        if stream:
            body["stream"] = True
            if self.quirks.ask_usage:
                body["stream_options"] = _INCLUDE_USAGE
        for name, value in self._fillings(body, defaults):
            body.setdefault(name, value)
        if "messages" in body:
            adapt(body, model, self.quirks.profiles)
        for name in defaults.drop:
            body.pop(name, None)
        if defaults.routing and self.quirks.routes:
            body["provider"] = dict(defaults.routing)
        return _encode(body)

    def _fillings(self, body: Mapping[str, Any], defaults: RequestDefaults) -> list[tuple[str, Any]]:
        """What settings fill in, by the names that this kind of body has for them."""
        filling = dict(defaults.fields)
        if "messages" in body:
            filling |= {"temperature": defaults.temperature, self.quirks.max_tokens: defaults.max_tokens}
        elif "prompt" in body:
            filling |= {"temperature": defaults.temperature, "max_tokens": defaults.max_tokens}
        return [(name, value) for name, value in filling.items() if value is not None]

    def _chat(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": self._messages(pair_tools(request.messages))}
        body |= self._sampling(request.sampling)
        _put(body, "logprobs", request.sampling.logprobs)
        _put(body, "top_logprobs", request.sampling.top_logprobs)
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
            _put(body, "tool_choice", _tool_choice(request.tool_choice))
            _put(body, "parallel_tool_calls", request.parallel_tool_calls)
        _put(body, "response_format", _format(request.format))
        body |= self._reasoning(request.reasoning)
        _put(body, "user", None if request.user is None else request.user[:MOST_USER])
        return body

    def _completion(self, request: CompletionRequest) -> dict[str, Any]:
        if request.images or request.system:
            raise CallerError(
                f"{self.quirks.who}'s completions endpoint takes text prompts only", UNSUPPORTED
            )
        body: dict[str, Any] = {
            "prompt": request.prompts[0] if len(request.prompts) == 1 else list(request.prompts)
        }
        _put(body, "suffix", request.suffix)
        body |= self._sampling(request.sampling)
        if self.quirks.max_tokens in body:
            body["max_tokens"] = body.pop(self.quirks.max_tokens)
        _put(body, "logprobs", request.sampling.top_logprobs)
        _put(body, "response_format", _format(request.format))
        _put(body, "user", request.user)
        return body

    def _sampling(self, sampling: Sampling) -> dict[str, Any]:
        body: dict[str, Any] = {}
        _put(body, "temperature", sampling.temperature)
        _put(body, "top_p", sampling.top_p)
        _put(body, self.quirks.max_tokens, sampling.max_tokens)
        _put(body, "seed", sampling.seed)
        _put(body, "presence_penalty", sampling.presence_penalty)
        _put(body, "frequency_penalty", sampling.frequency_penalty)
        for name in sorted(self.quirks.knobs):
            _put(body, name, getattr(sampling, name))
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if sampling.n > 1:
            body["n"] = sampling.n
        return body

    def _reasoning(self, reasoning: Reasoning | None) -> dict[str, Any]:
        if reasoning is None or self.quirks.reasoning == "none":
            return {}
        if self.quirks.reasoning == "effort":
            return {} if reasoning.effort is None else {"reasoning_effort": reasoning.effort}
        wire: dict[str, Any] = {}
        if reasoning.max_tokens is not None:
            wire["max_tokens"] = reasoning.max_tokens
        else:
            _put(wire, "effort", "xhigh" if reasoning.effort == "max" else reasoning.effort)
        _put(wire, "exclude", reasoning.exclude)
        return {"reasoning": wire} if wire else {}

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """All turns. A tool's message holds text only: images that tools returned are shown by the user, as
        soon as all results are there, since nothing may stand between them."""
        wires: list[dict[str, Any]] = []
        shown: list[dict[str, Any]] = []
        for message in messages:
            if message.role == "tool":
                results = [part for part in message.parts if isinstance(part, ToolResult)]
                wires += map(_tool_result, results)
                shown += [part for result in results for part in _images(result)]
                continue
            wire = self._message(message)
            if shown and message.role == "user":
                said = wire["content"]
                wire["content"] = shown + ([_text(said)] if isinstance(said, str) else said)
            elif shown:
                wires.append({"role": "user", "content": shown})
            shown = []
            wires.append(wire)
        return [*wires, {"role": "user", "content": shown}] if shown else wires

    def _message(self, message: Message) -> dict[str, Any]:
        wire: dict[str, Any] = {"role": message.role}
        if message.role == "assistant":
            wire |= self._assistant(message)
        elif all(isinstance(part, Text) and not part.cache for part in message.parts):
            wire["content"] = message.text
        else:
            wire["content"] = [_content(part) for part in message.parts]
        _put(wire, "name", message.name)
        return wire

    def _assistant(self, message: Message) -> dict[str, Any]:
        thinking, calls = "", []
        for part in message.parts:
            match part:
                case Thinking():
                    thinking += part.text
                case ToolCall():
                    calls.append(_tool_call(part))
                case Text():
                    pass
                case _:
                    raise _misplaced(part, "an assistant's message")
        text = message.text
        wire: dict[str, Any] = {"content": text if text or not calls else None}
        if thinking and self.quirks.history_reasoning:
            wire[self.quirks.history_reasoning] = thinking
        if calls:
            wire["tool_calls"] = calls
        return wire

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """A reader for the answer to ``request``."""
        if isinstance(request, EmbeddingRequest):
            return EmbeddingReader(self.quirks.who)
        return StreamReader(self.quirks.who) if stream else WholeReader(self.quirks.who)

    def rewrite(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """The client's own bytes, changed only in the model and in what a setting fills in or drops.

        ``stream_options.include_usage`` is added where usage would be missing; the scanner then drops the
        chunk that the client did not ask for.
        """
        if is_form(body) or not body:
            return body if model == summary.model or summary.model is None else renamed(body, model)
        ask = summary.stream and self.quirks.ask_usage and not summary.include_usage
        same = not ask and model in (summary.model, "")
        if same and (defaults is NO_DEFAULTS or _changes_nothing(defaults, body)):
            return body
        fields = _RAW.decode(body)
        if model != summary.model:
            fields["model"] = msgspec.Raw(_encode(model))
        if ask:
            options = msgspec.json.decode(fields.get("stream_options") or b"null") or {}
            fields["stream_options"] = msgspec.Raw(_encode(options | _INCLUDE_USAGE))
        for name, value in self._fillings(fields, defaults):
            if _is_open(fields, name):
                fields.pop(_ALIASES.get(name, ""), None)
                fields[name] = msgspec.Raw(_encode(value))
        for name in defaults.drop:
            fields.pop(name, None)
        if defaults.routing and self.quirks.routes:
            wishes = msgspec.json.decode(fields.get("provider") or b"null")
            said = wishes if isinstance(wishes, dict) else {}
            fields["provider"] = msgspec.Raw(_encode({**said, **defaults.routing}))
        return _encode(fields)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """A scanner for an answer that passes through."""
        if operation == "other":
            return AnyScanner()
        if summary.stream:
            inspector = StreamInspector if self.quirks.counts_calls else CountingScanner
            return inspector(self.quirks.who, self.quirks.ask_usage and not summary.include_usage)
        return WholeInspector(self.quirks.who)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The vendor's error answer as a value."""
        return read_error(status, headers, body, self.quirks.who)


def _changes_nothing(defaults: RequestDefaults, body: bytes) -> bool:
    """Nothing is filled in, and what is to be dropped is not there."""
    fills_in = (
        defaults.fields
        or defaults.routing
        or defaults.temperature is not None
        or defaults.max_tokens is not None
    )
    return not fills_in and not any(b'"%b"' % name.encode() in body for name in defaults.drop)


_ALIASES: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


def _is_open(fields: dict[str, msgspec.Raw], name: str) -> bool:
    """The request says nothing of this field, under either of its names. A negative bound on the answer is
    llama.cpp's and LM Studio's word for none."""
    if name not in _ALIASES:
        return bytes(fields.get(name, b"null")) == b"null"
    bounds = [bytes(fields.get(each, b"null")) for each in (name, _ALIASES[name])]
    return any(each[:1] == b"-" for each in bounds) or all(each == b"null" for each in bounds)


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


def _content(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            wire = _text(part.text)
            return wire | ({"cache_control": {"type": "ephemeral"}} if part.cache else {})
        case Image():
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
            image = {"url": url} | ({"detail": part.detail} if part.detail else {})
            return {"type": "image_url", "image_url": image}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document(text=str(told)):
            return _text(told)
        case Document():
            return {"type": "file", "file": _file(part)}
        case _:
            raise _misplaced(part, "a user's message")


def _misplaced(part: Part, where: str) -> CallerError:
    return CallerError(f"{type(part).__name__} cannot stand in {where} of OpenAI's chat API", UNSUPPORTED)


def _file(part: Document) -> dict[str, Any]:
    if part.url is not None:
        raise CallerError("A document by URL cannot be sent in OpenAI's chat API; send its data", UNSUPPORTED)
    file: dict[str, Any] = {}
    _put(file, "file_id", part.file_id)
    _put(file, "filename", part.name)
    if part.data is not None:
        file["file_data"] = f"data:{part.media_type or 'application/pdf'};base64,{part.data}"
    return file


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _tool_result(result: ToolResult) -> dict[str, Any]:
    text = result.text or ("See the images that follow." if _images(result) else "")
    return {"role": "tool", "tool_call_id": result.id, "content": text}


def _images(result: ToolResult) -> list[dict[str, Any]]:
    """A tool's images, with a word of where they come from."""
    found = [_content(part) for part in result.parts if isinstance(part, Image)]
    return [_text(f"Returned by the tool {result.name or 'call'}:"), *found] if found else []


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    _put(function, "description", tool.description)
    _put(function, "parameters", tool.parameters)
    _put(function, "strict", tool.strict)
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any] | None:
    if choice is None:
        return None
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _format(format: Format | None) -> dict[str, Any] | None:
    if format is None:
        return None
    if format.schema is None:
        return {"type": "json_object"}
    schema: dict[str, Any] = {"name": format.name or "answer", "schema": format.schema}
    _put(schema, "strict", format.strict)
    _put(schema, "description", format.description)
    return {"type": "json_schema", "json_schema": schema}


def _embedding(request: EmbeddingRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"input": request.inputs[0] if len(request.inputs) == 1 else list(request.inputs)}
    _put(body, "dimensions", request.dimensions)
    _put(body, "user", request.user)
    return body
