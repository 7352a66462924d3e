"""The responses of the Responses API, whole or as the events of a stream.

An :class:`OutputItem` is one item of a response's output, both as a whole and as the events that stream it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from trunkline_mock.generation import ModelOutput, make_id, share_tokens
from trunkline_mock.response import Record, RecordKind, Response
from trunkline_mock.script import MockModel, Script, ToolCall
from trunkline_mock.shapes.base import encode_json
from trunkline_mock.shapes.openai.errors import error_object
from trunkline_mock.shapes.openai.vendor import Vendor
from trunkline_mock.shapes.openai.write import answer_cost, answer_headers, heartbeat_comment
from trunkline_mock.shapes.responses.errors import encode_event
from trunkline_mock.shapes.strict.responses import BOUND_SUFFIX, ENCRYPTED_PREFIX

_INCOMPLETE_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""The finish reasons of an incomplete response, and the reasons that the response gives for them."""
_FAILED: Final = "error"
"""The finish reason of a failed response."""

_REPEATED_FIELDS: Final[dict[str, Any]] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""The fields that a response repeats from its request, and their values if the request does not set them."""


_FUNCTION: Final = ("function_call", "fc", "arguments")
_CUSTOM: Final = ("custom_tool_call", "ctc", "input")
"""Of each kind of call: its type, the prefix of its ids, and the field with what the tool is given."""


class StreamEvent(NamedTuple):
    """An event of a stream, without its sequence number."""

    name: str
    fields: dict[str, Any]
    text: str | None = None
    """The part of the answer that it carries; ``None`` if it only opens or closes something."""


class OutputItem(NamedTuple):
    """One item of a response's output."""

    initial: dict[str, Any]
    """The item at its beginning, without content."""
    whole: dict[str, Any]
    events: tuple[StreamEvent, ...]
    """The events between its beginning and its end, without the item's id and index."""


def output_items(output: ModelOutput, data: dict[str, Any], vendor: Vendor) -> list[OutputItem]:
    """The items of a response: reasoning, message and calls, in this order.

    The last item of an incomplete response is incomplete, too.

    Args:
        output: The model's output.
        data: The request's body, for the form of the reasoning.
        vendor: The row that is played.
    """
    items: list[OutputItem] = []
    if output.thinking_chunks:
        items.append(_reasoning_item(output, data, vendor))
    if output.text_chunks or not output.tool_calls:
        items.append(_message_item(output, len(items)))
    tools = dict(_tools_by_name(data.get("tools") or ()))
    items += [
        _call_item(output, call, number, len(items) + number, vendor, tools.get(call.name))
        for number, call in enumerate(output.tool_calls)
    ]
    if output.finish_reason in _INCOMPLETE_REASONS:
        items[-1].whole["status"] = "incomplete"
    return items


def initial_object(output: ModelOutput, data: dict[str, Any]) -> dict[str, Any]:
    """The response object before there is any output.

    Args:
        output: The model's output, for the response's id and model.
        data: The request's body, for the fields that a response repeats.
    """
    request_fields = {name: value for name, value in data.items() if value is not None}
    return {
        "id": f"resp_{output.seed}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": output.model,
        "output": [],
        **{name: request_fields.get(name, default) for name, default in _REPEATED_FIELDS.items()},
        "reasoning": {"effort": None, "summary": None} | request_fields.get("reasoning", {}),
        "text": {"format": {"type": "text"}, "verbosity": "medium"} | request_fields.get("text", {}),
        "tools": [_tool(tool) for tool in request_fields.get("tools", ())],
        "usage": None,
    }


def completed_object(
    initial: dict[str, Any],
    items: Sequence[OutputItem],
    output: ModelOutput,
    model: MockModel,
    *,
    vendor: Vendor,
    script: Script,
) -> dict[str, Any]:
    """The response object at its end: completed, incomplete or failed.

    Args:
        initial: The object before there was any output.
        items: The items of the output.
        output: The model's output, for the finish reason and the usage.
        model: The model, for its prices.
        vendor: The row that is played.
        script: The script, for the cost that it may set.
    """
    reason = output.finish_reason
    with_usage = output.has_usage and vendor.usage != "never"
    usage = _usage(output, model, vendor, script) if with_usage else None
    ending: dict[str, Any]
    if reason == _FAILED:
        message = error_object(vendor, 500, None, None)["message"]
        error = {"code": "server_error", "message": message}
        ending = {"status": "failed", "error": error, "usage": usage}
    elif reason in _INCOMPLETE_REASONS:
        details = {"reason": _INCOMPLETE_REASONS[reason]}
        ending = {"status": "incomplete", "incomplete_details": details, "usage": usage}
    else:
        ending = {"status": "completed", "completed_at": int(time.time()), "usage": usage}
    return initial | ending | {"output": [item.whole for item in items]}


