"""All failures of the transport, in one table.

A :class:`Fault` is a row: the error's kind, a short name for code to compare, and the sentence for people.
:func:`diagnose` finds the row for an exception of the system. A sentence names ``scheme://host:port`` and
never a header, a credential or a part of a response. Nothing here does I/O.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from typing import Final, NamedTuple

from trunkline.errors import (
    INTERNAL,
    SHUTTING_DOWN,
    UPSTREAM_BUSY,
    UPSTREAM_PROTOCOL,
    UPSTREAM_RESET,
    UPSTREAM_TIMEOUT,
    UPSTREAM_TLS,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    UPSTREAM_UNREACHABLE,
    Kind,
    ProviderError,
    Scope,
)


class Fault(NamedTuple):
    """One kind of failure. ``text`` has the placeholders ``{address}`` and, in most rows, ``{detail}``."""

    kind: Kind
    reason: str
    text: str
    scope: Scope | None = None
    """What the failure concerns, where that is not what its kind says."""


class TransportError(ProviderError):
    """A failure of the transport.

    ``reason`` is a row's name (``refused``, ``dns``, ``first_byte`` …), so that a provider can word the
    failure better. ``address`` is ``scheme://host:port``.
    """

    def __init__(self, fault: Fault, address: str, detail: object = "") -> None:
        super().__init__(fault.text.format(address=address, detail=detail), fault.kind)
        self.reason = fault.reason
        if fault.scope is not None:
            self.scope = fault.scope
        self.address = address


REFUSED: Final = Fault(UPSTREAM_UNREACHABLE, "refused", "Connection refused to {address}")
DNS: Final = Fault(UPSTREAM_UNREACHABLE, "dns", "Cannot find the host of {address}: {detail}")
UNREACHABLE: Final = Fault(UPSTREAM_UNREACHABLE, "unreachable", "Cannot reach {address}: {detail}")
PROXY: Final = Fault(UPSTREAM_UNREACHABLE, "proxy", "No way to {address}: {detail}")
NO_FILES: Final = Fault(
    UPSTREAM_BUSY, "no_files", "Too many open files here for a connection to {address}: {detail}"
)
BUSY: Final = Fault(
    UPSTREAM_BUSY, "busy", "All connections to {address} are in use; none became free within {detail}"
)

RESET: Final = Fault(UPSTREAM_RESET, "reset", "{address} closed the connection without an answer")
TRUNCATED: Final = Fault(UPSTREAM_TRUNCATED, "truncated", "{address} broke off in the middle of its answer")

CERTIFICATE: Final = Fault(
    UPSTREAM_TLS, "certificate", "The certificate of {address} is not trusted: {detail}"
)
TLS: Final = Fault(UPSTREAM_TLS, "tls", "No TLS connection to {address}: {detail}")

CONNECT_TIMEOUT: Final = Fault(
    UPSTREAM_TIMEOUT, "connect", "Timed out connecting to {address} after {detail}", "upstream"
)
FIRST_BYTE_TIMEOUT: Final = Fault(
    UPSTREAM_TIMEOUT, "first_byte", "Timed out waiting for an answer from {address} after {detail}"
)
IDLE_TIMEOUT: Final = Fault(
    UPSTREAM_TIMEOUT, "idle", "Timed out in the answer from {address}: silent for {detail}"
)
TOTAL_TIMEOUT: Final = Fault(
    UPSTREAM_TIMEOUT, "total", "Timed out: the answer from {address} was not complete after {detail}"
)
SYSTEM_TIMEOUT: Final = Fault(UPSTREAM_TIMEOUT, "system", "Timed out at {address}: {detail}", "upstream")

MALFORMED: Final = Fault(UPSTREAM_PROTOCOL, "malformed", "{address} does not answer in HTTP/1.1: {detail}")
ENCODING: Final = Fault(
    UPSTREAM_PROTOCOL, "encoding", "{address} sent a body in an encoding that cannot be read: {detail}"
)
HEAD_TOO_LARGE: Final = Fault(
    UPSTREAM_PROTOCOL, "head_too_large", "{address} sent too large or too many headers"
)
TOO_LARGE: Final = Fault(
    UPSTREAM_TOO_LARGE, "too_large", "The answer from {address} is larger than {detail} bytes"
)

CLOSED: Final = Fault(SHUTTING_DOWN, "closed", "The gateway is closing its connection to {address}")
BUG: Final = Fault(INTERNAL, "bug", "The gateway failed while it spoke to {address}: {detail}")

_BY_CLASS: Final[tuple[tuple[type[Exception], Fault], ...]] = (
    (ssl.SSLCertVerificationError, CERTIFICATE),
    (ssl.SSLError, TLS),
    (socket.gaierror, DNS),
    (ConnectionRefusedError, REFUSED),
    (ConnectionError, RESET),
    (TimeoutError, SYSTEM_TIMEOUT),
)
_BY_ERRNO: Final = {
    errno.EMFILE: NO_FILES,
    errno.ENFILE: NO_FILES,
    errno.ENOBUFS: NO_FILES,
}
_ERRNOS: Final = re.compile(r"\[Errno (\d+)\]")


def diagnose(error: BaseException, address: str) -> TransportError:
    """The failure for an exception of the system (or of our own code) before any response."""
    if isinstance(error, TransportError):
        return error
    if not isinstance(error, OSError):
        return TransportError(BUG, address, type(error).__name__)
    error = _first_of_several(error)
    for cls, fault in _BY_CLASS:
        if isinstance(error, cls):
            return TransportError(fault, address, _detail(error))
    return TransportError(_BY_ERRNO.get(error.errno or 0, UNREACHABLE), address, _detail(error))


def _first_of_several(error: OSError) -> OSError:
    """The error that represents those of several addresses of one host.

    Event loops merge these into an OSError without a number. ``localhost`` is the usual case: ``::1`` and
    ``127.0.0.1`` both refuse. A refusal says the most (the host is up), so it is preferred; otherwise the
    first error is taken.
    """
    if error.errno is not None or isinstance(error, (ConnectionError, TimeoutError)):
        return error
    numbers = [int(number) for number in _ERRNOS.findall(str(error))]
    if not numbers:
        return error
    number = errno.ECONNREFUSED if errno.ECONNREFUSED in numbers else numbers[0]
    return OSError(number, _strerror(number))


def _detail(error: OSError) -> str:
    """The system's description of an error, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, ssl.SSLError):
        return (getattr(error, "reason", None) or "the peer closed the connection").lower().replace("_", " ")
    if isinstance(error, socket.gaierror):
        return error.strerror or "unknown host"
    return _strerror(error.errno) if error.errno else type(error).__name__


def _strerror(number: int) -> str:
    # The system's table, not the exception's own text: event loops write addresses into the latter.
    return os.strerror(number)


def diagnose_loss(error: Exception, address: str, *, nothing_received: bool) -> TransportError:
    """The failure for an exception that ends a connection before the end of a response.

    ``nothing_received``: it came before the response's first byte.
    """
    if nothing_received or not isinstance(error, OSError):
        return diagnose(error, address)
    return TransportError(TRUNCATED, address)
