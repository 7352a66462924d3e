"""Canonical events → the items of one response, in the order in which they began.

An item is sealed once nothing can be added to it: words and thoughts when something else begins, a call when
its arguments are a whole JSON object and something else has begun. Until then a call stays open, because
upstreams may send the pieces of several calls in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from trunkline.events import (
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import Usage

_decode: Final = msgspec.json.Decoder().decode


class Kind(NamedTuple):
    """One kind of content: how it stands in an item, and the names of its stream's events."""

    type: str
    """Of the part object; empty where the content is no part of a list."""
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
THOUGHT: Final = Kind("reasoning_text", "text", "response.reasoning_text")
SUMMARY: Final = Kind(
    "summary_text",
    "text",
    "response.reasoning_summary_text",
    "response.reasoning_summary_part",
    "summary_index",
)
ARGUMENTS: Final = Kind("", "arguments", "response.function_call_arguments", "", "")


class Part:
    """Content of one kind, while it grows."""

    __slots__ = ("kind", "logprobs", "pieces")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.logprobs: list[Sequence[Any]] = []
        """As many as there are pieces."""

    def add(self, text: str, logprobs: Sequence[Any] = ()) -> None:
        """More of it."""
        self.pieces.append(text)
        self.logprobs.append(logprobs)

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)


class Item:
    """One item of the output, while it grows."""

    __slots__ = ("call_id", "name", "parts", "sealed", "signature", "type")

    def __init__(self, type: Literal["message", "reasoning", "function_call"]) -> None:
        self.type = type
        self.parts: list[Part] = []
        self.sealed = False
        self.signature: str | None = None
        """Of thoughts."""
        self.call_id: str | None = None
        self.name = ""

    def part(self, kind: Kind) -> Part:
        """Its last part if that is of ``kind``, else a new one."""
        if not self.parts or self.parts[-1].kind is not kind:
            self.parts.append(Part(kind))
        return self.parts[-1]


class Output:
    """The fold of a stream into items. A response has one answer; other choices are passed over."""

    def __init__(self, thought: Kind = THOUGHT, logprobs: bool = False) -> None:
        """``thought`` is the kind that reasoning takes; ``logprobs`` says whether they are wanted."""
        self.items: list[Item] = []
        self.started: Started | None = None
        self.usage: Usage | None = None
        self.reason: FinishReason = "stop"
        self._thought = thought
        self._logprobs = logprobs
        self._calls: dict[int, Item] = {}

    def add(self, event: StreamEvent) -> None:
        """Take in one more event."""
        match event:
            case Started():
                self.started = event
            case Metered():
                self.usage = event.usage
            case TextDelta(choice=0):
                found = read_logprobs(event.logprobs) if self._logprobs else ()
                if event.text or found:
                    self._last("message").part(TEXT).add(event.text, found)
            case RefusalDelta(choice=0):
                if event.text:
                    self._last("message").part(REFUSAL).add(event.text)
            case ThinkingDelta(choice=0):
                self._think(event)
            case ToolCallDelta(choice=0):
                self._call(event)
            case Finished(choice=0):
                self.reason = event.reason
            case _:
                pass

    @property
    def cut(self) -> bool:
        """The answer ended before its time."""
        return self.reason in ("length", "content_filter")

    def end(self) -> None:
        """Nothing more comes. An answer that says nothing is still a message, and a call without arguments
        has an empty object of them."""
        if not self.items:
            self._begin("message").part(TEXT)
        for item in self.items:
            item.sealed = True
            if item.type == "function_call" and not self.cut and not item.parts[0].text:
                item.parts[0].add("{}")

    def _think(self, event: ThinkingDelta) -> None:
        if not event.text and event.signature is None:
            return
        item = self._last("reasoning")
        if item.signature is not None and event.text:  # it was signed: this is another one
            item = self._begin("reasoning")
        if event.text:
            item.part(self._thought).add(event.text)
        item.signature = event.signature or item.signature

    def _call(self, event: ToolCallDelta) -> None:
        item = self._calls.get(event.index)
        if item is None:
            item = self._calls[event.index] = self._begin("function_call")
            item.call_id, item.name = event.id, event.name or ""
            item.part(ARGUMENTS)
        if event.arguments and not item.sealed:
            item.parts[0].add(event.arguments)
            if item is not self.items[-1]:
                _seal(item)

    def _last(self, type: Literal["message", "reasoning"]) -> Item:
        if self.items and self.items[-1].type == type:
            return self.items[-1]
        return self._begin(type)

    def _begin(self, type: Literal["message", "reasoning", "function_call"]) -> Item:
        if self.items:
            _seal(self.items[-1])
        item = Item(type)
        self.items.append(item)
        return item


def _seal(item: Item) -> None:
    """Something else has begun: ``item`` is sealed, if it is not a call whose arguments go on."""
    item.sealed = item.type != "function_call" or _is_object(item.parts[0])


def _is_object(part: Part) -> bool:
    if not part.pieces or not part.pieces[-1].rstrip().endswith("}"):
        return False
    try:
        return isinstance(_decode(part.text), dict)
    except (ValueError, RecursionError):
        return False


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


def read_logprobs(seen: Any) -> Sequence[dict[str, Any]]:
    """Chat's log probabilities of one piece in this dialect's form; what has another form is left out."""
    if seen is None:
        return ()
    try:
        found = msgspec.convert(seen, _Logprobs).content or ()
    except msgspec.ValidationError:
        return ()
    return [
        token.wire() | {"top_logprobs": [top.wire() for top in token.top_logprobs or ()]} for token in found
    ]
