"""Parses requests of the Responses API into the input of the mock model. They are validated already."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from trunkline_mock.generation import Image, ModelInput, Tool, count_tokens, inspect_image, request_seed
from trunkline_mock.shapes.base import ParsedRequest, VendorError


def is_self_contained(data: dict[str, Any]) -> bool:
    """Whether a request refers to nothing that the server stores."""
    request_input = data["input"]
    items = () if isinstance(request_input, str) else request_input
    without_references = all(item.get("type") != "item_reference" for item in items)
    return without_references and data.get("previous_response_id") is None


def parse_response(request: ParsedRequest, model: str, items: tuple[dict[str, Any], ...]) -> ModelInput:
    """The model's input of a request for a response.

    Args:
        request: The request.
        model: The model's name for the answer.
        items: All items of the conversation.

    Raises:
        VendorError: An image is not valid base64.
    """
    data = request.data
    texts = [_text(item) for item in items]
    user_texts = [text for item, text in zip(items, texts, strict=True) if item.get("role") == "user"]
    return ModelInput(
        model=model,
        seed=request_seed(request.body),
        last_user_text=user_texts[-1] if user_texts else "",
        prompt_tokens=sum(count_tokens(text) for text in (data.get("instructions") or "", *texts)),
        images=tuple(image for item in items for image in _images(item)),
        tools=tuple(
            Tool(tool["name"], tool.get("parameters"))
            for tool in data.get("tools") or ()
            if tool["type"] == "function"
        ),
        ends_with_tool_result=items[-1].get("type") == "function_call_output",
        schema=_schema((data.get("text") or {}).get("format")),
        max_tokens=data.get("max_output_tokens"),
        thinking_enabled=_thinking_enabled(data.get("reasoning")),
    )


def _parts(item: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of a message's content or of a tool's result; a plain text is one part."""
    content = item.get("content") if "role" in item else item.get("output")
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return content if isinstance(content, list) else []


def _text(item: dict[str, Any]) -> str:
    return "".join(part["text"] for part in _parts(item) if part.get("type") in ("input_text", "output_text"))


def _images(item: dict[str, Any]) -> list[Image]:
    return [_image(part.get("image_url")) for part in _parts(item) if part.get("type") == "input_image"]


def _image(url: str | None) -> Image:
    if url is None or not url.startswith("data:"):
        return Image("url", 0)
    try:
        return inspect_image(base64.b64decode(url.partition(",")[2], validate=True))
    except binascii.Error:
        raise VendorError(400, "Invalid base64 image_url.", param="input", code="invalid_base64") from None


def _schema(format: dict[str, Any] | None) -> Any:
    kind = (format or {}).get("type")
    if format is not None and kind == "json_schema":
        return format["schema"]
    return {} if kind == "json_object" else None


def _thinking_enabled(reasoning: dict[str, Any] | None) -> bool | None:
    if not reasoning:
        return None
    return reasoning.get("effort") != "none"
