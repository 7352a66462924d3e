"""Responses clients in front of upstreams that have the API themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dialects.responses.samples import HELLO, METERED, body
from tests.feeding import ways
from trunkline import errors
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.dialects.responses import RESPONSES, ResponsesBack
from trunkline.errors import GatewayError
from trunkline.exchange import PassThrough
from trunkline.model import CompletionRequest

BACK = ResponsesBack("Acme")

ASK: dict[str, Any] = {"model": "m", "max_output_tokens": 9, "temperature": None, "x": [1.0], "input": "Hi"}


def test_nothing_is_translated_into_it() -> None:
    request = CompletionRequest(model="m", prompts=("Hi",))
    for call in (lambda: BACK.render(request, "m", False, NO_DEFAULTS), lambda: BACK.reader(request, False)):
        with pytest.raises(
            GatewayError, match="Acme is asked in the Responses dialect by clients of"
        ) as caught:
            call()
        assert caught.value.kind is errors.INTERNAL


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
