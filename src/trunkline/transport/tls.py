"""Whom to trust: TLS contexts for clients, made on first use and kept.

Certificates and host names are always verified; there is no switch for that. A server with a private
authority gets its own ``ca_file``.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import certifi


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Which authorities are trusted."""

    ca_file: str | None = None
    """PEM file with the authorities that are trusted *instead of* the system's. None: the system's, or
    certifi's where the system has none."""


class TlsContexts:
    """The context of one client. Reading the system's roots takes tens of milliseconds, so it waits until an
    ``https`` origin is asked for."""

    __slots__ = ("_config", "_context")

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._context: ssl.SSLContext | None = None

    def get(self) -> ssl.SSLContext:
        """The context. Raises OSError or ssl.SSLError when the CA file cannot be read."""
        if self._context is None:
            self._context = make_context(self._config)
        return self._context


def make_context(config: TlsConfig) -> ssl.SSLContext:
    """A verifying client context that speaks HTTP/1.1 only."""
    context = ssl.create_default_context(cafile=config.ca_file or _certifi_if_needed())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _certifi_if_needed() -> str | None:
    paths = ssl.get_default_verify_paths()  # what OpenSSL would read; None where it does not exist
    if paths.cafile or (paths.capath and any(Path(paths.capath).iterdir())):
        return None
    return certifi.where()
