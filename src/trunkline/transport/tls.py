"""TLS contexts for clients, created at their first use.

Certificates and host names are always verified; no setting turns that off. A server with a private
certificate authority gets its own ``ca_file``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """The certificate authorities that are trusted."""

    ca_file: str | None = None
    """A PEM file with the authorities that are trusted *instead of* the system's. None: the system's, or
    certifi's where the system has none."""


class TlsContexts:
    """The context of one client, created for the first ``https`` origin: reading the system's certificates
    takes tens of milliseconds."""

    __slots__ = ("_config", "_context")

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None

    def get(self) -> ssl.SSLContext:
        """The context.

        Raises:
            OSError: the CA file cannot be read (ssl.SSLError is one).
        """
        if self._context is None:
            self._context = make_context(self._config)
        return self._context


def make_context(config: TlsConfig) -> ssl.SSLContext:
    """A client context that verifies certificates and offers HTTP/1.1 only."""
    context = ssl.create_default_context(cafile=config.ca_file or _certifi_if_needed())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _certifi_if_needed() -> str | None:
    paths = ssl.get_default_verify_paths()  # what OpenSSL reads; None for a path that does not exist
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        return None
    return certifi.where()
