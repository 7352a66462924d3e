"""What the mock remembers of a request, for tests to look at.

A plain record that the connection fills while it answers. It may be read from another thread: every field
is replaced whole, never changed in place.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec


class Link(msgspec.Struct, eq=False):
    """A connection, as the requests that came on it know it."""

    number: int
    closed: bool = False


class Recorded(msgspec.Struct, eq=False):
    """One request, and how far its answer has come."""

    method: str
    target: str
    """Path and query as they were sent."""
    raw_headers: list[tuple[bytes, bytes]]
    """As they were sent, but for names in lower case."""
    body: bytes
    link: Link
    inference: bool = False
    """It asked a model (chat, completion, generate, embeddings)."""
    status: int = 0
    """Status answered; 0 until then, and where a fault came first."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Tokens of the chunks that were really sent so far."""
    chunks: int = 0
    """Content chunks sent so far."""
    finished: bool = False
    """The answer was sent as far as its script goes."""
    aborted: bool = False
    """The peer closed the connection before that."""

    @property
    def connection(self) -> int:
        """Number of the connection that it came on; requests with the same one shared it."""
        return self.link.number

    @property
    def closed(self) -> bool:
        """That connection is gone."""
        return self.link.closed

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by their lower-case names; of those that are repeated, the last."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def json(self) -> Any:
        """The body, decoded.

        Raises:
            msgspec.DecodeError: it is not JSON.
        """
        return msgspec.json.decode(self.body)

    @property
    def model(self) -> str | None:
        """The model that was asked for, where the body names one."""
        try:
            data = self.json
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return data.get("model") if isinstance(data, dict) else None


class Tokens(msgspec.Struct, frozen=True):
    """What one request made a model read and say."""

    model: str
    prompt: int
    completion: int
