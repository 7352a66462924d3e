"""Answers in the Responses dialect: bytes → canonical events.

A stream ends with the event of a response that is completed, incomplete or failed; nothing else ends it. What
the events before it have left out is taken from the response in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.dialects import read
from trunkline.dialects.error_envelope import UNREADABLE, malformed, truncated
from trunkline.dialects.generous import decode_generously
from trunkline.dialects.responses.answer_schema import ANSWER, EVENT, ITEM, AnswerIn, EventIn, ItemIn
from trunkline.dialects.responses.errors import find_event_error, find_hidden_error, find_response_error
from trunkline.dialects.responses.read_items import ItemReader
from trunkline.dialects.vendor_state import Maker
from trunkline.events import Finished, FinishReason, Metered, Started, StreamEvent
from trunkline.framing import SSESplitter


class StreamReader(read.StreamReader):
    """Reads a streamed answer.

    Args:
        upstream_name: The upstream's name in error texts.
        maker: The vendor who wants reasoning back.
    """

    def __init__(self, upstream_name: str, maker: Maker) -> None:
        super().__init__(upstream_name, SSESplitter())
        self._builder = _EventBuilder(maker)

    def _read(self, records: Sequence[bytes], events: list[StreamEvent]) -> None:
        for payload in records:
            if payload.startswith(b"[DONE]"):  # some servers send it, but only after the terminal event
                raise truncated(self._upstream_name)
            payload.decode()
            try:
                event = EVENT.decode(payload)
            except UNREADABLE:
                event = self._decode_generously(payload, EventIn)
            error = find_event_error(event, payload, self._upstream_name)
            if error is not None:
                raise error
            self._builder.add(event, events)
            if self._builder.finished:
                self.complete = True
                return


class WholeReader(read.WholeReader):
    """Reads an answer that came as one JSON body; see :class:`StreamReader`."""

    def __init__(self, upstream_name: str, maker: Maker) -> None:
        super().__init__(upstream_name)
        self._maker = maker

    def _read(self, body: bytes, events: list[StreamEvent]) -> None:
        body.decode()
        try:
            answer = ANSWER.decode(body)
        except UNREADABLE:
            answer = self._decode_generously(body, AnswerIn)
        error = find_response_error(answer, self._upstream_name)
        if error is None and answer.output is None:
            error = find_hidden_error(body, self._upstream_name)
        if error is not None:
            raise error
        if answer.output is None:
            raise malformed(self._upstream_name, "a response without output")
        builder = _EventBuilder(self._maker)
        builder.begin(answer, events)
        builder.end(answer, events)


class _EventBuilder:
    """Turns the events of a stream, or a whole response, into canonical events."""

    def __init__(self, maker: Maker) -> None:
        self._items = ItemReader(maker)
        self._started = False
        self.finished = False

    def add(self, event: EventIn, events: list[StreamEvent]) -> None:
        """Append what an event of a stream says. Most events of other types only tell that something goes
        on; an item of a type that nobody knows is named once it is whole."""
        response = event.response
        if response is not None and not self._started:
            self.begin(response, events)
        items, item = self._items, event.item
        match event.type:
            case "response.output_text.delta":
                events += items.add_text(event, _piece(event.delta))
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                events += items.add_arguments(event, _piece(event.delta))
            case "response.reasoning_summary_text.delta":
                events += items.add_thinking(event, "summary", _piece(event.delta))
            case "response.reasoning_text.delta":
                events += items.add_thinking(event, "reasoning", _piece(event.delta))
            case "response.refusal.delta":
                events += items.add_refusal(event, _piece(event.delta))
            case "response.output_text.done":
                events += items.end_text(event, event.text)
            case "response.reasoning_summary_text.done":
                events += items.end_thinking(event, "summary", event.text)
            case "response.reasoning_text.done":
                events += items.end_thinking(event, "reasoning", event.text)
            case "response.refusal.done":
                events += items.end_refusal(event, event.refusal)
            case "response.output_text.annotation.added":
                events += items.cite(event)
            case "response.output_item.added" if item is not None:
                events += items.begin(event, item)
            case "response.output_item.done" if item is not None:
                events += items.end(items.key_of(event.output_index, item.id), item)
            case "response.completed" | "response.incomplete":
                self.end(response or AnswerIn(status=event.type.removeprefix("response.")), events)
            case _:
                pass

    def begin(self, response: AnswerIn, events: list[StreamEvent]) -> None:
        """Append the beginning of an answer."""
        self._started = True
        created = None if response.created_at is None else int(response.created_at)
        events.append(Started(response.id or None, response.model or None, created))

    def end(self, response: AnswerIn, events: list[StreamEvent]) -> None:
        """Append what is missing of the answer, and its end."""
        for index, raw in enumerate(response.output or ()):
            item = _decode_item(bytes(raw))
            events += self._items.end(self._items.key_of(index, item.id), item)
        self.finished = True
        events.append(Finished(self._reason(response)))
        if response.usage is not None:
            events.append(Metered(response.usage.canonical()))

    def _reason(self, response: AnswerIn) -> FinishReason:
        if response.status == "incomplete":
            return _cut_reason(response.incomplete_details)
        return "tool_calls" if self._items.has_calls else "stop"


def _decode_item(raw: bytes) -> ItemIn:
    try:
        return ITEM.decode(raw)
    except UNREADABLE:
        return decode_generously(raw, ItemIn)


def _cut_reason(details: Any) -> FinishReason:
    """Why an answer is incomplete. Whatever the reason is, it was cut."""
    reason = details.get("reason") if isinstance(details, dict) else None
    return "content_filter" if reason == "content_filter" else "length"


def _piece(delta: Any) -> str:
    """A delta's text.

    Raises:
        ValueError: It is none.
    """
    if isinstance(delta, str):
        return delta
    if delta is None:
        return ""
    if isinstance(delta, int | float) and not isinstance(delta, bool):
        return str(delta)
    raise ValueError("its 'delta' is of an unknown form")
