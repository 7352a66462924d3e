"""The canonical stream: what an upstream answers, one event at a time, and its fold into one answer.

Every back dialect reads bytes into these events and every front dialect writes bytes from them; an answer
that was not streamed is the same events, folded. No JSON and no vendor's names here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from trunkline.model import Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class Event(msgspec.Struct, frozen=True):
    """Base of the canonical events."""


class Started(Event, frozen=True):
    """The answer begins. Comes once, before everything else."""

    id: str | None = None
    model: str | None = None
    """The upstream's own name for the model."""
    created: int | None = None
    """Unix time in seconds."""


class TextDelta(Event, frozen=True):
    """More text of the answer."""

    text: str
    choice: int = 0
    logprobs: Any = None
    """OpenAI-shaped ``logprobs`` of this piece, where the upstream gave them."""


class RefusalDelta(Event, frozen=True):
    """More of the model's refusal, where the upstream tells it from text."""

    text: str
    choice: int = 0


class ThinkingDelta(Event, frozen=True):
    """More of the model's reasoning."""

    text: str
    choice: int = 0
    signature: str | None = None


class ToolCallDelta(Event, frozen=True):
    """A tool call begins (``name`` is set), or more of its arguments' JSON text."""

    index: int
    """Counts the calls of one choice from 0; readers mend upstreams that miscount."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


class Finished(Event, frozen=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class Metered(Event, frozen=True):
    """Usage so far; the last one counts."""

    usage: Usage


class Timed(Event, frozen=True):
    """Durations that the upstream measured itself, in nanoseconds (Ollama's names)."""

    total: int = 0
    load: int = 0
    prompt_eval: int = 0
    eval: int = 0


class Embedded(Event, frozen=True):
    """All vectors of an embedding answer, in the order of the inputs."""

    vectors: list[list[float]]


StreamEvent: TypeAlias = (
    Started | TextDelta | RefusalDelta | ThinkingDelta | ToolCallDelta | Finished | Metered | Timed | Embedded
)


class Call:
    """A tool call while it is being folded."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self, id: str | None, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments = ""


class Choice:
    """One of the answers while it is being folded."""

    __slots__ = (
        "_unsigned",
        "calls",
        "logprobs",
        "reason",
        "refusal",
        "signed",
        "stop_sequence",
        "text",
        "thinking",
    )

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.thinking: list[str] = []
        self.signed: list[tuple[str, str]] = []
        """Each signature, and the thinking that it signs before it."""
        self._unsigned = 0
        self.calls: dict[int, Call] = {}
        self.logprobs: list[Any] = []
        self.reason: FinishReason | None = None
        self.stop_sequence: str | None = None

    def think(self, text: str, signature: str | None) -> None:
        """Take in more reasoning, and the signature that ends a piece of it."""
        self.thinking.append(text)
        if signature:
            self.signed.append(("".join(self.thinking[self._unsigned :]), signature))
            self._unsigned = len(self.thinking)

    def thoughts(self) -> list[tuple[str, str]]:
        """Each piece of reasoning with its signature, which is empty where the vendor gave none."""
        rest = "".join(self.thinking[self._unsigned :])
        return [*self.signed, (rest, "")] if rest else self.signed


class Answer:
    """The fold of a whole stream: feed it events in order, then read it."""

    __slots__ = ("choices", "created", "id", "model", "timed", "usage", "vectors")

    def __init__(self, events: Iterable[StreamEvent] = ()) -> None:
        self.id: str | None = None
        self.model: str | None = None
        self.created: int | None = None
        self.choices: dict[int, Choice] = {}
        self.usage: Usage | None = None
        self.timed: Timed | None = None
        self.vectors: list[list[float]] = []
        for event in events:
            self.add(event)

    def add(self, event: StreamEvent) -> None:
        """Take in one more event."""
        match event:
            case Started():
                self.id, self.model, self.created = event.id, event.model, event.created
            case Metered():
                self.usage = event.usage
            case Timed():
                self.timed = event
            case Embedded():
                self.vectors = event.vectors
            case _:
                self._add_to_choice(event)

    def _add_to_choice(
        self, event: TextDelta | RefusalDelta | ThinkingDelta | ToolCallDelta | Finished
    ) -> None:
        choice = self.choices.get(event.choice)
        if choice is None:
            choice = self.choices[event.choice] = Choice()
        match event:
            case TextDelta():
                choice.text.append(event.text)
                if event.logprobs is not None:
                    choice.logprobs.append(event.logprobs)
            case RefusalDelta():
                choice.refusal.append(event.text)
            case ThinkingDelta():
                choice.think(event.text, event.signature)
            case ToolCallDelta():
                call = choice.calls.get(event.index)
                if call is None:
                    call = choice.calls[event.index] = Call(event.id, event.name or "")
                call.arguments += event.arguments
            case Finished():
                choice.reason = event.reason
                choice.stop_sequence = event.stop_sequence
