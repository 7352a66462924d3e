"""The steps that send a response: writes, pauses, and the end of the connection.

:func:`response_steps` lays out a :class:`~trunkline_mock.response.Response` as :data:`Step` values, and the
connection executes them. There are no sockets here, and nothing of a vendor. The steps of a response
without a fault are finite, so that they can be cached as a tuple. Those of :mod:`trunkline_mock.faults` are
generators and need not end.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from http import HTTPStatus
from typing import Final, NamedTuple, TypeAlias

import msgspec

from trunkline_mock.response import RecordKind, Response
from trunkline_mock.script import Script


class End(Enum):
    """What happens to the connection at the end of a response."""

    KEEP = auto()
    """The connection takes another request."""
    CLOSE = auto()
    """It is closed in order (FIN)."""
    RESET = auto()
    """It is reset (RST)."""
    HANG = auto()
    """It stays open, and nothing is sent until the peer closes it."""


class Write(NamedTuple):
    """One ``transport.write``."""

    data: bytes
    tokens: int = 0
    """The tokens of the answer that are in it."""
    chunks: int = 0
    """The number of content records that are in it."""


Step: TypeAlias = "Write | float | End"
"""One step of a connection: a write, a pause in seconds, or the end of the response."""


class Framing(msgspec.Struct, frozen=True):
    """How the peer learns where the body ends."""

    chunked: bool
    """Whether the body is sent in HTTP chunks. If not, its end is marked by its length if that is known, else
    by closing the connection."""
    close: bool
    """Whether the connection is closed after this response."""
    version: str = "1.1"
    """The HTTP version of the status line."""
    head_only: bool = False
    """Whether the response has no body, because it answers a HEAD request."""


_REASON_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def choose_framing(response: Response, *, keep_alive: bool, http_1_0: bool, head_only: bool) -> Framing:
    """The framing of ``response`` for a peer: chunked if it is streamed, but never for HTTP/1.0.

    Args:
        response: The response to frame.
        keep_alive: Whether the peer wants to send another request on the connection.
        http_1_0: Whether the peer speaks HTTP/1.0.
        head_only: Whether the request was a HEAD.
    """
    chunked = response.streamed and not http_1_0 and not head_only
    close = not keep_alive or (response.streamed and http_1_0)
    return Framing(chunked=chunked, close=close, head_only=head_only)


def encode_head(
    response: Response,
    framing: Framing,
    *,
    content_length: int | None = None,
    extra: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """The status line and the headers of ``response``.

    Args:
        response: The response.
        framing: How its body is framed.
        content_length: A ``content-length`` to send instead of the one that follows from the body.
        extra: Headers to add.
    """
    lines = [f"HTTP/{framing.version} {response.status} {_REASON_PHRASES.get(response.status, 'Unknown')}"]
    lines.append(f"content-type: {response.content_type}")
    if content_length is not None:
        lines.append(f"content-length: {content_length}")
    elif not response.streamed and not framing.chunked and framing.version == "1.1":
        lines.append(f"content-length: {len(response.body)}")
    elif framing.chunked:
        lines.append("transfer-encoding: chunked")
    if framing.close:
        lines.append("connection: close")
    lines += [f"{name}: {value}" for name, value in (*response.headers, *extra)]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def encode_chunk(data: bytes, framing: Framing) -> bytes:
    """``data`` as one HTTP chunk, or unchanged if the body is not chunked."""
    return b"%x\r\n%b\r\n" % (len(data), data) if framing.chunked else data


def encode_body_end(framing: Framing) -> bytes:
    """The bytes that end the body."""
    return b"0\r\n\r\n" if framing.chunked else b""


def connection_end(framing: Framing) -> End:
    """What happens to the connection after a complete response."""
    return End.CLOSE if framing.close else End.KEEP


def response_steps(response: Response, script: Script, framing: Framing) -> Iterator[Step]:
    """The steps of a response without a fault: one write per record, with the head in the first of them."""
    head = encode_head(response, framing)
    delay_s = script.delay_first_s + response.load_delay_s
    if script.early_head:
        yield Write(head)
        head = b""
    if delay_s:
        yield delay_s
    if framing.head_only:
        yield Write(head)
        yield connection_end(framing)
        return
    yield from body_steps(response, script, framing, head)
    yield connection_end(framing)


def body_steps(
    response: Response, script: Script, framing: Framing, head: bytes = b"", *, complete: bool = True
) -> Iterator[Write | float]:
    """The writes of a body, and the pauses between them.

    Args:
        response: The response whose records are written.
        script: The script with the pause between chunks.
        framing: How the body is framed.
        head: Bytes that are sent in one write with the first record.
        complete: Whether the end of the body follows the last record, in the same write.
    """
    body_end = encode_body_end(framing) if complete else b""
    content_sent = False
    last = len(response.records) - 1
    if last < 0 and (head or body_end):
        yield Write(head + body_end)
    for index, record in enumerate(response.records):
        is_content = record.kind is RecordKind.CONTENT
        if is_content and content_sent and script.delay_chunk_s:
            yield script.delay_chunk_s
        content_sent = content_sent or is_content
        data = head + encode_chunk(record.data, framing)
        head = b""
        yield Write(data + body_end if index == last else data, record.tokens, int(is_content))
