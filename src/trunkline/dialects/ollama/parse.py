"""Requests of Ollama clients: bytes → what routing needs, and bytes → canonical.

The structs of ``request_schema`` check types. An empty ``messages``, ``prompt`` or ``input`` asks to load the
model (with ``keep_alive`` 0: to unload it); ``extras["load"]`` of the canonical request then says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Literal, TypeVar, get_args

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.field_names import decode_fields
from trunkline.dialects.ollama import go_json, parse_values
from trunkline.dialects.ollama import request_schema as schema
from trunkline.dialects.tool_arguments import as_object, raw_text
from trunkline.dialects.tool_matching import match_tool_calls
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
_PATH: Final = re.compile(r" - at `\$\.?(.*?)`$")

_NO_NULLS: Final = frozenset({"$defs", "items", "properties", "required"})
"""Members of a JSON Schema that may not be null."""
LoadReason = Literal["load", "unload"]

_encode: Final = msgspec.json.Encoder().encode
_CHAT_SUMMARY: Final = msgspec.json.Decoder(schema.ChatSummary)
_GENERATE_SUMMARY: Final = msgspec.json.Decoder(schema.GenerateSummary)
_EMBED_SUMMARY: Final = msgspec.json.Decoder(schema.Summary)
_CHAT: Final = msgspec.json.Decoder(schema.Chat)
_GENERATE: Final = msgspec.json.Decoder(schema.Generate)
_EMBED: Final = msgspec.json.Decoder(schema.Embed)
_LEGACY_EMBEDDINGS: Final = msgspec.json.Decoder(schema.LegacyEmbeddings)

_T = TypeVar("_T")


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        return decoder.decode(_repaired(body, error))


def _repaired(body: bytes, error: Exception) -> bytes:
    """A body that could not be decoded, as Go reads it.

    Raises:
        CallerError: Go does not read it either.
    """
    if isinstance(error, msgspec.ValidationError):
        text = str(error)
        path = _PATH.search(text)
        param = path.group(1) if path else None
        problem = _PATH.sub("", text)
        raise CallerError(f"{param}: {problem}" if param else problem, param=param) from None
    if not body.strip():
        raise CallerError("missing request body") from None
    repaired = go_json.repair(body)
    if repaired is None or repaired == body:
        raise CallerError(f"invalid JSON: {error}", INVALID_JSON) from None
    return repaired


def summarize_chat(body: bytes) -> RequestSummary:
    """Return what routing needs of /api/chat. A request to load is answered whole, whatever its ``stream``.

    Raises:
        CallerError: There is no body, it is not JSON, or a field has the wrong type.
    """
    if go_json.find_odd_name(body) and (usual := go_json.respell(body, schema.Chat)) != body:
        return _of_another_spelling(summarize_chat, usual)
    try:
        named = decode_fields(body)
        if "options" in named or len(body) != len(_encode(named)):
            usual = go_json.without_doubles(body, named)
            if usual != body:
                return _of_another_spelling(summarize_chat, usual)
        fields = _CHAT_SUMMARY.decode(body)
    except UNREADABLE as error:
        return _of_another_spelling(summarize_chat, _repaired(body, error))
    return _summary(fields, bool(fields.messages), is_empty=not fields.messages)


def summarize_generate(body: bytes) -> RequestSummary:
    """Return what routing needs of /api/generate; see :func:`summarize_chat`."""
    if go_json.find_odd_name(body) and (usual := go_json.respell(body, schema.Generate)) != body:
        return _of_another_spelling(summarize_generate, usual)
    try:
        named = decode_fields(body)
        if "options" in named or len(body) != len(_encode(named)):
            usual = go_json.without_doubles(body, named)
            if usual != body:
                return _of_another_spelling(summarize_generate, usual)
        fields = _GENERATE_SUMMARY.decode(body)
    except UNREADABLE as error:
        return _of_another_spelling(summarize_generate, _repaired(body, error))
    operation: Operation = "completions" if fields.raw or fields.suffix else "chat"
    return _summary(fields, bool(fields.prompt), is_empty=not fields.prompt, operation=operation)


def summarize_embed(body: bytes) -> RequestSummary:
    """Return what routing needs of /api/embed and /api/embeddings."""
    if go_json.find_odd_name(body) and (usual := go_json.respell(body, schema.AnyEmbed)) != body:
        return _of_another_spelling(summarize_embed, usual)
    try:
        named = decode_fields(body)
        if "options" in named or len(body) != len(_encode(named)):
            usual = go_json.without_doubles(body, named)
            if usual != body:
                return _of_another_spelling(summarize_embed, usual)
        fields = _EMBED_SUMMARY.decode(body)
    except UNREADABLE as error:
        return _of_another_spelling(summarize_embed, _repaired(body, error))
    return _summary(fields, stream=False)


def _of_another_spelling(summarize: Callable[[bytes], RequestSummary], body: bytes) -> RequestSummary:
    """The summary of a body that takes the place of the client's own."""
    summary = summarize(body)
    return summary if summary.body is not None else msgspec.structs.replace(summary, body=body)


