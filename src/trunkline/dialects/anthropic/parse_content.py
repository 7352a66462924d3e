"""Content of Anthropic clients: the decoded blocks → canonical messages.

What a translated request cannot carry is refused here by its path (``messages[1].content[0]``), never
dropped: an upstream that silently sees less than it was told is worse than an error. Two things are no
content and may go: cache breakpoints on what is not text, and redacted thinking, which nobody but the vendor
who encrypted it can read.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import msgspec

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import Document, Image, Message, Part, Text, Thinking, ToolCall, ToolResult

FOREIGN: Final = frozenset(
    {
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "tool_reference",
        "container_upload",
        "mcp_tool_use",
        "mcp_tool_result",
        "browser_state",
        "compaction",
    }
)
"""Types of blocks that only Anthropic's own servers know."""

_USERS: Final = (
    schema.TextBlock,
    schema.ImageBlock,
    schema.DocumentBlock,
    schema.ToolResultBlock,
)
_MODELS: Final = (
    schema.TextBlock,
    schema.ThinkingBlock,
    schema.RedactedBlock,
    schema.ToolUseBlock,
)


def unsupported(what: str, at: str) -> CallerError:
    """A field asks for something that no other dialect can express."""
    return CallerError(f"{what} cannot be sent to this model's provider ('{at}')", UNSUPPORTED, param=at)


def read_system(system: str | Sequence[schema.TextBlock] | None) -> tuple[Message, ...]:
    """The system prompt as a message, or as none."""
    if isinstance(system, str):
        system = [schema.TextBlock(text=system)] if system else []
    parts = tuple(_text(block) for block in system or ())
    return (Message(role="system", parts=parts),) if parts else ()


def read_message(seen: schema.MessageIn, at: str) -> list[Message]:
    """One turn, which stands at the path ``at``. A user's tool results become messages of their own, before
    what the user said beside them.

    Raises:
        CallerError: with ``param`` naming what is misplaced or cannot be carried.
    """
    if isinstance(seen.content, str):
        parts: tuple[Part, ...] = (Text(text=seen.content),) if seen.content else ()
        return [Message(role=seen.role, parts=parts)]
    results: list[Message] = []
    said: list[Part] = []
    fitting = _MODELS if seen.role == "assistant" else _USERS if seen.role == "user" else (schema.TextBlock,)
    for i, block in enumerate(seen.content):
        here = f"{at}.content[{i}]"
        if not isinstance(block, fitting):
            kind = block.__struct_config__.tag
            problem = f"a block of type '{kind}' has no place in a message of role '{seen.role}'"
            raise CallerError(f"Invalid '{here}.type': {problem}", param=f"{here}.type")
        match block:
            case schema.ToolResultBlock():
                results.append(Message(role="tool", parts=(_result(block, here),)))
            case schema.ThinkingBlock():
                said.append(Thinking(text=block.thinking, signature=block.signature or None))
            case schema.RedactedBlock():
                pass
            case schema.ToolUseBlock():
                arguments = msgspec.json.encode(block.input).decode()
                said.append(ToolCall(id=block.id, name=block.name, arguments=arguments))
            case _:
                said.append(_content(block, here))
    if said or not results:
        results.append(Message(role=seen.role, parts=tuple(said)))
    return results


def _result(block: schema.ToolResultBlock, at: str) -> ToolResult:
    content = block.content
    if isinstance(content, str):
        content = [schema.TextBlock(text=content)] if content else []
    parts: list[Text | Image] = []
    for i, piece in enumerate(content or ()):
        part = _content(piece, f"{at}.content[{i}]")
        if isinstance(part, Document):
            text = part.text
            if text is None:
                raise unsupported("A document as a tool's result, unless it is text,", f"{at}.content[{i}]")
            part = Text(text=f"{text}\n\n")
        parts.append(part)
    return ToolResult(id=block.tool_use_id, parts=tuple(parts), is_error=block.is_error is True)


def _content(
    block: schema.TextBlock | schema.ImageBlock | schema.DocumentBlock, at: str
) -> Text | Image | Document:
    match block:
        case schema.TextBlock():
            return _text(block)
        case schema.ImageBlock():
            return _image(block, at)
        case schema.DocumentBlock():
            return _document(block, at)


def _text(block: schema.TextBlock) -> Text:
    return Text(text=block.text, cache=block.cache_control is not None)


def _image(block: schema.ImageBlock, at: str) -> Image:
    match block.source:
        case schema.Base64Source(media_type=media_type, data=data):
            return Image(data=data, media_type=media_type)
        case schema.UrlSource(url=url):
            return Image(url=_address(url, f"{at}.source.url"))
        case schema.FileSource():
            raise unsupported("An uploaded file", f"{at}.source")


def _document(block: schema.DocumentBlock, at: str) -> Document:
    if block.context:
        raise unsupported("A document's context", f"{at}.context")
    match block.source:
        case schema.Base64Source(media_type=media_type, data=data):
            return Document(data=data, media_type=media_type, name=block.title)
        case schema.PlainSource(data=text):
            data = base64.b64encode(text.encode()).decode()
            return Document(data=data, media_type="text/plain", name=block.title)
        case schema.UrlSource(url=url):
            return Document(url=_address(url, f"{at}.source.url"), name=block.title)
        case schema.FileSource():
            raise unsupported("An uploaded file", f"{at}.source")
        case schema.ContentSource():
            raise unsupported("A document made of blocks", f"{at}.source")


def _address(url: str, at: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise CallerError(f"Invalid '{at}': it is not an http(s) URL", param=at)
    return url
