"""What was changed in a request, for a client that asks: the request header ``x-trunkline-explain: fit``.

The answer's header ``x-trunkline-fit`` lists the changes by their paths; it is missing if there were none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trunkline.dialects.base import Headers
from trunkline.pipeline.responder import Lines

HEADER: Final = b"x-trunkline-explain"
MAX_LINE: Final = 2048
"""The maximum number of bytes of one header line: clients refuse long ones."""


def is_asked(headers: Headers, topic: bytes) -> bool:
    """Whether the client asks for an explanation of ``topic``."""
    for name, value in headers:
        if name == HEADER:
            return topic in (each.strip().lower() for each in value.split(b","))
    return False


def fit_lines(changes: Sequence[str]) -> Lines:
    """The header line with what the fit step has changed. A long list is cut."""
    told: list[str] = []
    size = 0
    for change in changes:
        size += len(change) + 2
        if size > MAX_LINE:
            told.append(f"and {len(changes) - len(told)} more")
            break
        told.append(change)
    return b"x-trunkline-fit: %b\r\n" % "; ".join(told).encode("ascii", "replace")
