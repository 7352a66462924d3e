"""What every dialect offers: a front (clients speak it to us) and a back (we speak it to upstreams).

A front parses requests and writes answers; a back renders requests and reads answers. Both meet in the
canonical values of ``model`` and ``events``. Errors travel as values of ``errors``: a reader that meets one
keeps it in ``error`` instead of raising, so that what came before it in the same bytes is not lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from trunkline.errors import GatewayError
from trunkline.events import StreamEvent
from trunkline.model import CanonicalRequest, Operation, Usage

Headers = Sequence[tuple[bytes, bytes]]


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The few fields of a request that routing and policy need, read without parsing the rest."""

    model: str | None
    """As the client wrote it; None if it named none."""
    stream: bool
    include_usage: bool = True
    """The client expects usage in its stream, wherever its dialect puts it."""
    max_tokens: int | None = None
    n: int = 1
    user: str | None = None
    operation: Operation | None = None
    """What is really asked, where that is another operation than the front's: Ollama's ``generate`` is a chat
    of one turn unless it says that it is not."""
    load: Literal["load", "unload"] | None = None
    """Ollama's empty requests, which only bring a model into memory or let it go."""


class RequestDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What settings add to, or take from, a request on its way to one upstream."""

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
    """What a dialect's clients expect beside the bytes of an answer."""

    id_header: bytes | None = None
    """Header in which they look for the request's id, besides ``x-request-id``."""
    passes: frozenset[bytes] = frozenset()
    """Their headers that go on to an upstream, with a request that passes through."""
    parameters: frozenset[bytes] = frozenset()
    """Parameters of the query in their address that go on likewise."""
    keeps_errors: bool = False
    """They expect an upstream's error bodies as it wrote them, where it speaks their dialect."""
    ping: bytes = b""
    """An event that says nothing, for clients that give up on a silent stream; empty where none do."""


PLAIN = ClientConventions()


class Writer(Protocol):
    """Canonical events → the bytes of one answer in the client's dialect. One per attempt."""

    content_type: bytes

    def feed(self, events: Sequence[StreamEvent]) -> bytes:
        """Bytes that these events become now; empty while a whole answer is being gathered."""

    def finish(self) -> bytes:
        """Bytes that complete the answer; all of it when it is not streamed."""

    def error(self, error: GatewayError) -> bytes:
        """The dialect's own error event, to end a stream that has begun."""


class Front(Protocol):
    """One operation of a dialect, as clients speak it to us."""

    @property
    def dialect(self) -> str:
        """Its name; an upstream whose dialect has the same name is passed through to."""

    @property
    def operation(self) -> Operation:
        """Which operation it is."""

    @property
    def home(self) -> str | None:
        """The provider that a request without a model is meant for, if the dialect is a provider's own."""

    @property
    def stream_type(self) -> bytes:
        """Content type of a streamed answer."""

    @property
    def conventions(self) -> ClientConventions:
        """What its clients expect beside the bytes of an answer."""

    def summarize(self, body: bytes) -> RequestSummary:
        """Read what routing needs.

        Raises:
            CallerError: the body is not JSON, or a field has the wrong type.
        """

    def parse(self, body: bytes) -> CanonicalRequest:
        """Read all of a request into its canonical form.

        Raises:
            CallerError: with ``param`` naming the field that is missing or wrong.
        """

    def writer(self, request: CanonicalRequest, model: str, id_prefix: str) -> Writer:
        """A writer for one answer to ``request``, served as ``model`` where the upstream gives no name."""

    def loaded(self, request: CanonicalRequest, model: str) -> bytes | None:
        """The whole answer to a ``request`` that only loads its model, for where there is nothing to load;
        None for every other job."""

    def error(self, error: GatewayError) -> bytes:
        """The body of an error answer in this dialect."""

    def stream_error(self, error: GatewayError) -> bytes:
        """The event that ends a stream after its first byte."""


class Reader(Protocol):
    """The bytes of one upstream answer → canonical events. One per attempt."""

    error: GatewayError | None
    """Set when the answer turned out to be, or to end in, an error; events before it still count."""
    complete: bool
    """The upstream has sent its own terminal marker (or a whole answer)."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that these bytes complete."""

    def close(self) -> list[StreamEvent]:
        """The body ended cleanly: last events. Sets ``error`` if the answer is not complete."""


class Inspector(Protocol):
    """Watches bytes that pass through unchanged: usage, errors and the terminal marker, and no more."""

    error: GatewayError | None
    complete: bool
    records: int
    """Data records seen; heartbeats and comments do not count."""
    usage: Usage | None
    model: str | None

    def feed(self, data: bytes) -> bytes:
        """What of these bytes goes on to the client now."""

    def close(self) -> bytes:
        """The body ended cleanly: what still goes to the client. Sets ``error`` if it is not complete."""


class Back(Protocol):
    """A dialect as we speak it to upstreams."""

    dialect: str
    opening: int
    """Records of a streamed chat before the first that brings content."""

    def target(self, operation: Operation, request: CanonicalRequest | None) -> str | None:
        """Path below the provider's base address, or None if the dialect has no such endpoint."""

    def render(self, request: CanonicalRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
        """The request body that asks ``model`` for ``request``.

        Raises:
            CallerError: the job holds content that this dialect has no field for.
        """

    def reader(self, request: CanonicalRequest, stream: bool) -> Reader:
        """A reader for the answer to ``request``."""

    def rewrite(self, body: bytes, summary: RequestSummary, model: str, defaults: RequestDefaults) -> bytes:
        """A client's body of this same dialect, changed only in its model and in what ``defaults`` say."""

    def inspector(self, operation: Operation, summary: RequestSummary) -> Inspector:
        """A scanner for an answer that passes through to a client of this same dialect."""

    def read_error(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        """The upstream's error answer as a value; which kind it is decides who may be asked next."""
