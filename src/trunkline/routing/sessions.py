"""What ties requests together, for upstreams that keep a conversation's prompt in their cache.

A client may name its session in a header. Else it is the beginning of the conversation, which is the same in
every later turn: all messages up to the first of the user's, or the first part of a prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

HEADERS: Final = frozenset({b"x-session-id", b"x-trunkline-session"})
"""Headers by which a client names its session."""

_PROMPT: Final = 1024
"""Bytes of a prompt that count as its beginning."""


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


class _Opening(msgspec.Struct):
    model: str | None = None
    system: msgspec.Raw = msgspec.Raw(b"")
    instructions: msgspec.Raw = msgspec.Raw(b"")
    messages: list[_Message] | None = None
    prompt: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")


_decode: Final = msgspec.json.Decoder(_Opening).decode
_decode_items: Final = msgspec.json.Decoder(list[_Message]).decode


def session_of(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes | None:
    """The session of a request; None if nothing ties it to any other.

    Args:
        headers: the request's, with names in lower case.
        body: the request's, in any of the dialects.
    """
    for name, value in headers:
        if name in HEADERS and value:
            return value
    try:
        opening = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    parts = [bytes(opening.system), bytes(opening.instructions)]
    messages, said = opening.messages or [], bytes(opening.input)
    if said.startswith(b"[{"):  # the Responses API's items, of which messages are some
        with suppress(msgspec.DecodeError):
            messages, said = _decode_items(said), b""
    for message in messages:
        parts.append(bytes(message.content))
        if message.role == "user":
            break
    parts += [bytes(text)[:_PROMPT] for text in (bytes(opening.prompt), said)]
    return _digest([opening.model or "", parts]) if any(parts) else None


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=16).digest()
