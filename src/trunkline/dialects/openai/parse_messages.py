"""Messages of OpenAI clients: the decoded structs → canonical messages.

What a translated request cannot carry is refused with its path (``messages[1].content[0]``) and never
dropped: an upstream that gets less than the client sent, without the client's knowing, is worse than an
error.
"""

from __future__ import annotations

from trunkline.dialects.cache_control import read_ttl
from trunkline.dialects.custom_tools import wrap_input
from trunkline.dialects.openai import request_schema as schema
from trunkline.dialects.openai.thoughts import read_details
from trunkline.dialects.request_errors import invalid, missing, split_data_url, unsupported
from trunkline.dialects.tool_arguments import argument_text
from trunkline.model import Audio, Document, Image, Message, Part, Text, Thinking, ToolCall, ToolResult


def parse_message(message: schema.MessageIn, path: str) -> Message:
    """Return the message that stands at ``path`` in canonical form.

    Raises:
        CallerError: A field is missing or cannot be carried; ``param`` names it.
    """
    match message.role:
        case "system" | "developer":
            return Message(role="system", parts=_required(message, path), name=message.name)
        case "user":
            return Message(role="user", parts=_required(message, path), name=message.name)
        case "assistant":
            return Message(role="assistant", parts=_assistant(message, path), name=message.name)
        case "tool" | "function":
            return Message(role="tool", parts=(_result(message, path),))


def _required(message: schema.MessageIn, path: str) -> tuple[Part, ...]:
    if message.content is None:
        raise missing(f"{path}.content")
    return _parts(message.content, path)


def _result(message: schema.MessageIn, path: str) -> ToolResult:
    if message.role == "tool" and not message.tool_call_id:
        raise missing(f"{path}.tool_call_id")
    parts: list[Text | Image | Document] = []
    for i, part in enumerate(_parts(message.content, path)):
        if not isinstance(part, Text | Image | Document):
            raise unsupported("Audio as a tool's result", f"{path}.content[{i}]")
        parts.append(part)
    return ToolResult(id=message.tool_call_id, name=message.name, parts=tuple(parts))


def _assistant(message: schema.MessageIn, path: str) -> tuple[Part, ...]:
    if message.audio is not None:
        raise unsupported("An earlier answer's audio", f"{path}.audio")
    parts: list[Part] = [*_thinking(message)]
    parts.extend(_parts(message.content, path))
    if message.refusal:
        parts.append(Text(text=message.refusal))
    parts.extend(_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or ()))
    if message.function_call is not None:
        parts.append(_call(schema.ToolCallIn(function=message.function_call), path))
    return tuple(parts)


def _thinking(message: schema.MessageIn) -> list[Thinking]:
    """Earlier reasoning: as its vendor signed it, if the client kept the signatures."""
    signed = read_details(message.reasoning_details) if message.reasoning_details else []
    plain = message.reasoning or message.reasoning_content
    return signed or ([Thinking(text=plain)] if plain else [])


def _call(call: schema.ToolCallIn, path: str) -> ToolCall:
    if call.type == "custom":
        if call.custom is None:
            raise missing(f"{path}.custom")
        return ToolCall(id=call.id or None, name=call.custom.name, arguments=wrap_input(call.custom.input))
    if call.type != "function":
        raise unsupported(f"A tool call of type '{call.type}'", f"{path}.type")
    if call.function is None:
        raise missing(f"{path}.function")
    function = call.function
    return ToolCall(id=call.id or None, name=function.name, arguments=argument_text(function.arguments))


def _parts(content: str | schema.PartsIn | None, path: str) -> tuple[Part, ...]:
    if isinstance(content, str) or content is None:
        return (Text(text=content),) if content else ()
    return tuple(_part(part, f"{path}.content[{i}]") for i, part in enumerate(content))


def _part(part: schema.PartIn, path: str) -> Part:
    match part:
        case schema.TextPart():
            control = part.cache_control
            if control is None:
                return Text(text=part.text)
            return Text(text=part.text, cache=True, cache_ttl=read_ttl(control))
        case schema.RefusalPart():
            return Text(text=part.refusal)
        case schema.ThinkingPart():
            said = part.thinking
            return Thinking(text=said if isinstance(said, str) else "".join(piece.text for piece in said))
        case schema.ImagePart():
            address = part.image_url
            if isinstance(address, str):
                address = schema.ImageAddress(address)
            return _image(address, f"{path}.image_url.url")
        case schema.AudioPart():
            return Audio(data=part.input_audio.data, format=part.input_audio.format)
        case schema.FilePart():
            return _document(part.file, f"{path}.file")


def _image(address: schema.ImageAddress, path: str) -> Image:
    if address.url.startswith("data:"):
        media_type, data = split_data_url(address.url, path)
        return Image(data=data, media_type=media_type, detail=address.detail)
    if address.url.startswith(("http://", "https://")):
        return Image(url=address.url, detail=address.detail)
    raise invalid(path, "an image is a data: URL with base64 data, or an http(s) URL")


def _document(file: schema.FileData, path: str) -> Document:
    if file.file_data is None:
        if file.file_id is None:
            raise missing(f"{path}.file_data")
        return Document(file_id=file.file_id, name=file.filename)
    media_type, data = None, file.file_data
    if data.startswith("data:"):
        media_type, data = split_data_url(data, f"{path}.file_data")
    return Document(data=data, media_type=media_type, file_id=file.file_id, name=file.filename)
