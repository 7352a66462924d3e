"""What a failure means where no test can bring it about on loopback: other hosts, containers, proxies."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from trunkline.cli.doctor import findings
from trunkline.cli.doctor.findings import Place
from trunkline.transport import TransportError, failures
from trunkline.transport.failures import Fault

PLACE = Place(
    kind="openai",
    title="OpenAI",
    url="https://api.openai.com/v1",
    host="api.openai.com",
    port=443,
    url_setting="OPENAI_BASE_URL",
    key_setting="OPENAI_API_KEY",
    has_key=True,
    own_url="https://api.openai.com/v1",
    in_container=False,
)
OLLAMA = PLACE._replace(
    kind="ollama",
    title="Ollama",
    url="http://gpu1:11434",
    host="gpu1",
    port=11434,
    url_setting="OLLAMA_BASE_URL",
    own_url=None,
)
DOCKER_HOST = OLLAMA._replace(host="host.docker.internal", url="http://host.docker.internal:11434")


@pytest.mark.parametrize(
    ("fault", "place", "code", "words"),
    [
        (failures.REFUSED, OLLAMA, "ollama_bound_to_loopback", "OLLAMA_HOST=0.0.0.0"),
        (failures.REFUSED, DOCKER_HOST._replace(in_container=True), "ollama_bound_to_loopback", "0.0.0.0"),
        (failures.REFUSED, PLACE, "refused", "OPENAI_BASE_URL"),
        (failures.DNS, PLACE, "unknown_host", "network"),
        (failures.DNS, PLACE._replace(url="https://api.opnai.com/v1"), "unknown_host", "api.openai.com"),
        (failures.DNS, OLLAMA, "unknown_host", "OLLAMA_BASE_URL"),
        (failures.DNS, OLLAMA._replace(in_container=True), "unknown_host", "one Docker network"),
        (failures.DNS, DOCKER_HOST._replace(in_container=True), "unknown_host", "--add-host"),
        (failures.DNS, DOCKER_HOST, "unknown_host", "127.0.0.1"),
        (failures.CONNECT_TIMEOUT, PLACE, "unreachable", "firewall"),
        (failures.UNREACHABLE, PLACE, "unreachable", "firewall"),
        (
            failures.CONNECT_TIMEOUT,
            DOCKER_HOST._replace(in_container=True),
            "unreachable",
            "let containers in",
        ),
        (failures.FIRST_BYTE_TIMEOUT, PLACE, "no_answer", "--timeout"),
        (failures.IDLE_TIMEOUT, PLACE, "no_answer", "--timeout"),
        (failures.PROXY, PLACE, "proxy_failed", "NO_PROXY"),
        (failures.TLS, PLACE, "tls_failed", "OPENAI_BASE_URL"),
        (failures.RESET, PLACE, "not_http", "OPENAI_BASE_URL"),
        (failures.MALFORMED, PLACE, "not_http", "OPENAI_BASE_URL"),
        (failures.TOO_LARGE, PLACE, "no_list", "OPENAI_BASE_URL"),
    ],
)
def test_failures(fault: Fault, place: Place, code: str, words: str) -> None:
    found = findings.of_failure(TransportError(fault, place.url, 5), place)
    assert found.code == code
    assert words in found.fix


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ("certificate has expired", "clock"),
        ("certificate is not yet valid", "clock"),
        ("Hostname mismatch, certificate is not valid for 'x'", "write the name"),
        ("self-signed certificate in certificate chain", "ca_file"),
    ],
)
def test_certificates(detail: str, words: str) -> None:
    found = findings.of_failure(TransportError(failures.CERTIFICATE, PLACE.url, detail), PLACE)
    assert (found.code, words in found.fix) == ("certificate", True)


def test_an_ollama_that_listens_on_loopback_only() -> None:
    found = findings.ollama_only_on_loopback(OLLAMA)
    assert found.code == "ollama_bound_to_loopback"
    assert "http://127.0.0.1:11434" in found.fix


@pytest.mark.parametrize(
    ("ahead", "span"),
    [
        (0, None),
        (findings.CLOCK_TOLERANCE_S, None),
        (-findings.CLOCK_TOLERANCE_S, None),
        (90, "90 seconds ahead of"),
        (-600, "10 minutes behind"),
        (3 * 3600, "3 hours ahead of"),
        (-5 * 86400, "5 days behind"),
    ],
)
def test_clocks(ahead: float, span: str | None) -> None:
    now = 1_800_000_000.0
    headers = [(b"Date", formatdate(now - ahead, usegmt=True).encode())]
    found = findings.clock_off(headers, now, PLACE)
    assert (found and found.problem) == (span and f"this machine's clock is {span} that of api.openai.com")


@pytest.mark.parametrize("date", [b"", b"yesterday", b"Thu, 99 Jan 1970 00:00:00 GMT"])
def test_dates_that_cannot_be_read_say_nothing(date: bytes) -> None:
    assert findings.clock_off([(b"date", date)], 0.0, PLACE) is None
    assert findings.clock_off([], 0.0, PLACE) is None
