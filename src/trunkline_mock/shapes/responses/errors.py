"""Errors of the Responses API: as an event of a stream, and as a failed response under status 200.

Responses with an error status are the same as those of the vendor's chat completions.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.response import Response
from trunkline_mock.shapes.base import encode_json, named_sse_event
from trunkline_mock.shapes.openai.errors import error_object
from trunkline_mock.shapes.openai.vendor import Vendor

_FAILURE_CODES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}
"""The ``error.code`` of a failed response by status; that of any other status is ``server_error``."""


def encode_event(name: str, sequence_number: int, fields: dict[str, Any]) -> bytes:
    """An event of a stream; OpenAI repeats its name as the ``type`` in its payload."""
    return named_sse_event(name, {"type": name, "sequence_number": sequence_number} | fields)


def midstream_error_record(
    vendor: Vendor, response: Response, status: int, message: str | None, code: str | int | None
) -> bytes:
    """The event that ends the stream ``response`` with an error, with the next sequence number."""
    error = error_object(vendor, status, message, code)
    sent = response.records[: response.records_before_error]
    sequence_number = sum(record.data.startswith(b"event: ") for record in sent)
    if vendor.responses == "flat":
        fields = {name: error.get(name) for name in ("code", "message", "param")}
        return encode_event("error", sequence_number, fields)
    return encode_event("error", sequence_number, {"error": error})


def error_body_in_200(
    vendor: Vendor, response: Response, status: int, message: str | None, code: str | int | None
) -> bytes:
    """The body of a response that failed."""
    body: dict[str, Any] = msgspec.json.decode(response.body)
    message = error_object(vendor, status, message, None)["message"]
    error = {"code": code or _FAILURE_CODES.get(status, "server_error"), "message": message}
    return encode_json(body | {"status": "failed", "error": error, "output": [], "usage": None})