def _summary(
    fields: schema.Summary, stream: bool, is_empty: bool = False, operation: Operation | None = None
) -> RequestSummary:
    bound = fields.options.num_predict if fields.options else None
    return RequestSummary(
        operation=operation,
        load=_load_reason(parse_values.parse_keep_alive(fields.keep_alive)) if is_empty else None,
        model=fields.model or fields.name or None,
        stream=stream and fields.stream is not False,
        max_tokens=int(bound) if bound is not None and bound >= 1 else None,
    )


def parse_chat(body: bytes) -> ChatRequest:
    """Return a request to /api/chat in canonical form.

    Raises:
        CallerError: A field is wrong; ``param`` names it.
    """
    fields = _decode(_CHAT, body)
    sampling, extras = _sampling_and_extras(fields, is_empty=not fields.messages)
    return ChatRequest(
        model=fields.model or fields.name or "",
        messages=match_tool_calls(
            tuple(_message(each, f"messages[{i}]") for i, each in enumerate(fields.messages or ()))
        ),
        sampling=sampling,
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                parameters=_schema(tool.function.parameters),
            )
            for tool in fields.tools or ()
        ),
        format=parse_values.parse_format(fields.format),
        reasoning=_reasoning(fields),
        stream=bool(fields.messages) and fields.stream is not False,
        extras=extras,
    )


def parse_generate(body: bytes) -> CompletionRequest:
    """Return a request to /api/generate in canonical form. What only Ollama can do with a prompt is in
    ``extras``.

    Raises:
        CallerError: A field is wrong; ``param`` names it.
    """
    fields = _decode(_GENERATE, body)
    if fields.raw and (fields.template or fields.system or fields.context):
        raise CallerError("raw mode does not support template, system, or context", param="raw")
    sampling, extras = _sampling_and_extras(fields, is_empty=not fields.prompt)
    for name in "template", "context", "raw":
        if value := getattr(fields, name):
            extras[name] = value
    return CompletionRequest(
        model=fields.model or fields.name or "",
        prompts=(fields.prompt or "",),
        suffix=fields.suffix or None,
        templated=not (fields.raw or fields.suffix),
        system=fields.system or None,
        images=_images(fields.images, "images"),
        sampling=sampling,
        format=parse_values.parse_format(fields.format),
        reasoning=_reasoning(fields),
        stream=bool(fields.prompt) and fields.stream is not False,
        extras=extras,
    )


