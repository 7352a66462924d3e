"""Stand-ins for inspectors, where an answer that passes through is of the other form than was asked for.

A whole answer is written as a stream, a stream as a whole answer: read and written by the same dialect. Both
classes satisfy ``dialects.base.Inspector``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from trunkline.dialects.base import Inspector, Reader, Writer
from trunkline.dialects.error_envelope import malformed
from trunkline.dialects.inspect import Findings
from trunkline.dialects.other_form import OtherForm
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.events import Metered, Started, StreamEvent


class Rewriter(Findings):
    """Stands in for an inspector: reads an answer of the other form, and writes it in the client's.

    Args:
        reader: Reads the form that came.
        writer: Writes the form that was asked for.
    """

    def __init__(self, reader: Reader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    def feed(self, data: bytes) -> bytes:
        """Return what the events in ``data`` become."""
        return self._write(lambda: self._reader.feed(data))

    def close(self) -> bytes:
        """Return the last bytes. Sets ``error`` if the answer is not complete."""
        if self.complete or self.error is not None:
            return b""
        out = self._write(self._reader.close)
        if not self.complete and self.error is None:
            self.error = ProviderError("The upstream's answer has no end", UPSTREAM_PROTOCOL)
        return out

    def _write(self, read: Callable[[], Sequence[StreamEvent]]) -> bytes:
        if self.complete or self.error is not None:
            return b""
        try:
            events = read()
            self.error = self._reader.error
            for event in events:
                self.records += 1
                if isinstance(event, Metered):
                    self.usage = event.usage
                elif isinstance(event, Started):
                    self.model = event.model
            out = self._writer.feed(events)
            if self._reader.complete and self.error is None:
                out += self._writer.finish()
                self.complete = True
            return out
        except OtherForm:
            self.error = malformed("The upstream", "it is neither a stream nor a whole answer")
        except GatewayError as error:
            self.error = error
        return b""


class Refuser(Findings):
    """Stands in for an inspector where an answer of the other form cannot be read as events.

    An error's words are kept, and any other answer is an error.

    Args:
        inspector: Inspects the form that came.
    """

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector

    def feed(self, data: bytes) -> bytes:
        """Return nothing: none of it is in the form that the client asked for."""
        with suppress(OtherForm):
            self._inspector.feed(data)
        self.records, self.error = self._inspector.records, self._inspector.error
        return b""

    def close(self) -> bytes:
        """Return nothing, with ``error`` set."""
        with suppress(OtherForm):
            self._inspector.close()
        self.usage, self.model = self._inspector.usage, self._inspector.model
        own = malformed("The upstream", "it streams where a whole answer was asked for, or the reverse")
        self.error = self._inspector.error or own
        return b""
