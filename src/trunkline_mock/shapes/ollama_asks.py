"""Ollama's native request bodies, read into what an answer may depend on."""

from __future__ import annotations

from typing import Any

from trunkline_mock.answers import Ask, Tool, count_words, image_of, seed_of
from trunkline_mock.shapes.base import Call
from trunkline_mock.shapes.ollama_checks import images_of


def chat_ask(call: Call) -> Ask:
    """Summarise a chat request that was checked. The answer repeats the model's name as it was asked."""
    data = call.data
    messages: list[dict[str, Any]] = data["messages"]
    users = [message.get("content") or "" for message in messages if _role(message) == "user"]
    return Ask(
        model=data["model"],
        seed=seed_of(call.body),
        last=users[-1] if users else "",
        prompt_words=sum(count_words(message.get("content") or "") for message in messages),
        images=tuple(image_of(data) for message in messages for data in images_of(message, "")),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters"))
            for tool in data.get("tools") or ()
        ),
        after_tool=_role(messages[-1]) == "tool",
        **_common(data),
    )


def generate_ask(call: Call) -> Ask:
    """Summarise a generate request that was checked."""
    data = call.data
    prompt, suffix = data.get("prompt") or "", data.get("suffix") or ""
    return Ask(
        model=data["model"],
        seed=seed_of(call.body),
        last=f"{prompt} … {suffix}" if suffix else prompt,
        prompt_words=sum(count_words(text) for text in (prompt, suffix, data.get("system") or "")),
        images=tuple(image_of(image) for image in images_of(data, "")),
        **_common(data),
    )


def _role(message: dict[str, Any]) -> str:
    return str(message.get("role") or "").lower()


def _common(data: dict[str, Any]) -> dict[str, Any]:
    options = data.get("options") or {}
    form = data.get("format")
    limit = options.get("num_predict")
    think = data.get("think")
    return {
        "schema": {} if form == "json" else form or None,
        "limit": int(limit) if limit and limit >= 1 else None,
        "stop": tuple(options.get("stop") or ()),
        "think": None if think is None else think is not False,
    }
