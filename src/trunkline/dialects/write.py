"""The base class of writers of whole answers, and the content types that several dialects share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

from trunkline.errors import GatewayError
from trunkline.events import StreamEvent

JSON_TYPE: Final = b"application/json"
SSE_TYPE: Final = b"text/event-stream; charset=utf-8"
SSE_PING: Final = b": keep-alive\n\n"
"""A comment, which every reader of SSE skips."""


class Fold(Protocol):
    """What events are gathered into."""

    def add(self, event: StreamEvent) -> None:
        """Take in one more event."""


F = TypeVar("F", bound=Fold)


class WholeWriter(ABC, Generic[F]):
    """Writes an answer that is not streamed: gathers its events, and writes one JSON body at the end.

    Args:
        answer: What the events are gathered into.
    """

    content_type = JSON_TYPE
    not_shown: Sequence[str] = ()

    def __init__(self, answer: F) -> None:
        self._answer = answer

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Gather the events; nothing is written yet."""
        for event in events:
            self._answer.add(event)
        return b""

    @abstractmethod
    def finish(self) -> bytes:
        """Return the whole body.

        Raises:
            ProviderError: The answer has no form in this dialect.
        """

    @abstractmethod
    def fail(self, error: GatewayError) -> bytes:
        """Return the body of an error answer: nothing else was sent before it."""
