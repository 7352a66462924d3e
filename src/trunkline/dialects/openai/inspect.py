"""What passes through unchanged in OpenAI's dialect, watched.

Almost every event of a stream is an ordinary one, and what makes it so is said by a type: only it fits
:class:`_Ordinary`. Decoding into that skips all the rest and costs no more than searching the bytes would.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.dialects.openai.answer_schema import Chunk, UsageIn, decode_chunk
from trunkline.dialects.openai.errors import find_error


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
    """A stream of chat or completion chunks; it may end without its marker, but not without a reason."""

    def __init__(self, who: str, drop_usage: bool) -> None:
        super().__init__(who, _decode_ordinary)
        self._drop_usage = drop_usage

    def _note(self, said: bytes) -> bool:
        if said.startswith(b"[DONE]"):
            self._end()
            return self.error is None
        chunk = self._read(_decode, said)
        if chunk is None:
            return False
        self.error = find_error(chunk, self._who)
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical()
        if self.error is not None:
            return False
        self.records += 1
        self.model = self.model or chunk.model
        choices = chunk.choices or ()
        self._may_end = self._may_end or any(choice.finish_reason for choice in choices)
        return bool(choices) or chunk.usage is None or not self._drop_usage


def _decode(said: bytes) -> Chunk:
    """A chunk; also one that ends in half of a surrogate pair, which is JSON by RFC 8259 if no text."""
    try:
        return decode_chunk(said)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(said), Chunk)


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: UsageIn | None = None


_decode_whole: Final = msgspec.json.Decoder(_Whole).decode


class WholeInspector(BodyInspector):
    """A whole answer, of which little is read where no error can hide in it."""

    def _note(self, body: bytes) -> None:
        seen = self._read(_decode_whole, body)
        if seen is not None and (b'"error"' in body or b'"choices"' not in body):
            chunk = self._read(decode_chunk, body)
            if chunk is not None:
                self.error = find_error(chunk, self._who)
        if seen is None or self.error is not None:
            return
        self.model = seen.model
        self.usage = None if seen.usage is None else seen.usage.canonical()
