"""The canonical events, of which every answer consists, and their fold into one whole answer.

Every back reads bytes into these events, and every front writes bytes from them. An answer that was not
streamed is the fold of the same events. Nothing here knows JSON or a vendor's names.
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
    """The answer begins. This event comes once, before all others."""

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
    """The ``logprobs`` of this piece in OpenAI's form, where the upstream gave them."""


class RefusalDelta(Event, frozen=True):
    """More of the model's refusal, where the upstream distinguishes it from text."""

    text: str
    choice: int = 0


class ThinkingDelta(Event, frozen=True):
    """More of the model's reasoning."""

    text: str
    choice: int = 0
    signature: str | None = None
    """What the vendor wants back with the thinking before it: sealed, or as its own dialect has it."""


class Media(Event, frozen=True):
    """An image or a sound that the model made, or a piece of one that is streamed."""

    kind: Literal["image", "audio"]
    url: str | None = None
    """Its address, or a ``data:`` URL that holds it."""
    audio: dict[str, Any] | None = None
    """A sound in OpenAI's form: ``id``, ``data``, ``transcript``, ``expires_at``."""
    choice: int = 0


class Cited(Event, frozen=True):
    """A source that the text so far refers to."""

    url: str
    title: str | None = None
    start: int | None = None
    """The first character of the text that refers to it, counted over all of the choice's text."""
    end: int | None = None
    """The one after the last."""
    quote: str | None = None
    """What the source says."""
    choice: int = 0


class NotShown(Event, frozen=True):
    """The upstream sent content that has no canonical form."""

    what: str
    """The vendor's name for it."""
    choice: int = 0


class ToolCallDelta(Event, frozen=True):
    """A tool call begins (``name`` is set), or more of its arguments' JSON text."""

    index: int
    """Counts the calls of one choice from 0; readers correct upstreams that number them otherwise."""
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0
    state: str | None = None
    """What the vendor wants back with the call, sealed."""


class Finished(Event, frozen=True):
    """A choice is complete."""

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class Metered(Event, frozen=True):
    """Usage so far; the last such event counts."""

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
    Started
    | TextDelta
    | RefusalDelta
    | ThinkingDelta
    | ToolCallDelta
    | Media
    | Cited
    | NotShown
    | Finished
    | Metered
    | Timed
    | Embedded
)


class Call:
    """A tool call while it is being folded."""

    __slots__ = ("arguments", "id", "name", "state")

    def __init__(self, id: str | None, name: str) -> None:
        self.id = id
        self.name = name
        self.arguments = ""
        self.state: str | None = None


class Choice:
    """One of the answers while it is being folded."""

    __slots__ = (
        "_unsigned",
        "calls",
        "citations",
        "logprobs",
        "media",
        "not_shown",
        "reason",
        "refusal",
        "signed_thinking",
        "stop_sequence",
        "text",
        "thinking",
    )

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.thinking: list[str] = []
        self.signed_thinking: list[tuple[str, str]] = []
        """Each piece of thinking that was signed, with its signature."""
        self._unsigned = 0
        """Index in ``thinking`` of what no signature covers yet."""
        self.calls: dict[int, Call] = {}
        self.media: list[Media] = []
        self.citations: list[Cited] = []
        self.not_shown: list[str] = []
        self.logprobs: list[Any] = []
        self.reason: FinishReason | None = None
        self.stop_sequence: str | None = None

    def add_thinking(self, text: str, signature: str | None) -> None:
        """Take in more thinking, and the signature that ends a piece of it."""
        self.thinking.append(text)
        if signature:
            self.signed_thinking.append(("".join(self.thinking[self._unsigned :]), signature))
            self._unsigned = len(self.thinking)

    def thinking_pieces(self) -> list[tuple[str, str]]:
        """Return each piece of thinking with its signature, which is empty where the vendor gave none."""
        rest = "".join(self.thinking[self._unsigned :])
        return [*self.signed_thinking, (rest, "")] if rest else self.signed_thinking


class Answer:
    """The fold of a whole stream. It takes the events in order; after the last one it is the whole answer."""

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
        self,
        event: TextDelta | RefusalDelta | ThinkingDelta | ToolCallDelta | Media | Cited | NotShown | Finished,
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
                choice.add_thinking(event.text, event.signature)
            case ToolCallDelta():
                call = choice.calls.get(event.index)
                if call is None:
                    call = choice.calls[event.index] = Call(event.id, event.name or "")
                call.arguments += event.arguments
                call.state = event.state or call.state
            case Media():
                choice.media.append(event)
            case Cited():
                choice.citations.append(event)
            case NotShown():
                choice.not_shown.append(event.what)
            case Finished():
                choice.reason = event.reason
                choice.stop_sequence = event.stop_sequence
