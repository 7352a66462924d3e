"""Mends content that passes through as a list of parts, where clients expect a text.

Mistral's models send a list once they think: parts of thinking and parts of text, in each chunk of a stream
too. OpenAI's clients join texts. The text stays in ``content``, and thinking goes to the fields in which
clients find that of other vendors. A list with parts of other types goes on as it came.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from trunkline.dialects.openai.answer_schema import Chunk, ContentPiece
from trunkline.dialects.openai.read_content import read_parts
from trunkline.dialects.openai.thoughts import FIELDS
from trunkline.events import StreamEvent, ThinkingDelta

HAS_LIST: Final = re.compile(rb'"content"\s*:\s*\[').search
"""Whether a whole answer may have such content."""


def mend_content(payload: bytes, chunk: Chunk) -> bytes | None:
    """Return a chunk, or a whole answer, with texts in place of lists of parts; None if it has none."""
    mended = {}
    for position, choice in enumerate(chunk.choices or ()):
        for name, piece in (("delta", choice.delta), ("message", choice.message)):
            if piece is not None and isinstance(piece.content, list):
                found = _split(piece.content)
                if found is not None:
                    mended[position, name] = found
    if not mended:
        return None
    answer = json.loads(payload)
    for (position, name), (text, thinking) in mended.items():
        message: dict[str, Any] = answer["choices"][position][name]
        message["content"] = text if text or name == "delta" or not message.get("tool_calls") else None
        if thinking and not any(message.get(field) for field in FIELDS):
            message |= dict.fromkeys(FIELDS, thinking)
    return json.dumps(answer, separators=(",", ":")).encode()


def _split(parts: Sequence[ContentPiece]) -> tuple[str, str] | None:
    """The text and the thinking of a list of parts; None if it has other parts."""
    events: list[StreamEvent] = []
    text = read_parts(parts, 0, events)
    thoughts = [event.text for event in events if isinstance(event, ThinkingDelta)]
    return (text, "".join(thoughts)) if len(thoughts) == len(events) else None
