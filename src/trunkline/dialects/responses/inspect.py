"""What passes through unchanged in the Responses dialect, watched.

Almost every event of a stream is a delta, of which only its form is looked at. The event of a response that
failed goes no further than any other error does.
"""

from __future__ import annotations

from typing import Final

from trunkline.dialects.error_envelope import malformed, truncated
from trunkline.dialects.inspect import BodyInspector, EventInspector
from trunkline.dialects.responses.answer_schema import decode_ordinary, decode_record, decode_response
from trunkline.dialects.responses.errors import event_error, response_error

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
"""Events after which nothing comes; a failure, which is the third, ends the stream as an error."""


class StreamInspector(EventInspector):
    """A stream; its events are named, and so hold two lines."""

    def __init__(self, who: str) -> None:
        super().__init__(who, decode_ordinary)

    def _note(self, said: bytes) -> bool:
        if said.startswith(b"[DONE]"):  # some servers say it, and only behind the terminal event
            self.error = truncated(self._who)
            return False
        record = self._read(decode_record, said)
        if record is None:
            return False
        response = record.response
        if response is not None:
            self.model = self.model or response.model
            if response.usage is not None:
                self.usage = response.usage.canonical()
        self.error = event_error(record, self._who)
        if self.error is not None:
            return False
        self.records += 1
        self.complete = record.type in _ENDS
        return True


class WholeInspector(BodyInspector):
    """A whole response; one that failed is an error."""

    def _note(self, body: bytes) -> None:
        response = self._read(decode_response, body)
        if response is None:
            return
        self.model = response.model
        self.usage = None if response.usage is None else response.usage.canonical()
        self.error = response_error(response, self._who)
        if self.error is None and response.output is None:
            self.error = malformed(self._who, "a response without output")
