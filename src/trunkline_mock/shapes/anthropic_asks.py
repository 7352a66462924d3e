"""Anthropic's request bodies, read into what an answer may depend on."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline_mock.answers import Ask, Image, Tool, count_words, image_of, seed_of
from trunkline_mock.script import Script
from trunkline_mock.shapes.base import Call

_RESULTS = ("tool_result",)


def message_ask(call: Call, model: str) -> Ask:
    """Summarise a request that was checked."""
    data = call.data
    messages: list[dict[str, Any]] = data["messages"]
    said = [text for text in map(_said, messages) if text is not None]
    return Ask(
        model=model,
        seed=seed_of(call.body),
        last=said[-1] if said else "",
        prompt_words=prompt_words(data),
        images=tuple(image for message in messages for image in _images(message["content"])),
        tools=_tools(data),
        after_tool=any(block["type"] in _RESULTS for block in blocks_of(messages[-1]["content"])),
        schema=_schema(data),
        limit=data.get("max_tokens"),
        stop=tuple(data.get("stop_sequences") or ()),
        think=_think(data.get("thinking")),
    )


def asked_script(data: dict[str, Any], script: Script) -> Script:
    """``script`` as the request's ``tool_choice`` bends it: the vendor always obeys that."""
    choice = data.get("tool_choice") or {}
    if script.tool_calls or script.text is not None:
        return script
    count = script.call_tools
    if choice.get("type") in ("any", "tool"):
        count = max(count, 1)
    if choice.get("type") == "tool" or choice.get("disable_parallel_tool_use"):
        count = min(count, 1)
    return script if count == script.call_tools else msgspec.structs.replace(script, call_tools=count)


def blocks_of(content: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """Content in its one form."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content or []


def prompt_words(data: dict[str, Any]) -> int:
    """Tokens of the whole prompt."""
    contents = [data.get("system"), *(message["content"] for message in data["messages"])]
    return sum(count_words(text) for content in contents for text in _texts(content))


def _texts(content: str | list[dict[str, Any]] | None) -> Iterator[str]:
    for block in blocks_of(content):
        if block["type"] == "text":
            yield block["text"]
        elif block["type"] in _RESULTS:
            yield from _texts(block.get("content"))


def _said(message: dict[str, Any]) -> str | None:
    """What the user says in ``message``; ``None`` where it holds nothing but tools' results."""
    blocks = [block for block in blocks_of(message["content"]) if block["type"] not in _RESULTS]
    if message["role"] != "user" or (message["content"] and not blocks):
        return None
    return "".join(_texts(blocks))


def _images(content: str | list[dict[str, Any]] | None) -> Iterator[Image]:
    for block in blocks_of(content):
        if block["type"] == "image":
            source = block["source"]
            known = source["type"] == "base64"
            yield image_of(base64.b64decode(source["data"])) if known else Image(source["type"], 0)
        elif block["type"] in _RESULTS:
            yield from _images(block.get("content"))


def _tools(data: dict[str, Any]) -> tuple[Tool, ...]:
    """The tools that may be called; one that must be is the first."""
    choice = data.get("tool_choice") or {}
    if choice.get("type") == "none":
        return ()
    tools = [
        Tool(tool["name"], tool["input_schema"]) for tool in data.get("tools") or () if "input_schema" in tool
    ]
    return tuple(sorted(tools, key=lambda tool: tool.name != choice.get("name", tool.name)))


def _schema(data: dict[str, Any]) -> Any:
    form = (data.get("output_config") or {}).get("format") or data.get("output_format")
    return None if form is None else form["schema"]


def _think(thinking: dict[str, Any] | None) -> bool | None:
    return None if thinking is None else thinking["type"] != "disabled"
