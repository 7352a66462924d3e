"""Inspects streams that pass through from a vendor which does not number its tool calls.

OpenAI's clients put a call's pieces together by ``index`` and fail without one. Where a vendor leaves the
index out (Cerebras, see :class:`.Quirks`), events with tool calls are changed on their way: each piece gets
the number that a reader of the same stream would give it. Nothing else is changed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.openai.answer_schema import CallPiece
from trunkline.dialects.openai.inspect import StreamInspector
from trunkline.dialects.openai.read import CallNumbering
from trunkline.framing import extract_payload, split_events

_FIELD: Final = b'"tool_calls"'


class NumberingInspector(StreamInspector):
    """Inspects a stream and numbers its tool calls."""

    def __init__(self, upstream_name: str, drop_usage: bool) -> None:
        super().__init__(upstream_name, drop_usage)
        self._numberings: dict[int, CallNumbering] = {}
        """By choice."""

    def feed(self, data: bytes) -> bytes:
        """Return the events that are whole now, their tool calls numbered."""
        return self._number(super().feed(data))

    def close(self) -> bytes:
        """Return what was still held, its tool calls numbered."""
        return self._number(super().close())

    def _number(self, data: bytes) -> bytes:
        if _FIELD not in data:
            return data
        return b"".join(self._number_event(event) + b"\n\n" for event in split_events(data))

    def _number_event(self, event: bytes) -> bytes:
        payload = extract_payload(event)
        if _FIELD not in payload:
            return event
        chunk = msgspec.json.decode(payload)  # it was inspected before: it is an object with choices
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            numbering = self._numberings.setdefault(index, CallNumbering())
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                _number_call(call, numbering, index)
        return b"data: " + msgspec.json.encode(chunk)


def _number_call(call: dict[str, Any], numbering: CallNumbering, choice: int) -> None:
    event = numbering.event(msgspec.convert(call, CallPiece), choice, is_whole=False)
    call["index"] = event.index
    function = call.get("function")
    if isinstance(function, dict) and function.get("arguments") is not None:
        function["arguments"] = event.arguments
