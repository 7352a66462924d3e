"""JSON mode at an API that has none: the model is told, and what it writes around its JSON is left out.

Clients that ask for JSON without a schema describe what they want in their prompts, and expect that the whole
text of the answer is one JSON value. Models that are only told so mostly comply, at times within a code fence
or after a sentence. What never turns out to be JSON reaches the client as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from trunkline.dialects.base import Reader
from trunkline.errors import GatewayError
from trunkline.events import Finished, StreamEvent, TextDelta, ToolCallDelta
from trunkline.model import CanonicalRequest, EmbeddingRequest

INSTRUCTION: Final = (
    "Answer with one valid JSON object and nothing else: no text before or after it, and no code fence."
)

_BEGINNING: Final = re.compile(r'(?:\A|```\w*)\s*(?=\[)|(?=\{\s*["}])')
"""The place before a JSON value: an object wherever it stands, a list at the start or within a fence."""


def needs_json(request: CanonicalRequest) -> bool:
    """Whether the request asks for JSON and gives no schema."""
    if isinstance(request, EmbeddingRequest) or request.format is None:
        return False
    return request.format.schema is None


class JsonText:
    """Takes the first JSON value out of a text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""
        """Text before the value."""
        self._begun = self._ended = False
        self._depth = 0
        self._in_string = self._escaped = False

    def feed(self, text: str) -> str:
        """Return what of this piece belongs to the value."""
        if self._ended:
            return ""
        if not self._begun:
            self._held += text
            beginning = _BEGINNING.search(self._held)
            if beginning is None:
                return ""
            text, self._held, self._begun = self._held[beginning.end() :], "", True
        for index, character in enumerate(text):
            self._step(character)
            if not self._depth:
                self._ended = True
                return text[: index + 1]
        return text

    def close(self) -> str:
        """Return a text that was held back and held no value. The next piece may begin one."""
        held, self._held = self._held, ""
        return held

    def _step(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._in_string:
            self._escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1


class JsonReader:
    """Another reader's events, of whose text only the JSON is left."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._text = JsonText()
        self.error: GatewayError | None = None
        self.complete = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""
        return self._read(self._reader.feed(data))

    def close(self) -> list[StreamEvent]:
        """Return the last events."""
        events = self._read(self._reader.close())
        if held := self._text.close():
            events.append(TextDelta(held))
        return events

    def _read(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        self.error, self.complete = self._reader.error, self._reader.complete
        found: list[StreamEvent] = []
        for event in events:
            if isinstance(event, TextDelta):
                if text := self._text.feed(event.text):
                    found.append(TextDelta(text, event.choice, event.logprobs))
                continue
            if isinstance(event, ToolCallDelta | Finished) and (held := self._text.close()):
                found.append(TextDelta(held))
            found.append(event)
        return found
