"""Streams that pass through from a vendor which does not number its tool calls.

OpenAI's clients put a call's pieces together by ``index`` and fail without one. Where a vendor's row says
that it leaves the index out (Cerebras), events that hold tool calls are the one thing that is changed on
their way: each piece gets the number that a reader of the same stream would give it.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.openai.answer_schema import CallPiece
from trunkline.dialects.openai.inspect import StreamInspector
from trunkline.dialects.openai.read import Calls
from trunkline.framing import payload, split_events

_MARK: Final = b'"tool_calls"'


class CountingScanner(StreamInspector):
    """A scanner that numbers tool calls."""

    def __init__(self, who: str, drop_usage: bool) -> None:
        super().__init__(who, drop_usage)
        self._calls: dict[int, Calls] = {}

    def feed(self, data: bytes) -> bytes:
        """The whole events that are there now, their tool calls numbered."""
        return self._number(super().feed(data))

    def close(self) -> bytes:
        """What was still held, its tool calls numbered."""
        return self._number(super().close())

    def _number(self, data: bytes) -> bytes:
        if _MARK not in data:
            return data
        return b"".join(self._event(event) + b"\n\n" for event in split_events(data))

    def _event(self, event: bytes) -> bytes:
        said = payload(event)
        if _MARK not in said:
            return event
        chunk = msgspec.json.decode(said)  # it was read before: it is an object with choices
        for choice in chunk.get("choices") or ():
            at = choice.get("index") or 0
            calls = self._calls.setdefault(at, Calls())
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                self._piece(call, calls, at)
        return b"data: " + msgspec.json.encode(chunk)

    def _piece(self, call: dict[str, Any], calls: Calls, choice: int) -> None:
        event = calls.event(msgspec.convert(call, CallPiece), choice, whole=False)
        call["index"] = event.index
        function = call.get("function")
        if isinstance(function, dict) and function.get("arguments") is not None:
            function["arguments"] = event.arguments
