"""The gateway's own address."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.gateways import make_settings
from tests.services import free_port
from trunkline.cli.doctor.listening import check_address


async def test_a_free_port() -> None:
    assert await check_address("127.0.0.1", make_settings(port=free_port()), 1) == []


async def test_a_program_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = make_settings(port=silent.getsockname()[1])
        (found,) = await check_address("127.0.0.1", settings, 0.2)
    assert found.code == "port_taken"


async def test_ollama_at_ollamas_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ollama:
        port = ollama.getsockname()[1]
        monkeypatch.setattr("trunkline.cli.doctor.listening.OLLAMA_PORT", port)
        monkeypatch.setattr("trunkline.settings.values.OLLAMA_PORT", port)
        (found,) = await check_address("127.0.0.1", make_settings(port=free_port(), as_ollama=True), 0.2)
    assert (found.code, "AS_OLLAMA" in found.fix) == ("port_taken", True)


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EACCES, "port_forbidden", "1024"),
        (errno.EADDRNOTAVAIL, "address_unknown", "HOST"),
        (-2, "address_unknown", "HOST"),
    ],
)
async def test_what_the_system_refuses(
    monkeypatch: pytest.MonkeyPatch, number: int, code: str, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr("trunkline.cli.doctor.listening.socket.socket.bind", refuse)
    (found,) = await check_address("127.0.0.1", make_settings(port=80), 1)
    assert found.code == code
    assert words in found.fix
