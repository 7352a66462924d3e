"""Canonical events → the items of one response, in the order in which they began.

An item is closed once nothing can be added to it: text and thinking when something else begins, a call when
its arguments are a whole JSON object and something else has begun. Until then a call stays open, because
upstreams may send the pieces of several calls in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from trunkline.dialects.custom_tools import InputReader
from trunkline.dialects.media import CITATION, add_name, notice, shown_as_text, split_data_url
from trunkline.dialects.responses.client_tools import ClientTool, OfferedTool
from trunkline.dialects.tool_arguments import is_object
from trunkline.dialects.vendor_state import is_sealed
from trunkline.events import (
    Cited,
    Finished,
    FinishReason,
    Media,
    Metered,
    NotShown,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage


class Kind(NamedTuple):
    """One kind of content: its form in an item, and the names of its events in a stream."""

    type: str
    """The ``type`` of the part object; empty where the content is no part of a list."""
    key: str
    """The field that holds the text."""
    event: str
    """Begins the names of its ``.delta`` and ``.done`` events."""
    part: str = "response.content_part"
    """Begins the names of its part's ``.added`` and ``.done`` events."""
    counter: str = "content_index"
    """The field that counts parts of an item."""


TEXT: Final = Kind("output_text", "text", "response.output_text")
REFUSAL: Final = Kind("refusal", "refusal", "response.refusal")
REASONING: Final = Kind("reasoning_text", "text", "response.reasoning_text")
SUMMARY: Final = Kind(
    "summary_text",
    "text",
    "response.reasoning_summary_text",
    "response.reasoning_summary_part",
    "summary_index",
)
ARGUMENTS: Final = Kind("", "arguments", "response.function_call_arguments", "", "")
INPUT: Final = Kind("", "input", "response.custom_tool_call_input", "", "")


EMPTY: Final[Mapping[str, OfferedTool]] = {}


class Part:
    """A part of an item: content of one kind, as far as it has come."""

    __slots__ = ("annotations", "kind", "logprobs", "pieces", "start")

    def __init__(self, kind: Kind, start: int = 0) -> None:
        self.kind = kind
        self.start = start
        """Characters of the answer's text before it."""
        self.annotations: list[dict[str, Any]] = []
        self.pieces: list[str] = []
        self.logprobs: list[Sequence[Any]] = []
        """The logprobs of each piece."""

    def add(self, text: str, logprobs: Sequence[Any] = ()) -> None:
        """Add a piece."""
        self.pieces.append(text)
        self.logprobs.append(logprobs)

    @property
    def text(self) -> str:
        """All pieces joined."""
        return "".join(self.pieces)


class Item:
    """One item of the output, as far as it has come."""

    __slots__ = ("call_id", "client_tool", "closed", "name", "parts", "reader", "result", "signature", "type")

    def __init__(self, type: str) -> None:
        self.type = type
        self.client_tool: ClientTool | None = None
        """Set for the call of a tool that the client runs, other than a function."""
        self.reader: InputReader | None = None
        """Its arguments, as far as they have come."""
        self.parts: list[Part] = []
        self.closed = False
        self.signature: str | None = None
        """The signature of thinking."""
        self.call_id: str | None = None
        self.name = ""
        self.result: str | None = None
        """The base64 of an image."""

    def part(self, kind: Kind) -> Part:
        """Return the last part if it is of ``kind``, else a new one."""
        if not self.parts or self.parts[-1].kind is not kind:
            self.parts.append(Part(kind))
        return self.parts[-1]


