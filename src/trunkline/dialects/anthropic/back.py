"""The Messages API as upstreams speak it: requests out, answers and errors in, and the way past both."""

from __future__ import annotations

from trunkline.dialects.anthropic import render
from trunkline.dialects.anthropic.errors import read_error
from trunkline.dialects.anthropic.inspect import StreamInspector, WholeInspector
from trunkline.dialects.anthropic.read import StreamReader, WholeReader
from trunkline.dialects.anthropic.request_schema import DIALECT, PATH
from trunkline.dialects.base import Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import rewritten
from trunkline.errors import UNSUPPORTED, CallerError, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, Operation


class AnthropicBack:
    """Anthropic's dialect as one upstream speaks it; satisfies ``dialects.base.Back``.

    Args:
        who: the upstream's name in error texts.
        base: what stands before the path below the provider's base address.
        routes: it takes OpenRouter's ``provider`` object.
    """

    dialect = DIALECT
    opening = 2
    """``message_start`` and the first ``content_block_start``; a ping is not counted."""

    def __init__(self, who: str = "Anthropic", base: str = "", *, routes: bool = False) -> None:
        self.who = who
        self.base = base
        self.routes = routes

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """The path below the base address: chats have one, nothing else does."""
        if isinstance(request, CompletionRequest) and request.templated:
            operation = "chat"
        return self.base + PATH if operation == "chat" else None

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """The body that asks ``model`` for ``request``.

        Raises:
            CallerError: the job is no chat, or holds content that the API has no field for.
        """
        if isinstance(request, CompletionRequest) and request.templated:
            request = request.as_chat()
        if not isinstance(request, ChatRequest):
            raise CallerError(f"{self.who} takes chats only", UNSUPPORTED, param="model")
        return render.messages(request, model, stream, defaults)

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """A reader for the answer to ``request``."""
        return StreamReader(self.who) if stream else WholeReader(self.who)

    def rewrite(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """The client's own bytes, changed only in the model and in what a setting fills in or drops.

        Raises:
            CallerError: the body is not a JSON object.
        """
        return rewritten(body, summary, model, defaults, bound="max_tokens", routes=self.routes)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """A scanner for an answer that passes through."""
        return StreamInspector(self.who) if summary.stream else WholeInspector(self.who)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The vendor's error answer as a value."""
        return read_error(status, headers, body, self.who)
