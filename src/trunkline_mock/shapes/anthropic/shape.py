"""The routes of Anthropic's API: messages, the counting of their tokens, and the models."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from trunkline_mock.generation import generate
from trunkline_mock.response import Response
from trunkline_mock.script import MockModel, Script
from trunkline_mock.shapes.anthropic.errors import (
    error_body,
    error_event,
    error_response,
    vendor_error_response,
)
from trunkline_mock.shapes.anthropic.parse import apply_tool_choice, count_prompt_tokens, parse_message
from trunkline_mock.shapes.anthropic.threads import ThreadStore
from trunkline_mock.shapes.anthropic.validate import validate_message, validate_token_count
from trunkline_mock.shapes.anthropic.write import (
    PING,
    message_content,
    message_id,
    models_page,
    request_id_header,
    streamed_response,
    whole_response,
    write_model,
)
from trunkline_mock.shapes.base import (
    Catalog,
    Handler,
    ParsedRequest,
    Route,
    RouteTable,
    Shape,
    VendorError,
    encode_json,
    json_response,
)
from trunkline_mock.shapes.strict.messages import check_message

DEFAULT_MODELS: Final = (
    MockModel("claude-opus-5", context_length=200_000),
    MockModel("claude-sonnet-4-6", context_length=200_000),
    MockModel("claude-haiku-4-5", context_length=200_000),
)

_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_MAX_BODY: Final = 32 * 1024 * 1024
"""The largest body that is accepted, in bytes."""


class AnthropicShape:
    """Anthropic's server.

    Args:
        catalog: The models that the server has.
        strict: Refuse what the vendor's servers refuse beyond its reference.
    """

    name = "anthropic"
    base_path = ""
    heartbeat = PING
    key_header = "x-api-key"
    vary_headers: tuple[bytes, ...] = (b"anthropic-version", b"anthropic-beta")

    def __init__(self, catalog: Catalog, *, strict: bool = False) -> None:
        self.catalog = catalog
        self._strict = strict
        self._threads = ThreadStore()
        self._routes = RouteTable(
            {
                "/v1/messages": {
                    "POST": Route(_require_version(self._message), inference=True, takes_json=True)
                },
                "/v1/messages/count_tokens": {
                    "POST": Route(_require_version(self._count_tokens), inference=True, takes_json=True)
                },
                "/v1/models": {"GET": Route(_require_version(self._list_models))},
            },
            {"/v1/models/": {"GET": Route(_require_version(self._get_model))}},
        )

    def shape_for(self, path: str) -> Shape:
        """This shape, whatever the path."""
        return self

    def find_route(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        try:
            return self._routes.find(method, path)
        except VendorError as error:
            message = "Not Found" if error.status == 404 else "Method Not Allowed"
            raise VendorError(error.status, message) from None

    def parse_body(self, body: bytes) -> dict[str, Any]:
        """The JSON object of a body."""
        if len(body) > _MAX_BODY:
            raise VendorError(413, "Request exceeds the maximum size")
        try:
            return msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VendorError(400, f"The request body is not valid JSON: {error}") from None

    # Errors.

    def vendor_error_response(self, error: VendorError) -> Response:
        """The response that reports ``error``."""
        return vendor_error_response(error)

    def error_response(self, status: int, message: str | None, code: str | int | None) -> Response:
        """The response with an error status."""
        return error_response(status, message, code)

    def midstream_error(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The event that ends a stream with an error."""
        return error_event(status, message, code)

    def error_in_200(
        self, response: Response, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """A body that reports an error under status 200."""
        return encode_json(error_body(status, message, code))

    # Listings.

    def _list_models(self, request: ParsedRequest, script: Script) -> Response:
        query = {name: values[-1] for name, values in parse_qs(request.query).items()}
        page = models_page(self.catalog.all(), query)
        return json_response(page, headers=request_id_header(request))

    def _get_model(self, request: ParsedRequest, script: Script) -> Response:
        entry = write_model(self._require_model(request.resource_id))
        return json_response(entry, headers=request_id_header(request))

    def _require_model(self, name: str) -> MockModel:
        model = self.catalog.find(name)
        if model is None:
            raise VendorError(404, f"model: {name}")
        return model

    # Inference.

    def _message(self, request: ParsedRequest, script: Script) -> Response:
        thread = request.data.get("thread")
        request = self._threads.resolve(request)
        data = request.data
        validate_message(request)
        if self._strict:
            check_message(request)
        model = self._require_model(data["model"])
        output = generate(parse_message(request, model.name), apply_tool_choice(data, script))
        omit_thinking = (data.get("thinking") or {}).get("display") == "omitted"
        if data.get("stream"):
            response = streamed_response(output, omit_thinking=omit_thinking, pings=script.comments)
        else:
            response = whole_response(output, omit_thinking=omit_thinking)
        if thread is None:
            return response
        content = message_content(output, omit_thinking=omit_thinking)
        save = partial(self._threads.save, thread, data, message_id(output), content)
        return msgspec.structs.replace(response, cacheable=False, side_effect=save)

    def _count_tokens(self, request: ParsedRequest, script: Script) -> Response:
        validate_token_count(request)
        self._require_model(request.data["model"])
        usage = script.usage
        if usage is None or usage.prompt is None:
            tokens = count_prompt_tokens(request.data)
        else:
            tokens = usage.prompt
        return json_response({"input_tokens": tokens}, headers=request_id_header(request))


class MessagesOnlyShape(AnthropicShape):
    """Anthropic's Messages API as other vendors offer it: without a version, models and token counting.

    Args:
        name: The name of the other vendor's shape.
        roots: The path prefixes below which messages are served.
        catalog: The models that the server has.
    """

    vary_headers = (b"anthropic-beta",)

    def __init__(self, name: str, roots: Sequence[str], catalog: Catalog) -> None:
        super().__init__(catalog)
        self.name = name
        self.base_path = roots[0]
        self.paths: Set[str] = {f"{root}/messages" for root in roots}
        route = {"POST": Route(self._message, inference=True, takes_json=True)}
        self._routes = RouteTable(dict.fromkeys(self.paths, route))


def _require_version(handler: Handler) -> Handler:
    """A handler that refuses requests without the header ``anthropic-version``, else calls ``handler``."""

    def handle(request: ParsedRequest, script: Script) -> Response:
        version = request.headers.get("anthropic-version")
        if version is None:
            raise VendorError(400, "anthropic-version: header is required")
        if not _VERSION.fullmatch(version):
            raise VendorError(400, f'anthropic-version: "{version}" is not a valid version')
        return handler(request, script)

    return handle
