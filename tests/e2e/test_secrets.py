"""Secrets that were planted in a gateway are looked for in everything that it leaves behind."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import KEY, poll
from tests.e2e.processes import Process, running
from tests.services import Postgres, free_port
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.store import Store
from trunkline.ledger.usage import list_usage_rows
from trunkline_mock import Fault, MockUpstream, Script

UPSTREAM = "sk-planted-" + "u" * 40
PROMPT = "planted-prompt-of-a-patient"
SYSTEM = "planted-system-prompt"
WRONG = "gw_" + "w" * 43


def traffic(gateway: Process, mock: MockUpstream, key: str) -> None:
    """Answers, streams and errors of every kind; one of the failing upstream's errors quotes its key."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    chat = {"model": "mock-model", "messages": messages}
    faults = (
        None,
        Fault("status", status=401, message=f"Bad key {UPSTREAM} for {PROMPT}"),
        Fault("close_after", after=1),
        Fault("no_done"),
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30) as client:
        for fault in faults:
            mock.script = Script(text="fine", fault=fault)
            for bearer in (KEY, key):
                client.headers["Authorization"] = f"Bearer {bearer}"
                for stream in (False, True):
                    client.post("/v1/chat/completions", json={**chat, "stream": stream, "user": PROMPT[:7]})
                    client.post("/api/chat", json={**chat, "stream": stream})
        client.post("/v1/chat/completions", json={"model": WRONG, "messages": messages})
        client.post("/v1/chat/completions", json={"model": "nobody-has-it", "messages": messages})
        client.post("/v1/chat/completions", content=f'{{"messages": "{PROMPT}'.encode())
        client.post(f"/key/{key}/api/chat", json=chat)
        client.get(f"/v1/chat/{WRONG}?key={WRONG}")
        client.headers["Authorization"] = f"Bearer {WRONG}"
        client.post("/v1/chat/completions", json=chat)
        client.headers["Authorization"] = f"Bearer {KEY}"
        metrics = client.get("/metrics").text
        assert "trunkline_requests" in metrics
        (gateway.folder / "metrics.txt").write_text(metrics)


@pytest.mark.parametrize("stored", [False, True], ids=["without prompts", "with prompts"])
def test_nothing_planted_is_found(
    tmp_path: Path, database: str, stored: bool, request: pytest.FixtureRequest
) -> None:
    """But for the prompts in the database, where they are to be stored."""
    store = Store(database)
    record, key = KeyStore(store).create("planted")
    with MockUpstream.in_thread("generic", models=["mock-model"]) as mock:
        settings = {"DATABASE_URL": database, "STORE_PROMPTS": str(stored), "LOG_LEVEL": "DEBUG"}
        settings |= {"OPENAI_API_KEY": UPSTREAM, "OPENAI_BASE_URL": mock.base_url}
        with running(tmp_path, mock, free_port(), **settings) as gateway:
            traffic(gateway, mock, key)
            gateway.popen.terminate()
            poll(lambda: gateway.popen.poll() is not None)
        rows = list_usage_rows(store)
        store.close()
    assert {row["key_id"] for row in rows} >= {record.id}
    assert {row["status"] for row in rows} >= {200, 404, 502}
    dump = dumped(database, tmp_path, request)
    assert record.id.encode() in dump
    left = {
        path.name: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "trunkline.yaml"
    }
    assert b"mock-model" in left["gateway.log"]
    for name, found in {**left, "the dump": dump}.items():
        for secret in (KEY, key, UPSTREAM, WRONG):
            assert secret.encode() not in found, name
        of_database = name == "the dump" or name.startswith("trunkline.db")
        for prompt in (PROMPT, SYSTEM):
            if stored and name == "the dump":
                assert prompt.encode() in found
            elif not (stored and of_database):
                assert prompt.encode() not in found, name


def dumped(database: str, folder: Path, request: pytest.FixtureRequest) -> bytes:
    """All that is in a database, as its own tools tell it."""
    if database.startswith("sqlite"):
        import sqlite3

        with sqlite3.connect(folder / "trunkline.db") as connection:
            return "\n".join(connection.iterdump()).encode()
    server: Postgres = request.getfixturevalue("postgres")
    return server.dump(database)
