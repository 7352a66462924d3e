from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest
import trustme

from trunkline.transport import TlsConfig
from trunkline.transport.tls import TlsContexts, make_context


def test_the_context_verifies_and_is_created_once() -> None:
    contexts = TlsContexts(TlsConfig())
    context = contexts.get()
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert contexts.get() is context


def test_a_ca_file_replaces_the_systems_certificates(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    assert make_context(TlsConfig(ca_file=str(file))).cert_store_stats()["x509_ca"] == 1


def test_certifi_is_used_if_the_system_has_no_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    expected = ssl.create_default_context(cafile=certifi.where()).cert_store_stats()
    assert make_context(TlsConfig()).cert_store_stats() == expected


def test_the_systems_certificates_are_preferred_to_certifis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert make_context(TlsConfig()).cert_store_stats()["x509_ca"] == 1


def test_a_missing_ca_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        TlsContexts(TlsConfig(ca_file="no-such-file.pem")).get()
