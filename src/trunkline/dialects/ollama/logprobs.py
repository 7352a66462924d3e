"""Log probabilities, between Ollama's list and the two shapes that OpenAI has for them.

Chat answers carry OpenAI's ``{"content": [...]}``, legacy completions its parallel lists; the canonical
events hold whichever belongs to the request, so both fronts and both backs agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class TopLogprob(msgspec.Struct):
    """One token that could have stood there."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(TopLogprob):
    """The token that does, and the likeliest others."""

    top_logprobs: list[TopLogprob] = []


def to_chat(logprobs: Sequence[Logprob]) -> dict[str, Any]:
    """OpenAI's chat shape."""
    return {"content": msgspec.to_builtins(logprobs), "refusal": None}


def to_completion(logprobs: Sequence[Logprob], offset: int) -> dict[str, Any]:
    """OpenAI's legacy shape; ``offset`` is where the first token starts in the whole text, in characters."""
    offsets = []
    for one in logprobs:
        offsets.append(offset)
        offset += len(one.token)
    return {
        "tokens": [one.token for one in logprobs],
        "token_logprobs": [one.logprob for one in logprobs],
        "top_logprobs": [{top.token: top.logprob for top in one.top_logprobs} for one in logprobs],
        "text_offset": offsets,
    }


def from_openai(logprobs: Any) -> list[dict[str, Any]]:
    """Ollama's list, from either of OpenAI's shapes; empty where an upstream gave neither."""
    if not isinstance(logprobs, dict):
        return []
    if isinstance(content := logprobs.get("content"), list):
        return content
    tokens = logprobs.get("tokens") or ()
    chosen = logprobs.get("token_logprobs") or ()
    tops = logprobs.get("top_logprobs") or [None] * len(tokens)
    return [
        {
            "token": token,
            "logprob": logprob,
            "top_logprobs": [{"token": other, "logprob": value} for other, value in (top or {}).items()],
        }
        for token, logprob, top in zip(tokens, chosen, tops, strict=False)
        if logprob is not None
    ]
