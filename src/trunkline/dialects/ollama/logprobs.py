"""Log probabilities: Ollama's list, and the two forms that OpenAI has for them.

Chat answers carry OpenAI's ``{"content": [...]}``, legacy completions its parallel lists. The canonical
events hold the form that belongs to the request, so that the fronts and backs of both dialects agree on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec


class TopLogprob(msgspec.Struct):
    """One token that the model could have chosen."""

    token: str
    logprob: float
    bytes: list[int] | None = None


class Logprob(TopLogprob):
    """The token that it chose, and the likeliest others."""

    top_logprobs: list[TopLogprob] = []


def to_chat(logprobs: Sequence[Logprob]) -> dict[str, Any]:
    """Return OpenAI's form for chat answers."""
    return {"content": msgspec.to_builtins(logprobs), "refusal": None}


def to_completion(logprobs: Sequence[Logprob], offset: int) -> dict[str, Any]:
    """Return OpenAI's legacy form. The first token starts ``offset`` characters into the whole text."""
    offsets = []
    for each in logprobs:
        offsets.append(offset)
        offset += len(each.token)
    return {
        "tokens": [each.token for each in logprobs],
        "token_logprobs": [each.logprob for each in logprobs],
        "top_logprobs": [{top.token: top.logprob for top in each.top_logprobs} for each in logprobs],
        "text_offset": offsets,
    }


def from_openai(logprobs: Any) -> list[dict[str, Any]]:
    """Return Ollama's list from either of OpenAI's forms; empty where an upstream gave neither."""
    if not isinstance(logprobs, dict):
        return []
    if isinstance(content := logprobs.get("content"), list):
        return [each for each in content if _is_logprob(each)]
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


def _is_logprob(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("token"), str)
        and isinstance(value.get("logprob"), int | float)
    )
