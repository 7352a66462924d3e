"""The interface of a dialect: a front, which clients speak to the gateway, and a back, for upstreams.

A front parses requests and writes answers. A back renders requests and reads answers. Both meet in the
canonical values of ``model`` and ``events``. Errors travel as values of ``errors``: a reader that meets one
stores it in ``error`` instead of raising it, so that the events before it in the same bytes are not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from trunkline.errors import GatewayError
from trunkline.events import StreamEvent
from trunkline.model import CanonicalRequest, Operation, Usage

Headers = Sequence[tuple[bytes, bytes]]


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The few fields of a request that routing and policy need, read without parsing the rest."""

    model: str | None
    """The model as the client wrote it; None if the request names none."""
    stream: bool
    include_usage: bool = True
    """The client expects usage in its stream, wherever its dialect puts it."""
    max_tokens: int | None = None
    n: int = 1
    user: str | None = None
    operation: Operation | None = None
    """The operation that is asked for, where it is not the front's own: Ollama's ``generate`` is a chat of
    one turn unless the request is raw or has a suffix."""
    other_models: tuple[str, ...] = ()
    """Further models that it lets the upstream use, as the upstream calls them."""
    state: tuple[str, ...] = ()
    """Its state fields: those that change what the rest of the request means. An upstream must have them, or
    the request is translated, which emulates or refuses them."""
    load: Literal["load", "unload"] | None = None
    """Set for Ollama's empty requests, which only load a model into memory or unload it."""
    body: bytes | None = None
    """The body in the usual spelling, to be used instead of the client's; None if that is usual already."""


class RequestDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What settings add to a request, or take from it, on its way to one upstream."""

    temperature: float | None = None
    """Used where the request leaves it open."""
    max_tokens: int | None = None
    """Used where the request leaves it open."""
    options: Mapping[str, Any] = {}
    """Dialect-specific defaults (Ollama's ``options``), used where the request leaves them open."""
    fields: Mapping[str, Any] = {}
    """Top-level defaults by wire name (``keep_alive``), used where the request leaves them open."""
    drop: frozenset[str] = frozenset()
    """Top-level fields that this upstream refuses for this model."""
    routing: Mapping[str, Any] = {}
    """Members of OpenRouter's ``provider`` object that are set whatever the request says."""


NO_DEFAULTS = RequestDefaults()


class ClientConventions(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect's clients expect besides the bytes of an answer."""

    id_header: bytes | None = None
    """The header in which clients look for the request's id, besides ``x-request-id``."""
    forwarded_headers: frozenset[bytes] = frozenset()
    """Request headers that are sent on to the upstream with a request that passes through."""
    forwarded_parameters: frozenset[bytes] = frozenset()
    """Query parameters that are sent on likewise."""
    forwards_errors: bool = False
    """Clients expect an upstream's error bodies as it wrote them, where it speaks their dialect."""
    is_own_error: Callable[[bytes], bool] | None = None
    """Tells error bodies of the dialect from what something on the way wrote, which is not forwarded. None:
    all are."""


NO_CONVENTIONS = ClientConventions()


class HeldState(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came, for the one provider that holds what it refers to. Others get it made whole."""

    provider: str | None
    """The provider's name; None: any that has one of ``fields``."""
    body: bytes
    fields: tuple[str, ...] = ()
    """State fields with which the request asks for something to be held."""


class Writer(Protocol):
    """Writes canonical events as the bytes of one answer in the client's dialect. One is made per attempt."""

    content_type: bytes

    @property
    def not_shown(self) -> Sequence[str]:
        """What of the answer the dialect has no field for."""

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Return the bytes that these events become now; none while a whole answer is being gathered."""

    def finish(self) -> bytes:
        """Return the bytes that complete the answer; all of it if it is not streamed."""

    def fail(self, error: GatewayError) -> bytes:
        """Return what ends the answer with ``error``: an event of a begun stream, else an error body."""


class Front(Protocol):
    """One operation of a dialect, as clients speak it to the gateway."""

    @property
    def dialect(self) -> str:
        """The dialect's name. A request passes through to an upstream whose dialect has the same name."""

    @property
    def operation(self) -> Operation:
        """The operation."""

    @property
    def is_relayed(self) -> bool:
        """Requests go to the upstream as they come, and answers to the client; nothing is translated."""

    @property
    def has_countable_tokens(self) -> bool:
        """The tokens of its requests and answers can be counted, or estimated from their size."""

    @property
    def may_name_no_model(self) -> bool:
        """A request may be meant for an upstream and for none of its models (files)."""

    @property
    def hides_thinking(self) -> bool:
        """Its writers leave thinking out that the request did not ask for."""

    @property
    def method(self) -> str:
        """The HTTP method with which the upstream is asked."""

    @property
    def subpath(self) -> str:
        """The path below the back's target for the operation; empty unless the front is relayed."""

    @property
    def default_provider(self) -> str | None:
        """The provider that serves requests without a model, if the dialect is that provider's own."""

    @property
    def stream_type(self) -> bytes:
        """The content type of a streamed answer."""

    @property
    def conventions(self) -> ClientConventions:
        """What its clients expect besides the bytes of an answer."""

    @property
    def emulates(self) -> frozenset[str]:
        """The state fields that need no upstream which has them."""

    @property
    def held(self) -> HeldState | None:
        """What an upstream that holds the conversation so far is sent instead of the body."""

    def summarize(self, body: bytes) -> RequestSummary:
        """Read what routing needs.

        Raises:
            CallerError: The body is not JSON, or a field has the wrong type.
        """

    def parse(self, body: bytes) -> CanonicalRequest:
        """Read the whole request into its canonical form.

        Raises:
            CallerError: A field is missing or wrong; ``param`` names it.
        """

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """Make a writer for one answer to ``request``.

        Args:
            request: The request that is answered.
            model: The model's name in the answer where the upstream gives none.
            id_prefix: Begins the answer's id where the upstream gives none.
        """

    def answer_load_request(self, request: CanonicalRequest, model: str) -> bytes | None:
        """Return the whole answer to a ``request`` that only loads its model, for providers that have nothing
        to load; None for every other request."""

    def error_body(self, error: GatewayError) -> bytes:
        """Return the body of an error answer in this dialect."""

    def stream_error(self, error: GatewayError) -> bytes:
        """Return the event that ends a stream after its first byte."""

    def ping(self, model: str) -> bytes:
        """Return what is sent to a client that streams while there is nothing else to send. It has no
        content, and may stand before the answer's first record and between any two. Empty if nothing may.

        Args:
            model: The model's name in the request.
        """


class FrontDefaults:
    """The attributes that most fronts share; a front overrides what differs."""

    is_relayed: ClassVar[bool] = False
    has_countable_tokens: ClassVar[bool] = True
    may_name_no_model: ClassVar[bool] = False
    hides_thinking: ClassVar[bool] = False
    method: str = "POST"
    subpath: str = ""
    default_provider: ClassVar[str | None] = None
    conventions: ClassVar[ClientConventions] = NO_CONVENTIONS
    emulates: ClassVar[frozenset[str]] = frozenset()
    held: HeldState | None = None

    def answer_load_request(self, request: CanonicalRequest, model: str) -> bytes | None:
        """Return None: most APIs have no requests that only load a model."""
        return None

    def ping(self, model: str) -> bytes:
        """Return nothing: there is no place for it in most answers."""
        return b""


class Reader(Protocol):
    """Reads the bytes of one upstream answer as canonical events. One is made per attempt."""

    error: GatewayError | None
    """Set when the answer turned out to be, or to end in, an error; events before it still count."""
    complete: bool
    """The upstream has sent its terminal marker, or a whole answer."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete."""

    def close(self) -> list[StreamEvent]:
        """Return the last events, as the body has ended cleanly. Sets ``error`` if the answer is not
        complete."""


class Inspector(Protocol):
    """Reads what passes through unchanged, for usage, errors and the end of the answer."""

    error: GatewayError | None
    complete: bool
    records: int
    """Data records so far; heartbeats and comments do not count."""
    usage: Usage | None
    model: str | None
    request: bytes
    """The body that the upstream was sent."""

    def passes_alone(self, data: bytes) -> bool:
        """Whether ``data`` is one ordinary record of a stream under way, whole: it goes on as it came, and
        is counted. Whatever else it may be, ``feed`` finds out."""

    def feed(self, data: bytes) -> bytes:
        """Return what of these bytes goes on to the client now."""

    def close(self) -> bytes:
        """Return what still goes to the client, as the body has ended cleanly. Sets ``error`` if the answer
        is not complete."""


class Fitted(msgspec.Struct, frozen=True, eq=False):
    """A body that a fit step has changed."""

    body: bytes
    changes: tuple[str, ...]
    """What was changed, each by its path; nothing of the client's texts is in them."""
    names: Mapping[str, str]
    """The client's name of each tool that has another name in ``body``."""
    restore: Callable[[Any, Mapping[str, str]], bool]
    """Gives the tools in an answer's record the client's names again; False if there were none to give."""


class FitStep(Protocol):
    """Changes in a request what its upstream is known to refuse although the meaning is plain."""

    @property
    def decode(self) -> Callable[[bytes], object]:
        """Raises one of ``error_envelope.UNREADABLE`` for a body that may not fit."""

    def fit(self, data: bytes, model: str) -> Fitted | None:
        """Return ``data`` changed into a body that fits ``model``; None if nothing is to be changed."""


class Back(Protocol):
    """A dialect as the gateway speaks it to upstreams."""

    dialect: str
    opening_records: int
    """Records of a streamed chat before the first that brings content."""
    holds: frozenset[str]
    """The state fields of this dialect that the upstream has."""

    @property
    def state_mark(self) -> bytes | None:
        """What an answer that passes through has in it if it holds state to remember; None if none is."""

    @property
    def fit_step(self) -> FitStep | None:
        """Changes in chats what the upstream is known to refuse; None if nothing is known."""

    @property
    def thinks_unasked(self) -> bool:
        """Its models think unless they are told not to, and its own endpoints show that to every client."""

    @property
    def count_tokens_path(self) -> str | None:
        """Path below the provider's base address at which the upstream counts the tokens of a request; None
        if the dialect has no such endpoint."""

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Return the operation's path below the provider's base address, or None if the dialect has none."""

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """Return the request body that asks ``model`` for ``request``.

        Raises:
            CallerError: The request holds content that this dialect has no field for.
        """

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """Make a reader for the answer to ``request``."""

    def patch(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """Return a client's body of this same dialect, changed in its model and in what ``defaults`` say.

        Raises:
            CallerError: The body is not a JSON object.
        """

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """Make an inspector for an answer that passes through to a client of this same dialect."""

    def note_state(self, answer: bytes) -> None:
        """Remember the vendor state in whole records of an answer that passes through."""

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """Return the upstream's error answer as a value; its kind decides who may be asked next."""
