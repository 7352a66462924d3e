"""OpenAI's API, and those of the vendors that speak it: routes, answers, streams, listings.

One class plays a :class:`Vendor` row. What may be asked is :mod:`.openai_checks`, how a request is read
:mod:`.openai_asks`, how errors look :mod:`.openai_errors`; here is how answers look. The Responses API lives
in a corner of it (:mod:`.responses`), and for some vendors Anthropic's messages in another.
"""

from __future__ import annotations

import base64
import struct
import time
from typing import Any

import msgspec

from trunkline_mock.answers import Answer, compose, count_words, embedding, seed_of
from trunkline_mock.delivery import Frame, Mark, Reply
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.anthropic import MessagesCorner
from trunkline_mock.shapes.base import (
    Call,
    Catalog,
    RefusalError,
    Route,
    Routes,
    Shape,
    encode,
    json_reply,
    sse,
)
from trunkline_mock.shapes.openai_asks import chat_ask, completion_ask, prompts_of
from trunkline_mock.shapes.openai_checks import (
    check_chat,
    check_common,
    check_embeddings,
    read_object,
)
from trunkline_mock.shapes.openai_errors import (
    body_in_200,
    error_reply,
    midstream_record,
    refusal_reply,
)
from trunkline_mock.shapes.openai_forms import ChatForm, Form, TextForm
from trunkline_mock.shapes.responses import ResponsesShape
from trunkline_mock.shapes.vendors import Vendor

_CREATED = 1_735_689_600
"""When the mock's models were made: the start of 2025."""

_LIMIT_HEADERS = {
    "": (),
    "openai": (
        ("openai-processing-ms", "12"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", "1999980"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-reset-tokens", "0s"),
    ),
    "cerebras": (
        ("x-ratelimit-limit-requests-day", "14400"),
        ("x-ratelimit-limit-tokens-minute", "60000"),
        ("x-ratelimit-remaining-requests-day", "14399"),
        ("x-ratelimit-remaining-tokens-minute", "59980"),
        ("x-ratelimit-reset-requests-day", "33011.4"),
        ("x-ratelimit-reset-tokens-minute", "11.4"),
    ),
}


