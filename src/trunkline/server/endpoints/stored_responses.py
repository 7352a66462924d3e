"""Kept responses: what ``previous_response_id`` goes on from, and what ``/v1/responses/{id}`` shows.

Off unless the settings say otherwise. What is kept is the response as its client got it and, beside it, all
of the conversation's input up to there, so that a later turn can be sent whole to any upstream. Only the key
that asked can see it. Facts: OpenAI's published OpenAPI document.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.dialects.responses import ResponsesFront
from trunkline.errors import INVALID_REQUEST, NOT_FOUND, CallerError, GatewayError, redact
from trunkline.pipeline.cache import AnswerStore, RecordingResponder
from trunkline.pipeline.call import CachedAnswer, Call
from trunkline.pipeline.pipeline import Pipeline
from trunkline.server.endpoints.pages import JSON, Page
from trunkline.server.endpoints.response_items import (
    Item,
    again,
    apart,
    items_of,
    listed,
    page,
    reference,
    response_of,
)

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.http.async_handler import RequestContext
    from trunkline.settings.sections import ResponsesRule

DIALECT: Final = "responses"
_SHARE: Final = 16
"""The largest response that is kept is the memory divided by this."""
_ELSEWHERE: Final = ("conversation", "prompt")
"""Fields that stand for input which only the upstream has: what follows from it cannot be told again."""
_LAST: Final = frozenset({"response.completed", "response.incomplete"})
_decode: Final = msgspec.json.decode
_encode: Final = msgspec.json.encode


class Responses:
    """The kept responses of a gateway, and the way of requests that are to be kept."""

    def __init__(self, answers: AnswerStore, pipeline: Pipeline, rule: ResponsesRule) -> None:
        self.answers = answers
        self._pipeline = pipeline
        self.reconfigure(rule)

    def reconfigure(self, rule: ResponsesRule) -> None:
        """From the next request on, this rule."""
        self.rule = rule
        self.answers.resize(rule.max_bytes)

    async def serve(self, call: Call, body: bytes) -> None:
        """Like :meth:`.Pipeline.serve`, with what went before in front of the request's input."""
        try:
            call.summary = call.front.summarize(body)
            fields = _decode(body)
            before, given = await asyncio.ensure_future(self._resolve(call, fields))
        except GatewayError as error:
            call.refuse(error)
            self._pipeline.settle(call)
            return
        items = [item for item, _ in (*before, *given)]
        if before or any(known for _, known in given):
            plain, thoughts = apart([*before, *given])
            # an upstream that keeps responses, too, must not put what went before there again
            previous = fields.pop("previous_response_id", None)
            call.front = ResponsesFront(stored=True, previous_response_id=previous, reasoning_items=thoughts)
            body = _encode({**fields, "input": plain})
        if fields.get("store") is False or any(fields.get(name) is not None for name in _ELSEWHERE):
            await self._pipeline.serve(call, body)
            return
        tape = RecordingResponder(call.responder, self.rule.max_bytes // _SHARE)
        call.responder = tape
        await self._pipeline.serve(call, body)
        if call.error is None and call.status == 200 and not call.gone and not tape.full:
            self._keep(call, tape, items)

    async def _resolve(
        self, call: Call, fields: dict[str, Any]
    ) -> tuple[list[tuple[Any, bool]], list[tuple[Any, bool]]]:
        """The items of the conversation before this request, and its own, each with whether it was kept
        here."""
        before = [(item, True) for item in await self._before(call, fields)]
        given = []
        for item in items_of(fields.get("input")):
            number = reference(item)
            meant = None if number is None else await self._item(call.key, number)
            given.append((item, False) if meant is None else (meant, True))
        return before, given

    async def _item(self, key: ApiKey | None, number: str) -> Item | None:
        """An item of a kept response's output, as input."""
        whose = response_of(number)
        response = await self._find(key, whose)
        output = () if response is None else _decode(response.body).get("output", ())
        found = next((item for item in output if item.get("id") == number), None)
        return None if found is None else again(found, whose)

    async def _before(self, call: Call, fields: dict[str, Any]) -> list[Any]:
        """The items of the conversation up to this request."""
        previous = fields.get("previous_response_id")
        if previous is None:
            return []
        response = await self._find(call.key, str(previous))
        items = await self.answers.find(_name(call.key, f"{previous}:input"), time.time())
        if response is None or items is None:
            raise CallerError(
                f"Previous response with id '{redact(str(previous), 100)}' not found",
                INVALID_REQUEST,
                param="previous_response_id",
                code="previous_response_not_found",
            )
        said = (again(item, str(previous)) for item in _decode(response.body).get("output", ()))
        return [*_decode(items.body), *(item for item in said if item is not None)]

    def _keep(self, call: Call, tape: RecordingResponder, items: list[Any]) -> None:
        body = b"".join(tape.pieces)
        response = _last_of(body) if tape.streaming else body
        if response is None:
            return
        number = _decode(response).get("id")
        now = time.time()
        for name, data in ((f"{number}", response), (f"{number}:input", _encode(items))):
            kept = CachedAnswer(
                streaming=False, content_type=JSON, lines=b"", body=data, provider="", model=call.model or ""
            )
            self.answers.keep(_name(call.key, name), kept, self.rule.ttl_s, now)

    async def _find(self, key: ApiKey | None, number: str) -> CachedAnswer | None:
        return await self.answers.find(_name(key, number), time.time())

    async def show(self, key: ApiKey | None, number: str) -> Page:
        """A kept response.

        Raises:
            CallerError: 404.
        """
        found = await self._find(key, number)
        if found is None:
            raise _missing(number)
        return Page(found.body)

    async def input_items(self, key: ApiKey | None, number: str, query: Mapping[str, str]) -> Page:
        """A page of what a kept response was asked with, all that went before included.

        Raises:
            CallerError: 404; or the query is wrong.
        """
        await self.show(key, number)
        items = await self.answers.find(_name(key, f"{number}:input"), time.time())
        if items is None:
            raise _missing(number)
        return Page(_encode(page(listed(_decode(items.body), number), query)))

    async def delete(self, key: ApiKey | None, number: str) -> Page:
        """Forget a kept response.

        Raises:
            CallerError: 404.
        """
        await self.show(key, number)
        for name in (number, f"{number}:input"):
            await self.answers.drop(_name(key, name))
        return Page(_encode({"id": number, "object": "response", "deleted": True}))


async def show(context: RequestContext, number: str, only: str | None = None) -> Page:
    """``GET /v1/responses/{id}``.

    Raises:
        CallerError: it is to be told as a stream, which the vendor does only of what ran in the background.
    """
    if context.query.get("stream", "").lower() in ("true", "1"):
        text = "This response cannot be streamed because it was not created with background=true."
        raise CallerError(text, INVALID_REQUEST, param="stream")
    return await _kept(context, number).show(context.key, number)


async def delete(context: RequestContext, number: str, only: str | None = None) -> Page:
    """``DELETE /v1/responses/{id}``."""
    return await _kept(context, number).delete(context.key, number)


async def input_items(context: RequestContext, number: str, only: str | None = None) -> Page:
    """``GET /v1/responses/{id}/input_items``."""
    return await _kept(context, number).input_items(context.key, number, context.query)


async def cancel(context: RequestContext, number: str, only: str | None = None) -> Page:
    """``POST /v1/responses/{id}/cancel``.

    Raises:
        CallerError: always: nothing that is kept here is still under way.
    """
    await _kept(context, number).show(context.key, number)
    raise CallerError("Cannot cancel a response that is not in the background", INVALID_REQUEST)


async def count(context: RequestContext, only: str | None = None) -> Page:
    """``POST /v1/responses/input_tokens``.

    Raises:
        CallerError: always.
    """
    text = "This gateway counts no input tokens ahead; a response's `usage` says how many there were"
    raise CallerError(text, NOT_FOUND)


async def compact(context: RequestContext, only: str | None = None) -> Page:
    """``POST /v1/responses/compact``.

    Raises:
        CallerError: always.
    """
    text = (
        "This gateway compacts no conversations; have a model summarise this one, and go on from its summary"
    )
    raise CallerError(text, NOT_FOUND)


def _kept(context: RequestContext, number: str) -> Responses:
    if not context.gateway.settings.responses.store:
        text = "This gateway keeps no responses; `responses: {store: true}` in trunkline.yaml would"
        raise CallerError(text, NOT_FOUND)
    return context.gateway.responses


def _missing(number: str) -> CallerError:
    return CallerError(f"Response with id '{redact(number, 100)}' not found", NOT_FOUND)


def _name(key: ApiKey | None, number: str) -> str:
    return f"response:{'' if key is None else key.id}:{number}"


def _last_of(stream: bytes) -> bytes | None:
    """The response in the last event of a stream."""
    for line in reversed(stream.split(b"\n")):
        if line.startswith(b"data: {"):
            event = _decode(line[6:], type=dict[str, msgspec.Raw])
            if _decode(event.get("type", b"null")) in _LAST and "response" in event:
                return bytes(event["response"])
    return None
