"""Messages of OpenAI clients: the decoded structs → canonical messages.

What a translated request cannot carry is refused here by its path (``messages[1].content[0]``), never
dropped: an upstream that silently sees less than it was told is worse than an error.
"""

from __future__ import annotations

import msgspec

from trunkline.dialects.openai import request_schema as schema
from trunkline.dialects.request_errors import missing
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import Audio, Document, Image, Message, Part, Text, Thinking, ToolCall, ToolResult


def unsupported(what: str, at: str) -> CallerError:
    """A field asks for something that no other dialect can express."""
    return CallerError(f"{what} cannot be sent to this model's provider ('{at}')", UNSUPPORTED, param=at)


def read_message(seen: schema.MessageIn, at: str) -> Message:
    """One message, which stands at the path ``at``.

    Raises:
        CallerError: with ``param`` naming what is missing or cannot be carried.
    """
    match seen.role:
        case "system" | "developer":
            return Message(role="system", parts=_required(seen, at), name=seen.name)
        case "user":
            return Message(role="user", parts=_required(seen, at), name=seen.name)
        case "assistant":
            return Message(role="assistant", parts=_assistant(seen, at), name=seen.name)
        case "tool" | "function":
            return Message(role="tool", parts=(_result(seen, at),))


def _required(seen: schema.MessageIn, at: str) -> tuple[Part, ...]:
    if seen.content is None:
        raise missing(f"{at}.content")
    return _parts(seen.content, at)


def _result(seen: schema.MessageIn, at: str) -> ToolResult:
    if seen.role == "tool" and not seen.tool_call_id:
        raise missing(f"{at}.tool_call_id")
    parts: list[Text | Image] = []
    for i, part in enumerate(_parts(seen.content, at)):
        if not isinstance(part, Text | Image):
            raise unsupported("Audio or a file as a tool's result", f"{at}.content[{i}]")
        parts.append(part)
    return ToolResult(id=seen.tool_call_id, name=seen.name, parts=tuple(parts))


def _assistant(seen: schema.MessageIn, at: str) -> tuple[Part, ...]:
    if seen.audio is not None:
        raise unsupported("An earlier answer's audio", f"{at}.audio")
    parts: list[Part] = [*_thinking(seen)]
    parts.extend(_parts(seen.content, at))
    if seen.refusal:
        parts.append(Text(text=seen.refusal))
    parts.extend(_call(call, f"{at}.tool_calls[{i}]") for i, call in enumerate(seen.tool_calls or ()))
    if seen.function_call is not None:
        parts.append(_call(schema.ToolCallIn(function=seen.function_call), at))
    return tuple(parts)


def _thinking(seen: schema.MessageIn) -> list[Thinking]:
    """Earlier reasoning: as its vendor signed it, where the client has kept that."""
    signed = [
        Thinking(text=detail.text or "", signature=detail.signature)
        for detail in seen.reasoning_details or ()
        if detail.type == "reasoning.text" and detail.signature
    ]
    plain = seen.reasoning or seen.reasoning_content
    return signed or ([Thinking(text=plain)] if plain else [])


def _call(call: schema.ToolCallIn, at: str) -> ToolCall:
    if call.type != "function":
        raise unsupported(f"A tool call of type '{call.type}'", f"{at}.type")
    if call.function is None:
        raise missing(f"{at}.function")
    arguments = call.function.arguments
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(id=call.id or None, name=call.function.name, arguments=arguments or "{}")


def _parts(content: str | schema.PartsIn | None, at: str) -> tuple[Part, ...]:
    if isinstance(content, str) or content is None:
        return (Text(text=content),) if content else ()
    return tuple(_part(part, f"{at}.content[{i}]") for i, part in enumerate(content))


def _part(
    part: schema.TextPart | schema.ImagePart | schema.AudioPart | schema.FilePart | schema.RefusalPart,
    at: str,
) -> Part:
    match part:
        case schema.TextPart():
            return Text(text=part.text, cache=part.cache_control is not None)
        case schema.RefusalPart():
            return Text(text=part.refusal)
        case schema.ImagePart():
            address = part.image_url
            if isinstance(address, str):
                address = schema.ImageAddress(address)
            return _image(address, f"{at}.image_url.url")
        case schema.AudioPart():
            return Audio(data=part.input_audio.data, format=part.input_audio.format)
        case schema.FilePart():
            return _document(part.file, f"{at}.file")


def _image(address: schema.ImageAddress, at: str) -> Image:
    if address.url.startswith("data:"):
        media_type, data = _split_data_url(address.url, at)
        return Image(data=data, media_type=media_type, detail=address.detail)
    if address.url.startswith(("http://", "https://")):
        return Image(url=address.url, detail=address.detail)
    raise CallerError(
        f"Invalid '{at}': an image is a data: URL with base64 data, or an http(s) URL", param=at
    )


def _document(file: schema.FileData, at: str) -> Document:
    if file.file_data is None:
        if file.file_id is None:
            raise missing(f"{at}.file_data")
        return Document(file_id=file.file_id, name=file.filename)
    media_type, data = None, file.file_data
    if data.startswith("data:"):
        media_type, data = _split_data_url(data, f"{at}.file_data")
    return Document(data=data, media_type=media_type, file_id=file.file_id, name=file.filename)


def _split_data_url(url: str, at: str) -> tuple[str | None, str]:
    """``data:image/png;base64,…`` as (media type, base64 text); RFC 2397."""
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise CallerError(f"Invalid '{at}': a data: URL must be of the form data:TYPE;base64,DATA", param=at)
    return head.split(";", 1)[0] or None, data
