"""Mends the tool calls of what passes through, where clients could not read them.

OpenAI's clients put a call's pieces together by ``index``, join the strings in them, and want each call's id
and name in its first piece. Where a server sends pieces otherwise, they are replaced by what a reader of the
same answer makes of them (:mod:`.read_tool_calls`). All other chunks go on as they came.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from trunkline.dialects.openai.answer_schema import CallPiece, ChoicePiece, Chunk, FunctionPiece
from trunkline.dialects.openai.read_tool_calls import CallNumbering
from trunkline.dialects.tool_arguments import open_arguments
from trunkline.events import ToolCallDelta


class CallMender:
    """Mends the calls of one stream, chunk by chunk.

    Args:
        is_tool: Whether this is the whole name of a tool that the request has.
    """

    def __init__(self, is_tool: Callable[[str], bool]) -> None:
        self._is_tool = is_tool
        self._numberings: dict[int, CallNumbering] = {}
        """By choice."""

    def mend(self, payload: bytes, chunk: Chunk) -> bytes | None:
        """Return the payload of a chunk with its calls mended; None if it may go on as it came."""
        mended: dict[int, tuple[list[ToolCallDelta], Sequence[CallPiece]]] = {}
        for position, choice in enumerate(chunk.choices or ()):
            pieces = (choice.delta.tool_calls if choice.delta is not None else None) or ()
            events = self._read(choice, pieces)
            if len(events) != len(pieces) or not all(map(_is_same, events, pieces)):
                mended[position] = events, pieces
        return _rewrite(payload, mended) if mended else None

    def _read(self, choice: ChoicePiece, pieces: Sequence[CallPiece]) -> list[ToolCallDelta]:
        numbering = self._numberings.get(choice.index)
        if numbering is None:
            if not pieces:
                return []
            numbering = self._numberings[choice.index] = CallNumbering(self._is_tool, holds_empty=False)
        events = numbering.add(pieces, choice.index)
        return events + numbering.flush(choice.index) if choice.finish_reason else events


def _is_same(event: ToolCallDelta, piece: CallPiece) -> bool:
    """Whether a piece says to a client what it is to say."""
    function = piece.function or FunctionPiece(piece.name, piece.arguments)
    is_numbered = (
        piece.function is not None
        and piece.index == event.index
        and (function.arguments or "") == event.arguments
    )
    if event.name is None:
        return is_numbered and not piece.id and not function.name
    return is_numbered and bool(piece.id) and piece.id == event.id and function.name == event.name


def _rewrite(payload: bytes, mended: dict[int, tuple[list[ToolCallDelta], Sequence[CallPiece]]]) -> bytes:
    chunk = json.loads(payload)
    for position, (events, pieces) in mended.items():
        choice = chunk["choices"][position]
        delta = choice.get("delta") or {}
        given = delta.pop("tool_calls", None) or ()
        has_origins = len(events) == len(pieces) == len(given)
        calls = [_wire(event, given[number] if has_origins else {}) for number, event in enumerate(events)]
        if calls:
            delta["tool_calls"] = calls
        choice["delta"] = delta
    return json.dumps(chunk, separators=(",", ":")).encode()


_OWN = ("index", "id", "type", "function", "name", "arguments")
"""Fields of a piece that are made anew."""


def _wire(event: ToolCallDelta, piece: dict[str, Any]) -> dict[str, Any]:
    """A piece as OpenAI sends it, with what else the upstream's own had (Gemini's signatures)."""
    function: dict[str, Any] = {"arguments": event.arguments}
    more = {name: value for name, value in piece.items() if name not in _OWN}
    if event.name is None:
        return {"index": event.index, "function": function} | more
    own_id = event.id or _new_id()
    head = {"index": event.index, "id": own_id, "type": "function"}
    return head | {"function": {"name": event.name} | function} | more


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:24]}"


def mend_whole(body: bytes, chunk: Chunk) -> bytes | None:
    """Return a whole answer in which all calls have ids, and arguments that are texts of objects; None if
    they have already."""
    messages = [choice.message for choice in chunk.choices or () if choice.message is not None]
    pieces = [piece for message in messages for piece in message.tool_calls or ()]
    if all(_is_readable(piece) for piece in pieces):
        return None
    answer = json.loads(body)
    for choice in answer["choices"]:
        for call in (choice.get("message") or {}).get("tool_calls") or ():
            function = call.get("function")
            if isinstance(function, dict):
                function["arguments"] = _text(function.get("arguments"))
            if not call.get("id"):
                call["id"] = _new_id()
    return json.dumps(answer, separators=(",", ":")).encode()


def _is_readable(piece: CallPiece) -> bool:
    arguments = piece.function.arguments if piece.function is not None else ""
    return bool(piece.id) and isinstance(arguments, str) and arguments.lstrip()[:1] in ("{", "")


def _text(arguments: Any) -> str:
    return open_arguments(arguments if isinstance(arguments, str) else json.dumps(arguments or None))
