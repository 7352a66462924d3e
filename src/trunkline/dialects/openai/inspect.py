"""Inspects what passes through unchanged in OpenAI's dialect.

Almost every event of a stream is an ordinary one. A type says what that is: only ordinary events fit
:class:`_Ordinary`. Decoding into it skips all other fields and costs no more than searching the bytes would.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.dialects.openai.answer_schema import Chunk, UsageIn, decode_chunk
from trunkline.dialects.openai.errors import find_error
from trunkline.errors import GatewayError
from trunkline.model import Usage


class _OrdinaryChoice(msgspec.Struct, gc=False):
    finish_reason: None = None
    error: None = None


class _Ordinary(msgspec.Struct, gc=False):
    """A chunk that brings content and nothing else that must be known."""

    choices: list[_OrdinaryChoice]
    usage: None = None
    error: None = None


_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode


class StreamInspector(EventInspector):
    """Inspects a stream of chat or completion chunks. It may end without its terminal marker, but not without
    a finish reason.

    Args:
        upstream_name: The upstream's name in error texts.
        drop_usage: The client did not ask for the usage chunk.
    """

    def __init__(self, upstream_name: str, drop_usage: bool) -> None:
        super().__init__(upstream_name, _decode_ordinary)
        self._drop_usage = drop_usage

    def _inspect(self, payload: bytes) -> bool:
        if payload.startswith(b"[DONE]"):
            self._end()
            return self.error is None
        chunk = self._decode(_decode_chunk, payload)
        if chunk is None:
            return False
        self.error = find_error(chunk, self._upstream_name)
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical()
        if self.error is not None:
            return False
        self.records += 1
        self.model = self.model or chunk.model
        choices = chunk.choices or ()
        self._may_end = self._may_end or any(choice.finish_reason for choice in choices)
        return bool(choices) or chunk.usage is None or not self._drop_usage


def _decode_chunk(payload: bytes) -> Chunk:
    """Decode a chunk, also one that ends in half of a surrogate pair: that is JSON by RFC 8259, but msgspec
    refuses it."""
    try:
        return decode_chunk(payload)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(payload), Chunk)


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: UsageIn | None = None


class WholeInspector(BodyInspector):
    """Inspects a whole answer, of which little is decoded where no error can hide in it."""

    decode_answer = staticmethod(msgspec.json.Decoder(_Whole).decode)

    def _inspect(self, answer: _Whole, body: bytes) -> None:
        if b'"error"' in body or b'"choices"' not in body:
            chunk = self._decode(decode_chunk, body)
            if chunk is not None:
                self.error = find_error(chunk, self._upstream_name)
        if self.error is None:
            self.model = answer.model
            self.usage = None if answer.usage is None else answer.usage.canonical()


class RelayInspector:
    """Inspects nothing: an answer that is relayed may be of any type. It is whole when its body ends
    cleanly."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None

    def feed(self, data: bytes) -> bytes:
        """Return all of ``data``."""
        self.records += 1
        return data

    def close(self) -> bytes:
        """Return nothing more."""
        self.complete = True
        return b""
