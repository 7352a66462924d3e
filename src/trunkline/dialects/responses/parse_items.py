"""Input items → canonical messages.

A Responses client sends the items of one assistant's turn (reasoning, words, calls) one by one; the
canonical form, like every upstream's, has them in one message. What cannot be carried is refused by its path
(``input[1].content[0]``), never dropped: an upstream that silently sees less than it was told is worse than
an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.request_errors import decode, invalid, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.parse_tools import flat_name
from trunkline.dialects.responses.refusals import unsupported
from trunkline.errors import INVALID_REQUEST, CallerError, redact
from trunkline.model import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

_TYPED: Final = msgspec.json.Decoder(schema.Typed)
_MESSAGE: Final = msgspec.json.Decoder(schema.MessageItem)
_CALL: Final = msgspec.json.Decoder(schema.CallItem)
_RESULT: Final = msgspec.json.Decoder(schema.ResultItem)
_REASONING: Final = msgspec.json.Decoder(schema.ReasoningItem)


def read_input(
    said: str | Sequence[msgspec.Raw], instructions: str | None, stored: bool = False
) -> tuple[Message, ...]:
    """The conversation, its instructions first. ``stored``: who calls has looked references up already.

    Raises:
        CallerError: with ``param`` naming what is missing, wrong or cannot be carried.
    """
    turns = _Turns()
    if instructions:
        turns.say("system", (Text(text=instructions),))
    if isinstance(said, str):
        turns.say("user", _texts(said))
    else:
        for index, item in enumerate(said):
            _read_item(item, f"input[{index}]", turns, stored)
    turns.end_turn()
    return tuple(turns.messages)


class _Turns:
    """Messages so far, and the assistant's turn that is being put together."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._turn: list[Part] = []

    def say(self, role: Role, parts: tuple[Part, ...]) -> None:
        """A message of its own; it ends the assistant's turn."""
        self.end_turn()
        self.messages.append(Message(role=role, parts=parts))

    def add(self, *parts: Part) -> None:
        """More of the assistant's turn. Words or thoughts after words begin another one; while calls are
        open they do not, because nothing may stand between a call and its result."""
        turn = self._turn
        said = any(isinstance(part, Text) for part in turn)
        called = any(isinstance(part, ToolCall) for part in turn)
        if said and not called and not isinstance(parts[0], ToolCall):
            self.end_turn()
        self._turn.extend(parts)

    def end_turn(self) -> None:
        if self._turn:
            self.messages.append(Message(role="assistant", parts=tuple(self._turn)))
            self._turn = []


def _read_item(item: msgspec.Raw, at: str, turns: _Turns, stored: bool) -> None:
    typed = decode(_TYPED, item, at)
    kind = typed.type or ("message" if typed.role is not None or typed.id is None else "item_reference")
    match kind:
        case "message":
            _message(decode(_MESSAGE, item, at), at, turns)
        case "function_call":
            call = decode(_CALL, item, at)
            name = flat_name(call.namespace, call.name)
            turns.add(ToolCall(id=call.call_id, name=name, arguments=call.arguments or "{}"))
        case "function_call_output":
            result = decode(_RESULT, item, at)
            turns.say("tool", (ToolResult(id=result.call_id, parts=_result(result, at)),))
        case "reasoning":
            _reasoning(decode(_REASONING, item, at), turns)
        case "item_reference" if stored:
            number = redact(str(typed.id), 100)
            text = f"Item with id '{number}' not found among the responses kept here; send the item itself"
            raise CallerError(text, INVALID_REQUEST, param=at)
        case "item_reference":
            raise unsupported("A reference to an item of a stored response", at, "send the item itself")
        case _:
            raise unsupported(f"An input item of type '{kind}'", f"{at}.type")


def _message(seen: schema.MessageItem, at: str, turns: _Turns) -> None:
    content = seen.content
    parts = _texts(content) if isinstance(content, str) else _parts(content, f"{at}.content")
    match seen.role:
        case "assistant":
            if parts:
                turns.add(*parts)
        case "user":
            turns.say("user", parts)
        case "system" | "developer":
            turns.say("system", parts)


def _texts(text: str) -> tuple[Part, ...]:
    return (Text(text=text),) if text else ()


def _reasoning(seen: schema.ReasoningItem, turns: _Turns) -> None:
    """Thoughts, and their signature if it is one; another server's secrets nobody here can read."""
    text = "\n\n".join(part.text for part in seen.content or seen.summary or ())
    secret = seen.encrypted_content or ""
    signature = secret.removeprefix(schema.SIGNED) if secret.startswith(schema.SIGNED) else None
    if text or signature:
        turns.add(Thinking(text=text, signature=signature))


def _result(seen: schema.ResultItem, at: str) -> tuple[Text | Image, ...]:
    if isinstance(seen.output, str):
        return (Text(text=seen.output),) if seen.output else ()
    parts: list[Text | Image] = []
    for index, part in enumerate(_parts(seen.output, f"{at}.output")):
        if isinstance(part, Document) and part.text is not None:
            part = Text(text=f"{part.text}\n\n")
        if not isinstance(part, Text | Image):
            raise unsupported("A file as a tool's result, unless it is text,", f"{at}.output[{index}]")
        parts.append(part)
    return tuple(parts)


def _parts(content: Sequence[schema.PartIn], at: str) -> tuple[Part, ...]:
    return tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(content))


def _part(part: schema.PartIn, at: str) -> Part:
    match part:
        case schema.TextPart():
            return Text(text=part.text, cache=part.prompt_cache_breakpoint is not None)
        case schema.SaidPart():
            return Text(text=part.text)
        case schema.RefusalPart():
            return Text(text=part.refusal)
        case schema.ImagePart():
            return _image(part, at)
        case schema.FilePart():
            return _document(part, at)
        case schema.AudioPart():
            return Audio(data=part.input_audio.data, format=part.input_audio.format)


def _image(part: schema.ImagePart, at: str) -> Image:
    url, at_url = part.image_url, f"{at}.image_url"
    if url is None:
        if part.file_id is not None:
            raise unsupported("An image by file id", f"{at}.file_id")
        raise missing(at_url)
    if url.startswith("data:"):
        media_type, data = _split_data_url(url, at_url)
        return Image(data=data, media_type=media_type, detail=part.detail)
    if url.startswith(("http://", "https://")):
        return Image(url=url, detail=part.detail)
    raise invalid(at_url, "an image is a data: URL with base64 data, or an http(s) URL")


def _document(part: schema.FilePart, at: str) -> Document:
    if part.file_data is None:
        if part.file_id is None and part.file_url is None:
            raise missing(f"{at}.file_data")
        return Document(file_id=part.file_id, url=part.file_url, name=part.filename)
    media_type, data = None, part.file_data
    if data.startswith("data:"):
        media_type, data = _split_data_url(data, f"{at}.file_data")
    return Document(data=data, media_type=media_type, name=part.filename)


def _split_data_url(url: str, at: str) -> tuple[str | None, str]:
    """``data:image/png;base64,…`` as (media type, base64 text); RFC 2397."""
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise invalid(at, "a data: URL must be of the form data:TYPE;base64,DATA")
    return head.split(";", 1)[0] or None, data
