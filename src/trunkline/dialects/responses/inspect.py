"""Inspects what passes through unchanged in the Responses dialect.

Almost every event of a stream is a delta, and only its form is checked. The event of a response that failed
is not passed on, like any other error.
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.error_envelope import malformed, truncated
from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.dialects.responses.answer_schema import (
    RECORD,
    RESPONSE,
    ResponseIn,
    decode_ordinary,
)
from trunkline.dialects.responses.errors import find_event_error, find_hidden_error, find_response_error

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
"""Events after which nothing comes. The third one, of a failure, ends the stream as an error."""


class StreamInspector(EventInspector):
    """Inspects a stream. Its events are named, and so have two lines."""

    def __init__(self, upstream_name: str) -> None:
        super().__init__(upstream_name, decode_ordinary)

    def _inspect(self, payload: bytes) -> bool:
        if payload.startswith(b"[DONE]"):  # some servers send it, but only after the terminal event
            self.error = truncated(self._upstream_name)
            return False
        record = self._decode(RECORD, payload)
        if record is None:
            return False
        response = record.response
        if response is not None:
            self.model = self.model or response.model
            if response.usage is not None:
                self.usage = response.usage.canonical()
        self.error = find_event_error(record, payload, self._upstream_name)
        if self.error is not None:
            return False
        self.records += 1
        self.complete = record.type in _ENDS
        return True


class WholeInspector(BodyInspector):
    """Inspects a whole response. One that failed is an error."""

    answer_decoder = RESPONSE

    def _inspect(self, answer: ResponseIn, body: bytes) -> None:
        self.model = answer.model
        self.usage = None if answer.usage is None else answer.usage.canonical()
        self.error = find_response_error(answer, self._upstream_name)
        if self.error is None and answer.output is None:
            self.error = find_hidden_error(body, self._upstream_name)
        if self.error is None and answer.output is None:
            self.error = malformed(self._upstream_name, "a response without output")
