"""The two forms of OpenAI's answers, chat and text completions: what is inside a choice.

A form renders one answer into a choice, whole or as the events of a stream, with the quirks of a vendor's
row. It knows nothing of the envelope around it, of usage, or of HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from trunkline_mock.answers import Answer, short_id, spread
from trunkline_mock.delivery import Frame, Mark
from trunkline_mock.script import ToolCall
from trunkline_mock.shapes.base import sse
from trunkline_mock.shapes.vendors import Vendor

MakeChoice: TypeAlias = Callable[[int, dict[str, Any], str | None], dict[str, Any]]


class Form(Protocol):
    """Chat or text."""

    whole_object: str
    stream_object: str
    id_prefix: str
    """Instead of the vendor's, if not empty."""

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The content of a whole answer's choice."""

    def stream(self, envelope: dict[str, Any], index: int, answer: Answer, choice: MakeChoice) -> list[Frame]:
        """The events of choice ``index``, but for its finish."""

    def closing(self) -> dict[str, Any]:
        """The content of the choice that carries the finish reason."""


class ChatForm:
    """Chat completions."""

    whole_object = "chat.completion"
    stream_object = "chat.completion.chunk"
    id_prefix = ""

    def __init__(self, vendor: Vendor) -> None:
        self._vendor = vendor

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The message."""
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
        if not answer.tool_calls:
            message["content"] = answer.text
        if self._vendor.extra_nulls:
            message |= {"refusal": None, "annotations": []}
        if answer.thinking:
            message |= self._thought(answer.thought)
        if answer.tool_calls:
            message["tool_calls"] = [
                self._call(answer, index, call) for index, call in enumerate(answer.tool_calls)
            ]
        return {"message": message}

    def stream(self, envelope: dict[str, Any], index: int, answer: Answer, choice: MakeChoice) -> list[Frame]:
        """Role, thinking, text, tool calls."""
        vendor = self._vendor
        deltas: list[tuple[dict[str, Any], str]] = []
        if vendor.reasoning:
            deltas += [(self._thought(piece), piece) for piece in answer.thinking]
        deltas += [({"content": piece}, piece) for piece in answer.chunks]
        for number, call in enumerate(answer.tool_calls):
            deltas += [({"tool_calls": [delta]}, text) for delta, text in self._calls(answer, number, call)]
        shares = spread(answer.completion, [text for _, text in deltas])

        def frame(delta: dict[str, Any], mark: Mark, tokens: int) -> Frame:
            return Frame(sse(envelope | {"choices": [choice(index, {"delta": delta}, None)]}), mark, tokens)

        if vendor.provider:  # OpenRouter repeats role and content in every delta
            always = {"role": "assistant", "content": ""}
            return [
                frame(always | delta, Mark.CONTENT, share)
                for (delta, _), share in zip(deltas, shares, strict=True)
            ]
        first: dict[str, Any] = {"role": "assistant", "content": "" if not answer.tool_calls else None}
        if vendor.extra_nulls:
            first["refusal"] = None
        opening = frame(first, Mark.START, 0)
        return [
            opening,
            *(frame(delta, Mark.CONTENT, share) for (delta, _), share in zip(deltas, shares, strict=True)),
        ]

    def closing(self) -> dict[str, Any]:
        """An empty delta."""
        return {"delta": {"role": "assistant", "content": ""} if self._vendor.provider else {}}

    def _thought(self, text: str) -> dict[str, Any]:
        if self._vendor.reasoning is None:
            return {}
        fields: dict[str, Any] = {self._vendor.reasoning: text}
        if self._vendor.reasoning_details:
            detail = {"type": "reasoning.text", "text": text, "format": "unknown", "index": 0}
            fields["reasoning_details"] = [detail]
        return fields

    def _arguments(self, call: ToolCall) -> Any:
        if self._vendor.arguments == "object" or isinstance(call.arguments, str):
            return call.arguments
        return msgspec.json.encode(call.arguments).decode()

    def _call(self, answer: Answer, number: int, call: ToolCall) -> dict[str, Any]:
        return {
            "id": call.id or f"call_{short_id(answer.seed, number, 24)}",
            "type": "function",
            "function": {"name": call.name, "arguments": self._arguments(call)},
        }

    def _calls(self, answer: Answer, number: int, call: ToolCall) -> list[tuple[dict[str, Any], str]]:
        """The deltas of one call, each with the text that it stands for."""
        vendor = self._vendor
        position: dict[str, Any] = {}
        if vendor.tool_index != "absent":
            position = {"index": 0 if vendor.tool_index == "zero" else number}
        whole = position | self._call(answer, number, call)
        arguments = whole["function"]["arguments"]
        if vendor.tool_deltas == "whole" or not isinstance(arguments, str):
            return [(whole, call.name)]
        middle = (len(arguments) + 1) // 2
        opening = whole | {"function": {"name": call.name, "arguments": ""}}
        pieces = [piece for piece in (arguments[:middle], arguments[middle:]) if piece]
        return [
            (opening, call.name),
            *((position | {"function": {"arguments": piece}}, piece) for piece in pieces),
        ]


class TextForm:
    """Text completions (the older API)."""

    whole_object = "text_completion"
    stream_object = "text_completion"
    id_prefix = "cmpl-"

    def __init__(self, vendor: Vendor) -> None:
        if vendor.provider:
            self.id_prefix = vendor.id_prefix

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The text."""
        return {"text": answer.text}

    def stream(self, envelope: dict[str, Any], index: int, answer: Answer, choice: MakeChoice) -> list[Frame]:
        """Pieces of text."""
        shares = spread(answer.completion, answer.chunks)
        return [
            Frame(sse(envelope | {"choices": [choice(index, {"text": piece}, None)]}), Mark.CONTENT, share)
            for piece, share in zip(answer.chunks, shares, strict=True)
        ]

    def closing(self) -> dict[str, Any]:
        """No text."""
        return {"text": ""}
