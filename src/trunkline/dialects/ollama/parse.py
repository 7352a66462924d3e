"""Requests of Ollama clients: bytes → what routing needs, and bytes → canonical.

The structs check types; an unknown field is no error, since new clients know fields that we do not. An
empty ``messages``, ``prompt`` or ``input`` asks to load the model (with ``keep_alive`` 0: to unload it) and
is marked by ``extras["load"]``.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.ollama import parse_values
from trunkline.dialects.ollama.read import BadRecordError, argument_text
from trunkline.dialects.tool_matching import pair_tools
from trunkline.errors import INVALID_JSON, CallerError
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Image,
    Message,
    Operation,
    Part,
    Reasoning,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

_ROLES: Final[dict[str, Role]] = {role: role for role in get_args(Role)} | {"developer": "system"}
_WHERE: Final = re.compile(r" - at `\$\.?(.*?)`$")

_NO_NULLS: Final = frozenset({"$defs", "items", "properties", "required"})
Loading = Literal["load", "unload"]


class _Bound(msgspec.Struct):
    num_predict: float | None = None


class _Peek(msgspec.Struct, kw_only=True):
    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    keep_alive: Any = None
    options: _Bound | None = None

    def summarize(
        self, stream: bool, empty: bool = False, operation: Operation | None = None
    ) -> RequestSummary:
        bound = self.options.num_predict if self.options else None
        return RequestSummary(
            operation=operation,
            load=_load(parse_values.keep_alive(self.keep_alive)) if empty else None,
            model=self.model or self.name or None,
            stream=stream and self.stream is not False,
            max_tokens=int(bound) if bound is not None and bound >= 1 else None,
        )


class _ChatPeek(_Peek, kw_only=True):
    messages: list[msgspec.Raw] | None = None


class _GeneratePeek(_Peek, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    raw: bool | None = None


class _Common(msgspec.Struct, kw_only=True):
    model: str | None = None
    name: str | None = None
    stream: bool | None = None
    keep_alive: int | float | str | None = None
    options: dict[str, Any] | None = None
    truncate: bool | None = None


class _Answering(_Common, kw_only=True):
    format: Any = None
    think: Any = None
    shift: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"")


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[_Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _ToolFunction(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    function: _ToolFunction


class _Chat(_Answering, kw_only=True):
    messages: list[_Message] | None = None
    tools: list[_Tool] | None = None


class _Generate(_Answering, kw_only=True):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    context: list[int] | None = None
    raw: bool | None = None
    images: list[str] | None = None


class _Embed(_Common, kw_only=True):
    input: str | list[str] | None = None
    dimensions: int | None = None


class _Embeddings(_Common, kw_only=True):
    prompt: str | None = None


_chat_peek: Final = msgspec.json.Decoder(_ChatPeek)
_generate_peek: Final = msgspec.json.Decoder(_GeneratePeek)
_embed_peek: Final = msgspec.json.Decoder(_Peek)
_chat: Final = msgspec.json.Decoder(_Chat)
_generate: Final = msgspec.json.Decoder(_Generate)
_embed: Final = msgspec.json.Decoder(_Embed)
_embeddings: Final = msgspec.json.Decoder(_Embeddings)

_T = TypeVar("_T")


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    if not body.strip():
        raise CallerError("missing request body")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        where = _WHERE.search(text)
        param = where.group(1) if where else None
        problem = _WHERE.sub("", text)
        raise CallerError(f"{param}: {problem}" if param else problem, param=param) from None
    except UNREADABLE as error:
        raise CallerError(f"invalid JSON: {error}", INVALID_JSON) from None


def peek_chat(body: bytes) -> RequestSummary:
    """What routing needs of /api/chat. A request to load is answered whole, whatever it says of streams.

    Raises:
        CallerError: no body, no JSON, or a field of the wrong type.
    """
    seen = _decode(_chat_peek, body)
    return seen.summarize(bool(seen.messages), empty=not seen.messages)


def peek_generate(body: bytes) -> RequestSummary:
    """What routing needs of /api/generate; see :func:`peek_chat`."""
    seen = _decode(_generate_peek, body)
    operation: Operation = "completions" if seen.raw or seen.suffix else "chat"
    return seen.summarize(bool(seen.prompt), empty=not seen.prompt, operation=operation)


def peek_embed(body: bytes) -> RequestSummary:
    """What routing needs of /api/embed and /api/embeddings."""
    return _decode(_embed_peek, body).summarize(stream=False)


def parse_chat(body: bytes) -> ChatRequest:
    """A request to /api/chat.

    Raises:
        CallerError: with ``param`` naming the field that is wrong.
    """
    seen = _decode(_chat, body)
    sampling, extras = _answering(seen, empty=not seen.messages)
    return ChatRequest(
        model=seen.model or seen.name or "",
        messages=pair_tools(
            tuple(_message(message, f"messages[{at}]") for at, message in enumerate(seen.messages or ()))
        ),
        sampling=sampling,
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                parameters=_schema(tool.function.parameters),
            )
            for tool in seen.tools or ()
        ),
        format=parse_values.answer_format(seen.format),
        reasoning=_reasoning(seen),
        stream=bool(seen.messages) and seen.stream is not False,
        extras=extras,
    )


def parse_generate(body: bytes) -> CompletionRequest:
    """A request to /api/generate. What only Ollama can do with a prompt stays in ``extras``.

    Raises:
        CallerError: with ``param`` naming the field that is wrong.
    """
    seen = _decode(_generate, body)
    if seen.raw and (seen.template or seen.system or seen.context):
        raise CallerError("raw mode does not support template, system, or context", param="raw")
    sampling, extras = _answering(seen, empty=not seen.prompt)
    for name in "template", "context", "raw":
        if value := getattr(seen, name):
            extras[name] = value
    return CompletionRequest(
        model=seen.model or seen.name or "",
        prompts=(seen.prompt or "",),
        suffix=seen.suffix or None,
        templated=not (seen.raw or seen.suffix),
        system=seen.system or None,
        images=_images(seen.images, "images"),
        sampling=sampling,
        format=parse_values.answer_format(seen.format),
        reasoning=_reasoning(seen),
        stream=bool(seen.prompt) and seen.stream is not False,
        extras=extras,
    )


def parse_embed(body: bytes) -> EmbeddingRequest:
    """A request to /api/embed.

    Raises:
        CallerError: with ``param`` naming the field that is wrong.
    """
    seen = _decode(_embed, body)
    inputs = (seen.input,) if isinstance(seen.input, str) and seen.input else tuple(seen.input or ())
    return EmbeddingRequest(
        model=seen.model or seen.name or "",
        inputs=inputs,
        dimensions=seen.dimensions if seen.dimensions and seen.dimensions > 0 else None,
        extras=_extras(seen, dict(seen.options or {}), empty=not inputs),
    )


def parse_embeddings(body: bytes) -> EmbeddingRequest:
    """A request to the legacy /api/embeddings: one prompt."""
    seen = _decode(_embeddings, body)
    return EmbeddingRequest(
        model=seen.model or seen.name or "",
        inputs=(seen.prompt,) if seen.prompt else (),
        extras=_extras(seen, dict(seen.options or {}), empty=not seen.prompt),
    )


def loading(request: CanonicalRequest) -> Loading | None:
    """Whether ``request`` only asks to load or unload its model."""
    reason: Loading | None = request.extras.get("load")
    return reason


def _answering(seen: _Answering, empty: bool) -> tuple[Sampling, dict[str, Any]]:
    if seen.top_logprobs is not None and not 0 <= seen.top_logprobs <= 20:
        raise CallerError("top_logprobs must be between 0 and 20", param="top_logprobs")
    logprobs = {"logprobs": True, "top_logprobs": seen.top_logprobs} if seen.logprobs else {}
    sampling, options = parse_values.sampling(seen.options, **logprobs)
    extras = _extras(seen, options, empty)
    if seen.shift is not None:
        extras["shift"] = seen.shift
    if seen.think is True:
        extras["think"] = True
    return sampling, extras


def _schema(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without null for members that Go's clients leave empty: to others that is no JSON schema."""
    if parameters is None:
        return None
    return {name: value for name, value in parameters.items() if value is not None or name not in _NO_NULLS}


