"""Ollama's native API: chat, generate, embeddings and listings, and its OpenAI-compatible routes.

What may be asked is :mod:`.ollama_checks`, what the server has :mod:`.ollama_store`, the routes that manage
models :mod:`.ollama_manage`; here are the answers of models. Source: Ollama's API as of v0.33.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from trunkline_mock.answers import Answer, compose, count_words, embedding, short_id, spread
from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.script import MockModel, Script, ToolCall
from trunkline_mock.shapes.base import (
    Call,
    RefusalError,
    Route,
    Routes,
    Shape,
    encode,
    json_reply,
    line,
)
from trunkline_mock.shapes.ollama_asks import chat_ask, generate_ask
from trunkline_mock.shapes.ollama_checks import check_chat, check_generate, inputs_of, keep_alive_s
from trunkline_mock.shapes.ollama_manage import manage_routes
from trunkline_mock.shapes.ollama_store import OllamaStore, rfc3339
from trunkline_mock.shapes.openai import OpenAIShape
from trunkline_mock.shapes.vendors import OLLAMA_V1

VERSION: Final = "0.33.0"

_DONE_REASONS: Final = {"tool_calls": "stop"}
_NS_PER_TOKEN: Final = 10_000_000
_MS: Final = 1_000_000

_ERRORS: Final = {
    400: "invalid request",
    401: "unauthorized",
    403: "forbidden",
    404: "model not found",
    429: "too many concurrent requests",
    499: "client closed request",
    500: "llama runner process has terminated: exit status 2",
    502: "bad gateway",
    503: "server busy, please try again.  maximum pending requests exceeded",
}

Fields = Callable[[str, str, list[dict[str, Any]]], dict[str, Any]]
"""Text, thinking and tool calls to the fields that carry them."""


class OllamaShape:
    """An Ollama server."""

    name = "ollama"
    base_path = ""
    heartbeat = b"\n"
    key_header = ""
    decisive_headers: tuple[bytes, ...] = ()

    def __init__(self, store: OllamaStore) -> None:
        self.store = store
        self.catalog = store.catalog
        self._v1 = OpenAIShape(OLLAMA_V1, store.catalog)
        self._routes = Routes(
            {
                "/": {"GET": Route(_greeting)},
                "/api/version": {"GET": Route(_version)},
                "/api/tags": {"GET": Route(self._tags)},
                "/api/ps": {"GET": Route(self._ps)},
                "/api/show": {"POST": Route(self._show, reads=True)},
                "/api/chat": {"POST": Route(self._chat, inference=True, reads=True)},
                "/api/generate": {"POST": Route(self._generate, inference=True, reads=True)},
                "/api/embed": {"POST": Route(self._embed, inference=True, reads=True)},
                "/api/embeddings": {"POST": Route(self._embeddings, inference=True, reads=True)},
                **manage_routes(store),
            },
            {"/api/blobs/": {"HEAD": Route(self._blob_head), "POST": Route(self._blob_post)}},
        )

    def at(self, path: str) -> Shape:
        """OpenAI's shape under ``/v1``, with errors in its form, else this one."""
        return self._v1 if path.startswith("/v1/") else self

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def read(self, body: bytes) -> dict[str, Any]:
        """The body's JSON object."""
        if not body.strip():
            raise RefusalError(400, "missing request body")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RefusalError(400, f"invalid JSON: {error}") from None

    # Errors: Ollama's voice.

    def refuse(self, refusal: RefusalError) -> Reply:
        """The answer to a request that is refused."""
        return json_reply({"error": refusal.message}, status=refusal.status)

    def error(self, status: int, message: str | None, code: str | int | None) -> Reply:
        """The answer with an error status."""
        return json_reply({"error": _words(status, message)}, status=status)

    def midstream_error(
        self, reply: Reply, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The line that ends a stream with an error."""
        return line({"error": _words(status, message)})

    def error_in_200(self, reply: Reply, status: int, message: str | None, code: str | int | None) -> bytes:
        """A body that fails under status 200."""
        return encode({"error": _words(status, message)})

    # Listings.

    def _tags(self, call: Call, script: Script) -> Reply:
        return json_reply({"models": self.store.tags()})

    def _ps(self, call: Call, script: Script) -> Reply:
        return json_reply({"models": self.store.running()})

    def _show(self, call: Call, script: Script) -> Reply:
        name = call.data.get("model") or call.data.get("name")
        if not name:
            raise RefusalError(400, "model is required")
        return json_reply(self.store.show(name))

    def _blob_head(self, call: Call, script: Script) -> Reply:
        return Reply(frames=(), status=200 if call.rest in self.store.blobs else 404)

    def _blob_post(self, call: Call, script: Script) -> Reply:
        if call.rest in self.store.blobs:
            return Reply(frames=())
        if call.rest != f"sha256:{hashlib.sha256(call.body).hexdigest()}":
            raise RefusalError(400, "digest mismatch")
        self.store.blobs[call.rest] = len(call.body)
        return Reply(frames=(), status=201)

    # Answers.

    def _chat(self, call: Call, script: Script) -> Reply:
        check_chat(call.data)
        model = self._capable(call.data, "chat")
        if not call.data.get("messages"):
            return self._loaded(call, model, _message("", "", []))
        if call.data.get("tools") and "tools" not in model.capabilities:
            name = f"registry.ollama.ai/library/{call.data['model']}"
            raise RefusalError(400, f'"{name}" does not support tools')
        answer = compose(chat_ask(call), script)
        return self._answer(call, model, answer, _message, {})

    def _generate(self, call: Call, script: Script) -> Reply:
        check_generate(call.data)
        model = self._capable(call.data, "generate")
        if not call.data.get("prompt"):
            return self._loaded(call, model, {"response": ""})
        if call.data.get("suffix") and "insert" not in model.capabilities:
            raise RefusalError(400, f'"{call.data["model"]}" does not support insert')
        answer = compose(generate_ask(call), script)
        context = {} if call.data.get("raw") else {"context": [1, 2, 3]}
        return self._answer(call, model, answer, _response, context)

    def _capable(self, data: dict[str, Any], task: str) -> MockModel:
        model = self.store.need(data["model"])
        if "completion" not in model.capabilities:
            raise RefusalError(400, f'"{data["model"]}" does not support {task}')
        if data.get("think") and "thinking" not in model.capabilities:
            raise RefusalError(400, f'"{data["model"]}" does not support thinking')
        return model

    def _loaded(self, call: Call, model: MockModel, fields: dict[str, Any]) -> Reply:
        """An empty request loads the model, or with ``keep_alive`` 0 unloads it."""
        stay = keep_alive_s(call.data)
        body = {
            **self._opening(call.data["model"]),
            **fields,
            "done": True,
            "done_reason": "load" if stay else "unload",
        }
        return self._effective(json_reply(body), call, model)

    def _effective(self, reply: Reply, call: Call, model: MockModel) -> Reply:
        """``reply`` with what it does to the server's memory, and the wait for the model to load."""
        stay = keep_alive_s(call.data)
        wait = 0.0 if self.store.is_resident(model.name) else model.load_s
        return msgspec.structs.replace(
            reply,
            wait_s=wait,
            lasting=not model.load_s,
            effect=lambda: self.store.load(model.name, stay),
        )

    def _opening(self, name: str) -> dict[str, Any]:
        return {"model": name, "created_at": rfc3339(self.store.clock())}

    def _answer(
        self, call: Call, model: MockModel, answer: Answer, fields: Fields, last: dict[str, Any]
    ) -> Reply:
        opening = self._opening(answer.model)
        calls = [_call(answer, index, one) for index, one in enumerate(answer.tool_calls)]
        closing = {
            "done": True,
            "done_reason": _DONE_REASONS.get(answer.finish_reason, answer.finish_reason),
            **last,
            **_counts(answer),
        }
        if call.data.get("stream") is False:
            body = {**opening, **fields(answer.text, answer.thought, calls), **closing}
            frames: tuple[Frame, ...] = (Frame(encode(body), Mark.CONTENT, answer.completion),)
            content_type = "application/json; charset=utf-8"
        else:
            deltas = [(fields("", piece, []), piece) for piece in answer.thinking]
            deltas += [(fields(piece, "", []), piece) for piece in answer.chunks]
            deltas += [(fields("", "", [one]), one["function"]["name"]) for one in calls]
            shares = spread(answer.completion, [text for _, text in deltas])
            frames = (
                *(
                    Frame(line({**opening, **delta, "done": False}), Mark.CONTENT, share)
                    for (delta, _), share in zip(deltas, shares, strict=True)
                ),
                Frame(line({**opening, **fields("", "", []), **closing}), Mark.FINISH),
            )
            content_type = "application/x-ndjson"
        reply = Reply(
            frames=frames,
            content_type=content_type,
            streamed=call.data.get("stream") is not False,
            prompt_tokens=answer.prompt,
        )
        return self._effective(reply, call, model)

    def _embed(self, call: Call, script: Script) -> Reply:
        inputs = inputs_of(call.data)
        model = self.store.need(call.data["model"])
        length = call.data.get("dimensions") or script.dimensions
        words = _prompt_count(inputs, script)
        body: dict[str, Any] = {
            "model": call.data["model"],
            "embeddings": [embedding(text, length) for text in inputs],
            "total_duration": 14 * _MS,
            "load_duration": _MS,
        }
        if words and script.usage is not None:
            body["prompt_eval_count"] = words
        reply = msgspec.structs.replace(json_reply(body), prompt_tokens=words)
        return self._effective(reply, call, model)

    def _embeddings(self, call: Call, script: Script) -> Reply:
        check_generate(call.data)
        model = self.store.need(call.data["model"])
        prompt = call.data.get("prompt") or ""
        vector = embedding(prompt, script.dimensions) if prompt else []
        return self._effective(json_reply({"embedding": vector}), call, model)


def _greeting(call: Call, script: Script) -> Reply:
    return Reply(frames=(Frame(b"Ollama is running"),), content_type="text/plain; charset=utf-8")


def _version(call: Call, script: Script) -> Reply:
    return json_reply({"version": VERSION})


def _words(status: int, message: str | None) -> str:
    return _ERRORS.get(status, "internal server error") if message is None else message


def _prompt_count(inputs: list[str], script: Script) -> int:
    if script.usage is not None and script.usage.prompt is not None:
        return script.usage.prompt
    return sum(count_words(text) for text in inputs)


def _message(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def _response(text: str, thinking: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    return {"response": text, "thinking": thinking} if thinking else {"response": text}


def _call(answer: Answer, index: int, call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.id or f"call_{short_id(answer.seed, index, 8)}",
        "function": {"index": index, "name": call.name, "arguments": call.arguments},
    }


def _counts(answer: Answer) -> dict[str, int]:
    """Durations, and the counts unless the script says that there are none (zeros are left out)."""
    evaluated = answer.completion * _NS_PER_TOKEN
    counts = {"prompt_eval_count": answer.prompt, "eval_count": answer.completion}
    return {
        "total_duration": evaluated + 30 * _MS,
        "load_duration": 20 * _MS,
        "prompt_eval_duration": 10 * _MS,
        "eval_duration": evaluated,
        **{name: count for name, count in counts.items() if count and answer.has_usage},
    }
