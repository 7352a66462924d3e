"""Requests for tests, as the dispatcher would make them."""

from __future__ import annotations

import time
from typing import Any

from trunkline.dialects import openai
from trunkline.dialects.base import Front
from trunkline.errors import GatewayError
from trunkline.pipeline.active import ActiveRequest, Response
from trunkline.pipeline.request import Request
from trunkline.pipeline.responder import Responder

CHAT_PATH = "/v1/chat/completions"


def make_request(
    body: bytes = b"", front: Front = openai.CHAT, path: str = CHAT_PATH, **fields: Any
) -> Request:
    """A request with what its front reads of ``body``; ``fields`` are others of :class:`Request`."""
    try:
        fields.setdefault("summary", front.summarize(body))
    except GatewayError as error:
        fields["problem"] = error
    known: dict[str, Any] = {"request_id": "req_1", "received_at": time.perf_counter()}
    return Request(front=front, path=path, body=body, **known | fields)


def make_active(responder: Responder, body: bytes = b"", **fields: Any) -> ActiveRequest:
    """Such a request under way."""
    request = make_request(body, **fields)
    return ActiveRequest(request, Response(request, responder))