class OpenAIShape:
    """A server of one vendor's row."""

    key_header = ""

    def __init__(self, vendor: Vendor, catalog: Catalog) -> None:
        self.vendor = vendor
        self.decisive_headers = MessagesCorner.decisive_headers if vendor.messages else ()
        self.catalog = catalog
        self.name = vendor.name
        self.base_path = vendor.roots[0]
        self.heartbeat = f": {vendor.comment or 'keep-alive'}\n\n".encode()
        exact: dict[str, dict[str, Route]] = {}
        prefixes: dict[str, dict[str, Route]] = {}
        for root in vendor.roots:
            exact[f"{root}/chat/completions"] = {"POST": Route(self._chat, inference=True, reads=True)}
            exact[f"{root}/completions"] = {"POST": Route(self._completion, inference=True, reads=True)}
            exact[f"{root}/models"] = {"GET": Route(self._models)}
            prefixes[f"{root}/models/"] = {"GET": Route(self._model)}
            if vendor.embeddings:
                exact[f"{root}/embeddings"] = {"POST": Route(self._embeddings, inference=True, reads=True)}
            if vendor.provider:
                exact[f"{root}/embeddings/models"] = {"GET": Route(self._models)}
        if vendor.health:
            exact["/health"] = {"GET": Route(self._health)}
        self._routes = Routes(exact, prefixes)
        self._responses = ResponsesShape(vendor, catalog, self._need, self._headers)
        self._messages = MessagesCorner(vendor.name, vendor.roots if vendor.messages else (), catalog)

    def at(self, path: str) -> Shape:
        """This one, but for the Responses API and Anthropic's, whose answers and errors look otherwise."""
        if path in self._messages.paths:
            return self._messages
        return self._responses if path in self._responses.paths else self

    def find(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def read(self, body: bytes) -> dict[str, Any]:
        """The body's JSON object."""
        return read_object(body)

    # Errors: the vendor's voice.

    def refuse(self, refusal: RefusalError) -> Reply:
        """The answer to a request that is refused."""
        return refusal_reply(self.vendor, refusal)

    def error(self, status: int, message: str | None, code: str | int | None) -> Reply:
        """The answer with an error status."""
        return error_reply(self.vendor, status, message, code)

    def midstream_error(
        self, reply: Reply, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The event that ends a stream with an error."""
        return midstream_record(self.vendor, reply, status, message, code)

    def error_in_200(self, reply: Reply, status: int, message: str | None, code: str | int | None) -> bytes:
        """A body that fails under status 200."""
        return body_in_200(self.vendor, reply, status, message, code)

    # Listings.

    def _health(self, call: Call, script: Script) -> Reply:
        return json_reply({"status": "ok"})

    def _models(self, call: Call, script: Script) -> Reply:
        models = self.catalog.all()
        if self.vendor.provider:
            embedding_only = call.path.endswith("/embeddings/models")
            models = [model for model in models if ("embedding" in model.capabilities) is embedding_only]
        return json_reply({"object": "list", "data": [self._entry(model) for model in models]})

    def _model(self, call: Call, script: Script) -> Reply:
        return json_reply(self._entry(self._need(call.rest)))

    def _entry(self, model: MockModel) -> dict[str, Any]:
        if not self.vendor.provider:
            return {"id": model.name, "object": "model", "created": _CREATED, "owned_by": self.name}
        inputs = ["text", "image"] if "vision" in model.capabilities else ["text"]
        prices = {"prompt": model.price_prompt, "completion": model.price_completion}
        others = ("request", "image", "web_search", "internal_reasoning")
        return {
            "id": model.name,
            "canonical_slug": model.name,
            "name": model.name.replace("/", ": "),
            "created": _CREATED,
            "description": "A model of the mock upstream.",
            "context_length": model.context_length,
            "architecture": {
                "modality": "+".join(inputs) + "->text",
                "input_modalities": inputs,
                "output_modalities": ["embeddings" if "embedding" in model.capabilities else "text"],
                "tokenizer": "Other",
                "instruct_type": None,
            },
            "pricing": prices | dict.fromkeys(others, "0"),
            "top_provider": {
                "context_length": model.context_length,
                "max_completion_tokens": 4096,
                "is_moderated": False,
            },
            "per_request_limits": None,
            "supported_parameters": ["max_tokens", "temperature", "tools", "response_format", "reasoning"],
        }

    def _need(self, name: str) -> MockModel:
        model = self.catalog.find(name)
        if model is None:
            if self.vendor.unknown_model == 400:
                raise RefusalError(400, f"{name} is not a valid model ID")
            raise RefusalError(
                self.vendor.unknown_model,
                f"The model `{name}` does not exist or you do not have access to it.",
                code="model_not_found",
                param="model",
            )
        return model

    # Answers.

    def _chat(self, call: Call, script: Script) -> Reply:
        check_chat(call.data, self.vendor)
        model = self._need(call.data["model"])
        answer = compose(chat_ask(call, model.name), script)
        count = call.data.get("n") or 1
        if call.data.get("stream"):
            return self._stream([answer] * count, model, call, script, ChatForm(self.vendor))
        return self._whole([answer] * count, model, ChatForm(self.vendor), script)

    def _completion(self, call: Call, script: Script) -> Reply:
        check_common(call.data, self.vendor)
        model = self._need(call.data["model"])
        count = call.data.get("n") or 1
        answers = [
            compose(completion_ask(call, model.name, prompt), script)
            for prompt in prompts_of(call.data)
            for _ in range(count)
        ]
        if call.data.get("stream"):
            return self._stream(answers, model, call, script, TextForm(self.vendor))
        return self._whole(answers, model, TextForm(self.vendor), script)

    def _whole(self, answers: list[Answer], model: MockModel, form: Form, script: Script) -> Reply:
        first = answers[0]
        body = self._envelope(first, form, form.whole_object)
        body["choices"] = [
            self._choice(index, form.whole(answer), answer.finish_reason)
            for index, answer in enumerate(answers)
        ]
        if first.has_usage and self.vendor.usage != "never":
            body |= self._counts(answers, model, script)
        completion = sum(answer.completion for answer in answers)
        return Reply(
            frames=(Frame(encode(body), Mark.CONTENT, completion),),
            headers=self._headers(first),
            prompt_tokens=first.prompt,
        )

    def _stream(
        self, answers: list[Answer], model: MockModel, call: Call, script: Script, form: Form
    ) -> Reply:
        vendor, first = self.vendor, answers[0]
        envelope = self._envelope(first, form, form.stream_object)
        asked = bool((call.data.get("stream_options") or {}).get("include_usage"))
        with_usage = first.has_usage and (vendor.usage == "always" or (vendor.usage == "asked" and asked))
        counts = self._counts(answers, model, script) if with_usage else {}
        if with_usage and vendor.extra_nulls:
            envelope["usage"] = None
        frames = [Frame(self.heartbeat, Mark.START)] * (script.comments if vendor.comment else 0)
        for index, answer in enumerate(answers):
            frames += form.stream(envelope, index, answer, self._choice)
        for index, answer in enumerate(answers):
            closing = envelope | {"choices": [self._choice(index, form.closing(), answer.finish_reason)]}
            if vendor.usage_place == "last" and index == len(answers) - 1:
                closing |= counts
            frames.append(Frame(sse(closing), Mark.FINISH))
        if counts and vendor.usage_place == "own":
            frames.append(Frame(sse(envelope | {"choices": []} | counts), Mark.USAGE))
        frames.append(Frame(b"data: [DONE]\n\n", Mark.DONE))
        return Reply(
            frames=tuple(frames),
            content_type="text/event-stream; charset=utf-8",
            headers=(("cache-control", "no-cache"), *self._headers(first)),
            streamed=True,
            prompt_tokens=first.prompt,
        )

    def _envelope(self, answer: Answer, form: Form, kind: str) -> dict[str, Any]:
        prefix = form.id_prefix or self.vendor.id_prefix
        fields = {
            "id": prefix + answer.seed,
            "object": kind,
            "created": int(time.time()),
            "model": answer.model,
        }
        if self.vendor.provider:
            return {**fields, "provider": self.vendor.provider}
        if self.vendor.extra_nulls:
            fields["service_tier"] = "default"
        return {**fields, "system_fingerprint": "fp_mock"}

    def _choice(self, index: int, content: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
        choice = {"index": index, **content, "logprobs": None, "finish_reason": finish_reason}
        if self.vendor.native_finish_reason:
            choice["native_finish_reason"] = finish_reason
        return choice

    def _headers(self, answer: Answer) -> tuple[tuple[str, str], ...]:
        limits = _LIMIT_HEADERS[self.vendor.limit_headers]
        if not self.vendor.id_header:
            return limits
        prefix = "gen-" if self.vendor.provider else "req_"
        return ((self.vendor.id_header, prefix + answer.seed), *limits)

    def _counts(self, answers: list[Answer], model: MockModel, script: Script) -> dict[str, Any]:
        """``usage``, and what else tells what the answer took."""
        prompt = answers[0].prompt
        completion = sum(answer.completion for answer in answers)
        details: dict[str, Any] = {"reasoning_tokens": sum(answer.reasoning for answer in answers)}
        if self.vendor.extra_nulls:
            details |= {"audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": answers[0].cached},
            "completion_tokens_details": details,
        }
        if self.vendor.cost:
            prices = max(float(model.price_prompt), 0.0), max(float(model.price_completion), 0.0)
            cost = round(prompt * prices[0] + completion * prices[1], 12)
            usage["cost"] = cost if script.cost is None else script.cost
            usage |= {"is_byok": False, "cost_details": {"upstream_inference_cost": None}}
        if not self.vendor.time_info:
            return {"usage": usage}
        took = {"queue_time": 0.0001, "prompt_time": 0.002, "completion_time": 0.01, "total_time": 0.0121}
        return {"usage": usage, "time_info": {**took, "created": int(time.time())}}

    def _embeddings(self, call: Call, script: Script) -> Reply:
        inputs = check_embeddings(call.data)
        model = self._need(call.data["model"])
        length = call.data.get("dimensions") or script.dimensions
        packed = call.data.get("encoding_format") == "base64"
        rows = []
        for index, given in enumerate(inputs):
            vector: Any = embedding(given if isinstance(given, str) else str(given), length)
            if packed:
                vector = base64.b64encode(struct.pack(f"<{length}f", *vector)).decode()
            rows.append({"object": "embedding", "index": index, "embedding": vector})
        words = sum(count_words(given) if isinstance(given, str) else len(given) for given in inputs)
        usage = script.usage
        prompt = words if usage is None or usage.prompt is None else usage.prompt
        body: dict[str, Any] = {"object": "list", "data": rows, "model": script.model or model.name}
        if usage is not None and self.vendor.usage != "never":
            body["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt}
        reply = json_reply(body)
        seeded = (self.vendor.id_header, seed_of(call.body)) if self.vendor.id_header else None
        return msgspec.structs.replace(reply, prompt_tokens=prompt, headers=(seeded,) if seeded else ())
