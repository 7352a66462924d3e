"""The Messages API as upstreams speak it: requests out, answers and errors in, and the way past both."""

from __future__ import annotations

from trunkline.dialects.anthropic import render
from trunkline.dialects.anthropic.errors import read_error
from trunkline.dialects.anthropic.inspect import StreamScanner, WholeScanner
from trunkline.dialects.anthropic.read import StreamReader, WholeReader
from trunkline.dialects.anthropic.request_schema import DIALECT, PATH
from trunkline.dialects.base import Fills, Headers, Peek, Reader, Scanner
from trunkline.dialects.body_patch import rewritten
from trunkline.errors import UNSUPPORTED, CallerError, GatewayError
from trunkline.model import ChatRequest, CompletionRequest, Job, Operation


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

    def target(self, operation: Operation, job: Job | None) -> str | None:
        """The path below the base address: chats have one, nothing else does."""
        if isinstance(job, CompletionRequest) and job.templated:
            operation = "chat"
        return self.base + PATH if operation == "chat" else None

    def render(self, job: Job, model: str, stream: bool, fills: Fills) -> bytes:
        """The body that asks ``model`` for ``job``.

        Raises:
            CallerError: the job is no chat, or holds content that the API has no field for.
        """
        if isinstance(job, CompletionRequest) and job.templated:
            job = job.as_chat()
        if not isinstance(job, ChatRequest):
            raise CallerError(f"{self.who} takes chats only", UNSUPPORTED, param="model")
        return render.messages(job, model, stream, fills)

    def reader(self, job: Job, stream: bool) -> Reader:
        """A reader for the answer to ``job``."""
        return StreamReader(self.who) if stream else WholeReader(self.who)

    def rewrite(self, body: bytes, peek: Peek, model: str, fills: Fills) -> bytes:
        """The client's own bytes, changed only in the model and in what a setting fills in or drops.

        Raises:
            CallerError: the body is not a JSON object.
        """
        return rewritten(body, peek, model, fills, bound="max_tokens", routes=self.routes)

    def scanner(self, operation: Operation, peek: Peek) -> Scanner:
        """A scanner for an answer that passes through."""
        return StreamScanner(self.who) if peek.stream else WholeScanner(self.who)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The vendor's error answer as a value."""
        return read_error(status, headers, body, self.who)