def whole_response(completed: dict[str, Any], output: ModelOutput, *, vendor: Vendor) -> Response:
    """The HTTP response with a response object that is not streamed."""
    return Response(
        records=(Record(encode_json(completed), RecordKind.CONTENT, output.completion_tokens),),
        headers=answer_headers(vendor, output),
        prompt_tokens=output.prompt_tokens,
    )


def streamed_response(
    initial: dict[str, Any],
    items: Sequence[OutputItem],
    completed: dict[str, Any],
    output: ModelOutput,
    *,
    vendor: Vendor,
    script: Script,
) -> Response:
    """The HTTP response with the events of a streamed response.

    Args:
        initial: The response object before there is any output.
        items: The items of the output.
        completed: The response object at its end.
        output: The model's output, for the headers and the token counts.
        vendor: The row that is played.
        script: The script, for the number of heartbeats.
    """
    fields = {"response": initial}
    events = [
        StreamEvent("response.created", fields),
        StreamEvent("response.in_progress", fields),
        *_item_events(items),
    ]
    texts = [event.text for event in events if event.text is not None]
    shares = iter(share_tokens(output.completion_tokens, texts))
    last_content = max((i for i, event in enumerate(events) if event.text is not None), default=1)
    records = [Record(heartbeat_comment(vendor), RecordKind.START)] * (
        script.comments if vendor.comment else 0
    )
    for number, event in enumerate(events):
        data = encode_event(event.name, number, event.fields)
        if event.text is not None:
            records.append(Record(data, RecordKind.CONTENT, next(shares)))
        else:  # the events that close the last item belong to the end of the answer
            kind = RecordKind.START if number < last_content else RecordKind.FINISH
            records.append(Record(data, kind))
    last_event = encode_event(f"response.{completed['status']}", len(events), {"response": completed})
    records.append(Record(last_event, RecordKind.FINISH))
    return Response(
        records=tuple(records),
        content_type="text/event-stream; charset=utf-8",
        headers=(("cache-control", "no-cache"), *answer_headers(vendor, output)),
        streamed=True,
        prompt_tokens=output.prompt_tokens,
    )


def _item_events(items: Sequence[OutputItem]) -> list[StreamEvent]:
    """The events of all items, with their ids and indexes."""
    events: list[StreamEvent] = []
    for index, item in enumerate(items):
        position = {"output_index": index}
        events.append(StreamEvent("response.output_item.added", position | {"item": item.initial}))
        item_fields = {"item_id": item.whole["id"]} | position
        events += [event._replace(fields=item_fields | event.fields) for event in item.events]
        events.append(StreamEvent("response.output_item.done", position | {"item": item.whole}))
    return events


def _message_item(output: ModelOutput, index: int) -> OutputItem:
    head = {"id": f"msg_{output.seed}{index:02x}", "type": "message", "role": "assistant"}
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": output.text}
    position = {"content_index": 0}
    deltas = [
        StreamEvent("response.output_text.delta", position | {"delta": chunk, "logprobs": []}, chunk)
        for chunk in output.text_chunks
    ]
    return OutputItem(
        head | {"status": "in_progress", "content": []},
        head | {"status": "completed", "content": [part]},
        (
            StreamEvent("response.content_part.added", position | {"part": part | {"text": ""}}),
            *deltas,
            StreamEvent("response.output_text.done", position | {"text": output.text, "logprobs": []}),
            StreamEvent("response.content_part.done", position | {"part": part}),
        ),
    )