def parse_embed(body: bytes) -> EmbeddingRequest:
    """Return a request to /api/embed in canonical form.

    Raises:
        CallerError: A field is wrong; ``param`` names it.
    """
    fields = _decode(_EMBED, body)
    inputs = (fields.input,) if isinstance(fields.input, str) and fields.input else tuple(fields.input or ())
    return EmbeddingRequest(
        model=fields.model or fields.name or "",
        inputs=inputs,
        dimensions=fields.dimensions if fields.dimensions and fields.dimensions > 0 else None,
        extras=_extras(fields, dict(fields.options or {}), is_empty=not inputs),
    )


def parse_legacy_embeddings(body: bytes) -> EmbeddingRequest:
    """Return a request to the legacy /api/embeddings, which has one prompt, in canonical form."""
    fields = _decode(_LEGACY_EMBEDDINGS, body)
    return EmbeddingRequest(
        model=fields.model or fields.name or "",
        inputs=(fields.prompt,) if fields.prompt else (),
        extras=_extras(fields, dict(fields.options or {}), is_empty=not fields.prompt),
    )


def load_reason(request: CanonicalRequest) -> LoadReason | None:
    """Return whether ``request`` only asks to load or to unload its model; None if it asks for more."""
    reason: LoadReason | None = request.extras.get("load")
    return reason


def _sampling_and_extras(fields: schema.Generating, is_empty: bool) -> tuple[Sampling, dict[str, Any]]:
    if fields.top_logprobs is not None and not 0 <= fields.top_logprobs <= 20:
        raise CallerError("top_logprobs must be between 0 and 20", param="top_logprobs")
    logprobs = {"logprobs": True, "top_logprobs": fields.top_logprobs} if fields.logprobs else {}
    sampling, options = parse_values.parse_sampling(fields.options, **logprobs)
    extras = _extras(fields, options, is_empty)
    if fields.shift is not None:
        extras["shift"] = fields.shift
    if fields.think is True:
        extras["think"] = True
    return sampling, extras


def _schema(parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """The parameters without members that are null because Go's clients leave them empty: for other upstreams
    that is no JSON Schema."""
    if parameters is None:
        return None
    return {name: value for name, value in parameters.items() if value is not None or name not in _NO_NULLS}


def _extras(fields: schema.Common, options: dict[str, Any], is_empty: bool) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    keep_alive = parse_values.parse_keep_alive(fields.keep_alive)
    if keep_alive is not None:
        extras["keep_alive"] = keep_alive
    if options:
        extras["options"] = options
    if fields.truncate is not None:
        extras["truncate"] = fields.truncate
    if is_empty:
        extras["load"] = _load_reason(keep_alive)
    return extras


def _load_reason(keep_alive: int | float | str | None) -> LoadReason:
    unloads = keep_alive is not None and parse_values.keep_alive_seconds(keep_alive) == 0
    return "unload" if unloads else "load"


def _reasoning(fields: schema.Generating) -> Reasoning | None:
    effort = parse_values.parse_think(fields.think)
    return None if effort is None else Reasoning(effort=effort, any_level=fields.think is True)


def _message(message: schema.MessageIn, path: str) -> Message:
    role = _ROLES.get(message.role.lower())
    if role is None:
        raise CallerError(f"invalid role: {message.role!r}", param=f"{path}.role")
    text = (Text(text=message.content),) if message.content else ()
    images = _images(message.images, f"{path}.images")
    if role == "tool":
        content = text + images
        result = ToolResult(id=message.tool_call_id or None, name=message.tool_name or None, parts=content)
        return Message(role=role, parts=(result,))
    parts: list[Part] = [Thinking(text=message.thinking)] if message.thinking else []
    parts += text
    parts += images
    for call in message.tool_calls or ():
        arguments = as_object(raw_text(call.function.arguments))
        parts.append(ToolCall(id=call.id or None, name=call.function.name, arguments=arguments))
    return Message(role=role, parts=tuple(parts))


def _images(images: list[str] | None, path: str) -> tuple[Image, ...]:
    return tuple(parse_values.parse_image(image, f"{path}[{i}]") for i, image in enumerate(images or ()))
