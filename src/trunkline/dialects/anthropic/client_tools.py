"""Anthropic's tools that the client itself runs: a shell, an editor, a memory, a screen.

Claude knows their parameters; other models are told them as functions. The calls and results of these tools
are ordinary ones. Source: Anthropic's pages on these tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trunkline.model import Tool


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _words(*words: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_NUMBERS: Final = {"type": "array", "items": {"type": "integer"}}
_POINT: Final = {**_NUMBERS, "description": "[x, y] in pixels"}

_FUNCTIONS: Final[Mapping[str, tuple[str, dict[str, Any], list[str]]]] = {
    "bash_": (
        "Run a command in a bash shell that keeps its state between calls.",
        {"command": _text("The command"), "restart": {"type": "boolean", "description": "Restart the shell"}},
        [],
    ),
    "text_editor_": (
        "View, create and edit text files.",
        {
            "command": _words("view", "create", "str_replace", "insert"),
            "path": _text("The file or directory"),
            "file_text": _text("For create: the content"),
            "old_str": _text("For str_replace: the text to replace, which must be there once"),
            "new_str": _text("For str_replace and insert: the new text"),
            "insert_text": _text("For insert: the text"),
            "insert_line": {"type": "integer", "description": "For insert: the line after which"},
            "view_range": {**_NUMBERS, "description": "For view: first and last line"},
        },
        ["command", "path"],
    ),
    "memory_": (
        "Keep notes in files below /memories, over many conversations.",
        {
            "command": _words("view", "create", "str_replace", "insert", "delete", "rename"),
            "path": _text("The file or directory"),
            "file_text": _text("For create: the content"),
            "old_str": _text("For str_replace: the text to replace"),
            "new_str": _text("For str_replace: the new text"),
            "insert_line": {"type": "integer", "description": "For insert: the line after which"},
            "insert_text": _text("For insert: the text"),
            "old_path": _text("For rename"),
            "new_path": _text("For rename"),
            "view_range": {**_NUMBERS, "description": "For view: first and last line"},
        },
        ["command"],
    ),
    "computer_": (
        "Use the computer's screen, mouse and keyboard.",
        {
            "action": _words(
                "key",
                "type",
                "mouse_move",
                "left_click",
                "left_click_drag",
                "right_click",
                "middle_click",
                "double_click",
                "triple_click",
                "left_mouse_down",
                "left_mouse_up",
                "hold_key",
                "scroll",
                "wait",
                "screenshot",
                "cursor_position",
            ),
            "coordinate": _POINT,
            "start_coordinate": _POINT,
            "text": _text("Keys, or text to type"),
            "scroll_direction": _words("up", "down", "left", "right"),
            "scroll_amount": {"type": "integer"},
            "duration": {"type": "number", "description": "Seconds"},
        },
        ["action"],
    ),
}
"""What begins the type of a tool in all its versions → its description, parameters and required ones."""


def client_tool(kind: str, name: str) -> Tool | None:
    """Return the function for a tool of type ``kind``; None if it is none that the client runs."""
    for prefix, (description, properties, required) in _FUNCTIONS.items():
        if kind.startswith(prefix):
            schema = {"type": "object", "properties": properties, "required": required}
            return Tool(name=name, description=description, parameters=schema)
    return None
