"""Parses requests of Anthropic's API into the input of the mock model. They are validated already."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline_mock.generation import Image, ModelInput, Tool, count_tokens, inspect_image, request_seed
from trunkline_mock.script import Script
from trunkline_mock.shapes.base import ParsedRequest

_RESULT_TYPES: Final = ("tool_result",)


def parse_message(request: ParsedRequest, model: str) -> ModelInput:
    """The model's input of a request for a message.

    Args:
        request: The request.
        model: The model's name for the answer.
    """
    data = request.data
    messages: list[dict[str, Any]] = data["messages"]
    user_texts = [text for text in map(_user_text, messages) if text is not None]
    last_blocks = content_blocks(messages[-1]["content"])
    return ModelInput(
        model=model,
        seed=request_seed(request.body),
        last_user_text=user_texts[-1] if user_texts else "",
        prompt_tokens=count_prompt_tokens(data),
        images=tuple(image for message in messages for image in _images(message["content"])),
        tools=_tools(data),
        ends_with_tool_result=any(block["type"] in _RESULT_TYPES for block in last_blocks),
        schema=_schema(data),
        max_tokens=data.get("max_tokens"),
        stop_sequences=tuple(data.get("stop_sequences") or ()),
        thinking_enabled=_thinking_enabled(data.get("thinking")),
    )


def apply_tool_choice(data: dict[str, Any], script: Script) -> Script:
    """``script``, changed so that it obeys the request's ``tool_choice``, as the vendor always does.

    A script with a text or with tool calls is not changed.
    """
    choice = data.get("tool_choice") or {}
    if script.tool_calls or script.text is not None:
        return script
    count = script.call_tools
    if choice.get("type") in ("any", "tool"):
        count = max(count, 1)
    if choice.get("type") == "tool" or choice.get("disable_parallel_tool_use"):
        count = min(count, 1)
    return script if count == script.call_tools else msgspec.structs.replace(script, call_tools=count)


def content_blocks(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Content as a list of blocks: a plain text is one block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content or []


def count_prompt_tokens(data: dict[str, Any]) -> int:
    """The tokens of the whole prompt: the system prompt and all messages."""
    contents = [data.get("system"), *(message["content"] for message in data["messages"])]
    return sum(count_tokens(text) for content in contents for text in _texts(content))


def _texts(content: str | list[dict[str, Any]] | None) -> Iterator[str]:
    for block in content_blocks(content):
        if block["type"] == "text":
            yield block["text"]
        elif block["type"] in _RESULT_TYPES:
            yield from _texts(block.get("content"))


def _user_text(message: dict[str, Any]) -> str | None:
    """The text of a user message, or ``None`` if it has only tool results or is from another role."""
    blocks = [block for block in content_blocks(message["content"]) if block["type"] not in _RESULT_TYPES]
    if message["role"] != "user" or (message["content"] and not blocks):
        return None
    return "".join(_texts(blocks))


def _images(content: str | list[dict[str, Any]] | None) -> Iterator[Image]:
    for block in content_blocks(content):
        if block["type"] == "image":
            source = block["source"]
            if source["type"] == "base64":
                yield inspect_image(base64.b64decode(source["data"]))
            else:
                yield Image(source["type"], 0)
        elif block["type"] in _RESULT_TYPES:
            yield from _images(block.get("content"))


def _tools(data: dict[str, Any]) -> tuple[Tool, ...]:
    """The tools that the model may call. A tool that ``tool_choice`` names comes first."""
    choice = data.get("tool_choice") or {}
    if choice.get("type") == "none":
        return ()
    tools = [
        Tool(tool["name"], tool["input_schema"]) for tool in data.get("tools") or () if "input_schema" in tool
    ]
    return tuple(sorted(tools, key=lambda tool: tool.name != choice.get("name", tool.name)))


def _schema(data: dict[str, Any]) -> Any:
    output_format = (data.get("output_config") or {}).get("format") or data.get("output_format")
    return None if output_format is None else output_format["schema"]


def _thinking_enabled(thinking: dict[str, Any] | None) -> bool | None:
    return None if thinking is None else thinking["type"] != "disabled"
