"""The input of every fault: the correct response, its framing, and the vendor's format for errors.

No fault is implemented here, and no vendor's format: a shape provides it as an :class:`ErrorFormat`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import Fault, Script
from trunkline_mock.steps import Framing


class ErrorFormat(Protocol):
    """How a vendor reports errors; every shape is one."""

    @property
    def heartbeat(self) -> bytes:
        """A record without content, which a stream may repeat without end."""

    def error_response(self, status: int, message: str | None, code: str | int | None) -> Response:
        """The vendor's error response for ``status``.

        Args:
            status: The HTTP status.
            message: The error's message; ``None``: the vendor's usual one.
            code: The error's code; ``None``: the vendor's usual one.
        """

    def midstream_error(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The record that reports an error in the middle of the stream ``response``."""

    def error_in_200(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The body that reports an error under status 200, instead of the one of ``response``."""


class FaultContext(msgspec.Struct, frozen=True, kw_only=True):
    """A correct response, and the fault that it is to get."""

    response: Response
    script: Script
    fault: Fault
    framing: Framing
    error_format: ErrorFormat


def records_until(records: tuple[Record, ...], after: int) -> tuple[Record, ...]:
    """The records up to and including the ``after``-th content record, without any that ends the answer."""
    selected: list[Record] = []
    contents = 0
    for record in records:
        if record.kind is RecordKind.CONTENT:
            contents += 1
        if contents > after or record.kind in (RecordKind.FINISH, RecordKind.USAGE, RecordKind.DONE):
            break
        selected.append(record)
        if contents == after and record.kind is RecordKind.CONTENT:
            break
    return tuple(selected)


def with_records(response: Response, records: tuple[Record, ...]) -> Response:
    """``response`` with other records."""
    return msgspec.structs.replace(response, records=records)


def first_half(data: bytes) -> bytes:
    """The first half of ``data``, at least one byte."""
    return data[: max(len(data) // 2, 1)]


def content_record_after(response: Response, after: int) -> Record:
    """The content record that follows the first ``after`` ones, or the last one if there are no more."""
    contents = [record for record in response.records if record.kind is RecordKind.CONTENT]
    contents = contents or [Record(b"{}")]
    return contents[min(after, len(contents) - 1)]
