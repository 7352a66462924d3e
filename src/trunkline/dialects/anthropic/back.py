"""The Messages API as upstreams speak it: requests to them, clients' own bodies for them, their answers."""

from __future__ import annotations

from trunkline.dialects.anthropic import render
from trunkline.dialects.anthropic.errors import read_error
from trunkline.dialects.anthropic.inspect import StreamInspector, WholeInspector
from trunkline.dialects.anthropic.read import StreamReader, WholeReader
from trunkline.dialects.anthropic.request_schema import COUNT_TOKENS_PATH, DIALECT, PATH
from trunkline.dialects.base import Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import patch_body
from trunkline.dialects.json_mode import JsonReader, needs_json
from trunkline.errors import UNSUPPORTED, CallerError, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, Operation


class AnthropicBack:
    """Anthropic's dialect as one upstream speaks it; satisfies ``dialects.base.Back``.

    Args:
        name: The upstream's name in error texts.
        base: The path between the provider's base address and the API's own path.
        takes_routing: The upstream takes OpenRouter's ``provider`` object.
    """

    dialect = DIALECT
    opening_records = 2
    """``message_start`` and the first ``content_block_start``; a ping is not counted."""
    thinks_unasked = False

    def __init__(self, name: str = "Anthropic", base: str = "", *, takes_routing: bool = False) -> None:
        self.name = name
        self.takes_routing = takes_routing
        self.count_tokens_path: str | None = base + COUNT_TOKENS_PATH
        self._path = base + PATH

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Return the path below the base address for chats; None for all else."""
        if isinstance(request, CompletionRequest) and request.templated:
            operation = "chat"
        return self._path if operation == "chat" else None

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """Return the body that asks ``model`` for ``request``.

        Raises:
            CallerError: The request is no chat, or holds content that the API has no field for.
        """
        if isinstance(request, CompletionRequest) and request.templated:
            request = request.as_chat()
        if not isinstance(request, ChatRequest):
            raise CallerError(f"{self.name} takes chats only", UNSUPPORTED, param="model")
        return render.messages(request, model, stream, defaults)

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Make a reader for the answer to ``request``."""
        reader = StreamReader(self.name) if stream else WholeReader(self.name)
        return JsonReader(reader) if needs_json(request) else reader

    def patch(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """Return the client's own body, changed in its model and in what settings fill in or drop.

        Raises:
            CallerError: The body is not a JSON object.
        """
        return patch_body(
            body, summary, model, defaults, bound="max_tokens", takes_routing=self.takes_routing
        )

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """Make an inspector for an answer that passes through."""
        return StreamInspector(self.name) if summary.stream else WholeInspector(self.name)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the vendor's error answer as a value."""
        return read_error(status, headers, body, self.name)
