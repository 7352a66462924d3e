"""A streamed response: the items of ``output``, told one after the other as OpenAI tells them.

One item is open at a time, as OpenAI's own streams and its clients have it: what belongs to a later one
waits until those before it are sealed. A delta's event is put together from a byte template made once per
part, because it is what a gateway writes most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trunkline.dialects.responses.output_items import TEXT, Item, Part
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.write import Response, encode, error_detail, render_part
from trunkline.errors import GatewayError
from trunkline.events import StreamEvent

SSE_TYPE: Final = b"text/event-stream; charset=utf-8"


def event(name: str, number: int, fields: dict[str, Any]) -> bytes:
    """One event of a stream."""
    payload = encode({"type": name, "sequence_number": number} | fields)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), payload)


def error_event(error: GatewayError, number: int) -> bytes:
    """The event that says what went wrong: flat, as it is documented, and also in the form of the envelope,
    as OpenAI sends it and its SDKs raise on it."""
    detail = error_detail(error)
    flat = {name: detail[name] for name in ("code", "message", "param")}
    return event("error", number, flat | {"error": detail})


class Stream:
    """A response as a stream of events."""

    content_type = SSE_TYPE

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self._response = Response(request, model)
        self._output = self._response.output
        self._number = 0
        self._opened = False
        self._at = 0
        """The item that is being told."""
        self._item_open = False
        self._part = 0
        """Its part that is being told."""
        self._part_open = False
        self._told = 0
        """Pieces of the part that were told."""
        self._delta = b""
        """The part's delta event up to its text."""

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Bytes of what these events bring; none before there is some output, so that another upstream may
        still be asked."""
        out: list[bytes] = []
        for each in events:
            self._output.add(each)
            if self._output.items:
                self._tell(out)
        return out[0] if len(out) == 1 else b"".join(out)

    def finish(self) -> bytes:
        """The end of all items, and the whole response."""
        out: list[bytes] = []
        self._output.end()
        self._tell(out)
        response = self._response.whole()
        self._say(out, f"response.{response['status']}", {"response": response})
        return b"".join(out)

    def error(self, error: GatewayError) -> bytes:
        """What ends a stream that went wrong: the error, and the response as far as it came."""
        out: list[bytes] = []
        self._open(out)
        out.append(error_event(error, self._number))
        self._number += 1
        self._say(out, "response.failed", {"response": self._response.failed(error)})
        return b"".join(out)

    def _say(self, out: list[bytes], name: str, fields: dict[str, Any]) -> None:
        out.append(event(name, self._number, fields))
        self._number += 1

    def _open(self, out: list[bytes]) -> None:
        if not self._opened:
            self._opened = True
            self._response.name()
            opening = {"response": self._response.opening()}
            self._say(out, "response.created", opening)
            self._say(out, "response.in_progress", opening)

    def _tell(self, out: list[bytes]) -> None:
        """All that can be told by now."""
        self._open(out)
        items = self._output.items
        while self._at < len(items):
            item = items[self._at]
            if not self._item_open:
                self._item_open = True
                self._say_item(
                    out, "response.output_item.added", self._response.item(self._at, "in_progress")
                )
            self._tell_parts(out, item)
            if not item.sealed:
                return
            if self._part < len(item.parts):
                self._end_part(out, item)
            ended = self._response.item(self._at, self._response.ending(self._at))
            self._say_item(out, "response.output_item.done", ended)
            self._at += 1
            self._item_open = False
            self._part = 0

    def _tell_parts(self, out: list[bytes], item: Item) -> None:
        while self._part < len(item.parts):
            part = item.parts[self._part]
            if not self._part_open:
                self._begin_part(out, part)
            if self._told < len(part.pieces):
                out.append(self._more(part))
            if self._part + 1 == len(item.parts):
                return
            self._end_part(out, item)

    def _say_item(self, out: list[bytes], name: str, item: dict[str, Any]) -> None:
        self._say(out, name, {"output_index": self._at, "item": item})

    def _place(self, part: Part) -> dict[str, Any]:
        """Where the part that is being told stands."""
        place: dict[str, Any] = {"item_id": self._response.item_id(self._at), "output_index": self._at}
        return place | {part.kind.counter: self._part} if part.kind.counter else place

    def _begin_part(self, out: list[bytes], part: Part) -> None:
        self._part_open, self._told = True, 0
        place = self._place(part)
        if part.kind.part:
            self._say(out, f"{part.kind.part}.added", place | {"part": render_part(Part(part.kind))})
        name = f"{part.kind.event}.delta"
        head = encode({"type": name} | place)
        self._delta = b"event: %b\ndata: %b" % (name.encode(), head[:-1] + b',"delta":')

    def _more(self, part: Part) -> bytes:
        """A delta event with what of the part was not told yet."""
        told, self._told = self._told, len(part.pieces)
        text = encode("".join(part.pieces[told:]))
        logprobs = b""
        if part.kind is TEXT:
            fresh = [each for piece in part.logprobs[told:] for each in piece]
            logprobs = b',"logprobs":' + (encode(fresh) if fresh else b"[]")
        number, self._number = self._number, self._number + 1
        return b'%b%b%b,"sequence_number":%d}\n\n' % (self._delta, text, logprobs, number)

    def _end_part(self, out: list[bytes], item: Item) -> None:
        part = item.parts[self._part]
        place = self._place(part)
        said: dict[str, Any] = {part.kind.key: part.text}
        if part.kind is TEXT:
            said["logprobs"] = [each for piece in part.logprobs for each in piece]
        if item.type == "function_call":
            said["name"] = self._response.called(item)["name"]
        self._say(out, f"{part.kind.event}.done", place | said)
        if part.kind.part:
            self._say(out, f"{part.kind.part}.done", place | {"part": render_part(part)})
        self._part += 1
        self._part_open = False
