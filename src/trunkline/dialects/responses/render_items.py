"""Canonical messages → the input items of a Responses request.

An assistant's message becomes one item for each of its parts, in their order: reasoning, texts and calls.
Items have no ids: the gateway does not let the upstream store anything, and an item without an id stands for
itself. Reasoning is sent only where the upstream takes it: encrypted by itself, or in plain text, and always
in front of the item that it led to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from trunkline.dialects.custom_tools import read_input
from trunkline.dialects.responses.quirks import ResponsesQuirks
from trunkline.dialects.turns import normalize_turns
from trunkline.dialects.vendor_state import Maker, is_sealed
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    Document,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

Item = dict[str, Any]

PLAIN: Final = "reasoning_text"
"""What plain reasoning is, as sealed state names the field in which it came."""
_FILE_NAMES: Final = {"application/pdf": "document.pdf"}


def render_items(
    messages: tuple[Message, ...], quirks: ResponsesQuirks, maker: Maker, custom: Collection[str] = ()
) -> list[Item]:
    """Return the input that says what ``messages`` do.

    Args:
        messages: The conversation.
        quirks: What the upstream takes.
        maker: Whose reasoning it takes back.
        custom: The names of custom tools that the upstream knows as such.

    Raises:
        CallerError: A message holds content that the API has no item for.
    """
    items: list[Item] = []
    custom_ids: set[str | None] = set()
    for message in normalize_turns(messages, quirks.turns):
        match message.role:
            case "assistant":
                custom_ids |= {
                    part.id for part in message.parts if isinstance(part, ToolCall) and part.name in custom
                }
                items += _assistant(message, quirks, maker, custom)
            case "tool":
                items += [
                    _result(part, is_custom=part.id in custom_ids)
                    for part in message.parts
                    if isinstance(part, ToolResult)
                ]
            case _:
                items.append(_message(message))
    return items or [{"role": "user", "content": ""}]


def _message(message: Message) -> Item:
    if all(isinstance(part, Text) for part in message.parts):
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_content(part) for part in message.parts]}


def _assistant(
    message: Message, quirks: ResponsesQuirks, maker: Maker, custom: Collection[str]
) -> Iterator[Item]:
    """The items of one turn. Reasoning after which nothing comes is left out: it led to nothing, and the API
    refuses it."""
    waiting: list[Item] = []
    text: list[str] = []
    for part in message.parts:
        match part:
            case Text():
                text.append(part.text)
                continue
            case Thinking() | ToolCall():
                if any(text):
                    yield from waiting
                    yield {"role": "assistant", "content": "".join(text)}
                    waiting = []
                text = []
            case _:
                name = type(part).__name__
                raise CallerError(f"{name} cannot stand in an assistant's message of the Responses API")
        if isinstance(part, ToolCall):
            yield from waiting
            yield _call(part, is_custom=part.name in custom)
            waiting = []
        elif (item := _reasoning(part, quirks, maker)) is not None:
            waiting.append(item)
    if any(text):
        yield from waiting
        yield {"role": "assistant", "content": "".join(text)}


def _reasoning(thought: Thinking, quirks: ResponsesQuirks, maker: Maker) -> Item | None:
    """The item of a thought, if the upstream takes it back."""
    state = thought.signature
    is_foreign = maker.name and state and not is_sealed(state)  # nobody sends this vendor's state unsealed
    own = None if is_foreign else maker.open(state, "encrypted", "field")
    if own is not None and own.form == "encrypted":
        summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
        return {"type": "reasoning", "summary": summary, "encrypted_content": own.data}
    is_own = own.data == PLAIN if own is not None else not state and maker.reasons_openly
    if not thought.text or not is_own or not quirks.takes_plain_reasoning:
        return None
    digest = hashlib.blake2b(thought.text.encode("utf-8", "replace"), digest_size=16).hexdigest()
    return {  # the id is there for servers that want every field of the schema
        "id": f"rs_{digest}",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": PLAIN, "text": thought.text}],
    }


def _call(call: ToolCall, *, is_custom: bool) -> Item:
    if is_custom:
        text = read_input(call.arguments)
        return {"type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": text}
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _result(result: ToolResult, *, is_custom: bool) -> Item:
    kind = "custom_tool_call_output" if is_custom else "function_call_output"
    return {"type": kind, "call_id": result.id, "output": _output(result)}


def _output(result: ToolResult) -> str | list[Item]:
    """The text of a result; a list of parts if there is more than text."""
    more = [_content(part) for part in result.parts if not isinstance(part, Text)]
    if not more:
        return result.text
    text = result.text
    return ([_text(text)] if text else []) + more


def _content(part: Part) -> Item:
    match part:
        case Text():
            return _text(part.text)
        case Image():
            url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document(text=str(text)):
            return _text(text)
        case Document():
            return _file(part)
        case _:
            name = type(part).__name__
            raise CallerError(f"{name} cannot stand in a message of the Responses API", UNSUPPORTED)


def _text(text: str) -> Item:
    return {"type": "input_text", "text": text}


def _file(part: Document) -> Item:
    """A file: by its id, by its address or by its data, to which a name belongs."""
    file: Item = {"type": "input_file"}
    if part.file_id is not None:
        return file | {"file_id": part.file_id}
    if part.url is not None:
        return file | {"file_url": part.url}
    kind = part.media_type or "application/pdf"
    name = part.name or _FILE_NAMES.get(kind) or f"document.{kind.rpartition('/')[2]}"
    return file | {"filename": name, "file_data": f"data:{kind};base64,{part.data}"}


def custom_names(tools: Sequence[Item]) -> frozenset[str]:
    """Return the names of the custom tools among a request's tools."""
    return frozenset(tool["name"] for tool in tools if tool["type"] == "custom")
