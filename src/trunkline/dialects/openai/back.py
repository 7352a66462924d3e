"""OpenAI's API as upstreams speak it: requests to them, clients' own bodies for them, and their answers."""

from __future__ import annotations

from typing import Final

from trunkline.dialects.base import (
    NO_DEFAULTS,
    FitStep,
    Headers,
    Inspector,
    Reader,
    RequestDefaults,
    RequestSummary,
)
from trunkline.dialects.body_patch import BodyPatch
from trunkline.dialects.openai import render
from trunkline.dialects.openai.errors import read_error
from trunkline.dialects.openai.fields import STATE_FIELDS
from trunkline.dialects.openai.fit import ChatFitStep
from trunkline.dialects.openai.inspect import RelayInspector, StreamInspector, WholeInspector
from trunkline.dialects.openai.parse_form import is_form, replace_model
from trunkline.dialects.openai.quirks import ENDPOINTS, Quirks
from trunkline.dialects.openai.read import EmbeddingReader, StreamReader, WholeReader
from trunkline.dialects.openai.request_schema import DIALECT
from trunkline.dialects.openai.thoughts import keep_taken_thoughts, made_state, needles
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import GatewayError
from trunkline.model import CanonicalRequest, ChatRequest, CompletionRequest, EmbeddingRequest, Operation

__all__ = ["ENDPOINTS", "OpenAIBack", "Quirks"]

_SERVERS_BOUNDS: Final = ("n_predict", "num_predict")
"""Names under which llama.cpp and others take a bound, too."""
_OTHER_BOUND: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""The two names of the bound on an answer, each with the other one."""


class OpenAIBack:
    """OpenAI's dialect as one upstream speaks it; satisfies ``dialects.base.Back``.

    Args:
        quirks: How the upstream's server differs from OpenAI's.
        maker: Whose state the upstream takes back.
    """

    dialect = DIALECT
    opening_records = 1
    """The first chunk names the role."""
    thinks_unasked = False
    count_tokens_path: str | None = None

    def __init__(self, quirks: Quirks, maker: Maker = render.NOBODY) -> None:
        self.quirks = quirks
        self.maker = maker
        self.state_mark: bytes | None = b'"thought_signature"' if maker.name else None
        self._needles = needles(quirks.thoughts)
        self.holds = STATE_FIELDS if quirks.takes_routing else frozenset[str]()
        self.fit_step: FitStep | None = None if quirks.fit is None else ChatFitStep(quirks.fit)

    def note_state(self, answer: bytes) -> None:
        """Remember the vendor state in whole records of an answer that passes through."""
        for state in made_state(answer):
            self.maker.note(state)

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Return the operation's path below the base address, if the vendor has it."""
        if isinstance(request, CompletionRequest) and request.templated:
            operation = "chat"
        return self.quirks.endpoints.get(operation)

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """Return the body that asks ``model`` for ``request``.

        Raises:
            CallerError: The request holds content that OpenAI's API has no field for.
        """
        return render.render(request, model, stream, defaults, self.quirks, self.maker)

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Make a reader for the answer to ``request``."""
        if isinstance(request, EmbeddingRequest):
            return EmbeddingReader(self.quirks.name)
        if not stream:
            return WholeReader(self.quirks.name, self.maker)
        if not isinstance(request, ChatRequest):
            return StreamReader(self.quirks.name, self.maker)
        is_tool = {tool.name for tool in request.tools}.__contains__
        return StreamReader(self.quirks.name, self.maker, is_tool, is_lone=request.sampling.n == 1)

    def patch(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """Return the client's own body, changed in its model and in what settings fill in or drop.

        ``stream_options.include_usage`` is added where usage would be missing; the inspector then drops the
        usage chunk, for which the client did not ask.

        Raises:
            CallerError: The body is not a JSON object.
        """
        if not body or (body[:1] != b"{" and is_form(body)):
            return body if model == summary.model or summary.model is None else replace_model(body, model)
        for needle in self._needles:
            if needle in body:
                body = keep_taken_thoughts(body, self.quirks.thoughts, self.maker, model)
                break
        asks_usage = summary.stream and self.quirks.usage_on_request and not summary.include_usage
        same = not asks_usage and model in (summary.model, "")
        if same and (defaults is NO_DEFAULTS or _changes_nothing(defaults, body)):
            return body
        patch = BodyPatch(body)
        if model != summary.model:
            patch.changes["model"] = model
        if asks_usage:
            patch.changes["stream_options"] = patch.merged("stream_options", render.INCLUDE_USAGE)
        if defaults is not NO_DEFAULTS:
            self._apply_defaults(patch, defaults)
        return patch.encode()

    def _apply_defaults(self, patch: BodyPatch, defaults: RequestDefaults) -> None:
        for name, value in render.default_fields(patch.fields, defaults, self.quirks):
            if name not in _OTHER_BOUND:
                if patch.raw(name) == b"null":
                    patch.changes[name] = value
            elif _is_unbounded(patch, name):
                patch.drop((_OTHER_BOUND[name], *_SERVERS_BOUNDS))
                patch.changes[name] = value
        if defaults.drop:
            patch.drop(defaults.drop)
        if defaults.routing and self.quirks.takes_routing:
            patch.changes["provider"] = patch.merged("provider", defaults.routing)

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """Make an inspector for an answer that passes through."""
        if operation == "other":
            return RelayInspector()
        if summary.stream:
            drop_usage = self.quirks.usage_on_request and not summary.include_usage
            return StreamInspector(self.quirks.name, drop_usage, self.quirks.thoughts.takes_thinking_parts)
        inspector = WholeInspector(self.quirks.name)
        inspector.has_parts = self.quirks.thoughts.takes_thinking_parts
        return inspector

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the vendor's error answer as a value."""
        return read_error(status, headers, body, self.quirks.name)


def _changes_nothing(defaults: RequestDefaults, body: bytes) -> bool:
    """Whether nothing is filled in, and what is to be dropped is not there."""
    fills_in = (
        defaults.fields
        or defaults.routing
        or defaults.temperature is not None
        or defaults.max_tokens is not None
    )
    return not fills_in and not any(b'"%b"' % name.encode() in body for name in defaults.drop)


def _is_unbounded(patch: BodyPatch, name: str) -> bool:
    """Whether the request leaves the bound on its answer open, under both of its names. llama.cpp's and LM
    Studio's clients write a negative bound where they want none."""
    bounds = [patch.raw(each) for each in (name, _OTHER_BOUND[name], *_SERVERS_BOUNDS)]
    return any(each[:1] == b"-" for each in bounds) or all(each == b"null" for each in bounds)
