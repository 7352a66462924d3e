"""Sessions: what ties requests of one conversation together, for upstreams that cache prompts.

A client may name its session in a header. Otherwise a session is a digest of the conversation's beginning,
which is the same in every later turn: all messages up to the first of the user's, or the first part of a
prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

SESSION_HEADERS: Final = frozenset({b"x-session-id", b"x-trunkline-session"})
"""The headers in which a client may name its session."""

_PROMPT_BYTES: Final = 1024
"""The bytes of a prompt that count as its beginning."""


class _Message(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw(b"")


class _Opening(msgspec.Struct):
    """The fields that can hold a conversation's beginning, in any of the dialects."""

    model: str | None = None
    system: msgspec.Raw = msgspec.Raw(b"")
    instructions: msgspec.Raw = msgspec.Raw(b"")
    messages: list[_Message] | None = None
    prompt: msgspec.Raw = msgspec.Raw(b"")
    input: msgspec.Raw = msgspec.Raw(b"")


_decode: Final = msgspec.json.Decoder(_Opening).decode
_decode_items: Final = msgspec.json.Decoder(list[_Message]).decode


def find_session(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes | None:
    """The session of a request; None if nothing ties the request to any other.

    Args:
        headers: the request's headers, with names in lower case.
        body: the request's body, in any of the dialects.
    """
    for name, value in headers:
        if name in SESSION_HEADERS and value:
            return value
    try:
        opening = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    parts = [bytes(opening.system), bytes(opening.instructions)]
    messages, input_text = opening.messages or [], bytes(opening.input)
    if input_text.startswith(b"[{"):  # items of the Responses API, some of which are messages
        with suppress(msgspec.DecodeError):
            messages, input_text = _decode_items(input_text), b""
    for message in messages:
        parts.append(bytes(message.content))
        if message.role == "user":
            break
    parts += [bytes(text)[:_PROMPT_BYTES] for text in (bytes(opening.prompt), input_text)]
    return _digest([opening.model or "", parts]) if any(parts) else None


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(msgspec.msgpack.encode(value), digest_size=16).digest()
