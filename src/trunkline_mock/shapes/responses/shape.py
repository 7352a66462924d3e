"""The route of OpenAI's Responses API, as a shape that is nested in a vendor's :class:`OpenAIShape`."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from trunkline_mock.generation import generate
from trunkline_mock.response import Response
from trunkline_mock.script import Script
from trunkline_mock.shapes.base import Catalog, ParsedRequest, Route, RouteTable, Shape, VendorError
from trunkline_mock.shapes.openai.errors import error_response, vendor_error_response
from trunkline_mock.shapes.openai.validate import parse_object, require_model
from trunkline_mock.shapes.openai.vendor import Vendor
from trunkline_mock.shapes.openai.write import heartbeat_comment
from trunkline_mock.shapes.responses.errors import error_body_in_200, midstream_error_record
from trunkline_mock.shapes.responses.parse import is_self_contained, parse_response
from trunkline_mock.shapes.responses.store import ResponseStore
from trunkline_mock.shapes.responses.validate import validate_request, validate_tool_results
from trunkline_mock.shapes.responses.write import (
    completed_object,
    initial_object,
    output_items,
    streamed_response,
    whole_response,
)
from trunkline_mock.shapes.strict.responses import check_response_request
from trunkline_mock.shapes.strict.rules import ChatRules


class ResponsesShape:
    """The Responses API of one vendor.

    Args:
        vendor: The row to play.
        catalog: The models that the server has.
        rules: What the vendor refuses beyond its reference; ``None``: nothing.
    """

    key_header = ""
    vary_headers: tuple[bytes, ...] = ()

    def __init__(self, vendor: Vendor, catalog: Catalog, rules: ChatRules | None = None) -> None:
        self.vendor = vendor
        self._rules = rules
        self.catalog = catalog
        self.name = vendor.name
        self.base_path = vendor.roots[0]
        self.heartbeat = heartbeat_comment(vendor)
        self.paths = {f"{root}/responses" for root in vendor.roots}
        route = {"POST": Route(self._create, inference=True, takes_json=True)}
        self._routes = RouteTable(dict.fromkeys(self.paths, route))
        self._store = ResponseStore()

    def shape_for(self, path: str) -> Shape:
        """This shape, whatever the path."""
        return self

    def find_route(self, method: str, path: str) -> tuple[Route, str]:
        """The route of a request."""
        return self._routes.find(method, path)

    def parse_body(self, body: bytes) -> dict[str, Any]:
        """The JSON object of a body."""
        return parse_object(body)

    def vendor_error_response(self, error: VendorError) -> Response:
        """The response that reports ``error``. It is not cached: a response that is unknown now may be stored
        later."""
        return msgspec.structs.replace(vendor_error_response(self.vendor, error), cacheable=False)

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

    def _create(self, request: ParsedRequest, script: Script) -> Response:
        data = request.data
        validate_request(data, self.vendor)
        model = require_model(self.vendor, self.catalog, data["model"])
        conversation = self._store.conversation(data)
        validate_tool_results(conversation)
        if self._rules is not None:
            check_response_request(self._rules, data, conversation, self._store.has_item)
        output = generate(parse_response(request, model.name, conversation), script)
        items = output_items(output, data, self.vendor)
        initial = initial_object(output, data)
        completed = completed_object(initial, items, output, model, vendor=self.vendor, script=script)
        if data.get("stream"):
            response = streamed_response(initial, items, completed, output, vendor=self.vendor, script=script)
        else:
            response = whole_response(completed, output, vendor=self.vendor)
        save = partial(self._store.save, initial["id"], (*conversation, *completed["output"]))
        return msgspec.structs.replace(
            response,
            cacheable=is_self_contained(data),
            side_effect=save if initial["store"] and completed["status"] != "failed" else None,
        )
