"""The back of upstreams that have the API: what passes through, and what is asked of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.responses.cases import CHAT_REQUEST
from tests.dialects.responses.samples import HELLO, METERED, body, error_detail
from tests.feeding import ways
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.dialects.responses import RESPONSES, ResponsesBack
from trunkline.errors import CallerError
from trunkline.exchange import PassThrough
from trunkline.model import CompletionRequest, Reasoning

BACK = ResponsesBack("Acme")

ASK: dict[str, Any] = {"model": "m", "max_output_tokens": 9, "temperature": None, "x": [1.0], "input": "Hi"}


def test_only_chats_are_rendered() -> None:
    with pytest.raises(CallerError, match="Acme takes chats only"):
        BACK.render(CompletionRequest(model="m", prompts=("Hi",)), "m", False, NO_DEFAULTS)


def test_summaries_that_were_refused_are_not_asked_for_again() -> None:
    back = ResponsesBack("Acme")
    request = msgspec.structs.replace(CHAT_REQUEST, reasoning=Reasoning(effort="low"))

    def asked() -> Any:
        return msgspec.json.decode(back.render(request, "m", False, NO_DEFAULTS))["reasoning"]

    assert asked() == {"effort": "low", "summary": "auto"}
    detail = error_detail(
        "unsupported_value", "Your organization must be verified", param="reasoning.summary"
    )
    error = back.read_error(400, (), body({"error": detail}))
    assert error.message == "Your organization must be verified"
    assert asked() == {"effort": "low"}


def test_pass_through() -> None:
    data = body(ASK | {"stream": True, "previous_response_id": "resp_1"})
    for pieces in ways(HELLO):
        exchange = PassThrough(RESPONSES, BACK, data, RESPONSES.summarize(data), "up", NO_DEFAULTS, "Acme")
        assert exchange.path == "/responses"
        assert msgspec.json.decode(exchange.body) == msgspec.json.decode(data) | {"model": "up"}
        exchange.head(200, [])
        assert b"".join(exchange.feed(piece) for piece in pieces) + exchange.finish() == HELLO
        assert (exchange.complete, exchange.error, exchange.usage, exchange.model) == (
            True,
            None,
            METERED,
            "up",
        )
        assert exchange.pieces == 4
