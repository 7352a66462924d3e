"""Streamed answers to Responses clients: the items of ``output``, written one after the other.

One item is open at a time, as in OpenAI's own streams and as its clients expect. What belongs to a later item
waits until those before it are closed. A delta's event is put together from a byte template that is made once
per part, because deltas are what a gateway writes most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from trunkline.dialects.responses.errors import stream_error, write_event
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.write import Response, encode, part_object
from trunkline.dialects.responses.write_items import TEXT, Item, Part
from trunkline.dialects.write import SSE_TYPE
from trunkline.errors import GatewayError
from trunkline.events import StreamEvent


class StreamWriter:
    """Writes a response as a stream of events."""

    content_type = SSE_TYPE

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self._response = Response(request, model)
        self._output = self._response.output
        self._number = 0
        self._opened = False
        self._item = 0
        """Index of the item that is being written."""
        self._item_open = False
        self._part = 0
        """Index of its part that is being written."""
        self._part_open = False
        self._written = 0
        """Pieces of the part that were written."""
        self._annotated = 0
        """Its annotations that were written."""
        self._delta = b""
        """The part's delta event up to its text."""

    @property
    def not_shown(self) -> Sequence[str]:
        """See :class:`.base.Writer`."""
        return self._output.not_shown

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the wire events that these events become; none before there is some output, so that another
        upstream may still be asked."""
        out: list[bytes] = []
        for each in events:
            self._output.add(each)
            if self._output.items:
                self._write(out)
        return out[0] if len(out) == 1 else b"".join(out)

    def finish(self) -> bytes:
        """Return the end of all items, and the whole response."""
        out: list[bytes] = []
        self._output.end()
        self._write(out)
        response = self._response.whole()
        self._add_event(out, f"response.{response['status']}", {"response": response})
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """Return the events that end a failed stream: the error, and the response as far as it came."""
        out: list[bytes] = []
        self._open(out)
        out.append(stream_error(error, self._number))
        self._number += 1
        self._add_event(out, "response.failed", {"response": self._response.failed(error)})
        return b"".join(out)

    def _add_event(self, out: list[bytes], name: str, fields: dict[str, Any]) -> None:
        out.append(write_event(name, self._number, fields))
        self._number += 1

    def _open(self, out: list[bytes]) -> None:
        if not self._opened:
            self._opened = True
            self._response.identify()
            opening = {"response": self._response.opening()}
            self._add_event(out, "response.created", opening)
            self._add_event(out, "response.in_progress", opening)

    def _write(self, out: list[bytes]) -> None:
        """Write all that can be written by now."""
        self._open(out)
        items = self._output.items
        while self._item < len(items):
            item = items[self._item]
            if not self._item_open:
                if item.client_tool is not None and not item.parts and not item.closed:
                    return  # nothing is told of such a call before it is whole
                self._item_open = True
                self._add_item_event(
                    out, "response.output_item.added", self._response.item(self._item, "in_progress")
                )
            self._write_parts(out, item)
            if not item.closed:
                return
            if self._part < len(item.parts):
                self._end_part(out, item)
            ended = self._response.item(self._item, self._response.final_status(self._item))
            self._add_item_event(out, "response.output_item.done", ended)
            self._item += 1
            self._item_open = False
            self._part = 0

    def _write_parts(self, out: list[bytes], item: Item) -> None:
        while self._part < len(item.parts):
            part = item.parts[self._part]
            if not self._part_open:
                self._begin_part(out, part)
            if self._written < len(part.pieces):
                out.append(self._delta_event(part))
            if self._annotated < len(part.annotations):
                self._annotate(out, part)
            if self._part + 1 == len(item.parts):
                return
            self._end_part(out, item)

    def _add_item_event(self, out: list[bytes], name: str, item: dict[str, Any]) -> None:
        self._add_event(out, name, {"output_index": self._item, "item": item})

    def _location(self, part: Part) -> dict[str, Any]:
        """The fields that locate the part that is being written."""
        location: dict[str, Any] = {"item_id": self._response.item_id(self._item), "output_index": self._item}
        return location | {part.kind.counter: self._part} if part.kind.counter else location

    def _begin_part(self, out: list[bytes], part: Part) -> None:
        self._part_open, self._written, self._annotated = True, 0, 0
        location = self._location(part)
        if part.kind.part:
            self._add_event(out, f"{part.kind.part}.added", location | {"part": part_object(Part(part.kind))})
        name = f"{part.kind.event}.delta"
        head = encode({"type": name} | location)
        self._delta = b"event: %b\ndata: %b" % (name.encode(), head[:-1] + b',"delta":')

    def _annotate(self, out: list[bytes], part: Part) -> None:
        for index in range(self._annotated, len(part.annotations)):
            fields = {"annotation_index": index, "annotation": part.annotations[index]}
            name = "response.output_text.annotation.added"
            self._add_event(out, name, self._location(part) | fields)
        self._annotated = len(part.annotations)

    def _delta_event(self, part: Part) -> bytes:
        """The delta event with the pieces of the part that were not written yet."""
        start, self._written = self._written, len(part.pieces)
        text = encode("".join(part.pieces[start:]))
        logprobs = b""
        if part.kind is TEXT:
            new = [each for piece in part.logprobs[start:] for each in piece]
            logprobs = b',"logprobs":' + (encode(new) if new else b"[]")
        number, self._number = self._number, self._number + 1
        return b'%b%b%b,"sequence_number":%d}\n\n' % (self._delta, text, logprobs, number)

    def _end_part(self, out: list[bytes], item: Item) -> None:
        part = item.parts[self._part]
        location = self._location(part)
        fields: dict[str, Any] = {part.kind.key: part.text}
        if part.kind is TEXT:
            fields["logprobs"] = [each for piece in part.logprobs for each in piece]
        if item.type == "function_call":
            fields["name"] = self._response.function_name(item)["name"]
        self._add_event(out, f"{part.kind.event}.done", location | fields)
        if part.kind.part:
            self._add_event(out, f"{part.kind.part}.done", location | {"part": part_object(part)})
        self._part += 1
        self._part_open = False
