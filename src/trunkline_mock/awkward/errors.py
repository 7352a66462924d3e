"""Errors in every form that was seen; each says :data:`WORDS`, which must reach the client."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.awkward.shape import WORDS, Awkward, Event
from trunkline_mock.response import Record, RecordKind, Response


def _error(name: str, seen: str, body: Any, status: int = 400) -> Awkward:
    """An error as the whole answer, whether a stream was asked for or not."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)

    def reply(response: Response) -> Response:
        return Response(
            records=(Record(data, RecordKind.CONTENT),),
            status=status,
            content_type="text/plain" if isinstance(body, bytes) else "application/json",
        )

    return Awkward(name, seen, carries="error", reply=reply)


def _midstream(name: str, seen: str, event: Event, choice: dict[str, Any] | None = None) -> Awkward:
    """An error at 200: after the first text of a stream, and in the body or the choice of a whole answer."""

    def whole(body: dict[str, Any]) -> Any:
        if choice is None:
            return event
        body["choices"] = [body["choices"][0] | choice]
        return body

    def stream(events: list[Event]) -> list[Event]:
        first = next(each for each in events if isinstance(each, dict))
        failed = event
        if choice is not None:
            failed = first | {"choices": [{"index": 0, "delta": {"content": ""}} | choice]}
        return [*events[:3], failed, b"data: [DONE]\n\n"]

    return Awkward(name, seen, whole, stream, "error")


_OBJECT: Final = {"message": WORDS, "type": "server_error", "code": 500}

ERRORS: Final = (
    _error("error_list", "a list of errors (Gemini)", [{"error": {"code": 400, "message": WORDS}}]),
    _error("error_text", "`error` is a string (Together)", {"error": WORDS}),
    _error(
        "error_code_text", "`code` and `error` as strings (xAI)", {"code": "invalid-argument", "error": WORDS}
    ),
    _error(
        "error_flat",
        "the object itself (Cerebras, Mistral)",
        {"object": "error", "message": WORDS, "code": 1},
    ),
    _error("error_detail_text", "`detail` is a string (FastAPI)", {"detail": WORDS}),
    _error(
        "error_detail_list",
        "`detail` is a list (FastAPI)",
        {"detail": [{"loc": ["body", "x"], "msg": WORDS, "type": "value_error"}]},
        422,
    ),
    _error(
        "error_message_detail",
        "a list of details in `message` (Mistral)",
        {"object": "error", "message": {"detail": [{"loc": ["body", "x"], "msg": WORDS}]}, "code": None},
        422,
    ),
    _error(
        "error_errors",
        "`errors` is a list (Cloudflare)",
        {"success": False, "errors": [{"code": 7, "message": WORDS}]},
    ),
    _error("error_errors_text", "`errors` is a list of strings", {"errors": [WORDS]}),
    _error("error_type", "`error` and `error_type` (TGI)", {"error": WORDS, "error_type": "validation"}, 422),
    _error(
        "error_raw",
        "the vendor's body as text in `metadata.raw` (OpenRouter)",
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": f'{{"error":{{"message":"{WORDS}"}}}}'},
            }
        },
    ),
    _error("error_message_only", "only `message` (AWS)", {"message": WORDS}),
    _error("error_message_capital", "only `Message` (AWS)", {"Message": WORDS}),
    _error("error_plain", "plain text", WORDS.encode()),
    _error("error_msg", "`msg` and a code", {"code": 400, "msg": WORDS}),
    _error(
        "error_base_resp",
        "`base_resp` at 200 (MiniMax)",
        {"base_resp": {"status_code": 2013, "status_msg": WORDS}},
        200,
    ),
    _error("error_in_200", "an error at 200", {"error": _OBJECT}, 200),
    _error("error_in_200_text", "an error at 200, as a string", {"error": WORDS}, 200),
    _midstream("error_event", "an error event after text", {"error": _OBJECT}),
    _midstream("error_event_text", "an error event that is a string", {"error": WORDS}),
    _midstream("error_event_detail", "an error event with `detail`", {"detail": WORDS}),
    _midstream(
        "error_event_flat", "a flat error event (SGLang)", {"object": "error", "message": WORDS, "code": 500}
    ),
    _midstream(
        "error_in_choice",
        "an error in the choice (OpenRouter)",
        {},
        {"error": _OBJECT, "finish_reason": "error"},
    ),
)
"""The shapes."""
