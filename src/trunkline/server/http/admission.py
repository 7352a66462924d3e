"""Who may come in: the check of every request before its body is read, and what browsers may do.

The data plane's two ends and FastAPI's dependency call the same function.
"""

from __future__ import annotations

import re
from typing import Final

from trunkline.errors import FORBIDDEN, TOO_LARGE, CallerError
from trunkline.pipeline.responder import Lines
from trunkline.policy.auth import ApiKey, KeyRing, authenticate
from trunkline.server.http.own_site import OwnSite
from trunkline.server.http.page import Headers
from trunkline.settings import Settings

_PREFLIGHT: Final = (
    b"access-control-allow-methods: GET, HEAD, POST, DELETE, OPTIONS\r\naccess-control-max-age: 600\r\n"
)

_LOOPBACK: Final = re.compile(rb"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::\d{1,5})?")
"""Origins of pages that this machine serves. Ollama allows the same ones (``OLLAMA_ORIGINS``)."""


class Admission:
    """The rules of who may come in, as the settings have them."""

    def __init__(
        self, settings: Settings, keys: KeyRing, *, required: bool, open_network: bool = False
    ) -> None:
        """``open_network``: requests without a key may come from other machines."""
        self.keys = keys
        self._open_network = open_network
        self.required = required
        self._origins = frozenset(settings.cors_allowed_origins)
        self.max_body = settings.max_body_bytes
        self.own_site = None if required else OwnSite(settings, open_network=open_network)
        """Checks names and pages where no key is asked for; None where one is."""

    def check_key(self, headers: Headers, path_key: str | None = None) -> ApiKey | None:
        """The key that the request brings, or None where none is asked for.

        Raises:
            CallerError: 401, when a key is needed and what came is none.
        """
        return authenticate(headers, self.keys, self.required, path_key)

    def check_admin(self, key: ApiKey | None) -> None:
        """Refuse what only an admin may do. Where no key is asked for at all, whoever is on this machine may.

        Raises:
            CallerError: 403.
        """
        if (key is None and not self._open_network) or (key is not None and key.role == "admin"):
            return
        raise CallerError(
            "This needs a key of role admin. Make one with `trunkline keys create NAME --role admin`",
            FORBIDDEN,
        )

    def check_may_ask(self, key: ApiKey | None) -> None:
        """Refuse questions to models by a key that may read only.

        Raises:
            CallerError: 403.
        """
        if key is not None and key.role == "read-only":
            raise CallerError("This key may read only; it may not use models", FORBIDDEN)

    def check_length(self, length: int) -> None:
        """Refuse a body that is too large.

        Raises:
            CallerError: 413.
        """
        if length > self.max_body:
            text = f"The request body is larger than {self.max_body} bytes (MAX_BODY_BYTES)"
            raise CallerError(text, TOO_LARGE)

    def cors(self, origin: bytes | None, *, allows_loopback: bool = False) -> Lines:
        """The headers that let a page from an allowed origin read the answer; none by default.

        Args:
            origin: of the page.
            allows_loopback: pages that this machine serves are allowed, whatever the settings say.
        """
        if origin is None:
            return b""
        allowed = "*" in self._origins or origin.decode("latin-1") in self._origins
        if not allowed and not (allows_loopback and _LOOPBACK.fullmatch(origin)):
            return b""
        return b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin

    def preflight(self, allowed: Lines, asked: bytes) -> Lines:
        """What an allowed origin is told when it asks whether it may ask (Fetch standard, CORS-preflight)."""
        return b"%b%baccess-control-allow-headers: %b\r\n" % (allowed, _PREFLIGHT, asked)
