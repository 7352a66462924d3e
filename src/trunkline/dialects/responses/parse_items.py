"""Input items of Responses clients → canonical messages.

A Responses client sends the items of one assistant's turn (reasoning, text, calls) one by one. The canonical
form, like every upstream's, has them in one message. What cannot be carried is refused with its path
(``input[1].content[0]``) and never dropped: an upstream that gets less than the client sent, without the
client's knowing, is worse than an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.request_errors import decode, missing, split_data_url
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses import server_items
from trunkline.dialects.responses.client_tools import CALLS, OUTPUTS, is_run_by_client
from trunkline.dialects.responses.errors import unsupported
from trunkline.dialects.responses.fields import STORE_SETTING
from trunkline.dialects.responses.parse_client_items import (
    parse_client_call,
    parse_client_result,
    parse_image,
)
from trunkline.dialects.responses.parse_tools import flat_name
from trunkline.dialects.tool_arguments import argument_text
from trunkline.dialects.vendor_state import is_sealed
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

"""Types of items of which OpenAI's servers make some, and clients the others."""
_TYPED: Final = msgspec.json.Decoder(schema.Typed)
_MESSAGE: Final = msgspec.json.Decoder(schema.MessageItem)
_CALL: Final = msgspec.json.Decoder(schema.CallItem)
_RESULT: Final = msgspec.json.Decoder(schema.ResultItem)
_REASONING: Final = msgspec.json.Decoder(schema.ReasoningItem)


def parse_input(
    input: str | Sequence[msgspec.Raw], instructions: str | None, stored: bool = False
) -> tuple[Message, ...]:
    """Return the conversation, with the instructions first.

    Args:
        input: The request's input: a user's text, or items.
        instructions: The request's instructions.
        stored: The caller has replaced references to items of stored responses.

    Raises:
        CallerError: A field is missing or wrong, or cannot be carried; ``param`` names it.
    """
    turns = _Turns()
    if instructions:
        turns.add_message("system", (Text(text=instructions),))
    if isinstance(input, str):
        turns.add_message("user", _texts(input))
    else:
        for index, item in enumerate(input):
            _parse_item(item, f"input[{index}]", turns, stored)
    turns.end_turn()
    return tuple(turns.messages)


class _Turns:
    """The messages so far, and the assistant's turn that is being put together."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._turn: list[Part] = []

    def add_message(self, role: Role, parts: tuple[Part, ...]) -> None:
        """Add a message of its own, which ends the assistant's turn."""
        self.end_turn()
        self.messages.append(Message(role=role, parts=parts))

    def add(self, *parts: Part) -> None:
        """Add to the assistant's turn. Text or thinking after text begins another turn, unless the turn has
        calls: nothing may stand between a call and its result. State without a text begins none."""
        turn = self._turn
        if isinstance(parts[0], Thinking) and not parts[0].text:
            self._turn.extend(parts)
            return
        has_text = any(isinstance(part, Text) for part in turn)
        has_calls = any(isinstance(part, ToolCall) for part in turn)
        if has_text and not has_calls and not isinstance(parts[0], ToolCall):
            self.end_turn()
        self._turn.extend(parts)

    def end_turn(self) -> None:
        """Add the assistant's turn as a message, if there is one."""
        if self._turn:
            self.messages.append(Message(role="assistant", parts=tuple(self._turn)))
            self._turn = []


