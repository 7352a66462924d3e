"""The items of one Responses answer → canonical events, whether they come whole, in pieces or both.

OpenAI sends every text several times: in deltas, at the end of its part, in the whole item, and in the
response at the end. Servers leave out some of these. So it is noted of every text how much of it has become
events, and each later form brings only what is still missing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Literal

from trunkline.dialects.responses.answer_schema import EventIn, ItemIn, PieceIn
from trunkline.dialects.responses.render_items import PLAIN
from trunkline.dialects.tool_arguments import argument_text, open_arguments
from trunkline.dialects.vendor_state import Maker
from trunkline.events import (
    Cited,
    Media,
    NotShown,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)

Key = int | str
"""An item: its index in the output, or its id where a server sends no index."""
Kind = Literal["text", "refusal", "summary", "reasoning"]

_PART_GAP: Final = "\n\n"
"""Between two parts of a summary, each of which has a heading of its own."""
_SILENT: Final = frozenset({"web_search_call", "mcp_list_tools", "compaction"})
"""Items that say nothing to a client: what a search found is in the text, and cited there."""
_OPENING, _CLOSING = '{"input":"', '"}'
"""What stands before and after a custom tool's input in the arguments of its function."""


class _Call:
    """A call as far as it has come."""

    __slots__ = ("closed", "is_custom", "number", "sent")

    def __init__(self, number: int, *, is_custom: bool) -> None:
        self.number = number
        self.is_custom = is_custom
        self.sent = ""
        """What of its arguments, or of its input, became events."""
        self.closed = False


