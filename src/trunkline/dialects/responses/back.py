"""The Responses API as upstreams speak it: requests to them, clients' own bodies for them, their answers."""

from __future__ import annotations

from typing import Final

from trunkline.dialects.base import FitStep, Headers, Inspector, Reader, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import patch_body
from trunkline.dialects.fit.rules import FitRules
from trunkline.dialects.responses import render
from trunkline.dialects.responses.errors import read_error
from trunkline.dialects.responses.fit import ResponsesFitStep
from trunkline.dialects.responses.inspect import StreamInspector, WholeInspector
from trunkline.dialects.responses.own_state import NEEDLES, keep_own_state, made_state
from trunkline.dialects.responses.quirks import ResponsesQuirks
from trunkline.dialects.responses.read import StreamReader, WholeReader
from trunkline.dialects.responses.request_schema import DIALECT, PATH
from trunkline.dialects.stop_text import StopReader
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UNSUPPORTED, CallerError, GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, EmbeddingRequest, Operation

NOBODY: Final = Maker()
PLAIN_SERVER: Final = ResponsesQuirks()
"""A server of which nothing else is known."""


class ResponsesBack:
    """The Responses dialect as one upstream speaks it; satisfies ``dialects.base.Back``.

    Args:
        name: The upstream's name in error texts.
        base: The path between the provider's base address and the API's own path.
        takes_routing: The upstream takes OpenRouter's ``provider`` object.
        maker: Whose state the upstream takes back.
        holds: The state fields that the upstream has.
        fit: What the upstream refuses although the meaning is plain; None if that is not known.
        quirks: What the upstream takes of a request that is translated for it.
    """

    dialect = DIALECT
    opening_records = 4
    """``response.created`` and ``.in_progress``, the first item and its first part."""
    thinks_unasked = False
    count_tokens_path: str | None = None

    def __init__(
        self,
        name: str = "The upstream",
        base: str = "",
        *,
        takes_routing: bool = False,
        maker: Maker = NOBODY,
        holds: frozenset[str] = frozenset(),
        fit: FitRules | None = None,
        quirks: ResponsesQuirks = PLAIN_SERVER,
    ) -> None:
        self.name = name
        self.maker = maker
        self.state_mark: bytes | None = b'"encrypted_content"' if maker.name else None
        self.holds = holds
        self.fit_step: FitStep | None = None if fit is None else ResponsesFitStep(fit)
        self.takes_routing = takes_routing
        self.quirks = quirks
        self._summarizes = True
        """It was not seen to refuse summaries of reasoning, as OpenAI does to organizations that it has not
        verified."""
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
        return render.render(
            request,
            model,
            stream,
            defaults,
            who=self.name,
            quirks=self.quirks,
            maker=self.maker,
            takes_routing=self.takes_routing,
            summarizes=self._summarizes,
        )

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Make a reader for the answer to ``request``."""
        reader = (StreamReader if stream else WholeReader)(self.name, self.maker)
        stops = () if isinstance(request, EmbeddingRequest) else request.sampling.stop
        return StopReader(reader, stops) if stops else reader

    def patch(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """Return the client's own body, changed in its model and in what settings fill in or drop.

        Raises:
            CallerError: The body is not a JSON object.
        """
        for needle in NEEDLES:
            if needle in body:
                body = keep_own_state(body, self.maker)
                break
        return patch_body(
            body, summary, model, defaults, bound="max_output_tokens", takes_routing=self.takes_routing
        )

    def note_state(self, answer: bytes) -> None:
        """Remember the state in these whole records of an answer that passes through."""
        for state in made_state(answer):
            self.maker.note(state)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """Make an inspector for an answer that passes through."""
        return StreamInspector(self.name) if summary.stream else WholeInspector(self.name)

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the vendor's error answer as a value. Summaries that it refuses are not asked for again."""
        error = read_error(status, headers, body, self.name)
        if error.param == "reasoning.summary":
            self._summarizes = False
        return error
