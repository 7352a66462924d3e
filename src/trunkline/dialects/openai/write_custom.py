"""Calls of custom tools in chat answers: upstreams call a function, and the client gets a text.

Source: OpenAI's schema ChatCompletionMessageCustomToolCall.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from trunkline.dialects.custom_tools import InputReader, read_input
from trunkline.events import ToolCallDelta
from trunkline.model import ChatRequest


def custom_names(request: ChatRequest) -> frozenset[str]:
    """Return the names of the request's custom tools."""
    return frozenset(tool.name for tool in request.tools if tool.custom)


def whole_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    """Return the call of a custom tool in an answer that is not streamed."""
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": read_input(arguments)}}


class CustomCalls:
    """The calls of custom tools in one stream."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._readers: dict[tuple[int, int], InputReader] = {}

    def takes(self, event: ToolCallDelta) -> bool:
        """Return whether the event belongs to the call of a custom tool."""
        return event.name in self._names or (event.choice, event.index) in self._readers

    def delta(self, event: ToolCallDelta, call_id: str) -> dict[str, Any] | None:
        """Return the delta that an event becomes; None if it brings nothing yet.

        Args:
            event: A part of a call of a custom tool.
            call_id: The call's id, if the event begins it.
        """
        key = (event.choice, event.index)
        reader = self._readers.get(key)
        if reader is not None:
            text = reader.feed(event.arguments)
            return _more(event.index, text) if text else None
        reader = self._readers[key] = InputReader()
        custom = {"name": event.name, "input": reader.feed(event.arguments)}
        return {"index": event.index, "id": call_id, "type": "custom", "custom": custom}

    def rest(self, choice: int) -> Iterable[dict[str, Any]]:
        """Return the last deltas of a choice that is complete."""
        for key, reader in self._readers.items():
            if key[0] == choice and (text := reader.finish()):
                yield _more(key[1], text)


def _more(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "custom": {"input": text}}
