"""The response object: what a Responses client gets whole, and at the beginning and end of its stream.

Ids are ours (``resp_…``), even where the upstream named its answer: a chat completion's id names no response.
An item's id is the response's and its place, so that a stream and a whole answer give it the same. What was
asked is repeated as it is in force: nothing is stored or cut short here, whatever was asked.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.responses.output_items import SUMMARY, THOUGHT, Item, Output, Part
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.request_schema import LOGPROBS, SIGNED
from trunkline.errors import CallerError, GatewayError
from trunkline.events import Started, StreamEvent
from trunkline.model import Format, Tool, ToolChoice, Usage

JSON_TYPE: Final = b"application/json"

Status = Literal["in_progress", "completed", "incomplete", "failed"]

encode: Final = msgspec.json.Encoder().encode

_PREFIXES: Final = {"message": "msg", "reasoning": "rs", "function_call": "fc"}
_CUT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


def error_body(error: GatewayError) -> bytes:
    """OpenAI's error envelope, all four keys present."""
    return encode({"error": error_detail(error)})


def error_detail(error: GatewayError) -> dict[str, Any]:
    """The inside of the envelope."""
    return {
        "message": error.message,
        "type": error.kind.type,
        "param": error.param,
        "code": error.code,
    }


class Response:
    """One response, while its output grows."""

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self.output = Output(
            thought=THOUGHT if request.summary is None else SUMMARY, logprobs=LOGPROBS in request.include
        )
        self._request = request
        self._model = model
        self._root = ""
        self._created = 0

    @property
    def id(self) -> str:
        """``resp_`` and what all of its items' ids share."""
        return f"resp_{self._root}"

    def name(self) -> None:
        """Give it its id, time and model: ours, unless the upstream named them."""
        known = self.output.started or Started()
        theirs = known.id or ""
        self._root = theirs.removeprefix("resp_") if theirs.startswith("resp_") else uuid.uuid4().hex
        self._model = known.model or self._model
        self._created = known.created or int(time.time())

    def item_id(self, index: int) -> str:
        """The id of the item at ``index`` of the output."""
        return f"{_PREFIXES[self.output.items[index].type]}_{self._root}{index:02x}"

    def item(self, index: int, status: Status) -> dict[str, Any]:
        """The item at ``index`` as it is now; one ``in_progress`` has no content yet."""
        item = self.output.items[index]
        parts = (
            [] if status == "in_progress" else [render_part(part) for part in item.parts if part.kind.type]
        )
        wire: dict[str, Any] = {"id": self.item_id(index), "type": item.type, "status": status}
        match item.type:
            case "message":
                return wire | {"role": "assistant", "content": parts}
            case "reasoning":
                return wire | _thoughts(item, parts)
            case "function_call":
                return wire | {
                    "call_id": item.call_id or f"call_{self._root}{index:02x}",
                    **self.called(item),
                    "arguments": "" if status == "in_progress" else item.parts[0].text,
                }

    def called(self, item: Item) -> dict[str, str]:
        """The name of the function that a call is for, and its namespace if it has one."""
        place = self._request.spaces.get(item.name)
        return {"name": item.name} if place is None else place._asdict()

    def ending(self, index: int) -> Status:
        """The status of the item at ``index`` once the answer is there: what was cut short is the last."""
        last = index == len(self.output.items) - 1
        return "incomplete" if last and self.output.cut else "completed"

    def opening(self) -> dict[str, Any]:
        """The response object before there is any output."""
        return self._object("in_progress", [], None)

    def whole(self) -> dict[str, Any]:
        """The response object at the end of the answer."""
        cut = self.output.cut
        items = [self.item(index, self.ending(index)) for index in range(len(self.output.items))]
        wire = self._object("incomplete" if cut else "completed", items, _usage(self.output.usage))
        if cut:
            wire["incomplete_details"] = {"reason": _CUT[self.output.reason]}
        return wire

    def failed(self, error: GatewayError) -> dict[str, Any]:
        """The response object of an answer that broke off: what there was of it, and why."""
        items = [
            self.item(index, "completed" if item.sealed else "incomplete")
            for index, item in enumerate(self.output.items)
        ]
        usage = self.output.usage
        wire = self._object("failed", items, None if usage is None else _usage(usage))
        wire["error"] = {"code": _failure(error), "message": error.message}
        return wire

    def _object(
        self, status: Status, output: list[dict[str, Any]], usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        request = self._request
        sampling, reasoning = request.sampling, request.reasoning
        text: dict[str, Any] = {"format": _format(request.format)}
        if request.verbosity is not None:
            text["verbosity"] = request.verbosity
        return {
            "id": self.id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": request.instructions,
            "max_output_tokens": sampling.max_tokens,
            "max_tool_calls": request.max_tool_calls,
            "model": self._model,
            "output": output,
            "parallel_tool_calls": request.parallel_tool_calls is not False,
            "previous_response_id": request.previous_response_id,
            "prompt_cache_key": request.prompt_cache_key,
            "reasoning": {
                "effort": None if reasoning is None else reasoning.effort,
                "summary": request.summary,
            },
            "safety_identifier": request.safety_identifier,
            "store": request.kept,
            "temperature": sampling.temperature,
            "text": text,
            "tool_choice": _tool_choice(request.tool_choice),
            "tools": [_tool(tool) for tool in request.tools],
            "top_logprobs": sampling.top_logprobs or 0,
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": usage,
            "user": request.user,
            "metadata": request.metadata or {},
        }


class Whole:
    """A response that is not streamed: gathers the events and writes one JSON body."""

    content_type = JSON_TYPE

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self._response = Response(request, model)

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Gathers; writes nothing yet."""
        for event in events:
            self._response.output.add(event)
        return b""

    def finish(self) -> bytes:
        """The whole body."""
        self._response.output.end()
        self._response.name()
        return encode(self._response.whole())

    def error(self, error: GatewayError) -> bytes:
        """The error envelope; nothing else was sent before it."""
        return error_body(error)


def render_part(part: Part) -> dict[str, Any]:
    """A part of an item, as far as it has come."""
    wire: dict[str, Any] = {"type": part.kind.type, part.kind.key: part.text}
    if part.kind.type == "output_text":
        wire |= {"annotations": [], "logprobs": [each for piece in part.logprobs for each in piece]}
    return wire


def _thoughts(item: Item, parts: list[dict[str, Any]]) -> dict[str, Any]:
    wire: dict[str, Any] = {"summary": [part for part in parts if part["type"] == SUMMARY.type]}
    raw = [part for part in parts if part["type"] == THOUGHT.type]
    if raw:
        wire["content"] = raw
    if item.signature is not None:
        wire["encrypted_content"] = SIGNED + item.signature
    return wire


def _usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object; zeros where the upstream told nothing."""
    usage = usage or Usage()
    wire: dict[str, Any] = {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
    }
    if usage.cost is not None:
        wire["cost"] = usage.cost
    return wire


def _failure(error: GatewayError) -> str:
    """The code of a failed response, of which OpenAI has a closed list."""
    if isinstance(error, CallerError):
        return "invalid_prompt"
    return "rate_limit_exceeded" if error.status == 429 else "server_error"


def _format(format: Format | None) -> dict[str, Any]:
    if format is None:
        return {"type": "text"}
    if format.schema is None:
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "name": format.name,
        "schema": format.schema,
        "strict": format.strict,
        "description": format.description,
    }


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }


def _tool_choice(choice: ToolChoice | None) -> str | dict[str, Any]:
    if choice is None:
        return "auto"
    return {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode
