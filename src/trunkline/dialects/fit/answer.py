"""Gives the tools that an answer calls the names again that the client has for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline.dialects.base import Inspector, Reader
from trunkline.dialects.inspect import Findings
from trunkline.errors import GatewayError
from trunkline.events import StreamEvent, ToolCallDelta
from trunkline.framing import extract_payload, split_events


class RestoringReader:
    """A reader whose events have the client's names; satisfies ``dialects.base.Reader``.

    Args:
        reader: Reads the upstream's answer.
        names: The client's name of each tool, by the name that the upstream was told.
    """

    def __init__(self, reader: Reader, names: Mapping[str, str]) -> None:
        self._reader = reader
        self._names = names

    @property
    def error(self) -> GatewayError | None:
        """See :class:`~trunkline.dialects.base.Reader`."""
        return self._reader.error

    @error.setter
    def error(self, error: GatewayError | None) -> None:
        self._reader.error = error

    @property
    def complete(self) -> bool:
        """See :class:`~trunkline.dialects.base.Reader`."""
        return self._reader.complete

    @complete.setter
    def complete(self, complete: bool) -> None:
        self._reader.complete = complete

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""
        return [self._restored(event) for event in self._reader.feed(data)]

    def close(self) -> list[StreamEvent]:
        """Return the last events."""
        return [self._restored(event) for event in self._reader.close()]

    def _restored(self, event: StreamEvent) -> StreamEvent:
        if not isinstance(event, ToolCallDelta) or event.name is None:
            return event
        name = self._names.get(event.name)
        return event if name is None else msgspec.structs.replace(event, name=name)


class RestoringInspector(Findings):
    """An inspector that passes on answers with the client's names; satisfies ``dialects.base.Inspector``.

    Args:
        inspector: Inspects the upstream's answer.
        names: The client's name of each tool, by the name that the upstream was told.
        restore: Changes the names in one decoded record; False if there were none to change.
        streamed: The answer comes as server-sent events.
    """

    def __init__(
        self,
        inspector: Inspector,
        names: Mapping[str, str],
        restore: Callable[[Any, Mapping[str, str]], bool],
        streamed: bool,
    ) -> None:
        self._inspector = inspector
        self._names = names
        self._restore = restore
        self._streamed = streamed
        self._marks = tuple(msgspec.json.encode(name) for name in names)

    def feed(self, data: bytes) -> bytes:
        """Return what of these bytes goes on to the client now."""
        return self._pass(self._inspector.feed(data))

    def close(self) -> bytes:
        """Return what still goes to the client."""
        return self._pass(self._inspector.close())

    def _pass(self, data: bytes) -> bytes:
        inner = self._inspector
        self.error, self.complete, self.records = inner.error, inner.complete, inner.records
        self.usage, self.model = inner.usage, inner.model
        if not any(mark in data for mark in self._marks):
            return data
        if self._streamed:
            return b"".join(self._event(event) + b"\n\n" for event in split_events(data))
        return self._record(data)

    def _event(self, event: bytes) -> bytes:
        payload = extract_payload(event)
        restored = self._record(payload) if payload[:1] == b"{" else payload
        if restored is payload:
            return event
        lines = [line for line in event.splitlines() if line[:5] != b"data:"]
        return b"\n".join([*lines, b"data: " + restored])

    def _record(self, payload: bytes) -> bytes:
        record = msgspec.json.decode(payload)  # it was inspected before
        return msgspec.json.encode(record) if self._restore(record, self._names) else payload
