"""OpenAI's request bodies, read into what an answer may depend on."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from trunkline_mock.answers import Ask, Image, Tool, count_words, image_of, seed_of
from trunkline_mock.shapes.base import Call, RefusalError


def chat_ask(call: Call, model: str) -> Ask:
    """Summarise a chat request that was checked."""
    data = call.data
    messages: list[dict[str, Any]] = data["messages"]
    texts = [_text(message.get("content")) for message in messages]
    users = [text for message, text in zip(messages, texts, strict=True) if message["role"] == "user"]
    return Ask(
        model=model,
        seed=seed_of(call.body),
        last=users[-1] if users else "",
        prompt_words=sum(count_words(text) for text in texts),
        images=tuple(image for message in messages for image in _images(message.get("content"))),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters"))
            for tool in data.get("tools") or ()
            if tool.get("type") == "function"
        ),
        after_tool=messages[-1]["role"] == "tool",
        schema=_schema(data.get("response_format")),
        limit=data.get("max_completion_tokens") or data.get("max_tokens"),
        stop=stop_words(data.get("stop")),
        think=_think(data),
    )


def completion_ask(call: Call, model: str, prompt: str) -> Ask:
    """Summarise one prompt of a text completion."""
    suffix = call.data.get("suffix")
    return Ask(
        model=model,
        seed=seed_of(call.body),
        last=f"{prompt} … {suffix}" if suffix else prompt,
        prompt_words=count_words(prompt) + count_words(suffix or ""),
        limit=call.data.get("max_tokens"),
        stop=stop_words(call.data.get("stop")),
    )


def stop_words(stop: str | list[str] | None) -> tuple[str, ...]:
    """``stop`` in its one form."""
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


def prompts_of(data: dict[str, Any]) -> list[str]:
    """The prompts of a text completion; token numbers become words."""
    prompt = data.get("prompt")
    if prompt is None:
        prompt = ""
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
        prompt = [prompt]
    return [one if isinstance(one, str) else " ".join(map(str, one)) for one in prompt]


def _text(content: str | list[dict[str, Any]] | None) -> str:
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content or () if part["type"] == "text")


def _images(content: str | list[dict[str, Any]] | None) -> list[Image]:
    if content is None or isinstance(content, str):
        return []
    return [_image(part["image_url"]["url"]) for part in content if part["type"] == "image_url"]


def _image(url: str) -> Image:
    if not url.startswith("data:"):
        return Image("url", 0)
    try:
        return image_of(base64.b64decode(url.partition(",")[2], validate=True))
    except binascii.Error:
        raise RefusalError(
            400, "Invalid base64 image_url.", param="messages", code="invalid_base64"
        ) from None


def _schema(response_format: dict[str, Any] | None) -> Any:
    kind = (response_format or {}).get("type")
    if response_format is not None and kind == "json_schema":
        return response_format["json_schema"].get("schema", {})
    return {} if kind == "json_object" else None


def _think(data: dict[str, Any]) -> bool | None:
    """Whether thinking is asked for: ``reasoning_effort``, or OpenRouter's ``reasoning``."""
    reasoning = data.get("reasoning") or {}
    effort = data.get("reasoning_effort") or reasoning.get("effort")
    if effort == "none" or reasoning.get("enabled") is False or reasoning.get("exclude"):
        return False
    return True if effort or reasoning else None
