"""One client request to a model, as it came: a value that nothing changes.

What is done about it stands elsewhere: the tries to have it answered in ``attempt``, what the client has been
sent in ``response``, and both together, while the request runs, in ``active``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from trunkline.dialects.base import Front, Headers, RequestSummary
from trunkline.errors import GatewayError
from trunkline.policy.auth import ApiKey

_END_USER_HEADERS: Final = (b"x-openwebui-user-email", b"x-openwebui-user-id", b"x-openwebui-user-name")
"""Headers in which Open WebUI names its user, the most telling first."""
END_USER_HEADERS: Final = frozenset(_END_USER_HEADERS)
MAX_STORED_PROMPT: Final = 256 * 1024
"""The maximum number of bytes of a body that are stored, where prompts are."""


class Request(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One client request: its head, its body, its key, and what was read of the body beforehand."""

    front: Front
    """The operation of the client's dialect."""
    path: str
    """With keys redacted."""
    request_id: str
    body: bytes
    received_at: float
    """By ``time.perf_counter``."""
    headers: Headers = ()
    """With names in lower case."""
    query: bytes = b""
    key: ApiKey | None = None
    """None where no key is required and none was sent."""
    provider: str | None = None
    """The provider that the path names, if it names one."""
    client: str | None = None
    """The peer's address."""
    summary: RequestSummary | None = None
    """None where the body could not be read; ``problem`` says why."""
    problem: GatewayError | None = None
    cache_directive: bytes | None = None
    """The header ``x-trunkline-cache``: ``on`` or ``off``, if it was sent."""
    end_user: bytes | None = None
    """The person for whom the client asks, where a header says it."""
    stored_prompt: str | None = None
    """The body as text, where prompts are stored in the ledger."""

    @property
    def operation(self) -> str:
        """What is asked. A front's requests may ask for another operation than its own (Ollama's
        ``generate`` is a chat of one turn)."""
        summary = self.summary
        return self.front.operation if summary is None else summary.operation or self.front.operation

    @property
    def is_local_only(self) -> bool:
        """Its key forbids providers that are not local."""
        return self.key is not None and self.key.local_only

    @property
    def priority(self) -> str:
        """The priority class in which it waits for an upstream: its key's, which a header may lower."""
        for name, value in self.headers:
            if name == b"x-trunkline-priority" and value == b"low":
                return "low"
        return "normal" if self.key is None else str(self.key.priority)


def end_user_of(fields: Mapping[bytes, bytes]) -> bytes | None:
    """The user whom Open WebUI names in the header ``fields``, if it names one."""
    for name in _END_USER_HEADERS:
        if user := fields.get(name):
            return user
    return None


def stored_prompt(body: bytes) -> str:
    """The text of ``body`` that is stored, where prompts are. PostgreSQL takes no NUL."""
    return body[:MAX_STORED_PROMPT].decode("utf-8", "replace").replace("\0", "")
