"""Stop sequences at an API that has none: the answer is cut where one of them begins.

The upstream goes on writing after that, and what it writes is not passed on. It is read to its end, because
the usage stands there.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.dialects.base import Reader
from trunkline.errors import GatewayError
from trunkline.events import Finished, Metered, Started, StreamEvent, TextDelta, Timed


class StopText:
    """Cuts a text that comes in pieces.

    Args:
        stops: The stop sequences.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        """The end of the text so far, with which a stop sequence may begin."""
        self.found: str | None = None
        """The sequence at which the text was cut."""

    def feed(self, text: str) -> str:
        """Return what is certain of the text now: nothing after a stop sequence."""
        if self.found is not None:
            return ""
        text, self._held = self._held + text, ""
        places = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            place, self.found = min(places, key=lambda each: each[0])
            return text[:place]
        longest = max((_overlap(text, stop) for stop in self._stops), default=0)
        if longest:
            text, self._held = text[:-longest], text[-longest:]
        return text

    def close(self) -> str:
        """Return what was held back and began no stop sequence."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` are the beginning of ``stop``."""
    most = min(len(text), len(stop) - 1)
    return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)


class StopReader:
    """Another reader's events, up to a stop sequence; satisfies ``dialects.base.Reader``.

    Args:
        reader: Reads the answer of an upstream that gives one answer and knows no stop sequences.
        stops: The stop sequences.
    """

    def __init__(self, reader: Reader, stops: Sequence[str]) -> None:
        self._reader = reader
        self._text = StopText(stops)
        self.error: GatewayError | None = None
        self.complete = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""
        return self._read(self._reader.feed(data))

    def close(self) -> list[StreamEvent]:
        """Return the last events."""
        events = self._read(self._reader.close())
        if held := self._text.close():  # the answer was cut off
            events.append(TextDelta(held))
        return events

    def _read(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        self.error, self.complete = self._reader.error, self._reader.complete
        found: list[StreamEvent] = []
        for event in events:
            stop = self._text.found
            if isinstance(event, TextDelta):
                text = self._text.feed(event.text)
                if text or (event.logprobs is not None and stop is None):
                    found.append(msgspec.structs.replace(event, text=text))
                continue
            if stop is None and not isinstance(event, Started) and (held := self._text.close()):
                found.append(TextDelta(held))
            if stop is None or isinstance(event, Started | Metered | Timed):
                found.append(event)
            elif isinstance(event, Finished):
                found.append(Finished("stop", event.choice, stop))
        return found
