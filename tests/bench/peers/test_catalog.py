"""The peers' configurations, and what each is asked. The peers themselves are not needed here."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from bench.machine import BenchError
from bench.peers.catalog import KEY, PEERS, Installed, Peer
from bench.rig import Mock

from bench.peers import catalog
from tests.bench.servers import CORE, mock_upstream

MOCK = Mock("brief", "openai", "One chunk of text. ", chunks=2)
PORTS = {"brief": 7001, "other": 7002}
BY_NAME = {peer.name: peer for peer in PEERS}


def configured(name: str, folder: Path) -> tuple[list[str], dict[str, Any]]:
    words = list(BY_NAME[name].configure(folder, 7000, PORTS))
    path = folder / "config.yaml"
    return words, json.loads(path.read_text()) if path.exists() else {}


def test_olla_has_every_mock_and_no_limit(tmp_path: Path) -> None:
    words, config = configured("olla", tmp_path)
    assert words == ["--config", str(tmp_path / "config.yaml")]
    assert (config["server"]["host"], config["server"]["port"]) == ("127.0.0.1", 7000)
    endpoints = config["discovery"]["static"]["endpoints"]
    assert [(each["name"], each["url"]) for each in endpoints] == [
        ("brief", "http://127.0.0.1:7001"),
        ("other", "http://127.0.0.1:7002"),
    ]
    assert set(config["server"]["rate_limits"].values()) == {0}


def test_litellm_has_every_mock_and_checks_the_key_that_is_sent(tmp_path: Path) -> None:
    words, config = configured("litellm", tmp_path)
    assert words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--port") + 1] == "7000"
    bases = {each["model_name"]: each["litellm_params"]["api_base"] for each in config["model_list"]}
    assert bases == {"brief": "http://127.0.0.1:7001/v1", "other": "http://127.0.0.1:7002/v1"}
    assert config["general_settings"]["master_key"] == KEY


def test_portkey_is_told_where_to_go_by_each_request(tmp_path: Path) -> None:
    words, _ = configured("portkey", tmp_path)
    assert "--port=7000" in words
    ask = catalog.make_ask(BY_NAME["portkey"], 7000, MOCK, 7001, stream=False)
    assert ("x-portkey-custom-host", "http://127.0.0.1:7001/v1") in ask.headers


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
@pytest.mark.parametrize("stream", [False, True])
def test_all_are_asked_the_same(peer: Peer, stream: bool) -> None:
    ask = catalog.make_ask(peer, 7000, MOCK, 7001, stream=stream)
    assert ask.port == 7000
    assert ask.path.endswith("/v1/chat/completions")
    assert ("Authorization", f"Bearer {KEY}") in ask.headers
    body = json.loads(ask.body)
    assert (body["model"], body["stream"]) == ("brief", stream)


def test_olla_is_the_program_that_is_named_or_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="--olla PATH"):
        BY_NAME["olla"].install(None)
    with pytest.raises(BenchError, match="--olla PATH"):
        BY_NAME["olla"].install(tmp_path / "none")
    program = tmp_path / "olla"
    program.write_text("#!/bin/sh\necho Welcome to olla v1.2.3, built today\n")
    program.chmod(0o755)
    assert BY_NAME["olla"].install(None) == Installed("v1.2.3", (str(program),))
    monkeypatch.setenv("PATH", "")
    assert BY_NAME["olla"].install(program).command == (str(program),)


def test_a_peer_is_started_and_waited_for_until_it_answers_with_the_mocks_text(tmp_path: Path) -> None:
    """The stand-in is a server of the bench that forwards; it answers for any model."""
    with mock_upstream(MOCK, tmp_path) as port:
        peer = Peer(
            "stand-in",
            "forwards",
            lambda _: Installed("1", (sys.executable, "-m", "bench.rungs", "forward")),
            lambda _folder, own, mocks: (str(own), str(mocks["brief"])),
            "/health",
            lambda *_: ("/v1/chat/completions", ()),
        )
        process = catalog.start(peer, peer.install(None), tmp_path / "peer", {"brief": port}, CORE)
        try:
            process.wait_ready(60)
            catalog.wait_routed(peer, process.port, [MOCK], {"brief": port})
        finally:
            process.stop()
