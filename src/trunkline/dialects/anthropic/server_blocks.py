"""Blocks that only Anthropic has, as text: search results, and what its own servers did and found.

No other upstream can search or run code in the same way, but what was found is a part of the conversation.
Encrypted contents are left out: only the vendor that encrypted them can read them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.model import Text


def search_result_text(block: schema.SearchResultBlock) -> Text:
    """Return what a client's search found as text, its title and source first."""
    head = "\n".join(part for part in (block.title, block.source) if part)
    found = "".join(part.text for part in block.content)
    return Text(text="\n\n".join(part for part in (head, found) if part) + "\n\n")


def server_text(block: schema.ServerBlock) -> Text:
    """Return what a server did, or found, as text."""
    fields = {"name": block.name, "input": block.input, "content": _plain(block.content)}
    told = {name: value for name, value in fields.items() if value is not None}
    kind = block.__struct_config__.tag
    return Text(text=f"[{kind}] {msgspec.json.encode(told).decode()}\n")


def _plain(value: Any) -> Any:
    """The value without what is encrypted, and without the bytes of files."""
    match value:
        case dict():
            hidden = ["encrypted_content", "encrypted_index", "encrypted_stdout", "type"]
            if value.get("type") != "text":
                hidden.append("data")
            return {name: _plain(each) for name, each in value.items() if name not in hidden}
        case list():
            return [_plain(each) for each in value]
        case _:
            return value
