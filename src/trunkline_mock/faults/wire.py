"""Faults on the wire: the response is correct, but it is sent incorrectly.

Each fault is a generator of all steps of a response. The steps are made one at a time, so that a response of
200 MB takes no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from trunkline_mock.faults.context import (
    FaultContext,
    content_record_after,
    first_half,
    records_until,
    with_records,
)
from trunkline_mock.response import RecordKind
from trunkline_mock.script import MEGABYTE, FaultKind
from trunkline_mock.steps import (
    End,
    Framing,
    Step,
    Write,
    body_steps,
    connection_end,
    encode_body_end,
    encode_chunk,
    encode_head,
    response_steps,
)

_BLOCK_SIZE: Final = 64 * 1024


def _end_at_once(end: End) -> Callable[[FaultContext], Iterator[Step]]:
    """A fault that sends nothing and ends with ``end``."""

    def steps(context: FaultContext) -> Iterator[Step]:
        yield end

    return steps


def _end_partway(end: End) -> Callable[[FaultContext], Iterator[Step]]:
    """A fault that sends ``after`` chunks of a stream, or half of a whole body, and ends with ``end``."""

    def steps(context: FaultContext) -> Iterator[Step]:
        response, framing = context.response, context.framing
        if not response.streamed:
            yield Write(encode_head(response, framing) + first_half(response.body))
        else:
            yield Write(encode_head(response, framing))
            sent = with_records(response, records_until(response.records, context.fault.after))
            yield from body_steps(sent, context.script, framing, complete=False)
        yield end

    return steps


def _bad_head(context: FaultContext) -> Iterator[Step]:
    yield Write(b"HTP/one fine 200\r\nthis is not a header\r\n\r\n")
    yield End.CLOSE


def _big_head(context: FaultContext) -> Iterator[Step]:
    response, framing = context.response, context.framing
    yield Write(encode_head(response, framing)[:-2])
    line = b"x-filler: " + b"a" * 4000 + b"\r\n"
    for _ in range((context.fault.size or MEGABYTE) // len(line) + 1):
        yield Write(line)
    yield Write(b"\r\n")
    yield from body_steps(response, context.script, framing)
    yield connection_end(framing)


def _early_hints(context: FaultContext) -> Iterator[Step]:
    yield Write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
    yield from response_steps(context.response, context.script, context.framing)


def _http_1_0(context: FaultContext) -> Iterator[Step]:
    framing = Framing(chunked=False, close=True, version="1.0", head_only=context.framing.head_only)
    yield from response_steps(context.response, context.script, framing)


def _bad_chunk(context: FaultContext) -> Iterator[Step]:
    response = msgspec.structs.replace(context.response, streamed=True)
    framing = msgspec.structs.replace(context.framing, chunked=True)
    yield Write(encode_head(response, framing))
    before = records_until(response.records, context.fault.after) if context.response.streamed else ()
    after = response.records[len(before) :]
    yield from body_steps(with_records(response, before), context.script, framing, complete=False)
    yield Write(b"zz\r\n")
    yield from body_steps(with_records(response, after), context.script, framing)
    yield connection_end(framing)


def _comments_only(context: FaultContext) -> Iterator[Step]:
    yield Write(encode_head(context.response, _chunked_framing(context)))
    while True:
        yield Write(encode_chunk(context.error_format.heartbeat, _chunked_framing(context)))
        yield context.fault.delay_s


def _chunked_framing(context: FaultContext) -> Framing:
    """A framing for a body whose length is not known in advance."""
    return msgspec.structs.replace(context.framing, chunked=True)


def _long_record(context: FaultContext) -> Iterator[Step]:
    framing = _chunked_framing(context)
    response = context.response
    opening = records_until(response.records, 0) if response.streamed else ()
    start = b"".join(record.data for record in opening)
    start += first_half(content_record_after(response, 0).data.rstrip())
    yield Write(encode_head(response, framing) + encode_chunk(start, framing))
    yield from _filler_writes(b"x", context.fault.size or 64 * MEGABYTE, framing)
    yield Write(encode_body_end(framing))
    yield connection_end(framing)


def _filler_writes(unit: bytes, size: int, framing: Framing) -> Iterator[Write]:
    """Writes of ``unit`` over and over, ``size`` bytes in total."""
    block = encode_chunk(unit * (_BLOCK_SIZE // len(unit)), framing)
    for _ in range(size // _BLOCK_SIZE):
        yield Write(block)
    if rest := unit * (size % _BLOCK_SIZE // len(unit)):
        yield Write(encode_chunk(rest, framing))


def _huge(context: FaultContext) -> Iterator[Step]:
    """A stream that repeats its first content, or a whole body followed by white space, of ``size`` bytes."""
    framing = _chunked_framing(context)
    response, size = context.response, context.fault.size or 200 * MEGABYTE
    if not response.streamed:
        yield Write(encode_head(response, framing) + encode_chunk(response.body, framing))
        yield from _filler_writes(b" ", size, framing)
        yield Write(encode_body_end(framing))
        yield connection_end(framing)
        return
    opening = records_until(response.records, 0)
    content = content_record_after(response, 0)
    start = b"".join(record.data for record in opening) or b"\n"
    yield Write(encode_head(response, framing) + encode_chunk(start, framing))
    count = max(_BLOCK_SIZE // len(content.data), 1)
    block = Write(encode_chunk(content.data * count, framing), content.tokens * count, count)
    for _ in range(size // (len(content.data) * count) + 1):
        yield block
    rest = response.records[len(opening) :]
    closing = tuple(record for record in rest if record.kind is not RecordKind.CONTENT)
    yield from body_steps(with_records(response, closing), context.script, framing)
    yield connection_end(framing)


def _wrong_length(context: FaultContext) -> Iterator[Step]:
    yield from _steps_with_false_length(context, +100)
    yield End.CLOSE


def _short_length(context: FaultContext) -> Iterator[Step]:
    yield from _steps_with_false_length(context, -10)
    yield connection_end(context.framing)


def _steps_with_false_length(context: FaultContext, error: int) -> Iterator[Step]:
    framing = msgspec.structs.replace(context.framing, chunked=False)
    content_length = max(len(context.response.body) + error, 0)
    head = encode_head(context.response, framing, content_length=content_length)
    yield from body_steps(context.response, context.script, framing, head)


def _extra_bytes(context: FaultContext) -> Iterator[Step]:
    """A second response without a request, in the same write as the end of the first."""
    steps = list(response_steps(context.response, context.script, context.framing))
    last_write = steps[-2]
    extra = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n"
    yield from steps[:-2]
    if isinstance(last_write, Write):
        yield last_write._replace(data=last_write.data + extra + b'{"smuggled":"1"}')
    yield steps[-1]


def _trickle(context: FaultContext) -> Iterator[Step]:
    yield Write(encode_head(context.response, context.framing))
    for step in body_steps(context.response, context.script, context.framing):
        for small_step in _split_write(step):
            yield small_step
            yield context.fault.delay_s
    yield connection_end(context.framing)


def _split_every_byte(context: FaultContext) -> Iterator[Step]:
    for step in response_steps(context.response, context.script, context.framing):
        yield from _split_write(step)


def _split_write(step: Step) -> Iterator[Step]:
    """One write for each byte of a write. The last of them has its token and chunk counts."""
    if not isinstance(step, Write):
        yield step
        return
    for i in range(len(step.data) - 1):
        yield Write(step.data[i : i + 1])
    yield step._replace(data=step.data[-1:])


WIRE_FAULTS: Final[dict[FaultKind, Callable[[FaultContext], Iterator[Step]]]] = {
    "refuse": _end_at_once(End.CLOSE),
    "reset_before": _end_at_once(End.RESET),
    "stall_before": _end_at_once(End.HANG),
    "reset_after": _end_partway(End.RESET),
    "close_after": _end_partway(End.CLOSE),
    "stall_after": _end_partway(End.HANG),
    "bad_head": _bad_head,
    "big_head": _big_head,
    "early_hints": _early_hints,
    "http_1_0": _http_1_0,
    "bad_chunk": _bad_chunk,
    "comments_only": _comments_only,
    "long_record": _long_record,
    "huge": _huge,
    "wrong_length": _wrong_length,
    "short_length": _short_length,
    "extra_bytes": _extra_bytes,
    "trickle": _trickle,
    "split_every_byte": _split_every_byte,
}
