"""Anthropic's API: messages, the counting of their tokens, and the models.

What may be asked is :mod:`.anthropic_checks`, how a request is read :mod:`.anthropic_asks`, how answers look
:mod:`.anthropic_forms`, how errors do :mod:`.anthropic_errors`. Sources: the vendor's published API
reference and the types of its client.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from trunkline_mock.answers import compose, seed_of
from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.anthropic_asks import asked_script, message_ask, prompt_words
from trunkline_mock.shapes.anthropic_checks import check_count, check_message
from trunkline_mock.shapes.anthropic_errors import (
    envelope,
    error_event,
    error_reply,
    refusal_reply,
    request_id,
)
from trunkline_mock.shapes.anthropic_forms import PING, stream, whole
from trunkline_mock.shapes.base import (
    Call,
    Catalog,
    Handler,
    RefusalError,
    Route,
    Routes,
    Shape,
    encode,
    json_reply,
)

DEFAULT_MODELS: Final = (
    MockModel("claude-opus-5", context_length=200_000),
    MockModel("claude-sonnet-4-6", context_length=200_000),
    MockModel("claude-haiku-4-5", context_length=200_000),
)

_CREATED: Final = "2025-01-01T00:00:00Z"
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_LARGEST: Final = 32 * 1024 * 1024
_MOST_TOKENS: Final = 64_000
_CAPABILITIES: Final = ("completion", "thinking", "vision")
_PAGE: Final = 20
_LIMIT_HEADERS: Final = (
    ("anthropic-ratelimit-requests-limit", "4000"),
    ("anthropic-ratelimit-requests-remaining", "3999"),
    ("anthropic-ratelimit-requests-reset", "2025-01-01T00:00:01Z"),
    ("anthropic-ratelimit-input-tokens-limit", "400000"),
    ("anthropic-ratelimit-input-tokens-remaining", "399000"),
    ("anthropic-ratelimit-input-tokens-reset", "2025-01-01T00:00:01Z"),
    ("anthropic-ratelimit-output-tokens-limit", "80000"),
    ("anthropic-ratelimit-output-tokens-remaining", "79000"),
    ("anthropic-ratelimit-output-tokens-reset", "2025-01-01T00:00:01Z"),
)


class AnthropicShape:
    """Anthropic's server."""

    name = "anthropic"
    base_path = ""
    heartbeat = PING
    key_header = "x-api-key"
    decisive_headers: tuple[bytes, ...] = (b"anthropic-version", b"anthropic-beta")

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._routes = Routes(
            {
                "/v1/messages": {"POST": Route(_versioned(self._message), inference=True, reads=True)},
                "/v1/messages/count_tokens": {
                    "POST": Route(_versioned(self._count), inference=True, reads=True)
                },
                "/v1/models": {"GET": Route(_versioned(self._models))},
            },
            {"/v1/models/": {"GET": Route(_versioned(self._model))}},
        )

    def at(self, path: str) -> Shape:
        """This one, whatever the path."""
        return self

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        try:
            return self._routes.find(method, path)
        except RefusalError as refusal:
            words = "Not Found" if refusal.status == 404 else "Method Not Allowed"
            raise RefusalError(refusal.status, words) from None

    def read(self, body: bytes) -> dict[str, Any]:
        """The body's JSON object."""
        if len(body) > _LARGEST:
            raise RefusalError(413, "Request exceeds the maximum size")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RefusalError(400, f"The request body is not valid JSON: {error}") from None

    # Errors: the vendor's voice.

    def refuse(self, refusal: RefusalError) -> Reply:
        """The answer to a request that is refused."""
        return refusal_reply(refusal)

    def error(self, status: int, message: str | None, code: str | int | None) -> Reply:
        """The answer with an error status."""
        return error_reply(status, message, code)

    def midstream_error(
        self, reply: Reply, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The event that ends a stream with an error."""
        return error_event(status, message, code)

    def error_in_200(self, reply: Reply, status: int, message: str | None, code: str | int | None) -> bytes:
        """A body that fails under status 200."""
        return encode(envelope(status, message, code))

    # Listings.

    def _models(self, call: Call, script: Script) -> Reply:
        given = {name: values[-1] for name, values in parse_qs(call.query).items()}
        entries = [_entry(model) for model in self.catalog.all()]
        page, more = _page(entries, given)
        return _listed(
            call,
            {
                "data": page,
                "has_more": more,
                "first_id": page[0]["id"] if page else None,
                "last_id": page[-1]["id"] if page else None,
            },
        )

    def _model(self, call: Call, script: Script) -> Reply:
        return _listed(call, _entry(self._need(call.rest)))

    def _need(self, name: str) -> MockModel:
        model = self.catalog.find(name)
        if model is None:
            raise RefusalError(404, f"model: {name}")
        return model

    # Answers.

    def _message(self, call: Call, script: Script) -> Reply:
        check_message(call)
        model = self._need(call.data["model"])
        answer = compose(message_ask(call, model.name), asked_script(call.data, script))
        omit = (call.data.get("thinking") or {}).get("display") == "omitted"
        headers = (("request-id", request_id(answer.seed)), *_LIMIT_HEADERS)
        if call.data.get("stream"):
            return Reply(
                frames=stream(answer, omit_thinking=omit, pings=script.comments),
                content_type="text/event-stream; charset=utf-8",
                headers=(("cache-control", "no-cache"), *headers),
                streamed=True,
                prompt_tokens=answer.prompt,
            )
        body = encode(whole(answer, omit_thinking=omit))
        return Reply(
            frames=(Frame(body, Mark.CONTENT, answer.completion),),
            headers=headers,
            prompt_tokens=answer.prompt,
        )

    def _count(self, call: Call, script: Script) -> Reply:
        check_count(call)
        self._need(call.data["model"])
        usage = script.usage
        words = prompt_words(call.data) if usage is None or usage.prompt is None else usage.prompt
        return _listed(call, {"input_tokens": words})


class MessagesCorner(AnthropicShape):
    """The corner of another vendor's API where Anthropic's messages are: no version need be named, and models
    are listed and tokens counted elsewhere, or not at all."""

    decisive_headers = (b"anthropic-beta",)

    def __init__(self, name: str, roots: Sequence[str], catalog: Catalog) -> None:
        """Of the vendor ``name``, below each of ``roots``; empty without any."""
        super().__init__(catalog)
        self.name = name
        self.base_path = roots[0] if roots else ""
        self.paths: Set[str] = {f"{root}/messages" for root in roots}
        route = {"POST": Route(self._message, inference=True, reads=True)}
        self._routes = Routes(dict.fromkeys(self.paths, route))


def _versioned(handler: Handler) -> Handler:
    """``handler``, for requests that name the API's version."""

    def checked(call: Call, script: Script) -> Reply:
        version = call.headers.get("anthropic-version")
        if version is None:
            raise RefusalError(400, "anthropic-version: header is required")
        if not _VERSION.fullmatch(version):
            raise RefusalError(400, f'anthropic-version: "{version}" is not a valid version')
        return handler(call, script)

    return checked


def _listed(call: Call, value: dict[str, Any]) -> Reply:
    seed = seed_of(f"{call.path}?{call.query}".encode() + call.body)
    return json_reply(value, headers=(("request-id", request_id(seed)),))


def _page(entries: list[dict[str, Any]], given: dict[str, str]) -> tuple[list[dict[str, Any]], bool]:
    """The page of a listing that is asked for, and whether there is more in its direction."""
    size = given.get("limit", str(_PAGE))
    if not size.isdecimal() or not 1 <= int(size) <= 1000:
        raise RefusalError(400, "limit: Input should be between 1 and 1000")
    limit = int(size)
    names = [entry["id"] for entry in entries]
    for cursor in ("after_id", "before_id"):
        if cursor in given and given[cursor] not in names:
            raise RefusalError(400, f"{cursor}: Invalid cursor")
    if "before_id" in given:
        before = entries[: names.index(given["before_id"])]
        return before[-limit:], len(before) > limit
    after = entries[names.index(given["after_id"]) + 1 :] if "after_id" in given else entries
    return after[:limit], len(after) > limit


def _entry(model: MockModel) -> dict[str, Any]:
    able = {name: {"supported": name in model.capabilities} for name in _CAPABILITIES}
    thinks, always, never = able["thinking"], {"supported": True}, {"supported": False}
    return {
        "type": "model",
        "id": model.name,
        "display_name": re.sub(r"(\d)-(\d)(?!\d)", r"\1.\2", model.name).replace("-", " ").title(),
        "created_at": _CREATED,
        "lifecycle": "active",
        "max_input_tokens": model.context_length,
        "max_tokens": min(_MOST_TOKENS, model.context_length),
        "capabilities": {
            **dict.fromkeys(("batch", "citations", "code_execution"), never),
            "context_management": never,
            "effort": {**thinks, **dict.fromkeys(("low", "medium", "high", "xhigh", "max"), thinks)},
            "image_input": able["vision"],
            "pdf_input": able["vision"],
            "server_tools": {**never, "code_execution": never, "web_search": never},
            "structured_outputs": able["completion"],
            "thinking": {
                **thinks,
                "types": {"adaptive": thinks, "between_tools": thinks, "disabled": always, "enabled": thinks},
            },
        },
    }
