"""Awkward ways in which a body of OpenAI's chat API is sent."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.awkward.shape import Awkward, Event, dicts, encode_event
from trunkline_mock.response import Record, RecordKind, Response


def _as_whole(response: Response) -> Response:
    """JSON where a stream was asked for."""
    if not response.streamed:
        return response
    events = [record.data.partition(b"data: ")[2] for record in response.records]
    chunks = [msgspec.json.decode(each) for each in events if each.startswith(b"{")]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    body = chunks[0] | {"object": "chat.completion"}
    message = {"role": "assistant", "content": text}
    body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
    return _unstreamed(response, msgspec.json.encode(body))


def _unstreamed(response: Response, body: bytes) -> Response:
    tokens = sum(record.tokens for record in response.records)
    return msgspec.structs.replace(
        response,
        records=(Record(body, RecordKind.CONTENT, tokens),),
        streamed=False,
        content_type="application/json",
    )


def _as_stream(response: Response) -> Response:
    """A stream where a whole answer was asked for."""
    if response.streamed:
        return response
    body: dict[str, Any] = msgspec.json.decode(response.body)
    choice = body["choices"][0]
    chunk = body | {"object": "chat.completion.chunk"}
    chunk["choices"] = [{"index": 0, "delta": choice["message"], "finish_reason": choice["finish_reason"]}]
    data = encode_event(chunk) + b"data: [DONE]\n\n"
    changed = msgspec.structs.replace(response, content_type="text/event-stream")
    return msgspec.structs.replace(changed, records=(Record(data, RecordKind.CONTENT, 1),))


def _mapped(change: Any) -> Any:
    """A change of the bytes of every event."""

    def stream(events: list[Event]) -> list[Event]:
        return [change(encode_event(event)) for event in events]

    return stream


def _without_done(events: list[Event]) -> list[Event]:
    return [event for event in events if event != b"data: [DONE]\n\n"]


def _commented(events: list[Event]) -> list[Event]:
    made: list[Event] = []
    for event in events:
        made += [b": keep-alive\n\n", event]
    return made


def _doubled_done(events: list[Event]) -> list[Event]:
    return [*events, b"data: [DONE]\n\n"]


def _two_lines(events: list[Event]) -> list[Event]:
    """An event whose JSON takes two lines of data."""
    return [
        encode_event(event).replace(b',"choices"', b'\ndata: ,"choices"')
        if isinstance(event, dict)
        else event
        for event in events
    ]


def _pretty(body: dict[str, Any]) -> Any:
    return b"\n\n" + msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"


def _bom(events: list[Event]) -> list[Event]:
    return [b"\xef\xbb\xbf" + encode_event(events[0]), *events[1:]]


def _empty_events(events: list[Event]) -> list[Event]:
    return [b"data:\n\n", *events[:1], b"data: \n\n", *events[1:]]


def _other_events(events: list[Event]) -> list[Event]:
    ping: Event = b'event: ping\ndata: {"type":"ping"}\n\n'
    return [ping, *events[:1], b"id: 7\nretry: 1000\n\n", *events[1:]]


def _all_in_one(events: list[Event]) -> list[Event]:
    first = dicts(events)[0]
    text = "".join(
        choice["delta"].get("content") or "" for event in dicts(events) for choice in event["choices"]
    )
    delta = {"role": "assistant", "content": text}
    return [first | {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}, events[-1]]


TRANSFER: Final = (
    Awkward("json_for_stream", "JSON where a stream was asked for", reply=_as_whole),
    Awkward("stream_for_json", "a stream where JSON was asked for", reply=_as_stream),
    Awkward("done_missing", "no `[DONE]`", None, _without_done),
    Awkward("done_doubled", "`[DONE]` twice", None, _doubled_done),
    Awkward(
        "no_space", "no space after `data:`", None, _mapped(lambda data: data.replace(b"data: ", b"data:", 1))
    ),
    Awkward("crlf", "lines end with CR LF", None, _mapped(lambda data: data.replace(b"\n", b"\r\n"))),
    Awkward("commented", "a comment before every event", None, _commented),
    Awkward("two_lines", "an event of two lines of data", None, _two_lines),
    Awkward("pretty", "JSON with white space before, within and after", _pretty, None),
    Awkward("byte_order_mark", "a byte order mark", None, _bom),
    Awkward("empty_events", "events without data", None, _empty_events),
    Awkward("other_events", "pings, ids and retry fields between the events", None, _other_events),
    Awkward("one_event", "the whole stream in one event", None, _all_in_one),
    Awkward("type_plain", "the content type is `text/plain`", content_type="text/plain; charset=utf-8"),
    Awkward(
        "type_octets",
        "the content type is `application/octet-stream`",
        content_type="application/octet-stream",
    ),
)
"""The shapes."""
