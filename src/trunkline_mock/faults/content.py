"""Faults in the content of a response: each of them turns a correct response into another one.

The result is sent as correct HTTP. Its content is wrong, incomplete or encoded in another way.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Final

import msgspec

from trunkline_mock.faults.context import (
    FaultContext,
    content_record_after,
    first_half,
    records_until,
    with_records,
)
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import FaultKind

_DEFAULT_STATUS: Final = 500
"""The status of an error whose fault has none."""


def _status(context: FaultContext) -> Response:
    fault = context.fault
    response = context.error_format.error_response(fault.status or _DEFAULT_STATUS, fault.message, fault.code)
    if fault.retry_after is None:
        return response
    value = fault.retry_after if isinstance(fault.retry_after, str) else f"{fault.retry_after:g}"
    return msgspec.structs.replace(response, headers=(*response.headers, ("retry-after", value)))


def _redirect(context: FaultContext) -> Response:
    location = context.fault.location or "/elsewhere"
    return Response(
        status=context.fault.status or 307,
        records=(),
        headers=(("location", location),),
        content_type="text/html",
    )


def _html_error(context: FaultContext) -> Response:
    status = context.fault.status or 502
    page = f"<html><head><title>{status}</title></head><body><h1>{status} Bad Gateway</h1></body></html>\n"
    return Response(status=status, records=(Record(page.encode()),), content_type="text/html")


def _empty_body(context: FaultContext) -> Response:
    return with_records(context.response, ())


def _error_in_200(context: FaultContext) -> Response:
    fault, response = context.fault, context.response
    status = fault.status or _DEFAULT_STATUS
    if response.streamed:
        error = context.error_format.midstream_error(response, status, fault.message, fault.code)
    else:
        error = context.error_format.error_in_200(response, status, fault.message, fault.code)
    return with_records(response, (Record(error, RecordKind.FINISH),))


def _error_midstream(context: FaultContext) -> Response:
    if not context.response.streamed:
        return _status(context)
    fault = context.fault
    status = fault.status or _DEFAULT_STATUS
    sent = records_until(context.response.records, fault.after)
    response = msgspec.structs.replace(context.response, records_before_error=len(sent))
    error = context.error_format.midstream_error(response, status, fault.message, fault.code)
    return with_records(response, (*sent, Record(error, RecordKind.FINISH)))


def _cut_line(context: FaultContext) -> Response:
    response = context.response
    sent = records_until(response.records, context.fault.after) if response.streamed else ()
    cut = first_half(content_record_after(response, context.fault.after).data.rstrip())
    return with_records(response, (*sent, Record(cut)))


def _with_damage(context: FaultContext, damage: Callable[[bytes], bytes]) -> Response:
    """The response with one content record damaged and all others unchanged."""
    response = context.response
    target = content_record_after(response, context.fault.after if response.streamed else 0)
    records = tuple(
        record._replace(data=damage(record.data)) if record is target else record
        for record in response.records
    )
    return with_records(response, records)


def _bad_json(context: FaultContext) -> Response:
    def damage(data: bytes) -> bytes:
        body = data.rstrip()
        return body[:-1] + b',,"' + data[len(body) :]

    return _with_damage(context, damage)


def _bad_utf8(context: FaultContext) -> Response:
    # The bytes go into the last string of the record, so that only its encoding makes the JSON invalid.
    def damage(data: bytes) -> bytes:
        quote = data.rindex(b'"')
        return data[:quote] + b"\xff\xc0\x80" + data[quote:]

    return _with_damage(context, damage)


def _no_done(context: FaultContext) -> Response:
    return _without(context.response, RecordKind.FINISH, RecordKind.USAGE, RecordKind.DONE)


def _missing_done_marker(context: FaultContext) -> Response:
    return _without(context.response, RecordKind.DONE)


def _without(response: Response, *kinds: RecordKind) -> Response:
    return with_records(response, tuple(record for record in response.records if record.kind not in kinds))


def _compressed(response: Response) -> Response:
    if not response.streamed:
        records: tuple[Record, ...] = (Record(gzip.compress(response.body, mtime=0)),)
    else:
        compressor = zlib.compressobj(wbits=31)
        compressed = [
            record._replace(data=compressor.compress(record.data) + compressor.flush(zlib.Z_SYNC_FLUSH))
            for record in response.records
        ]
        records = (*compressed, Record(compressor.flush(), RecordKind.DONE))
    return msgspec.structs.replace(
        response, records=records, headers=(*response.headers, ("content-encoding", "gzip"))
    )


def _gzip(context: FaultContext) -> Response:
    return _compressed(context.response)


def _bad_gzip(context: FaultContext) -> Response:
    response = _compressed(context.response)
    first = response.records[0]
    damaged = first.data[:10] + bytes(byte ^ 0x55 for byte in first.data[10:])
    return with_records(response, (first._replace(data=damaged), *response.records[1:]))


CONTENT_FAULTS: Final[dict[FaultKind, Callable[[FaultContext], Response]]] = {
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
