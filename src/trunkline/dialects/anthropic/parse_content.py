"""Content of Anthropic clients: the decoded blocks → canonical messages.

What a translated request cannot carry is refused with its path (``messages[1].content[0]``) and never
dropped: an upstream that gets less than the client sent, without the client's knowing, is worse than an
error. Cache breakpoints on what is not text are no content and may be dropped.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.dialects.anthropic.server_blocks import search_result_text, server_text
from trunkline.dialects.cache_control import read_ttl
from trunkline.dialects.request_errors import invalid, unsupported
from trunkline.dialects.tool_arguments import raw_text
from trunkline.dialects.vendor_state import is_sealed, seal
from trunkline.model import Document, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

SERVER_BLOCKS: Final = frozenset(
    {
        "container_upload",
        "browser_state",
    }
)
"""Types of blocks that only Anthropic's own servers know, and that no text can stand for."""

_USER_BLOCKS: Final = (
    schema.TextBlock,
    schema.ImageBlock,
    schema.DocumentBlock,
    schema.ToolResultBlock,
    schema.SearchResultBlock,
)
_ASSISTANT_BLOCKS: Final = (
    schema.TextBlock,
    schema.ThinkingBlock,
    schema.RedactedBlock,
    schema.ToolUseBlock,
    schema.ServerBlock,
)


def parse_system(system: str | Sequence[schema.TextBlock] | None) -> tuple[Message, ...]:
    """Return the system prompt as a message, or no message if it is empty."""
    if isinstance(system, str):
        system = [schema.TextBlock(text=system)] if system else []
    parts = tuple(_text(block) for block in system or ())
    return (Message(role="system", parts=parts),) if parts else ()


def parse_message(message: schema.MessageIn, path: str) -> list[Message]:
    """Return the turn that stands at ``path`` in canonical form. A user's tool results become messages of
    their own, before the rest of the user's content.

    Raises:
        CallerError: A block is misplaced or cannot be carried; ``param`` names it.
    """
    if isinstance(message.content, str):
        text: tuple[Part, ...] = (Text(text=message.content),) if message.content else ()
        return [Message(role=message.role, parts=text)]
    messages: list[Message] = []
    parts: list[Part] = []
    allowed = (
        _ASSISTANT_BLOCKS
        if message.role == "assistant"
        else _USER_BLOCKS
        if message.role == "user"
        else (schema.TextBlock,)
    )
    for i, block in enumerate(message.content):
        block_path = f"{path}.content[{i}]"
        if not isinstance(block, allowed):
            kind = block.__struct_config__.tag
            problem = f"a block of type '{kind}' has no place in a message of role '{message.role}'"
            raise invalid(f"{block_path}.type", problem)
        match block:
            case schema.ToolResultBlock():
                messages.append(Message(role="tool", parts=(_result(block, block_path),)))
            case schema.ThinkingBlock():
                parts.append(Thinking(text=block.thinking, signature=block.signature or None))
            case schema.RedactedBlock(data=data):
                own = data if is_sealed(data) else seal("anthropic", "redacted", data)
                parts.append(Thinking(text="", signature=own))
            case schema.ToolUseBlock():
                parts.append(ToolCall(id=block.id, name=block.name, arguments=raw_text(block.input)))
            case schema.ServerBlock():
                parts.append(server_text(block))
            case _:
                parts.append(_content(block, block_path))
    if parts or not messages:
        messages.append(Message(role=message.role, parts=tuple(parts)))
    return messages


def _result(block: schema.ToolResultBlock, path: str) -> ToolResult:
    content = block.content
    if isinstance(content, str):
        content = [schema.TextBlock(text=content)] if content else []
    parts: list[Text | Image | Document] = []
    for i, piece in enumerate(content or ()):
        part = _content(piece, f"{path}.content[{i}]")
        if isinstance(part, Document) and part.text is not None:
            part = Text(text=f"{part.text}\n\n")
        parts.append(part)
    return ToolResult(id=block.tool_use_id, parts=tuple(parts), is_error=block.is_error is True)


def _content(
    block: schema.TextBlock
    | schema.ImageBlock
    | schema.DocumentBlock
    | schema.SearchResultBlock
    | schema.ToolReferenceBlock,
    path: str,
) -> Text | Image | Document:
    match block:
        case schema.TextBlock():
            return _text(block)
        case schema.ImageBlock():
            return _image(block, path)
        case schema.DocumentBlock():
            return _document(block, path)
        case schema.SearchResultBlock():
            return search_result_text(block)
        case schema.ToolReferenceBlock():
            return Text(text=f"The tool {block.tool_name} can be called now.\n")


def _text(block: schema.TextBlock) -> Text:
    control = block.cache_control
    if control is None:
        return Text(text=block.text)
    return Text(text=block.text, cache=True, cache_ttl=read_ttl(control))


def _image(block: schema.ImageBlock, path: str) -> Image:
    match block.source:
        case schema.Base64Source(media_type=media_type, data=data):
            return Image(data=data, media_type=media_type)
        case schema.UrlSource(url=url):
            return Image(url=_address(url, f"{path}.source.url"))
        case schema.FileSource():
            raise unsupported("An uploaded file", f"{path}.source")


def _document(block: schema.DocumentBlock, path: str) -> Document:
    told = f"{block.context}\n\n" if block.context else ""
    if told and not isinstance(block.source, schema.PlainSource | schema.ContentSource):
        raise unsupported("A document's context", f"{path}.context")
    match block.source:
        case schema.Base64Source(media_type=media_type, data=data):
            return Document(data=data, media_type=media_type, name=block.title)
        case schema.PlainSource(data=text):
            data = base64.b64encode((told + text).encode()).decode()
            return Document(data=data, media_type="text/plain", name=block.title)
        case schema.UrlSource(url=url):
            return Document(url=_address(url, f"{path}.source.url"), name=block.title)
        case schema.FileSource():
            raise unsupported("An uploaded file", f"{path}.source")
        case schema.ContentSource(content=content):
            found = _source_text(content)
            if found is None:
                raise unsupported("A document made of other blocks than text", f"{path}.source")
            data = base64.b64encode((told + found).encode()).decode()
            return Document(data=data, media_type="text/plain", name=block.title)


def _source_text(content: Any) -> str | None:
    """The text that a document is made of; None if it has other blocks, too."""
    if isinstance(content, str):
        return content
    try:
        blocks = msgspec.convert(content, list[schema.TextBlock])
    except msgspec.ValidationError:
        return None
    return "\n\n".join(block.text for block in blocks)


def _address(url: str, path: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise invalid(path, "it is not an http(s) URL")
    return url
