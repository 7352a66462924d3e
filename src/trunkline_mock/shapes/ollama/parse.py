"""Parses requests of Ollama's native API into the input of the mock model. They are validated already."""

from __future__ import annotations

from typing import Any

from trunkline_mock.generation import ModelInput, Tool, count_tokens, inspect_image, request_seed
from trunkline_mock.shapes.base import ParsedRequest
from trunkline_mock.shapes.ollama.validate import decode_images


def parse_chat(request: ParsedRequest) -> ModelInput:
    """The model's input of a chat request. The answer has the model's name as the request spells it."""
    data = request.data
    messages: list[dict[str, Any]] = data["messages"]
    user_texts = [message.get("content") or "" for message in messages if _role(message) == "user"]
    return ModelInput(
        model=data["model"],
        seed=request_seed(request.body),
        last_user_text=user_texts[-1] if user_texts else "",
        prompt_tokens=sum(count_tokens(message.get("content") or "") for message in messages),
        images=tuple(inspect_image(image) for message in messages for image in decode_images(message, "")),
        tools=tuple(
            Tool(tool["function"]["name"], tool["function"].get("parameters"))
            for tool in data.get("tools") or ()
        ),
        ends_with_tool_result=_role(messages[-1]) == "tool",
        **_common_fields(data),
    )


def parse_generate(request: ParsedRequest) -> ModelInput:
    """The model's input of a generate request."""
    data = request.data
    prompt, suffix = data.get("prompt") or "", data.get("suffix") or ""
    texts = (prompt, suffix, data.get("system") or "")
    return ModelInput(
        model=data["model"],
        seed=request_seed(request.body),
        last_user_text=f"{prompt} … {suffix}" if suffix else prompt,
        prompt_tokens=sum(count_tokens(text) for text in texts),
        images=tuple(inspect_image(image) for image in decode_images(data, "")),
        **_common_fields(data),
    )


def _role(message: dict[str, Any]) -> str:
    return str(message.get("role") or "").lower()


def _common_fields(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of the model's input that chat and generate have in common."""
    options = data.get("options") or {}
    output_format = data.get("format")
    num_predict = options.get("num_predict")
    think = data.get("think")
    return {
        "schema": {} if output_format == "json" else output_format or None,
        "max_tokens": int(num_predict) if num_predict and num_predict >= 1 else None,
        "stop_sequences": tuple(options.get("stop") or ()),
        "thinking_enabled": None if think is None else think is not False,
    }