class Output:
    """The fold of a stream into items. A response has one answer; other choices are skipped.

    Args:
        reasoning: The kind of content that thinking becomes.
        logprobs: The client wants log probabilities.
        client_tools: The tools other than functions that the client runs, by their names.
    """

    def __init__(
        self,
        reasoning: Kind = REASONING,
        logprobs: bool = False,
        client_tools: Mapping[str, OfferedTool] = EMPTY,
    ) -> None:
        self._client_tools = client_tools
        self.items: list[Item] = []
        self.started: Started | None = None
        self.usage: Usage | None = None
        self.reason: FinishReason = "stop"
        self._reasoning = reasoning
        self._logprobs = logprobs
        self._calls: dict[int, Item] = {}
        self._length = 0
        """Characters of text so far."""
        self.not_shown: list[str] = []

    def add(self, event: StreamEvent) -> None:
        """Take in one more event."""
        match event:
            case Started():
                self.started = event
            case Metered():
                self.usage = event.usage
            case TextDelta(choice=0):
                logprobs = convert_logprobs(event.logprobs) if self._logprobs else ()
                if event.text or logprobs:
                    self._add_text(event.text, logprobs)
            case RefusalDelta(choice=0):
                if event.text:
                    self._last_or_new("message").part(REFUSAL).add(event.text)
            case ThinkingDelta(choice=0):
                self._add_thinking(event)
            case ToolCallDelta(choice=0):
                self._add_call(event)
            case Media(choice=0):
                self._add_media(event)
            case Cited(choice=0):
                self._add_citation(event)
            case NotShown(choice=0):
                add_name(self.not_shown, event.what)
            case Finished(choice=0):
                self.reason = event.reason
            case _:
                pass

    @property
    def is_cut(self) -> bool:
        """Whether the answer was cut short: by its bound, or by a content filter."""
        return self.reason in ("length", "content_filter")

    def end(self) -> None:
        """Close all items, as nothing more comes. An answer without content is still a message, and a call
        without arguments has an empty object of them."""
        if not self.items:
            part = self._begin("message").part(TEXT)
            if self.not_shown:
                part.add(notice(self.not_shown))
        for item in self.items:
            if not item.closed:
                item.closed = True
                _end_input(item)
            if item.type == "function_call" and not self.is_cut and not item.parts[0].text:
                item.parts[0].add("{}")

    def _add_text(self, text: str, logprobs: Sequence[Any] = ()) -> None:
        part = self._last_or_new("message").part(TEXT)
        if not part.pieces:
            part.start = self._length
        part.add(text, logprobs)
        self._length += len(text)

    def _add_media(self, event: Media) -> None:
        """An image is an item of its own; of what else there is, only a text can be shown."""
        image = split_data_url(event.url) if event.kind == "image" else None
        if image is not None:
            item = self._begin("image_generation_call")
            item.result, item.closed = image[1], True
        elif text := shown_as_text(event, self.not_shown, follows_text=self._length > 0):
            self._add_text(text)

    def _add_citation(self, event: Cited) -> None:
        """A source belongs to the part of text that was last written, if that can still be added to."""
        item = self.items[-1] if self.items else None
        part = item.parts[-1] if item is not None and item.type == "message" and item.parts else None
        if part is None or part.kind is not TEXT:
            add_name(self.not_shown, CITATION)
            return
        start, end = (max(0, (index or 0) - part.start) for index in (event.start, event.end))
        part.annotations.append(
            {
                "type": "url_citation",
                "url": event.url,
                "title": event.title or "",
                "start_index": start,
                "end_index": end,
            }
        )

    def _add_thinking(self, event: ThinkingDelta) -> None:
        if not event.text and event.signature is None:
            return
        item = self._last_or_new("reasoning")
        if item.signature is not None and (event.text or is_sealed(event.signature or "")):
            item = self._begin("reasoning")  # a signature ends an item
        if event.text:
            item.part(self._reasoning).add(event.text)
        item.signature = event.signature or item.signature

    def _add_call(self, event: ToolCallDelta) -> None:
        item = self._calls.get(event.index)
        if item is None:
            if event.state is not None:  # a reasoning item before a call goes back with it
                self._begin("reasoning").signature = event.state
            item = self._calls[event.index] = self._begin_call(event.name or "")
            item.call_id = event.id
        if event.arguments and not item.closed:
            if item.reader is None:
                item.parts[0].add(event.arguments)
            elif (text := item.reader.feed(event.arguments)) and item.parts:
                item.parts[0].add(text)
            if item is not self.items[-1]:
                _close(item)

    def _begin_call(self, name: str) -> Item:
        offer = self._client_tools.get(name)
        item = self._begin("function_call" if offer is None else offer.kind.call)
        item.name = name
        if offer is None:
            item.part(ARGUMENTS)
        else:
            item.client_tool, item.reader = offer.kind, InputReader()
            if offer.kind.is_custom:
                item.part(INPUT)
        return item

    def _last_or_new(self, type: Literal["message", "reasoning"]) -> Item:
        if self.items and self.items[-1].type == type:
            return self.items[-1]
        return self._begin(type)

    def _begin(self, type: str) -> Item:
        if self.items:
            _close(self.items[-1])
        item = Item(type)
        self.items.append(item)
        return item


def _close(item: Item) -> None:
    """Close ``item``, as something else has begun, unless it is a call whose arguments are not whole."""
    if item.closed:
        return
    if item.reader is not None:
        item.closed = is_object(item.reader.arguments)
        _end_input(item)
    else:
        item.closed = item.type != "function_call" or _is_whole(item.parts[0])


def _is_whole(arguments: Part) -> bool:
    if not arguments.pieces or not arguments.pieces[-1].rstrip().endswith("}"):
        return False
    return is_object(arguments.text)


def _end_input(item: Item) -> None:
    """Add what is still missing of a custom tool's input, once its arguments are whole."""
    if item.closed and item.reader is not None and item.parts and (rest := item.reader.finish()):
        item.parts[0].add(rest)


class _Top(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None

    def wire(self) -> dict[str, Any]:
        data = list(self.token.encode("utf-8", "replace")) if self.bytes is None else self.bytes
        return {"token": self.token, "bytes": data, "logprob": self.logprob}


class _Token(_Top, kw_only=True):
    top_logprobs: list[_Top] | None = None


class _Logprobs(msgspec.Struct):
    """Chat's log probabilities of one piece."""

    content: list[_Token] | None = None


def convert_logprobs(logprobs: Any) -> Sequence[dict[str, Any]]:
    """Return chat's log probabilities of one piece in this dialect's form; nothing for other forms."""
    if logprobs is None:
        return ()
    try:
        tokens = msgspec.convert(logprobs, _Logprobs).content or ()
    except msgspec.ValidationError:
        return ()
    return [
        token.wire() | {"top_logprobs": [top.wire() for top in token.top_logprobs or ()]} for token in tokens
    ]
