"""Responses clients in front of upstreams that have the API themselves: what these are asked and say."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.responses.upstreams import HELLO, METERED, body, said
from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults, RequestSummary
from trunkline.dialects.openai import OpenAIBack, Quirks
from trunkline.dialects.responses import RESPONSES, ResponsesBack
from trunkline.errors import CallerError, GatewayError, Kind
from trunkline.exchange import PassThrough
from trunkline.model import CompletionRequest

BACK = ResponsesBack("Acme")

ASK: dict[str, Any] = {"model": "m", "max_output_tokens": 9, "temperature": None, "x": [1.0], "input": "Hi"}
FILLS = RequestDefaults(temperature=0.5, max_tokens=5, fields={"service_tier": "auto", "x": 3, "y": None})
ZDR = RequestDefaults(routing={"zdr": True})

REWRITES: list[tuple[str, RequestDefaults, dict[str, Any], dict[str, Any]]] = [
    ("m", RequestDefaults(), {}, {}),
    ("n", NO_DEFAULTS, {}, {"model": "n"}),
    ("m", FILLS, {}, {"temperature": 0.5, "service_tier": "auto"}),
    ("m", FILLS, {"temperature": 0}, {"service_tier": "auto"}),
    ("m", RequestDefaults(max_tokens=5), {"max_output_tokens": None}, {"max_output_tokens": 5}),
    ("m", RequestDefaults(max_tokens=20), {}, {}),
    ("n", RequestDefaults(drop=frozenset({"x", "y"})), {}, {"model": "n", "x": ...}),
    ("m", RequestDefaults(temperature=0.5, drop=frozenset({"temperature"})), {}, {"temperature": ...}),
    ("m", ZDR, {}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "defaults", "asked", "changes"), REWRITES)
def test_rewriting(
    name: str, defaults: RequestDefaults, asked: dict[str, Any], changes: dict[str, Any]
) -> None:
    data = body(ASK | asked)
    wanted = {key: value for key, value in (ASK | asked | changes).items() if value is not ...}
    assert msgspec.json.decode(BACK.patch(data, RESPONSES.summarize(data), name, defaults)) == wanted


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"zdr": True}),
        ({"provider": {"order": ["a"], "zdr": False}}, {"order": ["a"], "zdr": True}),
        ({"provider": None}, {"zdr": True}),
        ({"provider": 7}, {"zdr": True}),
    ],
)
def test_how_openrouter_is_to_route_is_said_whatever_the_request_says(
    asked: dict[str, Any], sent: dict[str, Any]
) -> None:
    data = body(ASK | asked)
    made = ResponsesBack("OpenRouter", takes_routing=True).patch(data, RESPONSES.summarize(data), "m", ZDR)
    assert msgspec.json.decode(made) == ASK | {"provider": sent}


@pytest.mark.parametrize("defaults", [NO_DEFAULTS, RequestDefaults(max_tokens=5)])
def test_a_body_that_needs_no_change_is_the_same(defaults: RequestDefaults) -> None:
    data = body(ASK).replace(b"1.0", b"1.00")
    assert BACK.patch(data, RESPONSES.summarize(data), "m", defaults) is data
    assert b"1.00" in BACK.patch(data, RESPONSES.summarize(data), "n", defaults)


def test_a_body_that_is_no_object() -> None:
    with pytest.raises(CallerError):
        BACK.patch(b"[]", RequestSummary(model="m", stream=False), "n", NO_DEFAULTS)


ANSWERS: dict[str, tuple[int, object, Kind, str, str | None, str | None]] = {
    "the request": (
        400,
        {"error": said("bad_input", type="invalid_request_error", param="input")},
        errors.INVALID_REQUEST, "Oh", "input", "bad_input",
    ),
    "the model": (
        404,
        {"error": said("model_not_found", param="model")},
        errors.MODEL_NOT_FOUND, "Acme answered 404: Oh", "model", "model_not_found",
    ),
    "no such endpoint": (
        404, {"detail": "Not Found"},
        errors.MODEL_NOT_FOUND, "Acme answered 404: Not Found", "model", "model_not_found",
    ),
    "a response that it does not know": (
        404, {"error": said("previous_response_not_found", param="previous_response_id")},
        errors.NOT_FOUND, "Oh", "previous_response_id", "previous_response_not_found",
    ),
    "an item that it does not know": (
        404, {"error": said(None, param="input")},
        errors.NOT_FOUND, "Oh", "input", "not_found",
    ),
    "no credit": (
        429, {"error": said("insufficient_quota")},
        errors.UPSTREAM_CREDIT, "Acme answered 429: Oh", None, "upstream_credit",
    ),
    "a sentence": (
        500, {"error": "it broke"},
        errors.UPSTREAM_ERROR, "Acme answered 500: it broke", None, "upstream_error",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
def test_error_answers(case: str) -> None:
    status, sent, kind, message, param, code = ANSWERS[case]
    error = BACK.read_error(status, [(b"retry-after", b"7")], body(sent))
    assert (error.kind, error.message, error.param, error.code) == (kind, message, param, code)
    assert error.status == kind.status


def test_where_it_is_asked() -> None:
    assert BACK.target("chat", None) == "/responses"
    assert ResponsesBack("x", "/v1").target("chat", None) == "/v1/responses"
    assert BACK.target("embeddings", None) is BACK.target("completions", None) is None
    assert BACK.dialect == RESPONSES.dialect != OpenAIBack(Quirks()).dialect


def test_nothing_is_translated_into_it() -> None:
    request = CompletionRequest(model="m", prompts=("Hi",))
    for ask in (lambda: BACK.render(request, "m", False, NO_DEFAULTS), lambda: BACK.reader(request, False)):
        with pytest.raises(GatewayError, match="Acme is asked in the Responses dialect by clients of") as met:
            ask()
        assert met.value.kind is errors.INTERNAL


def test_past_each_other() -> None:
    data = body(ASK | {"stream": True, "previous_response_id": "resp_1"})
    for pieces in ways(HELLO):
        made = PassThrough(RESPONSES, BACK, data, RESPONSES.summarize(data), "up", NO_DEFAULTS, "Acme")
        assert made.path == "/responses"
        assert msgspec.json.decode(made.body) == msgspec.json.decode(data) | {"model": "up"}
        made.head(200, [])
        assert b"".join(made.feed(piece) for piece in pieces) + made.finish() == HELLO
        assert (made.complete, made.error, made.usage, made.model) == (True, None, METERED, "up")
        assert made.pieces == 4
