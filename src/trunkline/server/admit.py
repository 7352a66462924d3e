"""Who may come in: the check of every request before its body is read, and what browsers may do.

The data plane's two ends and FastAPI's dependency call the same function.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final

from trunkline.errors import TOO_LARGE, CallerError
from trunkline.pipeline import HeaderList
from trunkline.policy.auth import ApiKey, KeyRing, authenticate
from trunkline.settings import Settings

Headers = Sequence[tuple[bytes, bytes]]

_REQUEST_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_METHODS: Final = b"GET, HEAD, POST, DELETE, OPTIONS"


def request_id(headers: Headers) -> str:
    """The client's own ``x-request-id``, if it is one that can stand in a log; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode("ascii")
    return "req_" + secrets.token_hex(12)


class Admission:
    """The door, as the settings have it."""

    def __init__(self, settings: Settings, keys: KeyRing, *, required: bool) -> None:
        self._keys = keys
        self._required = required
        self._origins = frozenset(settings.cors_allowed_origins)
        self.max_body = settings.max_body_bytes

    def check_key(self, headers: Headers, path_key: str | None = None) -> ApiKey | None:
        """The key that the request brings, or None where none is asked for.

        Raises:
            CallerError: 401, when a key is needed and what came is none.
        """
        return authenticate(headers, self._keys, self._required, path_key)

    def check_length(self, length: int) -> None:
        """Refuse a body that is too large.

        Raises:
            CallerError: 413.
        """
        if length > self.max_body:
            text = f"The request body is larger than {self.max_body} bytes (MAX_BODY_BYTES)"
            raise CallerError(text, TOO_LARGE)

    def cors(self, headers: Headers) -> HeaderList:
        """The headers that let a browser's page from an allowed origin read the answer; none by default."""
        if not self._origins:
            return []
        origin = next((value for name, value in headers if name == b"origin"), None)
        if origin is None or not ("*" in self._origins or origin.decode("latin-1") in self._origins):
            return []
        return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]

    def preflight(self, headers: Headers) -> HeaderList:
        """The answer to a browser's question whether it may ask (Fetch standard, CORS-preflight)."""
        allowed = self.cors(headers)
        if not allowed:
            return []
        asked = next((v for name, v in headers if name == b"access-control-request-headers"), b"*")
        return [
            *allowed,
            (b"access-control-allow-methods", _METHODS),
            (b"access-control-allow-headers", asked),
            (b"access-control-max-age", b"600"),
        ]
