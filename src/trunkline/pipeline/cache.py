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

from trunkline.pipeline.call import CachedAnswer, Call, Lines, Responder

HEADER: Final = b"x-trunkline-cache"
_WISHES: Final = {b"on": True, b"off": False}
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
    """Which requests are answered from ``answers``, and which answers are kept there."""

    def __init__(
        self,
        answers: AnswerStore,
        clock: Callable[[], float],
        rule: CachePolicy = CachePolicy(),  # noqa: B008 - frozen
    ) -> None:
        self.answers = answers
        self._clock = clock
        self.reconfigure(rule)

    def reconfigure(self, rule: CachePolicy) -> None:
        """From the next request on, this rule."""
        self.rule = rule
        self.answers.resize(rule.max_bytes)

    def name_of(self, call: Call, body: bytes) -> str | None:
        """The name under which the answer to a request is kept; None if it is not to be cached."""
        wanted = self.rule.enabled
        if call.route is not None:
            wanted = self.rule.routes.get(call.route, wanted)
        if call.cache_wish is not None:
            wanted = _WISHES.get(call.cache_wish.strip().lower(), wanted)
        if not wanted or _does_something(call):
            return None
        whose = "" if self.rule.shared or call.key is None else call.key.id
        digest = blake2b(digest_size=24)
        for part in (call.front.dialect, call.front.operation, call.only or "", whose):
            digest.update(part.encode() + b"\0")
        digest.update(b"%b\0%b\0" % (call.path.encode(), call.query))
        for name, value in call.headers:
            if name in call.front.conventions.passes:
                digest.update(b"%b:%b\0" % (name, value))
        digest.update(b"\0" + body)
        return digest.hexdigest()

    async def answer(self, call: Call, name: str) -> bool:
        """Answer a call with what is kept under ``name``; else listen to what it is told."""
        kept = await self.answers.find(name, self._clock())
        if kept is not None and not call.gone:
            call.replay(kept)
            return True
        call.cache = "miss"
        call.responder = RecordingResponder(call.responder, self.rule.max_bytes // _SHARE)
        return False

    def keep(self, name: str, call: Call) -> None:
        """Keep the whole answer that a call has got since :meth:`answer`, if it is not too large."""
        tape = call.responder
        assert isinstance(tape, RecordingResponder)
        if tape.full or call.candidate is None or call.exchange is None:
            return
        kept = CachedAnswer(
            streaming=tape.streaming,
            content_type=call.exchange.content_type,
            lines=call.candidate.header_lines,
            body=b"".join(tape.pieces),
            provider=call.candidate.provider.name,
            model=call.exchange.upstream_model,
        )
        self.answers.keep(name, kept, self.rule.ttl_s, self._clock())


class RecordingResponder:
    """A responder that remembers what went to the real one, up to a limit."""

    def __init__(self, responder: Responder, most_bytes: int) -> None:
        self._responder = responder
        self._left = most_bytes
        self.pieces: list[bytes] = []
        self.streaming = False
        self.full = False
        """There was more than may be kept; nothing is."""

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """See :class:`~trunkline.pipeline.call.Responder`."""
        self._note(body)
        self._responder.send(status, lines, body)

    def start(self, status: int, lines: Lines) -> None:
        """See :class:`~trunkline.pipeline.call.Responder`."""
        self.streaming = True
        self._responder.start(status, lines)

    def write(self, data: bytes) -> None:
        """See :class:`~trunkline.pipeline.call.Responder`."""
        self._note(data)
        self._responder.write(data)

    def finish(self) -> None:
        """See :class:`~trunkline.pipeline.call.Responder`."""
        self._responder.finish()

    def _note(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.full = True
            self.pieces.clear()
        elif not self.full:
            self.pieces.append(data)


def _does_something(call: Call) -> bool:
    """The request is there for what it does, not for its answer: files are put and deleted, models brought
    into memory and let go."""
    summary = call.summary
    return (
        summary is None
        or summary.load is not None
        or (call.front.operation == "other" and summary.model is None)
    )


def _size(kept: CachedAnswer) -> int:
    return len(kept.body) + _OVERHEAD
