"""The routes of Ollama: chat, generate, embeddings, listings and blobs.

The routes that manage models are in :mod:`.management`. Below ``/v1`` the server serves OpenAI's API.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from trunkline_mock.generation import generate
from trunkline_mock.response import Record, Response
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.base import (
    ParsedRequest,
    Route,
    RouteTable,
    Shape,
    VendorError,
    encode_json,
    json_response,
    ndjson_line,
)
from trunkline_mock.shapes.ollama.errors import error_body, error_response, vendor_error_response
from trunkline_mock.shapes.ollama.management import management_routes
from trunkline_mock.shapes.ollama.parse import parse_chat, parse_generate
from trunkline_mock.shapes.ollama.store import OllamaStore, check_name
from trunkline_mock.shapes.ollama.validate import (
    parse_inputs,
    parse_keep_alive,
    validate_chat,
    validate_generate,
)
from trunkline_mock.shapes.ollama.write import (
    answer_response,
    embed_response,
    embeddings_response,
    load_response,
    message_fields,
    response_fields,
)
from trunkline_mock.shapes.openai.shape import OpenAIShape
from trunkline_mock.shapes.openai.vendors import OLLAMA_V1

VERSION: Final = "0.33.0"
"""The version that the server reports."""


class OllamaShape:
    """An Ollama server.

    Args:
        store: The models and blobs that the server has.
    """

    name = "ollama"
    base_path = ""
    heartbeat = b"\n"
    key_header = ""
    vary_headers: tuple[bytes, ...] = ()

    def __init__(self, store: OllamaStore) -> None:
        self.store = store
        self.catalog = store.catalog
        self._v1 = OpenAIShape(OLLAMA_V1, store.catalog)
        self._routes = RouteTable(
            {
                "/": {"GET": Route(_greet)},
                "/api/version": {"GET": Route(_version)},
                "/api/tags": {"GET": Route(self._tags)},
                "/api/ps": {"GET": Route(self._ps)},
                "/api/show": {"POST": Route(self._show, takes_json=True)},
                "/api/chat": {"POST": Route(self._chat, inference=True, takes_json=True)},
                "/api/generate": {"POST": Route(self._generate, inference=True, takes_json=True)},
                "/api/embed": {"POST": Route(self._embed, inference=True, takes_json=True)},
                "/api/embeddings": {"POST": Route(self._embeddings, inference=True, takes_json=True)},
                **management_routes(store),
            },
            {"/api/blobs/": {"HEAD": Route(self._check_blob), "POST": Route(self._create_blob)}},
        )

    def shape_for(self, path: str) -> Shape:
        """OpenAI's shape for paths below ``/v1``, where errors have its format, else this one."""
        return self._v1 if path.startswith("/v1/") else self

    def find_route(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def parse_body(self, body: bytes) -> dict[str, Any]:
        """The JSON object of a body."""
        if not body.strip():
            raise VendorError(400, "missing request body")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VendorError(400, f"invalid JSON: {error}") from None

    # Errors.

    def vendor_error_response(self, error: VendorError) -> Response:
        """The response that reports ``error``."""
        return vendor_error_response(error)

    def error_response(self, status: int, message: str | None, code: str | int | None) -> Response:
        """The response with an error status."""
        return error_response(status, message)

    def midstream_error(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The line that ends a stream with an error."""
        return ndjson_line(error_body(status, message))

    def error_in_200(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """A body that reports an error under status 200."""
        return encode_json(error_body(status, message))

    # Listings and blobs.

    def _tags(self, request: ParsedRequest, script: Script) -> Response:
        return json_response({"models": self.store.tags()})

    def _ps(self, request: ParsedRequest, script: Script) -> Response:
        return json_response({"models": self.store.running()})

    def _show(self, request: ParsedRequest, script: Script) -> Response:
        name = request.data.get("model") or request.data.get("name")
        if not name:
            raise VendorError(400, "model is required")
        check_name(name)
        return json_response(self.store.show(name))

    def _check_blob(self, request: ParsedRequest, script: Script) -> Response:
        return Response(records=(), status=200 if request.resource_id in self.store.blobs else 404)

    def _create_blob(self, request: ParsedRequest, script: Script) -> Response:
        digest = request.resource_id
        if digest in self.store.blobs:
            return Response(records=())
        if digest != f"sha256:{hashlib.sha256(request.body).hexdigest()}":
            raise VendorError(400, "digest mismatch")
        self.store.blobs[digest] = len(request.body)
        return Response(records=(), status=201)

    # Inference.

    def _chat(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_chat(data)
        model = self._require_capabilities(data, "chat")
        if not data.get("messages"):
            return self._load(data, model, message_fields("", "", []))
        if data.get("tools") and "tools" not in model.capabilities:
            name = f"registry.ollama.ai/library/{data['model']}"
            raise VendorError(400, f'"{name}" does not support tools')
        output = generate(parse_chat(request), script)
        streamed = data.get("stream") is not False
        response = answer_response(output, message_fields, {}, streamed=streamed, now=self.store.clock())
        return self._with_load(response, data, model)

    def _generate(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_generate(data)
        model = self._require_capabilities(data, "generate")
        if not data.get("prompt"):
            return self._load(data, model, {"response": ""})
        if data.get("suffix") and "insert" not in model.capabilities:
            raise VendorError(400, f'"{data["model"]}" does not support insert')
        output = generate(parse_generate(request), script)
        context = {} if data.get("raw") else {"context": [1, 2, 3]}
        streamed = data.get("stream") is not False
        now = self.store.clock()
        response = answer_response(output, response_fields, context, streamed=streamed, now=now)
        return self._with_load(response, data, model)

    def _embed(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        inputs = parse_inputs(data)
        model = self.store.require_model(data["model"])
        return self._with_load(embed_response(data, inputs, script), data, model)

    def _embeddings(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_generate(data)
        model = self.store.require_model(data["model"])
        return self._with_load(embeddings_response(data, script), data, model)

    def _require_capabilities(self, data: dict[str, Any], task: str) -> MockModel:
        """The requested model, if it is able to do the task and, if the request wants it, to think.

        Args:
            data: The request's body.
            task: What the request wants the model to do, for the error message.

        Raises:
            VendorError: There is no such model, or it lacks a capability.
        """
        model = self.store.require_model(data["model"])
        if "completion" not in model.capabilities:
            raise VendorError(400, f'"{data["model"]}" does not support {task}')
        if data.get("think") and "thinking" not in model.capabilities:
            raise VendorError(400, f'"{data["model"]}" does not support thinking')
        return model

    def _load(self, data: dict[str, Any], model: MockModel, fields: dict[str, Any]) -> Response:
        """The response to a request without content, which loads the model (with ``keep_alive`` 0,
        unloads)."""
        unload = not parse_keep_alive(data)
        response = load_response(data["model"], fields, unload=unload, now=self.store.clock())
        return self._with_load(response, data, model)

    def _with_load(self, response: Response, data: dict[str, Any], model: MockModel) -> Response:
        """``response`` with the loading of its model: the delay, and the change to the server's memory."""
        keep_alive_s = parse_keep_alive(data)
        return msgspec.structs.replace(
            response,
            load_delay_s=0.0 if self.store.is_resident(model.name) else model.load_s,
            cacheable=not model.load_s,
            side_effect=lambda: self.store.load(model.name, keep_alive_s),
        )


def _greet(request: ParsedRequest, script: Script) -> Response:
    return Response(records=(Record(b"Ollama is running"),), content_type="text/plain; charset=utf-8")


def _version(request: ParsedRequest, script: Script) -> Response:
    return json_response({"version": VERSION})
