from __future__ import annotations

import errno
import os
import socket
import ssl

import pytest

from trunkline.errors import KINDS, ProviderError
from trunkline.transport import failures
from trunkline.transport.failures import Fault, TransportError, diagnose, diagnose_loss

A = "http://host:1"


def _certificate() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] …")
    error.verify_message = "self-signed certificate"
    return error


def _tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] …")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


TWO_ADDRESSES = (
    "Multiple exceptions: [Errno {}] Connect call failed ('::1', 1), [Errno {}] Connect call failed ('127')"
)


@pytest.mark.parametrize(
    ("error", "code", "reason", "text"),
    [
        (OSError(errno.ECONNREFUSED, "x"), "upstream_unreachable", "refused", f"Connection refused to {A}"),
        (
            OSError(TWO_ADDRESSES.format(errno.ECONNREFUSED, errno.ECONNREFUSED)),
            "upstream_unreachable",
            "refused",
            f"Connection refused to {A}",
        ),
        (
            OSError(TWO_ADDRESSES.format(errno.EADDRNOTAVAIL, errno.ECONNREFUSED)),
            "upstream_unreachable",
            "refused",
            f"Connection refused to {A}",
        ),
        (
            OSError(TWO_ADDRESSES.format(errno.EHOSTUNREACH, errno.ENETUNREACH)),
            "upstream_unreachable",
            "unreachable",
            f"Cannot reach {A}: {os.strerror(errno.EHOSTUNREACH)}",
        ),
        (
            OSError(errno.ENETUNREACH, "10.0.0.1"),
            "upstream_unreachable",
            "unreachable",
            f"Cannot reach {A}: {os.strerror(errno.ENETUNREACH)}",
        ),
        (OSError("odd"), "upstream_unreachable", "unreachable", f"Cannot reach {A}: OSError"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "upstream_unreachable",
            "dns",
            f"Cannot find the host of {A}: Name or service not known",
        ),
        (
            OSError(errno.EMFILE, "x"),
            "upstream_busy",
            "no_files",
            f"Too many open files here for a connection to {A}: {os.strerror(errno.EMFILE)}",
        ),
        (ConnectionResetError(), "upstream_reset", "reset", f"{A} closed the connection without an answer"),
        (
            BrokenPipeError(errno.EPIPE, "x"),
            "upstream_reset",
            "reset",
            f"{A} closed the connection without an answer",
        ),
        (
            OSError(errno.ETIMEDOUT, "x"),
            "upstream_timeout",
            "system",
            f"Timed out at {A}: {os.strerror(errno.ETIMEDOUT)}",
        ),
        (
            _certificate(),
            "upstream_tls",
            "certificate",
            f"The certificate of {A} is not trusted: self-signed certificate",
        ),
        (_tls(), "upstream_tls", "tls", f"No TLS connection to {A}: wrong version number"),
        (ssl.SSLError(), "upstream_tls", "tls", f"No TLS connection to {A}: the peer closed the connection"),
        (
            KeyError("sk-secret"),
            "internal_error",
            "bug",
            f"The gateway failed while it spoke to {A}: KeyError",
        ),
    ],
)
def test_diagnose(error: Exception, code: str, reason: str, text: str) -> None:
    failure = diagnose(error, A)
    assert (failure.code, failure.reason, failure.message, failure.address) == (code, reason, text, A)
    assert isinstance(failure, ProviderError)


def test_diagnose_returns_a_transport_error_unchanged() -> None:
    failure = TransportError(failures.RESET, A)
    assert diagnose(failure, "http://other:1") is failure


@pytest.mark.parametrize(
    ("error", "nothing_received", "reason"),
    [
        (ConnectionResetError(), True, "reset"),
        (ConnectionResetError(), False, "truncated"),
        (_tls(), True, "tls"),
        (_tls(), False, "truncated"),
        (TypeError("x"), True, "bug"),
        (TypeError("x"), False, "bug"),
    ],
)
def test_diagnose_loss(error: Exception, nothing_received: bool, reason: str) -> None:
    assert diagnose_loss(error, A, nothing_received=nothing_received).reason == reason


FAULTS = [fault for fault in vars(failures).values() if isinstance(fault, Fault)]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.reason for fault in FAULTS])
def test_each_fault_has_a_complete_message_and_a_known_kind(fault: Fault) -> None:
    failure = TransportError(fault, A, 1.5)
    assert A in failure.message
    assert KINDS[failure.code] is fault.kind
    assert "{" not in failure.message


def test_reasons_are_unique() -> None:
    assert len({fault.reason for fault in FAULTS}) == len(FAULTS)
