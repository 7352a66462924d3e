"""The requests that the mock received, for tests to inspect.

The connection fills a record while it answers. Another thread may read it at the same time: every field is
replaced as a whole and never changed in place.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec


class ConnectionState(msgspec.Struct, eq=False):
    """The state of a connection, shared by all requests that came on it."""

    number: int
    closed: bool = False


class RecordedRequest(msgspec.Struct, eq=False):
    """One request, and the progress of its response."""

    method: str
    target: str
    """Path and query as they were sent."""
    raw_headers: list[tuple[bytes, bytes]]
    """Names in lower case, values as they were sent."""
    body: bytes
    connection_state: ConnectionState
    inference: bool = False
    """Whether it asked a model (chat, completion, generate, embeddings)."""
    status: int = 0
    """The status of the response; 0 before there is one, and if a fault came first."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    """Tokens of the chunks that were sent so far."""
    chunks: int = 0
    """Content chunks that were sent so far."""
    finished: bool = False
    """Whether the response was sent as far as its script goes."""
    aborted: bool = False
    """Whether the peer closed the connection before that."""

    @property
    def connection(self) -> int:
        """The number of its connection; requests with the same number shared one."""
        return self.connection_state.number

    @property
    def closed(self) -> bool:
        """Whether its connection is closed."""
        return self.connection_state.closed

    @property
    def path(self) -> str:
        """The path, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def headers(self) -> dict[str, str]:
        """Headers by their lower-case names. Of a repeated header, it has the last value."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def json(self) -> Any:
        """The decoded body.

        Raises:
            msgspec.DecodeError: It is not JSON.
        """
        return msgspec.json.decode(self.body)

    @property
    def model(self) -> str | None:
        """The requested model, if the body names one."""
        try:
            data = self.json
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        return data.get("model") if isinstance(data, dict) else None


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of one request: its prompt's, and those that were sent as its answer."""

    model: str
    prompt: int
    completion: int
