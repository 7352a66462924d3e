"""Fixtures: no container, one authority for TLS, and the findings of the command for a configuration."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from tests.cli.conftest import Run
from tests.services import free_port


class Diagnosis(NamedTuple):
    """What the command has said."""

    code: int
    report: Any
    output: str

    def codes(self, provider: str = "up") -> list[str]:
        """The codes of what was found of a provider."""
        return [finding["code"] for finding in self.findings(provider)]

    def findings(self, provider: str = "up") -> list[dict[str, Any]]:
        """What was found of a provider."""
        entry = next(each for each in self.report["providers"] if each["provider"] == provider)
        return [*(each for up in entry["upstreams"] for each in up["findings"]), *entry["findings"]]

    def only(self, provider: str = "up") -> dict[str, Any]:
        """The one thing that was found of a provider."""
        (found,) = self.findings(provider)
        return found


Diagnose = Callable[..., Diagnosis]


@pytest.fixture(autouse=True)
def no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run in a container themselves."""
    monkeypatch.setattr("trunkline.cli.doctor.peek.in_container", lambda: False)


@pytest.fixture
def diagnose(run: Run) -> Diagnose:
    """``trunkline doctor --json`` with this file; no Ollama unless the file says so."""

    def call(config: str, *words: str, **env: str) -> Diagnosis:
        Path("trunkline.yaml").write_text(config, encoding="utf-8")
        given = {"OLLAMA_ENABLED": "false", "DEVELOPMENT_MODE": "true", "PORT": str(free_port())} | env
        done = run("doctor", "--json", *words, **given)
        assert done.out, done.err
        return Diagnosis(done.code, json.loads(done.out), done.out + done.err)

    return call


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that nobody trusts."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