def _parse_item(item: msgspec.Raw, path: str, turns: _Turns, stored: bool) -> None:
    typed = decode(_TYPED, item, path)
    kind = typed.type or ("message" if typed.role is not None or typed.id is None else "item_reference")
    match kind:
        case "message":
            _message(decode(_MESSAGE, item, path), path, turns)
        case "function_call":
            call = decode(_CALL, item, path)
            name = flat_name(call.namespace, call.name)
            turns.add(ToolCall(id=call.call_id, name=name, arguments=argument_text(call.arguments)))
        case "function_call_output" | "custom_tool_call_output":
            result = decode(_RESULT, item, path)
            turns.add_message("tool", (ToolResult(id=result.call_id, parts=_result(result, path)),))
        case server_items.AGENT:
            said = server_items.as_text(kind, item, path)
            turns.add_message("user", () if said is None else (said,))
        case _ if kind in CALLS and is_run_by_client(kind, typed.execution):
            turns.add(parse_client_call(kind, item, path))
        case _ if kind in OUTPUTS and is_run_by_client(kind, typed.execution):
            turns.add_message("tool", (parse_client_result(kind, item, path),))
        case _ if kind in server_items.TOLD:
            told = server_items.as_text(kind, item, path)
            if told is not None:
                turns.add(told)
        case server_items.IMAGE:
            image = server_items.as_image(item, path)
            if image is not None:
                turns.add_message("user", (Text(text="The image that was generated:"), image))
        case _ if kind in server_items.SILENT:
            pass
        case "reasoning":
            _reasoning(decode(_REASONING, item, path), turns)
        case "item_reference" if stored:
            item_id = redact(str(typed.id), 100)
            text = f"Item with id '{item_id}' not found among the responses kept here; send the item itself"
            raise CallerError(text, INVALID_REQUEST, param=path)
        case "item_reference":
            hint = f"this gateway keeps no responses; {STORE_SETTING} would, or send the item itself"
            raise unsupported("A reference to an item of a stored response", path, hint)
        case _:
            raise unsupported(f"An input item of type '{kind}'", f"{path}.type")


def _message(message: schema.MessageItem, path: str, turns: _Turns) -> None:
    content = message.content
    parts = _texts(content) if isinstance(content, str) else _parts(content, f"{path}.content")
    match message.role:
        case "assistant":
            if parts:
                turns.add(*parts)
        case "user":
            turns.add_message("user", parts)
        case "system" | "developer":
            turns.add_message("system", parts)


def _texts(text: str) -> tuple[Part, ...]:
    return (Text(text=text),) if text else ()


def _reasoning(item: schema.ReasoningItem, turns: _Turns) -> None:
    """Thinking, with its state if it has some. What was not sealed here, another server encrypted: only a
    server of this dialect can read it."""
    text = "\n\n".join(part.text for part in item.content or item.summary or ())
    state = item.encrypted_content or ""
    signature = state if is_sealed(state) else None
    if text or signature:
        turns.add(Thinking(text=text, signature=signature))


def _result(item: schema.ResultItem, path: str) -> tuple[Text | Image | Document, ...]:
    if isinstance(item.output, str):
        return (Text(text=item.output),) if item.output else ()
    parts: list[Text | Image | Document] = []
    for part in _parts(item.output, f"{path}.output"):
        if isinstance(part, Document) and part.text is not None:
            part = Text(text=f"{part.text}\n\n")
        assert isinstance(part, Text | Image | Document)
        parts.append(part)
    return tuple(parts)


def _parts(content: Sequence[schema.PartIn], path: str) -> tuple[Part, ...]:
    return tuple(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: schema.PartIn, path: str) -> Part:
    match part:
        case schema.TextPart():
            return Text(text=part.text, cache=part.prompt_cache_breakpoint is not None)
        case schema.OutputTextPart():
            return Text(text=part.text)
        case schema.RefusalPart():
            return Text(text=part.refusal)
        case schema.ImagePart():
            return parse_image(part, path)
        case schema.FilePart():
            return _document(part, path)
        case schema.AudioPart():
            return Audio(data=part.input_audio.data, format=part.input_audio.format)


def _document(part: schema.FilePart, path: str) -> Document:
    if part.file_data is None:
        if part.file_id is None and part.file_url is None:
            raise missing(f"{path}.file_data")
        return Document(file_id=part.file_id, url=part.file_url, name=part.filename)
    media_type, data = None, part.file_data
    if data.startswith("data:"):
        media_type, data = split_data_url(data, f"{path}.file_data")
    return Document(data=data, media_type=media_type, name=part.filename)