def _reasoning_item(output: ModelOutput, data: dict[str, Any], vendor: Vendor) -> OutputItem:
    """The reasoning: in full if the vendor shows it. OpenAI only gives a summary, and only on request."""
    head: dict[str, Any] = {"id": f"rs_{output.seed}00", "type": "reasoning", "summary": []}
    if "reasoning.encrypted_content" in (data.get("include") or ()):
        head["encrypted_content"] = f"{ENCRYPTED_PREFIX}{output.seed}"
    if vendor.reasoning is not None:
        part: dict[str, Any] = {"type": "reasoning_text", "text": output.thinking}
        events = _reasoning_events(
            output,
            part,
            part_event="content_part",
            text_event="reasoning_text",
            position={"content_index": 0},
        )
        initial_fields = {"status": "in_progress", "content": []}
        return OutputItem(head | initial_fields, head | {"status": "completed", "content": [part]}, events)
    if (data.get("reasoning") or {}).get("summary") is None:
        return OutputItem(head, dict(head), ())
    part = {"type": "summary_text", "text": output.thinking}
    events = _reasoning_events(
        output,
        part,
        part_event="reasoning_summary_part",
        text_event="reasoning_summary_text",
        position={"summary_index": 0},
    )
    return OutputItem(head, head | {"summary": [part]}, events)


def _reasoning_events(
    output: ModelOutput, part: dict[str, Any], *, part_event: str, text_event: str, position: dict[str, Any]
) -> tuple[StreamEvent, ...]:
    return (
        StreamEvent(f"response.{part_event}.added", position | {"part": part | {"text": ""}}),
        *(
            StreamEvent(f"response.{text_event}.delta", position | {"delta": chunk}, chunk)
            for chunk in output.thinking_chunks
        ),
        StreamEvent(f"response.{text_event}.done", position | {"text": output.thinking}),
        StreamEvent(f"response.{part_event}.done", position | {"part": part}),
    )


class _Tool(NamedTuple):
    """A tool that a request offers."""

    name: str
    namespace: str | None
    is_custom: bool


def _tools_by_name(tools: Sequence[dict[str, Any]]) -> Iterator[tuple[str, _Tool]]:
    """The tools by the names by which scripts call them: ``space__name`` in a namespace."""
    for tool in tools:
        if tool["type"] == "namespace":
            for name, found in _tools_by_name(tool.get("tools") or ()):
                yield f"{tool['name']}__{name}", found._replace(namespace=tool["name"])
        elif tool["type"] in ("function", "custom"):
            yield tool["name"], _Tool(tool["name"], None, tool["type"] == "custom")


def _call_item(
    output: ModelOutput, call: ToolCall, number: int, index: int, vendor: Vendor, tool: _Tool | None
) -> OutputItem:
    """A call of a function, or of a custom tool, whose input is a script's string or stands under ``input``.

    Args:
        output: The model's output.
        call: The call.
        number: Its number among the calls.
        index: The item's index in the output.
        vendor: The row that is played.
        tool: What is called; ``None`` if the request does not offer it.
    """
    is_custom = tool is not None and tool.is_custom
    kind, prefix, field = (
        ("custom_tool_call", "ctc", "input") if is_custom else ("function_call", "fc", "arguments")
    )
    text = call.arguments
    if not isinstance(text, str):
        text = str(text.get("input", "")) if is_custom else msgspec.json.encode(text).decode()
    head = {
        "id": f"{prefix}_{output.seed}{index:02x}{BOUND_SUFFIX if output.thinking_chunks else ''}",
        "type": kind,
        "call_id": call.id or f"call_{make_id(output.seed, number, 24)}",
        "name": call.name if tool is None else tool.name,
    }
    if tool is not None and tool.namespace is not None:
        head["namespace"] = tool.namespace
    middle = len(text) if vendor.tool_deltas == "whole" else (len(text) + 1) // 2
    pieces = [piece for piece in (text[:middle], text[middle:]) if piece]
    event = f"response.{kind}_{field}"
    done = {field: text} if is_custom else {"name": head["name"], field: text}
    return OutputItem(
        head | {"status": "in_progress", field: ""},
        head | {"status": "completed", field: text},
        (
            *(StreamEvent(f"{event}.delta", {"delta": piece}, piece) for piece in pieces),
            StreamEvent(f"{event}.done", done),
        ),
    )


def _usage(output: ModelOutput, model: MockModel, vendor: Vendor, script: Script) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": output.prompt_tokens,
        "input_tokens_details": {"cached_tokens": output.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": output.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": output.reasoning_tokens},
        "total_tokens": output.prompt_tokens + output.completion_tokens,
    }
    if vendor.cost:
        usage["cost"] = answer_cost(
            model, script, prompt_tokens=output.prompt_tokens, completion_tokens=output.completion_tokens
        )
    return usage


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool of the request, as a response repeats it."""
    if tool["type"] != "function":
        return tool
    return {"type": "function", "description": None, "parameters": None, "strict": True} | tool
