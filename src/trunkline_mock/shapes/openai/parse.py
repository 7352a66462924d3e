"""Parses requests of OpenAI's API into the input of the mock model. The requests are validated already."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from trunkline_mock.generation import Image, ModelInput, Tool, count_tokens, inspect_image, request_seed
from trunkline_mock.shapes.base import ParsedRequest, VendorError


def parse_chat(request: ParsedRequest, model: str) -> ModelInput:
    """The model's input of a chat completion.

    Args:
        request: The request.
        model: The model's name for the answer.

    Raises:
        VendorError: An image is not valid base64.
    """
    data = request.data
    messages: list[dict[str, Any]] = data["messages"]
    texts = [_text(message.get("content")) for message in messages]
    user_texts = [text for message, text in zip(messages, texts, strict=True) if message["role"] == "user"]
    return ModelInput(
        model=model,
        seed=request_seed(request.body),
        last_user_text=user_texts[-1] if user_texts else "",
        prompt_tokens=sum(count_tokens(text) for text in texts),
        images=tuple(image for message in messages for image in _images(message.get("content"))),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters"))
            for tool in data.get("tools") or ()
            if tool.get("type") == "function"
        ),
        ends_with_tool_result=messages[-1]["role"] == "tool",
        schema=_schema(data.get("response_format")),
        max_tokens=data.get("max_completion_tokens") or data.get("max_tokens"),
        stop_sequences=_stop_sequences(data.get("stop")),
        thinking_enabled=_thinking_enabled(data),
    )


def parse_completion(request: ParsedRequest, model: str, prompt: str) -> ModelInput:
    """The model's input for one of the prompts of a text completion.

    Args:
        request: The request.
        model: The model's name for the answer.
        prompt: The prompt.
    """
    suffix = request.data.get("suffix")
    return ModelInput(
        model=model,
        seed=request_seed(request.body),
        last_user_text=f"{prompt} … {suffix}" if suffix else prompt,
        prompt_tokens=count_tokens(prompt) + count_tokens(suffix or ""),
        max_tokens=request.data.get("max_tokens"),
        stop_sequences=_stop_sequences(request.data.get("stop")),
    )


def parse_prompts(data: dict[str, Any]) -> list[str]:
    """The prompts of a text completion. Token numbers are treated as words."""
    prompt = data.get("prompt")
    if prompt is None:
        prompt = ""
    if isinstance(prompt, str) or (prompt and isinstance(prompt[0], int)):
        prompt = [prompt]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in prompt]


def _stop_sequences(stop: str | list[str] | None) -> tuple[str, ...]:
    return (stop,) if isinstance(stop, str) else tuple(stop or ())


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
        return inspect_image(base64.b64decode(url.partition(",")[2], validate=True))
    except binascii.Error:
        raise VendorError(400, "Invalid base64 image_url.", param="messages", code="invalid_base64") from None


def _schema(response_format: dict[str, Any] | None) -> Any:
    kind = (response_format or {}).get("type")
    if response_format is not None and kind == "json_schema":
        return response_format["json_schema"].get("schema", {})
    return {} if kind == "json_object" else None


def _thinking_enabled(data: dict[str, Any]) -> bool | None:
    """Whether thinking is switched on or off, by ``reasoning_effort`` or by OpenRouter's ``reasoning``."""
    reasoning = data.get("reasoning") or {}
    effort = data.get("reasoning_effort") or reasoning.get("effort")
    if effort == "none" or reasoning.get("enabled") is False or reasoning.get("exclude"):
        return False
    return True if effort or reasoning else None