class ItemReader:
    """Reads the items of one answer.

    Args:
        maker: The vendor who wants reasoning back.
    """

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._sent: dict[tuple[Key, Kind, int], int] = {}
        """Characters of each text that became events."""
        self._starts: dict[tuple[Key, int], int] = {}
        """Characters of the answer's text before each part of a message."""
        self._cited: set[tuple[Key, int, int]] = set()
        self._thinks: dict[Key, Kind] = {}
        """In which of its two forms each reasoning item comes. The other one says the same."""
        self._calls: dict[Key, _Call] = {}
        self._ended: set[Key] = set()
        self._ids: set[str] = set()
        """Items that are known by their ids, as their events have no index."""
        self._length = 0

    @property
    def has_calls(self) -> bool:
        """Whether the model has called a tool."""
        return bool(self._calls)

    def key_of(self, index: int | None, item_id: str | None) -> Key:
        """Return what an item is known by. Of the items in a whole response, those keep their ids that were
        known by them before."""
        if index is not None and item_id not in self._ids:
            return index
        if item_id is None:
            return 0
        self._ids.add(item_id)
        return item_id

    def _key(self, event: EventIn) -> Key:
        return self.key_of(event.output_index, event.item_id)

    def add_text(self, event: EventIn, piece: str) -> list[StreamEvent]:
        """Return the events of a piece of a message's text."""
        key, part = self._key(event), event.content_index or 0
        self._count(key, "text", part, piece)
        return self._text(key, part, piece, event.logprobs)

    def add_refusal(self, event: EventIn, piece: str) -> list[StreamEvent]:
        """Return the events of a piece of a refusal."""
        self._count(self._key(event), "refusal", event.content_index or 0, piece)
        return [RefusalDelta(piece)] if piece else []

    def add_thinking(self, event: EventIn, kind: Kind, piece: str) -> list[StreamEvent]:
        """Return the events of a piece of reasoning, or of its summary."""
        key = self._key(event)
        part = (event.summary_index if kind == "summary" else event.content_index) or 0
        events = self._thinking(key, kind, part, piece)
        self._count(key, kind, part, piece)
        return events

    def add_arguments(self, event: EventIn, piece: str) -> list[StreamEvent]:
        """Return the events of a piece of a call's arguments, or of its input."""
        call = self._calls.get(self._key(event))
        if call is None or call.closed or not piece:
            return []
        call.sent += piece
        return [ToolCallDelta(call.number, arguments=_escape(piece) if call.is_custom else piece)]

    def end_text(self, event: EventIn, text: str | None) -> list[StreamEvent]:
        """Return the events of what is missing of a text that ends."""
        key, part = self._key(event), event.content_index or 0
        return self._text(key, part, self._rest(key, "text", part, text), None)

    def end_refusal(self, event: EventIn, text: str | None) -> list[StreamEvent]:
        """Return the events of what is missing of a refusal that ends."""
        rest = self._rest(self._key(event), "refusal", event.content_index or 0, text)
        return [RefusalDelta(rest)] if rest else []

    def end_thinking(self, event: EventIn, kind: Kind, text: str | None) -> list[StreamEvent]:
        """Return the events of what is missing of reasoning, or of its summary, that ends."""
        part = (event.summary_index if kind == "summary" else event.content_index) or 0
        return self._end_thinking(self._key(event), kind, part, text)

    def cite(self, event: EventIn) -> list[StreamEvent]:
        """Return the event of a source."""
        key, part = self._key(event), event.content_index or 0
        number = sum(cited[:2] == (key, part) for cited in self._cited)
        return self._cite(key, part, number, event.annotation)

    def begin(self, event: EventIn, item: ItemIn) -> list[StreamEvent]:
        """Return the events of an item that begins."""
        if item.type in ("function_call", "custom_tool_call"):
            return self._begin_call(self.key_of(event.output_index, item.id), item)
        return []

    def end(self, key: Key, item: ItemIn) -> list[StreamEvent]:
        """Return the events of what is missing of an item that has come whole."""
        if key in self._ended:
            return []
        self._ended.add(key)
        match item.type or ("message" if item.content is not None else None):
            case "message":
                return self._end_message(key, item.content or ())
            case "reasoning":
                return self._end_reasoning(key, item)
            case "function_call" | "custom_tool_call":
                return self._end_call(key, item)
            case "image_generation_call":
                if not item.result:
                    return []
                kind = item.output_format or "png"
                return [Media("image", url=f"data:image/{kind};base64,{item.result}")]
            case kind if kind in _SILENT:
                return []
            case kind:
                return [NotShown(kind or "an item of an unknown type")]

    def _count(self, key: Key, kind: Kind, part: int, piece: str) -> None:
        at = (key, kind, part)
        self._sent[at] = self._sent.get(at, 0) + len(piece)

    def _rest(self, key: Key, kind: Kind, part: int, text: str | None) -> str:
        """What has not become events of a whole text."""
        rest = (text or "")[self._sent.get((key, kind, part), 0) :]
        self._count(key, kind, part, rest)
        return rest

    def _text(self, key: Key, part: int, piece: str, logprobs: Any) -> list[StreamEvent]:
        self._starts.setdefault((key, part), self._length)
        self._length += len(piece)
        tokens = {"content": logprobs, "refusal": None} if logprobs else None
        return [TextDelta(piece, logprobs=tokens)] if piece or tokens else []

    def _thinking(self, key: Key, kind: Kind, part: int, piece: str) -> list[StreamEvent]:
        if not piece or self._thinks.setdefault(key, kind) != kind:
            return []
        begins = not self._sent.get((key, kind, part))
        if kind == "summary" and part and begins:
            piece = _PART_GAP + piece
        return [ThinkingDelta(piece)]

    def _end_thinking(self, key: Key, kind: Kind, part: int, text: str | None) -> list[StreamEvent]:
        sent = self._sent.get((key, kind, part), 0)
        rest = (text or "")[sent:]
        events = self._thinking(key, kind, part, rest)
        self._count(key, kind, part, rest)
        return events

    def _cite(self, key: Key, part: int, number: int, annotation: Any) -> list[StreamEvent]:
        """The event of one annotation: its places are counted over all of the answer's text."""
        if (key, part, number) in self._cited:
            return []
        self._cited.add((key, part, number))
        fields = annotation if isinstance(annotation, dict) else {}
        url, title = fields.get("url"), fields.get("title")
        if fields.get("type") != "url_citation" or not isinstance(url, str):
            kind = fields.get("type")
            return [NotShown(kind if isinstance(kind, str) else "annotation")]
        start, end = (
            value + self._starts.get((key, part), 0) if isinstance(value, int) else None
            for value in (fields.get("start_index"), fields.get("end_index"))
        )
        return [Cited(url, title if isinstance(title, str) and title else None, start, end)]

    def _end_message(self, key: Key, content: Sequence[PieceIn]) -> list[StreamEvent]:
        events: list[StreamEvent] = []
        for index, piece in enumerate(content):
            if piece.type == "refusal" or piece.refusal:
                rest = self._rest(key, "refusal", index, piece.refusal)
                events += [RefusalDelta(rest)] if rest else []
            elif piece.text is not None:
                sent = self._sent.get((key, "text", index), 0)
                rest = self._rest(key, "text", index, piece.text)
                events += self._text(key, index, rest, None if sent else piece.logprobs)
                for number, annotation in enumerate(piece.annotations or ()):
                    events += self._cite(key, index, number, annotation)
            else:
                events.append(NotShown(piece.type or "content of an unknown type"))
        return events

    def _end_reasoning(self, key: Key, item: ItemIn) -> list[StreamEvent]:
        """What is missing of the reasoning, and what its maker wants back with it."""
        events: list[StreamEvent] = []
        for kind, pieces in (("reasoning", item.content), ("summary", item.summary)):
            for index, piece in enumerate(pieces or ()):
                events += self._end_thinking(key, kind, index, piece.text)  # type: ignore[arg-type]
        maker = self._maker
        if item.encrypted_content:
            events.append(ThinkingDelta("", signature=maker.seal("encrypted", item.encrypted_content)))
        elif self._thinks.get(key) == "reasoning":
            maker.reasons_openly = True
            if maker.name:
                events.append(ThinkingDelta("", signature=maker.seal("field", PLAIN)))
        return events

    def _begin_call(self, key: Key, item: ItemIn) -> list[StreamEvent]:
        if key in self._calls:
            return []
        is_custom = item.type == "custom_tool_call"
        call = self._calls[key] = _Call(len(self._calls), is_custom=is_custom)
        call_id = item.call_id or item.id or None
        return [ToolCallDelta(call.number, call_id, item.name or "", _OPENING if is_custom else "")]

    def _end_call(self, key: Key, item: ItemIn) -> list[StreamEvent]:
        events = self._begin_call(key, item)
        call = self._calls[key]
        call.closed = True
        whole = (item.input or "") if call.is_custom else argument_text(item.arguments)
        rest = whole[len(call.sent) :] if whole.startswith(call.sent) else ""
        if call.is_custom:
            rest = _escape(rest) + _CLOSING
        elif not call.sent:
            rest = open_arguments(whole)
        if rest:
            events.append(ToolCallDelta(call.number, arguments=rest))
        return events


def _escape(text: str) -> str:
    """A piece of a custom tool's input, as it stands in a JSON string. A half of a surrogate pair is one
    escape, so that two halves from two pieces make a character."""
    return json.dumps(text)[1:-1]
