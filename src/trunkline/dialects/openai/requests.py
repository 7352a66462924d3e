"""Requests of OpenAI clients: bytes → canonical.

The structs of ``wire`` do the checking: every field of the current schema is accepted, an unknown one is no
error, and a wrong one is named by its path. What a field means is said once, in the ``parse`` functions.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from trunkline.dialects.base import Peek
from trunkline.dialects.openai import wire
from trunkline.errors import INVALID_JSON, INVALID_REQUEST, UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    ChatRequest,
    CompletionRequest,
    Document,
    EmbeddingRequest,
    Format,
    Image,
    Message,
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

_T = TypeVar("_T")

_CHAT_PEEK: Final = msgspec.json.Decoder(wire.ChatPeek)
_COMPLETION_PEEK: Final = msgspec.json.Decoder(wire.CompletionPeek)
_EMBEDDING_PEEK: Final = msgspec.json.Decoder(wire.EmbeddingPeek)
_CHAT: Final = msgspec.json.Decoder(wire.Chat)
_COMPLETION: Final = msgspec.json.Decoder(wire.Completion)
_EMBEDDING: Final = msgspec.json.Decoder(wire.Embedding)

_WHERE: Final = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = f"is not JSON: {error}" if body.strip() else "is empty"
        raise CallerError(f"The request body {what}", INVALID_JSON) from None


def _invalid(text: str) -> CallerError:
    """msgspec's complaint as an error whose ``param`` is the path of the field."""
    where = _WHERE.search(text)
    path = where.group(1) if where else ""
    missing = _MISSING.search(text)
    if missing:
        path = f"{path}.{missing.group(1)}".lstrip(".")
        return CallerError(f"Missing required parameter: '{path}'", INVALID_REQUEST, param=path)
    problem = _WHERE.sub("", text)
    if not path:
        return CallerError(f"The request body is not a JSON object of the right form: {problem}")
    return CallerError(f"Invalid '{path}': {problem}", INVALID_REQUEST, param=path)


def peek_chat(body: bytes) -> Peek:
    """What routing needs of a chat request.

    Raises:
        CallerError: not JSON, or a top-level field of the wrong type.
    """
    seen = _decode(_CHAT_PEEK, body)
    max_tokens = seen.max_completion_tokens
    return _peek(seen, seen.max_tokens if max_tokens is None else max_tokens)


def peek_completion(body: bytes) -> Peek:
    """What routing needs of a legacy completion request."""
    seen = _decode(_COMPLETION_PEEK, body)
    return _peek(seen, seen.max_tokens)


def peek_embedding(body: bytes) -> Peek:
    """What routing needs of an embedding request."""
    seen = _decode(_EMBEDDING_PEEK, body)
    return Peek(model=seen.model, stream=False, user=seen.user)


def _peek(seen: wire.Common, max_tokens: int | None) -> Peek:
    options = seen.stream_options
    return Peek(
        model=seen.model,
        stream=seen.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=max_tokens,
        n=seen.n or 1,
        user=seen.user,
    )


def _sampling(seen: wire.Common, max_tokens: int | None, **more: Any) -> Sampling:
    stop = seen.stop
    return Sampling(
        temperature=seen.temperature,
        top_p=seen.top_p,
        top_k=seen.top_k,
        min_p=seen.min_p,
        max_tokens=max_tokens,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        seed=seen.seed,
        presence_penalty=seen.presence_penalty,
        frequency_penalty=seen.frequency_penalty,
        repetition_penalty=seen.repetition_penalty,
        n=seen.n or 1,
        **more,
    )


