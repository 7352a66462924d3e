"""Errors in OpenAI's dialect: written for clients, and read from inside upstreams' answers.

How an error answer is read is the same for several dialects: see ``dialects.error_envelope``.
"""

from __future__ import annotations

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE, Detail, error_body, read_error
from trunkline.dialects.error_words import find_hidden, is_failed, open_envelope
from trunkline.dialects.openai.answer_schema import Chunk
from trunkline.errors import UPSTREAM_ERROR, GatewayError, ProviderError

__all__ = ["error_body", "find_error", "read_error", "stream_error"]


def stream_error(error: GatewayError) -> bytes:
    """Return the event that OpenAI's SDKs raise on: a ``data`` line whose object has an ``error``."""
    return b"data: " + error_body(error) + b"\n\n"


def find_error(chunk: Chunk, payload: bytes, upstream_name: str) -> GatewayError | None:
    """Return the error that a 200 answer or a stream's chunk holds, if it holds one.

    Args:
        chunk: The decoded answer or chunk.
        payload: The same as it came: without choices it may be an error of any form.
        upstream_name: The upstream's name in error texts.
    """
    detail, choices = chunk.error, chunk.choices
    ended_badly = False
    if choices:
        for choice in choices:
            detail = detail or choice.error
            ended_badly = ended_badly or choice.finish_reason == "error"
        if not detail and chunk.base_resp is not None and is_failed(chunk.base_resp):
            detail = open_envelope({"base_resp": chunk.base_resp})
    elif not detail and (choices is None or chunk.usage is None):
        detail = _find_hidden(payload)
    if not detail and chunk.x_groq is not None:
        detail = chunk.x_groq.error
    if detail:
        error = Detail.of(detail)
        status = chunk.status_code or error.status or 500
        return error.to_error(status if 400 <= status < 600 else 500, (), upstream_name)
    if ended_badly:
        text = f"{upstream_name} ended its answer with an error that it did not name"
        return ProviderError(text, UPSTREAM_ERROR)
    return None


def _find_hidden(payload: bytes) -> object:
    try:
        return find_hidden(msgspec.json.decode(payload))
    except UNREADABLE:
        return None
