"""Errors inside the 200 answers and streams of OpenAI-compatible upstreams → values, wherever they stand."""

from __future__ import annotations

from trunkline.dialects.error_envelope import Detail
from trunkline.dialects.openai.answer_schema import Chunk
from trunkline.errors import UPSTREAM_ERROR, GatewayError, ProviderError


def find_error(chunk: Chunk, who: str) -> GatewayError | None:
    """The error that a 200 answer or a stream's chunk holds, if it holds one."""
    detail, choices = chunk.error, chunk.choices
    ended_badly = False
    if choices:
        for choice in choices:
            detail = detail or choice.error
            ended_badly = ended_badly or choice.finish_reason == "error"
    elif choices is None and not detail and chunk.message and not chunk.id:
        detail = {"message": chunk.message, "code": chunk.code, "param": chunk.param}
    if detail:
        error = Detail.of(detail)
        status = chunk.status_code or error.status or 500
        return error.value(status if 400 <= status < 600 else 500, (), who)
    if ended_badly:
        return ProviderError(f"{who} ended its answer with an error that it did not name", UPSTREAM_ERROR)
    return None
