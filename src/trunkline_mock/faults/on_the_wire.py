"""Faults of the delivery: the answer is right, the way it is sent is not.

A plan lays out all the steps of an answer, lazily, so that 200 MB of it cost no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from trunkline_mock.delivery import (
    End,
    Framing,
    Mark,
    Step,
    Write,
    chunk,
    deliver,
    end,
    head,
    records,
    tail,
)
from trunkline_mock.faults.job import Job, half, next_content, replaced, upto
from trunkline_mock.script import MEGABYTE, FaultKind

_BLOCK: Final = 64 * 1024


def _at_once(ending: End) -> Callable[[Job], Iterator[Step]]:
    """Nothing is sent, then ``ending``."""

    def plan(job: Job) -> Iterator[Step]:
        yield ending

    return plan


def _partway(ending: End) -> Callable[[Job], Iterator[Step]]:
    """``after`` chunks of a stream, or half of a whole body, then ``ending``."""

    def plan(job: Job) -> Iterator[Step]:
        reply, framing = job.reply, job.framing
        if not reply.streamed:
            yield Write(head(reply, framing) + half(reply.body))
        else:
            yield Write(head(reply, framing))
            kept = replaced(reply, upto(reply.frames, job.fault.after))
            yield from records(kept, job.script, framing, ended=False)
        yield ending

    return plan


def _bad_head(job: Job) -> Iterator[Step]:
    yield Write(b"HTP/one fine 200\r\nthis is not a header\r\n\r\n")
    yield End.CLOSE


def _big_head(job: Job) -> Iterator[Step]:
    reply, framing = job.reply, job.framing
    opening = head(reply, framing)[:-2]
    yield Write(opening)
    line = b"x-filler: " + b"a" * 4000 + b"\r\n"
    for _ in range((job.fault.size or MEGABYTE) // len(line) + 1):
        yield Write(line)
    yield Write(b"\r\n")
    yield from records(reply, job.script, framing)
    yield end(framing)


def _early_hints(job: Job) -> Iterator[Step]:
    yield Write(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")
    yield from deliver(job.reply, job.script, job.framing)


def _http_1_0(job: Job) -> Iterator[Step]:
    framing = Framing(chunked=False, close=True, version="1.0", bodiless=job.framing.bodiless)
    yield from deliver(job.reply, job.script, framing)


def _bad_chunk(job: Job) -> Iterator[Step]:
    reply = msgspec.structs.replace(job.reply, streamed=True)
    framing = msgspec.structs.replace(job.framing, chunked=True)
    yield Write(head(reply, framing))
    kept = upto(reply.frames, job.fault.after) if job.reply.streamed else ()
    yield from records(replaced(reply, kept), job.script, framing, ended=False)
    yield Write(b"zz\r\n")
    yield from records(replaced(reply, reply.frames[len(kept) :]), job.script, framing)
    yield end(framing)


def _comments_only(job: Job) -> Iterator[Step]:
    yield Write(head(job.reply, _open_ended(job)))
    while True:
        yield Write(chunk(job.voice.heartbeat, _open_ended(job)))
        yield job.fault.delay_s


def _open_ended(job: Job) -> Framing:
    """A framing for a body whose length nobody knows yet."""
    return msgspec.structs.replace(job.framing, chunked=True)


def _long_record(job: Job) -> Iterator[Step]:
    framing = _open_ended(job)
    reply = job.reply
    record = half(next_content(reply, 0).data.rstrip())
    start = b"".join(frame.data for frame in upto(reply.frames, 0)) if reply.streamed else b""
    yield Write(head(reply, framing) + chunk(start + record, framing))
    yield from _filler(b"x", job.fault.size or 64 * MEGABYTE, framing)
    yield Write(tail(framing))
    yield end(framing)


def _filler(unit: bytes, size: int, framing: Framing) -> Iterator[Write]:
    block = chunk(unit * (_BLOCK // len(unit)), framing)
    for _ in range(size // _BLOCK):
        yield Write(block)
    if rest := unit * (size % _BLOCK // len(unit)):
        yield Write(chunk(rest, framing))


def _huge(job: Job) -> Iterator[Step]:
    """A stream whose first content is repeated, or a whole answer followed by white space, up to ``size``."""
    framing = _open_ended(job)
    reply, size = job.reply, job.fault.size or 200 * MEGABYTE
    if not reply.streamed:
        yield Write(head(reply, framing) + chunk(reply.body, framing))
        yield from _filler(b" ", size, framing)
        yield Write(tail(framing))
        yield end(framing)
        return
    start = upto(reply.frames, 0)
    content = next_content(reply, 0)
    yield Write(head(reply, framing) + chunk(b"".join(frame.data for frame in start) or b"\n", framing))
    count = max(_BLOCK // len(content.data), 1)
    block = Write(chunk(content.data * count, framing), content.tokens * count, count)
    for _ in range(size // (len(content.data) * count) + 1):
        yield block
    closing = tuple(frame for frame in reply.frames[len(start) :] if frame.mark is not Mark.CONTENT)
    yield from records(replaced(reply, closing), job.script, framing)
    yield end(framing)


def _wrong_length(job: Job) -> Iterator[Step]:
    yield from _measured(job, +100)
    yield End.CLOSE


def _short_length(job: Job) -> Iterator[Step]:
    yield from _measured(job, -10)
    yield end(job.framing)


def _measured(job: Job, error: int) -> Iterator[Step]:
    framing = msgspec.structs.replace(job.framing, chunked=False)
    length = max(len(job.reply.body) + error, 0)
    yield from records(job.reply, job.script, framing, head(job.reply, framing, length=length))


def _extra_bytes(job: Job) -> Iterator[Step]:
    """A second response that nobody asked for, in the same write as the end of the first."""
    steps = list(deliver(job.reply, job.script, job.framing))
    last = steps[-2]
    extra = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\n\r\n"
    yield from steps[:-2]
    if isinstance(last, Write):
        yield last._replace(data=last.data + extra + b'{"smuggled":"1"}')
    yield steps[-1]


def _trickle(job: Job) -> Iterator[Step]:
    yield Write(head(job.reply, job.framing))
    for step in records(job.reply, job.script, job.framing):
        for one in _bytewise(step):
            yield one
            yield job.fault.delay_s
    yield end(job.framing)


def _split_every_byte(job: Job) -> Iterator[Step]:
    for step in deliver(job.reply, job.script, job.framing):
        yield from _bytewise(step)


def _bytewise(step: Step) -> Iterator[Step]:
    """A write as one write a byte; its counts go with the last."""
    if not isinstance(step, Write):
        yield step
        return
    for at in range(len(step.data) - 1):
        yield Write(step.data[at : at + 1])
    yield step._replace(data=step.data[-1:])


PLANS: Final[dict[FaultKind, Callable[[Job], Iterator[Step]]]] = {
    "refuse": _at_once(End.CLOSE),
    "reset_before": _at_once(End.RESET),
    "stall_before": _at_once(End.HANG),
    "reset_after": _partway(End.RESET),
    "close_after": _partway(End.CLOSE),
    "stall_after": _partway(End.HANG),
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
