"""An HTTP response before it is framed: its status, its headers, and its body as a sequence of records.

A shape builds a :class:`Response`. Each of its records has a kind, so that :mod:`trunkline_mock.faults` can
change a response without knowing the vendor's wire format.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

import msgspec


class RecordKind(Enum):
    """The purpose of a record within its response."""

    START = auto()
    """Opens the stream or a part of it, without content (OpenAI's role chunk, a comment)."""
    CONTENT = auto()
    """Carries text, thinking or a tool call; also the body of a response that is not a stream."""
    FINISH = auto()
    """Says that the answer is complete, and why."""
    USAGE = auto()
    """Carries only token counts, after the finish."""
    DONE = auto()
    """The end marker, ``data: [DONE]``."""


class Record(NamedTuple):
    """A part of a body that is sent at once: an SSE event, an NDJSON line, or a whole body."""

    data: bytes
    """The bytes, including the separators of the stream's format."""
    kind: RecordKind = RecordKind.CONTENT
    tokens: int = 0
    """The tokens of the answer that this record carries."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response before it is framed."""

    records: tuple[Record, ...]
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    streamed: bool = False
    prompt_tokens: int = 0
    load_delay_s: float = 0.0
    """Seconds before the response that the server needs to load a model."""
    cacheable: bool = True
    """Whether the same request gets the same response again, whatever the server did in between."""
    records_before_error: int = 0
    """How many records are sent before an error in mid-stream, for shapes that number their records."""
    side_effect: Callable[[], None] | None = None
    """A change to the server's state that comes with the response; it runs once for each response."""

    @property
    def body(self) -> bytes:
        """All records joined."""
        return b"".join(record.data for record in self.records)
