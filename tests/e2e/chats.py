"""What the tests say to models, and how they read what comes back."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import pytest

from tests.e2e.conftest import MODELS

SHAPES = list(MODELS)
shapes = pytest.mark.parametrize("shape", SHAPES)

HELLO: Any = [{"role": "user", "content": "Hello there friend"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
PIXEL = base64.b64encode(
    bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489")
    + bytes.fromhex("0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082")
).decode()


def name(shape: str, model: str | None = None) -> str:
    """A model's name, pinned to the provider of that shape."""
    return f"{shape}/{model or MODELS[shape]}"


def picture(url: str) -> Any:
    """A conversation with an image."""
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


def text_of(chunks: Iterable[Any]) -> str:
    """A stream's text."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def reasons_of(chunks: Iterable[Any]) -> list[str]:
    """A stream's finish reasons: there should be one for each choice."""
    found = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    return [reason for reason in found if reason]


def calls_of(chunks: Iterable[Any]) -> list[dict[str, Any]]:
    """A stream's tool calls, put together by their index, as OpenAI's documentation tells clients to."""
    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.choices:
            for piece in choice.delta.tool_calls or ():
                assert isinstance(piece.index, int)
                if piece.id:
                    function = {"name": piece.function.name, "arguments": ""}
                    calls[piece.index] = {"id": piece.id, "type": "function", "function": function}
                calls[piece.index]["function"]["arguments"] += piece.function.arguments or ""
    return list(calls.values())
