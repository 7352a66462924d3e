"""The items of a response: each whole, and as the events that tell it piece by piece.

An item knows nothing of the response around it, of numbers of events, of usage, or of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from trunkline_mock.answers import Answer, short_id
from trunkline_mock.script import ToolCall
from trunkline_mock.shapes.vendors import Vendor


class Told(NamedTuple):
    """An event of a stream, but for its number."""

    name: str
    fields: dict[str, Any]
    text: str | None = None
    """What of the answer it says; None: it only opens or closes something."""


class Item(NamedTuple):
    """One item of a response's output."""

    opening: dict[str, Any]
    """As it is when it begins."""
    whole: dict[str, Any]
    told: tuple[Told, ...]
    """What is told of it in between, but for its place."""


def items_of(answer: Answer, data: dict[str, Any], vendor: Vendor, *, cut: bool) -> list[Item]:
    """Thoughts, words and calls, in this order. ``cut`` leaves the last item incomplete."""
    items: list[Item] = []
    if answer.thinking:
        items.append(_reasoning(answer, data, vendor))
    if answer.chunks or not answer.tool_calls:
        items.append(_message(answer, len(items)))
    items += [
        _call(answer, call, number, len(items) + number, vendor)
        for number, call in enumerate(answer.tool_calls)
    ]
    if cut:
        items[-1].whole["status"] = "incomplete"
    return items


def told_of(items: Sequence[Item]) -> list[Told]:
    """All events of a stream's items."""
    found: list[Told] = []
    for index, item in enumerate(items):
        place = {"output_index": index}
        found.append(Told("response.output_item.added", place | {"item": item.opening}))
        inside = {"item_id": item.whole["id"]} | place
        found += [told._replace(fields=inside | told.fields) for told in item.told]
        found.append(Told("response.output_item.done", place | {"item": item.whole}))
    return found


def _message(answer: Answer, index: int) -> Item:
    head = {"id": f"msg_{answer.seed}{index:02x}", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": answer.text}
    at = {"content_index": 0}
    deltas = [
        Told("response.output_text.delta", at | {"delta": piece, "logprobs": []}, piece)
        for piece in answer.chunks
    ]
    return Item(
        head | {"status": "in_progress", "content": []},
        head | {"status": "completed", "content": [part]},
        (
            Told("response.content_part.added", at | {"part": part | {"text": ""}}),
            *deltas,
            Told("response.output_text.done", at | {"text": answer.text, "logprobs": []}),
            Told("response.content_part.done", at | {"part": part}),
        ),
    )


def _reasoning(answer: Answer, data: dict[str, Any], vendor: Vendor) -> Item:
    """Thoughts: in full where the vendor shows them; OpenAI itself gives a summary to who asks for one."""
    head: dict[str, Any] = {"id": f"rs_{answer.seed}00", "type": "reasoning", "summary": []}
    if "reasoning.encrypted_content" in (data.get("include") or ()):
        head["encrypted_content"] = f"mock-{answer.seed}"
    if vendor.reasoning is not None:
        part: dict[str, Any] = {"type": "reasoning_text", "text": answer.thought}
        told = _thoughts(answer, part, "content_part", "reasoning_text", {"content_index": 0})
        opening = {"status": "in_progress", "content": []}
        return Item(head | opening, head | {"status": "completed", "content": [part]}, told)
    if (data.get("reasoning") or {}).get("summary") is None:
        return Item(head, dict(head), ())
    part = {"type": "summary_text", "text": answer.thought}
    told = _thoughts(answer, part, "reasoning_summary_part", "reasoning_summary_text", {"summary_index": 0})
    return Item(head, head | {"summary": [part]}, told)


def _thoughts(
    answer: Answer, part: dict[str, Any], part_event: str, text_event: str, at: dict[str, Any]
) -> tuple[Told, ...]:
    return (
        Told(f"response.{part_event}.added", at | {"part": part | {"text": ""}}),
        *(Told(f"response.{text_event}.delta", at | {"delta": piece}, piece) for piece in answer.thinking),
        Told(f"response.{text_event}.done", at | {"text": answer.thought}),
        Told(f"response.{part_event}.done", at | {"part": part}),
    )


def _call(answer: Answer, call: ToolCall, number: int, index: int, vendor: Vendor) -> Item:
    arguments = call.arguments
    if not isinstance(arguments, str):
        arguments = msgspec.json.encode(arguments).decode()
    head = {
        "id": f"fc_{answer.seed}{index:02x}",
        "type": "function_call",
        "call_id": call.id or f"call_{short_id(answer.seed, number, 24)}",
        "name": call.name,
    }
    middle = len(arguments) if vendor.tool_deltas == "whole" else (len(arguments) + 1) // 2
    pieces = [piece for piece in (arguments[:middle], arguments[middle:]) if piece]
    return Item(
        head | {"status": "in_progress", "arguments": ""},
        head | {"status": "completed", "arguments": arguments},
        (
            *(Told("response.function_call_arguments.delta", {"delta": piece}, piece) for piece in pieces),
            Told("response.function_call_arguments.done", {"name": call.name, "arguments": arguments}),
        ),
    )