def parse_chat(body: bytes) -> ChatRequest:
    """A chat request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = _decode(_CHAT, body)
    peek = _peek(seen, None)
    tools = seen.tools or [wire.ToolIn(spec) for spec in seen.functions or ()]
    max_tokens = seen.max_completion_tokens
    return ChatRequest(
        model=seen.model or "",
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(seen.messages)),
        sampling=_sampling(
            seen,
            seen.max_tokens if max_tokens is None else max_tokens,
            logprobs=seen.logprobs,
            top_logprobs=seen.top_logprobs,
        ),
        tools=tuple(
            Tool(
                name=tool.function.name,
                description=tool.function.description,
                parameters=tool.function.parameters,
                strict=tool.function.strict,
            )
            for tool in tools
        ),
        tool_choice=_tool_choice(seen.tool_choice if seen.tool_choice is not None else seen.function_call),
        parallel_tool_calls=seen.parallel_tool_calls,
        format=_format(seen.response_format),
        reasoning=_reasoning(seen),
        stream=peek.stream,
        include_usage=peek.include_usage,
        user=seen.user,
    )


def _message(seen: wire.MessageIn, at: str) -> Message:
    match seen.role:
        case "system" | "developer":
            return Message(role="system", parts=_parts(seen.content, at), name=seen.name)
        case "user":
            return Message(role="user", parts=_parts(seen.content, at), name=seen.name)
        case "assistant":
            return Message(role="assistant", parts=_assistant_parts(seen, at), name=seen.name)
        case "tool" | "function":
            if seen.role == "tool" and not seen.tool_call_id:
                at = f"{at}.tool_call_id"
                raise CallerError(f"Missing required parameter: '{at}'", INVALID_REQUEST, param=at)
            parts = tuple(part for part in _parts(seen.content, at) if isinstance(part, Text | Image))
            result = ToolResult(id=seen.tool_call_id, name=seen.name, parts=parts)
            return Message(role="tool", parts=(result,))


def _assistant_parts(seen: wire.MessageIn, at: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    thinking = seen.reasoning or seen.reasoning_content
    if thinking:
        parts.append(Thinking(text=thinking))
    parts.extend(_parts(seen.content, at))
    calls = seen.tool_calls or []
    if seen.function_call is not None:
        calls = [*calls, wire.ToolCallIn(seen.function_call)]
    for call in calls:
        arguments = call.function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        parts.append(ToolCall(id=call.id, name=call.function.name, arguments=arguments or "{}"))
    return tuple(parts)


def _parts(content: str | wire.PartsIn | None, at: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(text=content),) if content else ()
    return tuple(_part(part, f"{at}.content[{i}]") for i, part in enumerate(content))


def _part(
    part: wire.TextPart | wire.ImagePart | wire.AudioPart | wire.FilePart | wire.RefusalPart, at: str
) -> Part:
    match part:
        case wire.TextPart():
            return Text(text=part.text, cache=part.cache_control is not None)
        case wire.RefusalPart():
            return Text(text=part.refusal)
        case wire.ImagePart():
            address = part.image_url
            if isinstance(address, str):
                address = wire.ImageAddress(address)
            return _image(address, f"{at}.image_url.url")
        case wire.AudioPart():
            return Audio(data=part.input_audio.data, format=part.input_audio.format)
        case wire.FilePart():
            file = part.file
            media_type, data = _split_data_url(file.file_data, f"{at}.file.file_data")
            return Document(data=data, media_type=media_type, file_id=file.file_id, name=file.filename)


def _image(address: wire.ImageAddress, at: str) -> Image:
    if address.url.startswith("data:"):
        media_type, data = _split_data_url(address.url, at)
        return Image(data=data, media_type=media_type, detail=address.detail)
    if address.url.startswith(("http://", "https://")):
        return Image(url=address.url, detail=address.detail)
    raise CallerError(
        f"Invalid '{at}': an image is a data: URL with base64 data, or an http(s) URL", param=at
    )


def _split_data_url(url: str | None, at: str) -> tuple[str | None, str | None]:
    """``data:image/png;base64,…`` as (media type, base64 text); RFC 2397."""
    if url is None or not url.startswith("data:"):
        return None, url
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise CallerError(f"Invalid '{at}': a data: URL must be of the form data:TYPE;base64,DATA", param=at)
    return head.split(";", 1)[0] or None, data


def _tool_choice(choice: str | wire.NamedChoice | wire.NamedFunction | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case wire.NamedChoice():
            return ToolChoice(mode="tool", name=choice.function.name)
        case wire.NamedFunction():
            return ToolChoice(mode="tool", name=choice.name)
        case "none":
            return ToolChoice(mode="none")
        case "required":
            return ToolChoice(mode="required")
        case _:
            return ToolChoice(mode="auto")


def _format(seen: wire.ResponseFormat | None) -> Format | None:
    if seen is None or seen.type == "text":
        return None
    if seen.type == "json_object":
        return Format()
    if seen.json_schema is None or seen.json_schema.schema is None:
        at = "response_format.json_schema.schema"
        raise CallerError(f"Missing required parameter: '{at}'", INVALID_REQUEST, param=at)
    spec = seen.json_schema
    return Format(schema=spec.schema, name=spec.name, strict=spec.strict, description=spec.description)


def _reasoning(seen: wire.Chat) -> Reasoning | None:
    asked = seen.reasoning
    if asked is not None:
        effort = asked.effort or ("none" if asked.enabled is False else None)
        if effort is None and asked.max_tokens is None and asked.enabled:
            effort = "medium"
        return Reasoning(effort=effort, max_tokens=asked.max_tokens, exclude=asked.exclude)
    return None if seen.reasoning_effort is None else Reasoning(effort=seen.reasoning_effort)


def parse_completion(body: bytes) -> CompletionRequest:
    """A legacy completion request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field; token-id prompts are refused, because
            their meaning is one tokenizer's.
    """
    seen = _decode(_COMPLETION, body)
    peek = _peek(seen, None)
    prompts = _texts(seen.prompt, "prompt")
    return CompletionRequest(
        model=seen.model or "",
        prompts=prompts,
        suffix=seen.suffix,
        echo=seen.echo is True,
        sampling=_sampling(
            seen,
            seen.max_tokens,
            logprobs=None if seen.logprobs is None else True,
            top_logprobs=seen.logprobs,
        ),
        stream=peek.stream,
        include_usage=peek.include_usage,
        user=seen.user,
    )


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """An embedding request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = _decode(_EMBEDDING, body)
    return EmbeddingRequest(
        model=seen.model or "",
        inputs=_texts(seen.input, "input"),
        dimensions=seen.dimensions,
        base64=seen.encoding_format == "base64",
        user=seen.user,
    )


def _texts(value: str | list[str | int | list[int]], at: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        raise CallerError(
            f"Invalid '{at}': token ids mean nothing to this model's provider; send text",
            UNSUPPORTED,
            param=at,
        )
    return texts