def _extras(seen: _Common, options: dict[str, Any], empty: bool) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    keep_alive = parse_values.keep_alive(seen.keep_alive)
    if keep_alive is not None:
        extras["keep_alive"] = keep_alive
    if options:
        extras["options"] = options
    if seen.truncate is not None:
        extras["truncate"] = seen.truncate
    if empty:
        extras["load"] = _load(keep_alive)
    return extras


def _load(keep_alive: int | float | str | None) -> Loading:
    return "unload" if keep_alive is not None and parse_values.seconds(keep_alive) == 0 else "load"


def _reasoning(seen: _Answering) -> Reasoning | None:
    effort = parse_values.think(seen.think)
    return None if effort is None else Reasoning(effort=effort, any_level=seen.think is True)


def _message(seen: _Message, at: str) -> Message:
    role = _ROLES.get(seen.role.lower())
    if role is None:
        raise CallerError(f"invalid role: {seen.role!r}", param=f"{at}.role")
    text = (Text(text=seen.content),) if seen.content else ()
    images = _images(seen.images, f"{at}.images")
    if role == "tool":
        result = ToolResult(id=seen.tool_call_id or None, name=seen.tool_name or None, parts=text + images)
        return Message(role=role, parts=(result,))
    parts: list[Part] = [Thinking(text=seen.thinking)] if seen.thinking else []
    parts += text
    parts += images
    for index, call in enumerate(seen.tool_calls or ()):
        arguments = _arguments(call.function, f"{at}.tool_calls[{index}].function.arguments")
        parts.append(ToolCall(id=call.id or None, name=call.function.name, arguments=arguments))
    return Message(role=role, parts=tuple(parts))


def _images(seen: list[str] | None, at: str) -> tuple[Image, ...]:
    return tuple(parse_values.image(image, f"{at}[{index}]") for index, image in enumerate(seen or ()))


def _arguments(function: _Function, param: str) -> str:
    """A call's arguments as JSON text: Ollama's clients send the object, some its text."""
    try:
        text = argument_text(function.arguments)
        fits = isinstance(msgspec.json.decode(text), dict)
    except (BadRecordError, *UNREADABLE):
        fits = False
    if not fits:
        raise CallerError(
            f"The arguments of the call of {function.name!r} are not a JSON object", param=param
        )
    return text
