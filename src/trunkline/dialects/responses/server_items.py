"""Input items of what OpenAI's own servers did in earlier turns: searches, code runs, images.

No other upstream can do the same, but what was done and found is a part of the conversation: it goes on as a
text of the assistant's, and a generated image as an image. Source: OpenAI's published schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.request_errors import decode
from trunkline.model import Image, Text

TOLD: Final[Mapping[str, tuple[str, ...]]] = {
    "web_search_call": ("action",),
    "file_search_call": ("queries", "results"),
    "code_interpreter_call": ("code", "outputs"),
    "mcp_call": ("server_label", "name", "arguments", "output", "error"),
    "mcp_approval_request": ("server_label", "name", "arguments"),
    "mcp_approval_response": ("approve", "reason"),
    "tool_search_call": ("arguments",),
    "agent_message": ("author", "recipient", "content"),
}
"""The types of items, and the fields of each that say what was done and found."""
SILENT: Final = frozenset(
    {"mcp_list_tools", "tool_search_output", "additional_tools", "configuration_update"}
)
"""Types of items that only say which tools there are, or how to think from there on."""
AGENT: Final = "agent_message"
"""What another of the client's agents says to this one."""
IMAGE: Final = "image_generation_call"

_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.Encoder().encode


def as_text(kind: str, item: msgspec.Raw, path: str) -> Text | None:
    """Return what an item of type ``kind``, which stands at ``path``, tells; None if it tells nothing."""
    fields = decode(_FIELDS, item, path)
    told = {name: fields[name] for name in TOLD[kind] if fields.get(name) not in (None, "", [])}
    return Text(text=f"[{kind}] {_encode(told).decode()}") if told else None


def as_image(item: msgspec.Raw, path: str) -> Image | None:
    """Return the image that was generated; None if there is none."""
    data = decode(_FIELDS, item, path).get("result")
    return Image(data=data) if isinstance(data, str) and data else None
