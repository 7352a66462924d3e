"""The cache of answers: the same request again gets the same bytes, without asking anybody.

What is kept is what a client got, in its own dialect; a streamed answer is replayed as a stream. A request
is the same if its dialect, path, query, body, the headers that go on to the upstream and (unless answers
are shared) its key are. Only whole answers are kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from trunkline.pipeline.active import ActiveRequest, Response
from trunkline.pipeline.request import Request
from trunkline.pipeline.responder import CachedAnswer, Lines, Responder

HEADER: Final = b"x-trunkline-cache"
_DIRECTIVES: Final = {b"on": True, b"off": False}
_SHARE: Final = 8
"""The largest answer that is kept is the memory divided by this."""
_OVERHEAD: Final = 512
"""Bytes that an entry takes beside its body."""


class AnswerStore(Protocol):
    """Where answers are kept."""

    async def find(self, name: str, now: float) -> CachedAnswer | None:
        """The answer to the request called ``name``, if it is still fresh."""

    def keep(self, name: str, kept: CachedAnswer, ttl_s: float, now: float) -> None:
        """Keep an answer for ``ttl_s`` seconds."""

    async def drop(self, name: str) -> None:
        """Forget an answer, if it is there."""

    def resize(self, most_bytes: int) -> None:
        """From now on, this much memory."""


class MemoryStore:
    """Answers in this process's memory; the oldest go first."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._kept: OrderedDict[str, tuple[float, CachedAnswer]] = OrderedDict()

    async def find(self, name: str, now: float) -> CachedAnswer | None:
        """See :class:`AnswerStore`."""
        found = self._kept.get(name)
        if found is None:
            return None
        until, kept = found
        if until <= now:
            self._drop(name)
            return None
        return kept

    def keep(self, name: str, kept: CachedAnswer, ttl_s: float, now: float) -> None:
        """See :class:`AnswerStore`."""
        if name in self._kept:
            self._drop(name)
        self._kept[name] = now + ttl_s, kept
        self.bytes += _size(kept)
        self._shrink()

    async def drop(self, name: str) -> None:
        """See :class:`AnswerStore`."""
        if name in self._kept:
            self._drop(name)

    def resize(self, most_bytes: int) -> None:
        """See :class:`AnswerStore`."""
        self.most_bytes = most_bytes
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self.most_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, name: str) -> None:
        _, kept = self._kept.pop(name)
        self.bytes -= _size(kept)


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When answers are cached, and for how long."""

    enabled: bool = False
    """Whether answers are cached where neither the route nor the request says."""
    ttl_s: float = 300.0
    max_bytes: int = 64 * 1024 * 1024
    shared: bool = False
    """One key's answers may be given to another."""
    routes: Mapping[str, bool] = {}
    """What routes say of caching, by their names."""


class AnswerCache:
    """Which requests are answered from ``store``, and which answers are kept there."""

    def __init__(
        self,
        store: AnswerStore,
        clock: Callable[[], float],
        policy: CachePolicy = CachePolicy(),  # noqa: B008 - frozen
    ) -> None:
        self.store = store
        self._clock = clock
        self.reconfigure(policy)

    def reconfigure(self, policy: CachePolicy) -> None:
        """From the next request on, this policy."""
        self.policy = policy
        self.is_off = not policy.enabled and not any(policy.routes.values())
        """No answer is cached unless its request says so."""
        self.store.resize(policy.max_bytes)

    def name_of(self, request: Request, route: str | None) -> str | None:
        """The name under which the answer to a request is kept; None if it is not to be cached.

        Args:
            request: the request.
            route: the configured route that the request's model stands for, if it is one.
        """
        wanted = self.policy.enabled
        if route is not None:
            wanted = self.policy.routes.get(route, wanted)
        if request.cache_directive is not None:
            wanted = _DIRECTIVES.get(request.cache_directive.strip().lower(), wanted)
        if not wanted or _has_side_effects(request):
            return None
        front, key = request.front, request.key
        key_id = "" if self.policy.shared or key is None else key.id
        digest = blake2b(digest_size=24)
        for part in (front.dialect, front.operation, request.provider or "", key_id):
            digest.update(part.encode() + b"\0")
        digest.update(b"%b\0%b\0" % (request.path.encode(), request.query))
        for name, value in request.headers:
            if name in front.conventions.forwarded_headers:
                digest.update(b"%b:%b\0" % (name, value))
        digest.update(b"\0" + request.body)
        return digest.hexdigest()

    async def answer(self, response: Response, name: str) -> bool:
        """Answer a request from the cache; if its answer is not there, record the one that it gets."""
        cached = await self.store.find(name, self._clock())
        if cached is not None and not response.client_gone:
            response.replay(cached)
            return True
        response.cache_status = "miss"
        record(response, self.policy.max_bytes // _SHARE)
        return False

    def keep(self, name: str, active: ActiveRequest) -> None:
        """Keep the whole answer that a request has got since :meth:`answer`, if it is not too large."""
        recording, attempt = active.response.responder, active.current
        assert isinstance(recording, RecordingResponder)
        if recording.full or attempt is None:
            return
        cached = CachedAnswer(
            streaming=recording.streaming,
            content_type=attempt.exchange.content_type,
            lines=attempt.candidate.header_lines,
            body=b"".join(recording.pieces),
            provider=attempt.candidate.provider.name,
            model=attempt.exchange.upstream_model,
        )
        self.store.keep(name, cached, self.policy.ttl_s, self._clock())


def record(response: Response, most_bytes: int) -> RecordingResponder:
    """Remember from now on what a response's client is sent, up to ``most_bytes``."""
    recording = RecordingResponder(response.responder, most_bytes)
    recording.streaming = response.is_open
    response.responder = recording
    return recording


class RecordingResponder:
    """A responder that remembers what went to the real one, up to a limit."""

    def __init__(self, responder: Responder, most_bytes: int) -> None:
        self._responder = responder
        self._left = most_bytes
        self.pieces: list[bytes] = []
        self.streaming = False
        self.full = False
        """There was more than may be kept; nothing is."""

    def has_answer(self, response: Response) -> bool:
        """Whether the client was sent an upstream's answer, and all of it is remembered."""
        answered = response.error is None and response.status == 200 and not response.client_gone
        return answered and not self.full

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """See :class:`~trunkline.pipeline.responder.Responder`."""
        self._note(body)
        self._responder.send(status, lines, body)

    def start(self, status: int, lines: Lines) -> None:
        """See :class:`~trunkline.pipeline.responder.Responder`."""
        self.streaming = True
        self._responder.start(status, lines)

    def write(self, data: bytes) -> None:
        """See :class:`~trunkline.pipeline.responder.Responder`."""
        self._note(data)
        self._responder.write(data)

    def finish(self) -> None:
        """See :class:`~trunkline.pipeline.responder.Responder`."""
        self._responder.finish()

    def _note(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.full = True
            self.pieces.clear()
        elif not self.full:
            self.pieces.append(data)


def _has_side_effects(request: Request) -> bool:
    """The request is made for its effect and not for its answer: it puts or deletes a file, or brings a model
    into memory or unloads it."""
    summary = request.summary
    return (
        summary is None
        or summary.load is not None
        or (summary.model is None and request.front.may_name_no_model)
    )


def _size(kept: CachedAnswer) -> int:
    return len(kept.body) + _OVERHEAD
