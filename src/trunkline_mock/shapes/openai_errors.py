"""How the vendors of OpenAI's API put an error: as an answer, in a stream, inside a 200."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.delivery import Reply
from trunkline_mock.shapes.base import RefusalError, encode, json_reply, sse
from trunkline_mock.shapes.vendors import ErrorWords, Vendor

_UNKNOWN: Final = ErrorWords("server_error", None, "Something went wrong.")


def words_for(vendor: Vendor, status: int, message: str | None, code: str | int | None) -> dict[str, Any]:
    """The error object of ``status``: the vendor's words, with what is given in their place."""
    words = vendor.errors.get(status, _UNKNOWN)
    message = words.message if message is None else message
    own_code = words.code if code is None else code
    if vendor.error_code == "string":
        return {"message": message, "type": words.type, "param": None, "code": own_code}
    if vendor.error_code == "object":
        fields = {"object": "error", "message": message, "type": words.type, "param": None}
        return {**fields, "code": status if code is None else code}
    number = status if code is None else code
    if vendor.provider:  # OpenRouter: neither type nor param
        return {"code": number, "message": message}
    return {"message": message, "type": words.type, "param": None, "code": number}


def error_reply(vendor: Vendor, status: int, message: str | None, code: str | int | None) -> Reply:
    """An answer with an error status."""
    return _reply(vendor, status, words_for(vendor, status, message, code))


def refusal_reply(vendor: Vendor, refusal: RefusalError) -> Reply:
    """The answer to a request that the vendor refuses."""
    error = words_for(vendor, refusal.status, refusal.message, None)
    if vendor.error_code == "string":
        error["code"] = refusal.code
        error["type"] = error["type"] or "invalid_request_error"
    if "param" in error:
        error["param"] = refusal.param
    return _reply(vendor, refusal.status, error)


def _reply(vendor: Vendor, status: int, error: dict[str, Any]) -> Reply:
    body = error if vendor.error_form == "flat" else {"error": error}
    return json_reply(body, status=status)


def midstream_record(
    vendor: Vendor, reply: Reply, status: int, message: str | None, code: str | int | None
) -> bytes:
    """The event that ends a stream with an error."""
    error = words_for(vendor, status, message, code)
    if vendor.midstream == "status_code":
        return sse({"error": error, "status_code": status})
    if vendor.midstream == "error":
        return sse({"error": error})
    first = _first_event(reply)
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}
    choice["native_finish_reason"] = "error"
    return sse({**first, "error": error, "choices": [choice]})


def _first_event(reply: Reply) -> dict[str, Any]:
    """The fields that every event of a stream repeats, taken from its first one."""
    for frame in reply.frames:
        if frame.data.startswith(b"data: {"):
            event: dict[str, Any] = msgspec.json.decode(frame.data[6:])
            return {
                name: event[name]
                for name in ("id", "object", "created", "model", "provider")
                if name in event
            }
    return {}


def body_in_200(
    vendor: Vendor, reply: Reply, status: int, message: str | None, code: str | int | None
) -> bytes:
    """A body that fails under status 200: OpenRouter says so in the choice, others with a bare error."""
    error = words_for(vendor, status, message, code)
    if vendor.midstream != "chunk":
        return encode({"error": error})
    answer: dict[str, Any] = msgspec.json.decode(reply.body)
    for choice in answer.get("choices", ()):
        choice |= {"error": error, "finish_reason": "error", "native_finish_reason": "error"}
    return encode(answer)
