"""OpenAI's Responses API, in a corner of :mod:`.openai`: its answers, streams, and errors within them.

What may be asked is :mod:`.responses_checks`, how a request is read and what is kept of it
:mod:`.responses_asks`, what an answer consists of :mod:`.responses_forms`; here is what is around that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from trunkline_mock.answers import Answer, compose, spread
from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.base import Call, Catalog, RefusalError, Route, Routes, Shape, encode
from trunkline_mock.shapes.openai_checks import read_object
from trunkline_mock.shapes.openai_errors import error_reply, refusal_reply, words_for
from trunkline_mock.shapes.responses_asks import Memory, response_ask, stands_alone
from trunkline_mock.shapes.responses_checks import check_pairing, check_response
from trunkline_mock.shapes.responses_forms import Told, items_of, told_of
from trunkline_mock.shapes.vendors import Vendor

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Finish reasons of an answer that was cut off, and what such a response gives as its reason."""
_FAILED: Final = "error"
"""The finish reason of a response that fails."""
_FAILURES: Final = {400: "invalid_prompt", 429: "rate_limit_exceeded"}

_DEFAULTS: Final[dict[str, Any]] = {
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
"""What a response repeats of its request, and what it says where the request is silent."""


class ResponsesShape:
    """The corner of a vendor's API where responses are made; empty if the vendor has none."""

    key_header = ""
    decisive_headers: tuple[bytes, ...] = ()

    def __init__(
        self,
        vendor: Vendor,
        catalog: Catalog,
        need: Callable[[str], MockModel],
        headers: Callable[[Answer], tuple[tuple[str, str], ...]],
    ) -> None:
        """``need`` finds a model or refuses, ``headers`` are those of any answer of the vendor."""
        self.vendor = vendor
        self.catalog = catalog
        self.name = vendor.name
        self.base_path = vendor.roots[0]
        self.heartbeat = f": {vendor.comment or 'keep-alive'}\n\n".encode()
        self.paths = {f"{root}/responses" for root in vendor.roots} if vendor.responses else set()
        route = {"POST": Route(self._respond, inference=True, reads=True)}
        self._routes = Routes(dict.fromkeys(self.paths, route))
        self._need = need
        self._headers = headers
        self._memory = Memory()

    def at(self, path: str) -> Shape:
        """This one."""
        return self

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def read(self, body: bytes) -> dict[str, Any]:
        """The body's JSON object."""
        return read_object(body)

    def refuse(self, refusal: RefusalError) -> Reply:
        """The answer to a request that is refused; what it refers to may be known the next time."""
        return msgspec.structs.replace(refusal_reply(self.vendor, refusal), lasting=False)

    def error(self, status: int, message: str | None, code: str | int | None) -> Reply:
        """The answer with an error status."""
        return error_reply(self.vendor, status, message, code)

    def midstream_error(
        self, reply: Reply, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The event that ends a stream with an error; its number is that of the next event."""
        error = words_for(self.vendor, status, message, code)
        number = sum(frame.data.startswith(b"event: ") for frame in reply.frames[: reply.told])
        if self.vendor.responses == "flat":
            return _event("error", number, {name: error.get(name) for name in ("code", "message", "param")})
        return _event("error", number, {"error": error})

    def error_in_200(self, reply: Reply, status: int, message: str | None, code: str | int | None) -> bytes:
        """A response that failed."""
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
        message = words_for(self.vendor, status, message, None)["message"]
        error = {"code": code or _FAILURES.get(status, "server_error"), "message": message}
        return encode(answer | {"status": "failed", "error": error, "output": [], "usage": None})

    def _respond(self, call: Call, script: Script) -> Reply:
        data = call.data
        check_response(data, self.vendor)
        model = self._need(data["model"])
        conversation = self._memory.conversation(data)
        check_pairing(conversation)
        answer = compose(response_ask(call, model.name, conversation), script)
        items = items_of(answer, data, self.vendor, cut=answer.finish_reason in _INCOMPLETE)
        output = [item.whole for item in items]
        opening = self._object(answer, data)
        ending = opening | self._ending(answer, model, script) | {"output": output}
        if data.get("stream"):
            reply = self._stream(opening, told_of(items), ending, answer, script)
        else:
            reply = Reply(
                frames=(Frame(encode(ending), Mark.CONTENT, answer.completion),),
                headers=self._headers(answer),
                prompt_tokens=answer.prompt,
            )
        keep = partial(self._memory.keep, opening["id"], (*conversation, *output))
        return msgspec.structs.replace(
            reply,
            lasting=stands_alone(data),
            effect=keep if opening["store"] and ending["status"] != "failed" else None,
        )

    def _stream(
        self,
        opening: dict[str, Any],
        told: list[Told],
        ending: dict[str, Any],
        answer: Answer,
        script: Script,
    ) -> Reply:
        begin = {"response": opening}
        events = [Told("response.created", begin), Told("response.in_progress", begin), *told]
        texts = [each.text for each in events if each.text is not None]
        shares = iter(spread(answer.completion, texts))
        last = max((at for at, each in enumerate(events) if each.text is not None), default=1)
        frames = [Frame(self.heartbeat, Mark.START)] * (script.comments if self.vendor.comment else 0)
        for number, each in enumerate(events):
            data = _event(each.name, number, each.fields)
            if each.text is not None:
                frames.append(Frame(data, Mark.CONTENT, next(shares)))
            else:  # what only closes the last item is part of the end
                frames.append(Frame(data, Mark.START if number < last else Mark.FINISH))
        name = f"response.{ending['status']}"
        frames.append(Frame(_event(name, len(events), {"response": ending}), Mark.FINISH))
        return Reply(
            frames=tuple(frames),
            content_type="text/event-stream; charset=utf-8",
            headers=(("cache-control", "no-cache"), *self._headers(answer)),
            streamed=True,
            prompt_tokens=answer.prompt,
        )

    def _object(self, answer: Answer, data: dict[str, Any]) -> dict[str, Any]:
        """The response before there is any output."""
        said = {name: value for name, value in data.items() if value is not None}
        return {
            "id": f"resp_{answer.seed}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": answer.model,
            "output": [],
            **{name: said.get(name, value) for name, value in _DEFAULTS.items()},
            "reasoning": {"effort": None, "summary": None} | said.get("reasoning", {}),
            "text": {"format": {"type": "text"}, "verbosity": "medium"} | said.get("text", {}),
            "tools": [_tool(tool) for tool in said.get("tools", ())],
            "usage": None,
        }

    def _ending(self, answer: Answer, model: MockModel, script: Script) -> dict[str, Any]:
        """How the response ended, and what it took."""
        reason = answer.finish_reason
        counts = answer.has_usage and self.vendor.usage != "never"
        usage = self._usage(answer, model, script) if counts else None
        if reason == _FAILED:
            message = words_for(self.vendor, 500, None, None)["message"]
            error = {"code": "server_error", "message": message}
            return {"status": "failed", "error": error, "usage": usage}
        if reason in _INCOMPLETE:
            details = {"reason": _INCOMPLETE[reason]}
            return {"status": "incomplete", "incomplete_details": details, "usage": usage}
        return {"status": "completed", "completed_at": int(time.time()), "usage": usage}

    def _usage(self, answer: Answer, model: MockModel, script: Script) -> dict[str, Any]:
        usage: dict[str, Any] = {
            "input_tokens": answer.prompt,
            "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": 0},
            "output_tokens": answer.completion,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning},
            "total_tokens": answer.prompt + answer.completion,
        }
        if self.vendor.cost:
            prices = max(float(model.price_prompt), 0.0), max(float(model.price_completion), 0.0)
            cost = round(answer.prompt * prices[0] + answer.completion * prices[1], 12)
            usage["cost"] = cost if script.cost is None else script.cost
        return usage


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as a response repeats it."""
    if tool["type"] != "function":
        return tool
    return {"type": "function", "description": None, "parameters": None, "strict": True} | tool


def _event(name: str, number: int, fields: dict[str, Any]) -> bytes:
    """One event, named twice as OpenAI does."""
    return b"event: %b\ndata: %b\n\n" % (
        name.encode(),
        encode({"type": name, "sequence_number": number} | fields),
    )
