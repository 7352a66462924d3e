"""Inspects what passes through unchanged in OpenAI's dialect.

Almost every event of a stream is an ordinary one. A type says what that is: only ordinary events fit
:class:`_Ordinary`. Decoding into it skips all other fields and costs no more than searching the bytes would.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.dialects.openai.answer_schema import CHUNK, UsageIn
from trunkline.dialects.openai.errors import find_error
from trunkline.dialects.openai.inspect_content import HAS_LIST, mend_content
from trunkline.dialects.openai.inspect_tool_calls import CallMender, mend_whole
from trunkline.errors import GatewayError
from trunkline.model import Usage


class _OrdinaryDelta(msgspec.Struct, gc=False):
    tool_calls: None = None


class _TextDelta(_OrdinaryDelta, gc=False):
    content: str | None = None


class _OrdinaryChoice(msgspec.Struct, gc=False):
    finish_reason: None = None
    delta: _OrdinaryDelta | None = None
    error: None = None
    usage: None = None


class _TextChoice(msgspec.Struct, gc=False):
    finish_reason: None = None
    delta: _TextDelta | None = None
    error: None = None
    usage: None = None


class _Ordinary(msgspec.Struct, gc=False):
    """A chunk that brings content and nothing else that must be known."""

    choices: list[_OrdinaryChoice]
    usage: None = None
    error: None = None


class _OrdinaryText(msgspec.Struct, gc=False):
    """The same of a server that may send content in parts: here it is a text."""

    choices: list[_TextChoice]
    usage: None = None
    error: None = None


_decode_ordinary: Final = msgspec.json.Decoder(_Ordinary).decode
_decode_ordinary_text: Final = msgspec.json.Decoder(_OrdinaryText).decode


class StreamInspector(EventInspector):
    """Inspects a stream of chat or completion chunks. It may end without its terminal marker, but not without
    a finish reason.

    Args:
        upstream_name: The upstream's name in error texts.
        drop_usage: The client did not ask for the usage chunk.
        has_parts: The server may send content as a list of parts.
    """

    splits_records = True

    def __init__(self, upstream_name: str, drop_usage: bool, has_parts: bool = False) -> None:
        super().__init__(upstream_name, _decode_ordinary_text if has_parts else _decode_ordinary)
        self._drop_usage = drop_usage
        self._may_have_parts = has_parts
        self._calls: CallMender | None = None
        """Set once a tool is called."""

    def _inspect(self, payload: bytes) -> bool:
        if payload.startswith(b"[DONE]"):
            self._end()
            return self.error is None
        chunk = self._decode(CHUNK, payload)
        if chunk is None:
            return False
        self.error = find_error(chunk, payload, self._upstream_name)
        usage = chunk.find_usage()
        if usage is not None:
            self.usage = usage.canonical()
        if self.error is not None:
            return False
        self.records += 1
        self.model = self.model or chunk.model
        choices = chunk.choices or ()
        has_parts = False
        for choice in choices:
            if choice.finish_reason:
                self._may_end = True
            if choice.delta is not None and isinstance(choice.delta.content, list):
                has_parts = self._may_have_parts
            if self._calls is None and choice.delta is not None and choice.delta.tool_calls:
                self._calls = CallMender(self._is_tool)
        if has_parts:
            self._replacement = mend_content(payload, chunk)
        if self._calls is not None:
            mended = self._replacement
            self._replacement = self._calls.mend(mended or payload, chunk) or mended
        return bool(choices) or chunk.usage is None or not self._drop_usage

    def _is_tool(self, name: str) -> bool:
        """Whether a string of the request is this name, as that of a tool is."""
        return msgspec.json.encode(name) in self.request


class _Whole(msgspec.Struct):
    model: str | None = None
    usage: UsageIn | None = None


class WholeInspector(BodyInspector):
    """Inspects a whole answer, of which little is decoded where no error can hide in it."""

    answer_decoder = msgspec.json.Decoder(_Whole)
    has_parts = False
    """The server may send content as a list of parts."""

    def _inspect(self, answer: _Whole, body: bytes) -> None:
        usage = answer.usage
        is_list = self.has_parts and HAS_LIST(body) is not None
        if (  # one field after another, without a loop: every answer comes here
            is_list
            or b'"choices"' not in body
            or b'"error"' in body  # fields that may hold an error,
            or b'"base_resp"' in body
            or b'"tool_calls"' in body  # or what must be mended
        ):
            chunk = self._decode(CHUNK, body)
            if chunk is not None:
                self.error = find_error(chunk, body, self._upstream_name)
                usage = usage or chunk.find_usage()
                mended = mend_content(body, chunk) if is_list else None
                self._replacement = mend_whole(mended or body, chunk) or mended
        if self.error is None:
            self.model = answer.model
            self.usage = None if usage is None else usage.canonical()


class RelayInspector:
    """Inspects nothing: an answer that is relayed may be of any type. It is whole when its body ends
    cleanly."""

    def __init__(self) -> None:
        self.error: GatewayError | None = None
        self.complete = False
        self.request = b""
        self.records = 0
        self.usage: Usage | None = None
        self.model: str | None = None

    def passes_alone(self, data: bytes) -> bool:
        """Never: ``feed`` is as quick."""
        return False

    def feed(self, data: bytes) -> bytes:
        """Return all of ``data``."""
        self.records += 1
        return data

    def close(self) -> bytes:
        """Return nothing more."""
        self.complete = True
        return b""
