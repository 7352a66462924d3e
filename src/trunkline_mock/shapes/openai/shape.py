"""The routes of OpenAI's API: chat completions, text completions, embeddings and models.

One class plays any :class:`Vendor` row. Other APIs that the vendor serves below the same address, such as the
Responses API, are shapes of their own that are nested in it.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, Protocol

from trunkline_mock.generation import generate
from trunkline_mock.response import Response
from trunkline_mock.script import Script
from trunkline_mock.shapes.base import (
    Catalog,
    ParsedRequest,
    Route,
    RouteTable,
    Shape,
    VendorError,
    json_response,
)
from trunkline_mock.shapes.openai.errors import (
    error_body_in_200,
    error_response,
    midstream_error_record,
    vendor_error_response,
)
from trunkline_mock.shapes.openai.parse import parse_chat, parse_completion, parse_prompts
from trunkline_mock.shapes.openai.validate import (
    parse_object,
    require_model,
    validate_chat,
    validate_common_fields,
    validate_embeddings,
)
from trunkline_mock.shapes.openai.vendor import Vendor
from trunkline_mock.shapes.openai.write import (
    ChatFormat,
    TextFormat,
    embeddings_response,
    heartbeat_comment,
    model_entry,
    streamed_response,
    whole_response,
)
from trunkline_mock.shapes.strict.chat import check_chat
from trunkline_mock.shapes.strict.rules import ChatRules


class NestedShape(Shape, Protocol):
    """A shape that serves some of the paths of another one."""

    @property
    def paths(self) -> Set[str]:
        """The paths that it serves."""


class OpenAIShape:
    """A server of one vendor.

    Args:
        vendor: The row to play.
        catalog: The models that the server has.
        nested: The shapes of other APIs that it serves.
        rules: What it refuses besides what OpenAI's API refuses; ``None``: nothing.
    """

    key_header = ""

    def __init__(
        self,
        vendor: Vendor,
        catalog: Catalog,
        nested: Sequence[NestedShape] = (),
        rules: ChatRules | None = None,
    ) -> None:
        self.vendor = vendor
        self._rules = rules
        self.catalog = catalog
        self.name = vendor.name
        self.base_path = vendor.roots[0]
        self.heartbeat = heartbeat_comment(vendor)
        self.vary_headers = tuple(header for shape in nested for header in shape.vary_headers)
        self._nested = {path: shape for shape in nested for path in shape.paths}
        exact: dict[str, dict[str, Route]] = {}
        prefixes: dict[str, dict[str, Route]] = {}
        for root in vendor.roots:
            exact[f"{root}/chat/completions"] = {"POST": Route(self._chat, inference=True, takes_json=True)}
            exact[f"{root}/completions"] = {"POST": Route(self._completion, inference=True, takes_json=True)}
            exact[f"{root}/models"] = {"GET": Route(self._list_models)}
            prefixes[f"{root}/models/"] = {"GET": Route(self._get_model)}
            if vendor.embeddings:
                exact[f"{root}/embeddings"] = {
                    "POST": Route(self._embeddings, inference=True, takes_json=True)
                }
            if vendor.provider:
                exact[f"{root}/embeddings/models"] = {"GET": Route(self._list_models)}
        if vendor.health:
            exact["/health"] = {"GET": Route(self._health)}
        self._routes = RouteTable(exact, prefixes)

    def shape_for(self, path: str) -> Shape:
        """This shape, or the nested one that serves ``path``."""
        return self._nested.get(path, self)

    def find_route(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def parse_body(self, body: bytes) -> dict[str, Any]:
        """The JSON object of a body."""
        return parse_object(body)

    # Errors.

    def vendor_error_response(self, error: VendorError) -> Response:
        """The response that reports ``error``."""
        return vendor_error_response(self.vendor, error)

    def error_response(self, status: int, message: str | None, code: str | int | None) -> Response:
        """The response with an error status."""
        return error_response(self.vendor, status, message, code)

    def midstream_error(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The event that ends a stream with an error."""
        return midstream_error_record(self.vendor, response, status, message, code)

    def error_in_200(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """A body that reports an error under status 200."""
        return error_body_in_200(self.vendor, response, status, message, code)

    # Listings.

    def _health(self, request: ParsedRequest, script: Script) -> Response:
        return json_response({"status": "ok"})

    def _list_models(self, request: ParsedRequest, script: Script) -> Response:
        models = self.catalog.all()
        if self.vendor.provider:
            embedding_only = request.path.endswith("/embeddings/models")
            models = [model for model in models if ("embedding" in model.capabilities) is embedding_only]
        entries = [model_entry(self.vendor, model) for model in models]
        return json_response({"object": "list", "data": entries})

    def _get_model(self, request: ParsedRequest, script: Script) -> Response:
        model = require_model(self.vendor, self.catalog, request.resource_id)
        return json_response(model_entry(self.vendor, model))

    # Inference.

    def _chat(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_chat(data, self.vendor)
        if self._rules is not None:
            check_chat(self._rules, data)
        model = require_model(self.vendor, self.catalog, data["model"])
        output = generate(parse_chat(request, model.name), script)
        outputs = [output] * (data.get("n") or 1)
        chat_format = ChatFormat(self.vendor)
        if data.get("stream"):
            return streamed_response(self.vendor, outputs, model, data, script, chat_format)
        return whole_response(self.vendor, outputs, model, script, chat_format)

    def _completion(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_common_fields(data, self.vendor)
        model = require_model(self.vendor, self.catalog, data["model"])
        count = data.get("n") or 1
        outputs = [
            generate(parse_completion(request, model.name, prompt), script)
            for prompt in parse_prompts(data)
            for _ in range(count)
        ]
        text_format = TextFormat(self.vendor)
        if data.get("stream"):
            return streamed_response(self.vendor, outputs, model, data, script, text_format)
        return whole_response(self.vendor, outputs, model, script, text_format)

    def _embeddings(self, request: ParsedRequest, script: Script) -> Response:
        inputs = validate_embeddings(request.data)
        model = require_model(self.vendor, self.catalog, request.data["model"])
        return embeddings_response(self.vendor, inputs, model, request, script)
