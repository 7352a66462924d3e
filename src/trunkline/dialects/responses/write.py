"""The response object, which a Responses client gets as a whole answer and at both ends of its stream.

Ids are made here (``resp_…``), even where the upstream named its answer: the id of a chat completion names no
response. An item's id consists of the response's and the item's position, so that it is the same in a stream
and in a whole answer. Fields of the request are repeated with the values that are in force: ``truncation`` is
always disabled, and ``store`` says whether the gateway stores the response.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from trunkline.dialects import write
from trunkline.dialects.responses.client_tools import CALLS, OfferedTool
from trunkline.dialects.responses.errors import error_body
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.request_schema import LOGPROBS, SIGNED
from trunkline.dialects.responses.write_items import REASONING, SUMMARY, Item, Output, Part
from trunkline.dialects.vendor_state import is_sealed
from trunkline.dialects.web_search import forces_search
from trunkline.errors import INVALID_REQUEST, CallerError, GatewayError
from trunkline.events import Started
from trunkline.model import Format, Tool, ToolChoice, Usage

Status = Literal["in_progress", "completed", "incomplete", "failed"]

encode: Final = msgspec.json.Encoder().encode

_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "image_generation_call": "ig",
} | {kind: tool.prefix for kind, tool in CALLS.items()}
_CUT_REASONS: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Response:
    """One response, as far as its output has come."""

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self.output = Output(
            reasoning=REASONING if request.summary is None else SUMMARY,
            logprobs=LOGPROBS in request.include,
            client_tools=request.client_tools,
        )
        self._request = request
        self._model = model
        self._root = ""
        self._created = 0

    @property
    def id(self) -> str:
        """``resp_`` and the part that the ids of all items share."""
        return f"resp_{self._root}"

    def identify(self) -> None:
        """Set the id, time and model: those that the upstream named, else our own."""
        known = self.output.started or Started()
        upstream_id = known.id or ""
        is_response = upstream_id.startswith("resp_")
        self._root = upstream_id.removeprefix("resp_") if is_response else uuid.uuid4().hex
        self._model = known.model or self._model
        self._created = known.created or int(time.time())

    def item_id(self, index: int) -> str:
        """Return the id of the item at ``index`` of the output."""
        return f"{_PREFIXES[self.output.items[index].type]}_{self._root}{index:02x}"

    def item(self, index: int, status: Status) -> dict[str, Any]:
        """Return the item at ``index`` as far as it has come. An item ``in_progress`` has no content yet."""
        item = self.output.items[index]
        parts = (
            [] if status == "in_progress" else [part_object(part) for part in item.parts if part.kind.type]
        )
        wire: dict[str, Any] = {"id": self.item_id(index), "type": item.type, "status": status}
        match item.type:
            case "message":
                return wire | {"role": "assistant", "content": parts}
            case "reasoning":
                return wire | _reasoning(item, parts)
            case "image_generation_call":
                return wire | {"result": None if status == "in_progress" else item.result}
            case "function_call":
                return wire | {
                    "call_id": item.call_id or f"call_{self._root}{index:02x}",
                    **self.function_name(item),
                    "arguments": "" if status == "in_progress" else item.parts[0].text,
                }
            case _:
                return (
                    wire
                    | {"call_id": item.call_id or f"call_{self._root}{index:02x}"}
                    | (self._client_call(item, status))
                )

    def _client_call(self, item: Item, status: Status) -> dict[str, Any]:
        """What a call of a tool that the client runs has besides its ids."""
        tool, reader = item.client_tool, item.reader
        assert tool is not None
        assert reader is not None
        if tool.is_custom:
            return self.function_name(item) | {"input": "" if status == "in_progress" else item.parts[0].text}
        return tool.call_fields(reader.arguments)

    def function_name(self, item: Item) -> dict[str, str]:
        """Return the name of the function that a call is for, and its namespace if it has one."""
        qualified = self._request.qualified_names.get(item.name)
        return {"name": item.name} if qualified is None else qualified._asdict()

    def final_status(self, index: int) -> Status:
        """Return the status of the item at ``index`` at the end: of a cut answer the last is incomplete."""
        is_last = index == len(self.output.items) - 1
        return "incomplete" if is_last and self.output.is_cut else "completed"

    def opening(self) -> dict[str, Any]:
        """Return the response object before there is any output."""
        return self._object("in_progress", [], None)

    def whole(self) -> dict[str, Any]:
        """Return the response object at the end of the answer."""
        is_cut = self.output.is_cut
        items = [self.item(index, self.final_status(index)) for index in range(len(self.output.items))]
        wire = self._object("incomplete" if is_cut else "completed", items, _usage(self.output.usage))
        if is_cut:
            wire["incomplete_details"] = {"reason": _CUT_REASONS[self.output.reason]}
        return wire

    def failed(self, error: GatewayError) -> dict[str, Any]:
        """Return the response object of an answer that broke off: its output so far, and the error."""
        items = [
            self.item(index, "completed" if item.closed else "incomplete")
            for index, item in enumerate(self.output.items)
        ]
        usage = self.output.usage
        wire = self._object("failed", items, None if usage is None else _usage(usage))
        wire["error"] = {"code": _failure_code(error), "message": error.message}
        return wire

    def _object(
        self, status: Status, output: list[dict[str, Any]], usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        request = self._request
        sampling, reasoning = request.sampling, request.reasoning
        text: dict[str, Any] = {"format": _format(request.format)}
        if request.verbosity is not None:
            text["verbosity"] = request.verbosity
        conversation = request.conversation_id
        wire: dict[str, Any] = {} if conversation is None else {"conversation": {"id": conversation}}
        return wire | {
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
            "store": request.is_stored,
            "temperature": sampling.temperature,
            "text": text,
            "tool_choice": {"type": request.web_search.kind}
            if request.web_search is not None and forces_search(request)
            else _tool_choice(request.tool_choice, request.client_tools),
            "tools": [_tool(tool, request.client_tools.get(tool.name)) for tool in request.tools],
            "top_logprobs": sampling.top_logprobs or 0,
            "top_p": sampling.top_p,
            "truncation": "disabled",
            "usage": usage,
            "user": request.user,
            "metadata": request.metadata or {},
        }


class WholeWriter(write.WholeWriter[Output]):
    """Writes a response that is not streamed."""

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self._response = Response(request, model)
        super().__init__(self._response.output)

    @property
    def not_shown(self) -> Sequence[str]:  # type: ignore[override]
        """See :class:`.base.Writer`."""
        return self._answer.not_shown

    def finish(self) -> bytes:
        """Return the whole body."""
        self._answer.end()
        self._response.identify()
        return encode(self._response.whole())

    def fail(self, error: GatewayError) -> bytes:
        """Return the error envelope."""
        return error_body(error)


def part_object(part: Part) -> dict[str, Any]:
    """Return the object of a part, as far as it has come."""
    wire: dict[str, Any] = {"type": part.kind.type, part.kind.key: part.text}
    if part.kind.type == "output_text":
        wire |= {
            "annotations": part.annotations,
            "logprobs": [each for piece in part.logprobs for each in piece],
        }
    return wire


def _reasoning(item: Item, parts: list[dict[str, Any]]) -> dict[str, Any]:
    wire: dict[str, Any] = {"summary": [part for part in parts if part["type"] == SUMMARY.type]}
    content = [part for part in parts if part["type"] == REASONING.type]
    if content:
        wire["content"] = content
    if item.signature is not None:
        signature = item.signature
        wire["encrypted_content"] = signature if is_sealed(signature) else SIGNED + signature
    return wire


def _usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object, with zeros where the upstream reported nothing."""
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


def _failure_code(error: GatewayError) -> str:
    """The code of a failed response, which must be one of OpenAI's list."""
    if isinstance(error, CallerError) or error.kind is INVALID_REQUEST:
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


def _tool(tool: Tool, offer: OfferedTool | None) -> dict[str, Any]:
    if offer is not None:
        return offer.wire
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }


def _tool_choice(choice: ToolChoice | None, client_tools: Mapping[str, OfferedTool]) -> str | dict[str, Any]:
    if choice is None:
        return "auto"
    offer = client_tools.get(choice.name or "")
    if choice.mode == "tool" and offer is not None:
        return {"type": offer.wire["type"]} | ({"name": choice.name} if offer.kind.is_custom else {})
    return {"type": "function", "name": choice.name} if choice.mode == "tool" else choice.mode
