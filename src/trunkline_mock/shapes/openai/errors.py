"""Errors of OpenAI's API: as a response, as an event of a stream, and as a body under status 200.

The vendor's row decides the format and has the default message of each status.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.response import Response
from trunkline_mock.shapes.base import VendorError, encode_json, json_response, sse_event
from trunkline_mock.shapes.openai.vendor import DefaultError, Vendor

_UNKNOWN_STATUS: Final = DefaultError("server_error", None, "Something went wrong.")


def error_object(vendor: Vendor, status: int, message: str | None, code: str | int | None) -> dict[str, Any]:
    """The error object of a status.

    Args:
        vendor: The row that is played.
        status: The HTTP status.
        message: The message; ``None``: the vendor's default for the status.
        code: The code; ``None``: the vendor's default for the status.
    """
    default = vendor.errors.get(status, _UNKNOWN_STATUS)
    message = default.message if message is None else message
    if vendor.error_code == "string":
        code = default.code if code is None else code
        return {"message": message, "type": default.type, "param": None, "code": code}
    number = status if code is None else code
    if vendor.error_form == "list":
        return {"code": status, "message": message, "status": default.type}
    if vendor.error_code == "object":
        fields = {"object": "error", "message": message, "type": default.type, "param": None}
        return {**fields, "code": number}
    if vendor.provider:  # OpenRouter sends neither type nor param
        return {"code": number, "message": message}
    return {"message": message, "type": default.type, "param": None, "code": number}


def error_response(vendor: Vendor, status: int, message: str | None, code: str | int | None) -> Response:
    """A response with an error status."""
    return _response(vendor, status, error_object(vendor, status, message, code))


def vendor_error_response(vendor: Vendor, error: VendorError) -> Response:
    """The response to a request that the vendor refuses."""
    fields = error_object(vendor, error.status, error.message, None)
    if vendor.error_code == "string":
        fields["code"] = error.code
        fields["type"] = fields["type"] or "invalid_request_error"
    if "param" in fields:
        fields["param"] = error.param
    if error.message_object is not None:
        fields["message"] = error.message_object
    return _response(vendor, error.status, fields)


def _response(vendor: Vendor, status: int, error: dict[str, Any]) -> Response:
    return json_response(error_body(vendor, error), status=status)


def error_body(vendor: Vendor, error: dict[str, Any]) -> Any:
    """The body that reports the object ``error``, in the vendor's form."""
    match vendor.error_form:
        case "flat":
            return {"object": "error", **error} if vendor.reasoning == "content" else error
        case "list":
            return [{"error": error}]
        case "text":
            return {"code": error.get("code"), "error": error["message"]}
        case _:
            return {"error": error}


def midstream_error_record(
    vendor: Vendor, response: Response, status: int, message: str | None, code: str | int | None
) -> bytes:
    """The event that ends the stream ``response`` with an error."""
    error = error_object(vendor, status, message, code)
    if vendor.midstream == "status_code":
        return sse_event({"error": error, "status_code": status})
    if vendor.midstream == "error":
        return sse_event({"error": error})
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    choice["native_finish_reason"] = "error"
    return sse_event({**_repeated_fields(response), "error": error, "choices": [choice]})


def _repeated_fields(response: Response) -> dict[str, Any]:
    """The fields that every event of a stream repeats, taken from the first one."""
    for record in response.records:
        if record.data.startswith(b"data: {"):
            event: dict[str, Any] = msgspec.json.decode(record.data[6:])
            return {
                name: event[name]
                for name in ("id", "object", "created", "model", "provider")
                if name in event
            }
    return {}


def error_body_in_200(
    vendor: Vendor, response: Response, status: int, message: str | None, code: str | int | None
) -> bytes:
    """A body that reports an error under status 200: OpenRouter's is in the choice, others' is the body."""
    error = error_object(vendor, status, message, code)
    if vendor.midstream != "chunk":
        return encode_json({"error": error})
    body: dict[str, Any] = msgspec.json.decode(response.body)
    for choice in body.get("choices", ()):
        choice |= {"error": error, "finish_reason": "error", "native_finish_reason": "error"}
    return encode_json(body)
