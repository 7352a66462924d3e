"""From an answer to the steps that put it on the wire: heads, framing, pacing.

A shape says what is answered (:class:`Reply`: records, and what each of them is for); this module lays it
out as :data:`Step` values, which the connection plays. No sockets and no vendor's words here. An answer
without a fault is a tuple, so that it can be kept and played again; faults are generators
(:mod:`trunkline_mock.faults`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

import msgspec

from trunkline_mock.script import Script


class Mark(Enum):
    """What a record of an answer is for."""

    START = auto()
    """Opens the stream or frames a part of it, without content (OpenAI's role chunk, a comment)."""
    CONTENT = auto()
    """Carries text, thinking or a tool call; a whole answer's body."""
    FINISH = auto()
    """Says that and why the answer is complete."""
    USAGE = auto()
    """Carries nothing but counts, after the finish."""
    DONE = auto()
    """The end marker, ``data: [DONE]``."""


class Frame(NamedTuple):
    """One record of an answer, complete with its separators."""

    data: bytes
    mark: Mark = Mark.CONTENT
    tokens: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it is framed."""

    frames: tuple[Frame, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    prompt_tokens: int = 0
    wait_s: float = 0.0
    """Silence before the answer that the server itself needs (a model being loaded)."""
    lasting: bool = True
    """The same request gets the same answer again, whatever the server has done in between."""
    told: int = 0
    """Records of it that the peer gets before an error in mid-stream; a shape that numbers them asks."""
    effect: Callable[[], None] | None = None
    """What answering changes in the server's state; run once per answer."""

    @property
    def body(self) -> bytes:
        """All records together."""
        return b"".join(frame.data for frame in self.frames)


class End(Enum):
    """How an answer ends on the connection."""

    KEEP = auto()
    """The connection takes another request."""
    CLOSE = auto()
    """It is closed in order (FIN)."""
    RESET = auto()
    """It is torn down (RST)."""
    HANG = auto()
    """Nothing more happens until the peer goes away."""


class Write(NamedTuple):
    """One ``transport.write``."""

    data: bytes
    tokens: int = 0
    chunks: int = 0
    """How many content records are in it."""


Step: TypeAlias = "Write | float | End"
"""What a connection does next: write, pause for so many seconds, or end."""


class Framing(msgspec.Struct, frozen=True):
    """How the body's end is told to the peer."""

    chunked: bool
    """False: by length where it is known to be whole, else by closing."""
    close: bool
    """Close after this answer."""
    version: str = "1.1"
    bodiless: bool = False
    """The request was a HEAD."""


_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


def head(
    reply: Reply,
    framing: Framing,
    *,
    length: int | None = None,
    extra: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """The status line and headers of ``reply``. ``length`` overrides what is said about the body's."""
    lines = [f"HTTP/{framing.version} {reply.status} {_REASONS.get(reply.status, 'Unknown')}"]
    lines.append(f"content-type: {reply.content_type}")
    if length is not None:
        lines.append(f"content-length: {length}")
    elif not reply.streamed and not framing.chunked and framing.version == "1.1":
        lines.append(f"content-length: {len(reply.body)}")
    elif framing.chunked:
        lines.append("transfer-encoding: chunked")
    if framing.close:
        lines.append("connection: close")
    lines += [f"{name}: {value}" for name, value in (*reply.headers, *extra)]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def chunk(data: bytes, framing: Framing) -> bytes:
    """``data`` as one HTTP chunk, or as it is where the body is not chunked."""
    return b"%x\r\n%b\r\n" % (len(data), data) if framing.chunked else data


def tail(framing: Framing) -> bytes:
    """What ends the body."""
    return b"0\r\n\r\n" if framing.chunked else b""


def end(framing: Framing) -> End:
    """What happens to the connection after a complete answer."""
    return End.CLOSE if framing.close else End.KEEP


def framing_of(reply: Reply, *, keep_alive: bool, old_peer: bool, bodiless: bool) -> Framing:
    """How ``reply`` is framed for a peer: chunked when streamed, but never to an HTTP/1.0 peer."""
    chunked = reply.streamed and not old_peer and not bodiless
    close = not keep_alive or (reply.streamed and old_peer)
    return Framing(chunked=chunked, close=close, bodiless=bodiless)


def deliver(reply: Reply, script: Script, framing: Framing) -> Iterator[Step]:
    """The steps of an answer without a fault: one write per record, the head with the first of them."""
    opening = head(reply, framing)
    silence = script.delay_first_s + reply.wait_s
    if script.early_head:
        yield Write(opening)
        opening = b""
    if silence:
        yield silence
    if framing.bodiless:
        yield Write(opening)
        yield end(framing)
        return
    yield from records(reply, script, framing, opening)
    yield end(framing)


def records(
    reply: Reply, script: Script, framing: Framing, opening: bytes = b"", *, ended: bool = True
) -> Iterator[Write | float]:
    """The writes of a body, with ``opening`` before the first and, if ``ended``, its end after the last."""
    closing = tail(framing) if ended else b""
    seen = False
    last = len(reply.frames) - 1
    if last < 0 and (opening or closing):
        yield Write(opening + closing)
    for index, frame in enumerate(reply.frames):
        content = frame.mark is Mark.CONTENT
        if content and seen and script.delay_chunk_s:
            yield script.delay_chunk_s
        seen = seen or content
        data = opening + chunk(frame.data, framing)
        opening = b""
        yield Write(data + closing if index == last else data, frame.tokens, int(content))
