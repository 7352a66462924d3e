"""Anthropic's errors."""

from __future__ import annotations

import msgspec
import pytest

from trunkline_mock.shapes.anthropic.errors import error_body, error_event, error_response


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (418, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_each_status_has_its_type(status: int, kind: str) -> None:
    response = error_response(status, None, None)
    body = msgspec.json.decode(response.body)
    assert list(body) == ["type", "error", "request_id"]
    assert (response.status, body["type"], body["error"]["type"]) == (status, "error", kind)
    assert body["error"]["message"]
    assert dict(response.headers) == {"request-id": body["request_id"]}


def test_a_scripted_message_and_code() -> None:
    assert error_body(500, "boom", "odd_error")["error"] == {"type": "odd_error", "message": "boom"}
    assert error_body(429, "", None)["error"] == {"type": "rate_limit_error", "message": ""}


def test_an_error_in_a_stream_is_an_event() -> None:
    name, data = error_event(529, None, None).removesuffix(b"\n\n").split(b"\n")
    assert name == b"event: error"
    assert msgspec.json.decode(data.removeprefix(b"data: ")) == error_body(529, None, None)
