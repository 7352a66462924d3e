"""Custom tools, whose input is a text and not a JSON object.

OpenAI's two dialects have them, and the client runs them. Other upstreams get a function with one string, and
its arguments become the text again on their way back. :class:`InputReader` does that piece by piece.

Source: OpenAI's guide to function calling, section "Custom tools".
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from trunkline.model import Tool

FIELD: Final = "input"
"""The one parameter of the function."""

_GRAMMAR: Final = "The input must follow this grammar:\n{}"
_OPENING: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_OPENING: Final = 64
"""Characters after which arguments that have not begun as expected are read at their end only."""
_CHARACTERS: Final = re.compile(
    r'(?:[^"\\]+|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*"
)
"""The characters of a JSON string that are whole: no half escape, and no half of a surrogate pair."""


def as_function(name: str, description: str | None, form: dict[str, Any] | None) -> Tool:
    """Return the function that upstreams without custom tools get.

    Args:
        name: The tool's name.
        description: What the client says of it.
        form: The form of its input: free text, or a grammar, which the description then shows.
    """
    parts = [description] if description else []
    grammar = _grammar(form)
    if grammar is not None:
        parts.append(_GRAMMAR.format(grammar["definition"]))
    text = {"type": "string", "description": "The whole input of the tool, as plain text"}
    parameters = {"type": "object", "properties": {FIELD: text}, "required": [FIELD]}
    return Tool(
        name=name,
        description="\n\n".join(parts) or None,
        parameters=parameters | {"additionalProperties": False},
        custom=True,
        grammar=grammar,
    )


def own_description(tool: Tool) -> str | None:
    """Return what the client says of a custom tool, for upstreams that are told its grammar besides."""
    if tool.grammar is None or tool.description is None:
        return tool.description
    told = _GRAMMAR.format(tool.grammar["definition"])
    return tool.description.removesuffix(told).rstrip() or None


def _grammar(form: dict[str, Any] | None) -> dict[str, Any] | None:
    """The grammar, flat as the Responses API has it. The chat API nests it."""
    form = form or {}
    nested = form.get("grammar")
    grammar = nested if isinstance(nested, dict) else form
    definition = grammar.get("definition")
    if not isinstance(definition, str) or not definition:
        return None
    return {"type": "grammar", "syntax": grammar.get("syntax") or "lark", "definition": definition}


def wrap_input(text: str) -> str:
    """Return the arguments of the function for an input."""
    return msgspec.json.encode({FIELD: text}).decode()


def read_input(arguments: str) -> str:
    """Return the input that the arguments of the function hold. Of a call that was cut short, it is what came
    until then; of arguments in another form, it is the one string that they hold, or else all of them."""
    try:
        value = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        reader = InputReader()
        return reader.feed(arguments) if _OPENING.match(arguments) else arguments
    if isinstance(value, dict):
        texts = [each for each in value.values() if isinstance(each, str)]
        value = value.get(FIELD, texts[0] if len(texts) == 1 else "" if not value else None)
    return _plain(value) if isinstance(value, str) else arguments


class InputReader:
    """Reads the input out of arguments that come in pieces."""

    __slots__ = ("_ended", "_open", "_pieces", "_rest", "_sent")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._sent: list[str] = []
        self._rest = ""
        """What came and was not read yet."""
        self._open = False
        """The string has begun."""
        self._ended = False
        """The string has ended, or the arguments have another form."""

    def feed(self, piece: str) -> str:
        """Return the text that this piece adds to the input."""
        self._pieces.append(piece)
        if self._ended:
            return ""
        self._rest += piece
        if not self._open:
            opening = _OPENING.match(self._rest)
            if opening is None:
                self._ended = len(self._rest) > _LONGEST_OPENING
                return ""
            self._open, self._rest = True, self._rest[opening.end() :]
        whole = _CHARACTERS.match(self._rest)
        assert whole is not None
        self._rest = self._rest[whole.end() :]
        self._ended = self._rest.startswith('"')
        text: str = json.loads(f'"{whole[0]}"', strict=False)
        self._sent.append(text)
        return text

    @property
    def arguments(self) -> str:
        """All pieces joined."""
        return "".join(self._pieces)

    def finish(self) -> str:
        """Return what is still missing of the input, as no more pieces come."""
        sent, whole = "".join(self._sent), read_input(self.arguments)
        rest = whole[len(sent) :] if whole.startswith(sent) else ""
        self._ended = True
        self._sent.append(rest)
        return rest


def _plain(text: str) -> str:
    """The text without halves of surrogate pairs, which no encoding can carry."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
