"""Faults of what is said: a reply in, another reply out, delivered in order.

The bytes that arrive are well-formed HTTP; what they say is wrong, incomplete or in another coding.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.faults.job import Job, half, next_content, replaced, upto
from trunkline_mock.script import FaultKind

_DEFAULT_STATUS: Final = 500


def _status(job: Job) -> Reply:
    fault = job.fault
    reply = job.voice.error(fault.status or _DEFAULT_STATUS, fault.message, fault.code)
    if fault.retry_after is None:
        return reply
    value = fault.retry_after if isinstance(fault.retry_after, str) else f"{fault.retry_after:g}"
    return msgspec.structs.replace(reply, headers=(*reply.headers, ("retry-after", value)))


def _redirect(job: Job) -> Reply:
    location = job.fault.location or "/elsewhere"
    return Reply(
        status=job.fault.status or 307, frames=(), headers=(("location", location),), content_type="text/html"
    )


def _html_error(job: Job) -> Reply:
    status = job.fault.status or 502
    page = f"<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>\n"
    return Reply(status=status, frames=(Frame(page.encode()),), content_type="text/html")


def _empty_body(job: Job) -> Reply:
    return replaced(job.reply, ())


def _error_in_200(job: Job) -> Reply:
    fault, reply = job.fault, job.reply
    status = fault.status or _DEFAULT_STATUS
    if reply.streamed:
        record = job.voice.midstream_error(reply, status, fault.message, fault.code)
    else:
        record = job.voice.error_in_200(reply, status, fault.message, fault.code)
    return replaced(reply, (Frame(record, Mark.FINISH),))


def _error_midstream(job: Job) -> Reply:
    if not job.reply.streamed:
        return _status(job)
    fault = job.fault
    status = fault.status or _DEFAULT_STATUS
    kept = upto(job.reply.frames, fault.after)
    begun = msgspec.structs.replace(job.reply, told=len(kept))
    record = job.voice.midstream_error(begun, status, fault.message, fault.code)
    return replaced(job.reply, (*kept, Frame(record, Mark.FINISH)))


def _cut_line(job: Job) -> Reply:
    reply = job.reply
    kept = upto(reply.frames, job.fault.after) if reply.streamed else ()
    cut = half(next_content(reply, job.fault.after).data.rstrip())
    return replaced(reply, (*kept, Frame(cut)))


def _with_damage(job: Job, damage: Callable[[bytes], bytes]) -> Reply:
    """The answer with one content record damaged, everything around it in order."""
    reply = job.reply
    victim = next_content(reply, job.fault.after if reply.streamed else 0)
    damaged = tuple(
        frame._replace(data=damage(frame.data)) if frame is victim else frame for frame in reply.frames
    )
    return replaced(reply, damaged)


def _bad_json(job: Job) -> Reply:
    def damage(data: bytes) -> bytes:
        body = data.rstrip()
        return body[:-1] + b',,"' + data[len(body) :]

    return _with_damage(job, damage)


def _bad_utf8(job: Job) -> Reply:
    # Inside the last string of the record, so that JSON is broken by nothing but the encoding.
    def damage(data: bytes) -> bytes:
        at = data.rindex(b'"')
        return data[:at] + b"\xff\xc0\x80" + data[at:]

    return _with_damage(job, damage)


def _no_done(job: Job) -> Reply:
    return _without(job.reply, Mark.FINISH, Mark.USAGE, Mark.DONE)


def _missing_done_marker(job: Job) -> Reply:
    return _without(job.reply, Mark.DONE)


def _without(reply: Reply, *marks: Mark) -> Reply:
    return replaced(reply, tuple(frame for frame in reply.frames if frame.mark not in marks))


def _compressed(reply: Reply) -> Reply:
    if not reply.streamed:
        frames: tuple[Frame, ...] = (Frame(gzip.compress(reply.body, mtime=0)),)
    else:
        packer = zlib.compressobj(wbits=31)
        packed = [
            frame._replace(data=packer.compress(frame.data) + packer.flush(zlib.Z_SYNC_FLUSH))
            for frame in reply.frames
        ]
        frames = (*packed, Frame(packer.flush(), Mark.DONE))
    return msgspec.structs.replace(
        reply, frames=frames, headers=(*reply.headers, ("content-encoding", "gzip"))
    )


def _gzip(job: Job) -> Reply:
    return _compressed(job.reply)


def _bad_gzip(job: Job) -> Reply:
    reply = _compressed(job.reply)
    first = reply.frames[0]
    spoilt = first.data[:10] + bytes(byte ^ 0x55 for byte in first.data[10:])
    return replaced(reply, (first._replace(data=spoilt), *reply.frames[1:]))


REWRITES: Final[dict[FaultKind, Callable[[Job], Reply]]] = {
    "status": _status,
    "redirect": _redirect,
    "html_error": _html_error,
    "empty_body": _empty_body,
    "error_in_200": _error_in_200,
    "error_midstream": _error_midstream,
    "cut_line": _cut_line,
    "bad_json": _bad_json,
    "bad_utf8": _bad_utf8,
    "no_done": _no_done,
    "missing_done_marker": _missing_done_marker,
    "gzip": _gzip,
    "bad_gzip": _bad_gzip,
}
