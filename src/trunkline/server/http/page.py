"""Answers that the gateway gives itself: whole pages, and streams of progress lines."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values."""

JSON: Final = b"application/json"
NDJSON: Final = b"application/x-ndjson"
TEXT: Final = b"text/plain; charset=utf-8"


class Page(NamedTuple):
    """A small answer that is sent as a whole."""

    body: bytes
    content_type: bytes = JSON
    status: int = 200


class Progress(NamedTuple):
    """An answer that is sent line by line, each line a JSON object."""

    lines: AsyncGenerator[dict[str, Any], None]


Answer: TypeAlias = Page | Progress


def json_page(value: Any, status: int = 200) -> Page:
    """A page with ``value`` as JSON."""
    return Page(msgspec.json.encode(value), JSON, status)
