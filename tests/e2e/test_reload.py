"""A changed configuration, taken over by a gateway that serves."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import KEY, _ready, poll
from tests.gateways import GUARD, chat, events, make_settings, serving, until
from tests.gateways import KEY as INSIDE
from trunkline.server.app.reload import Reloader
from trunkline.settings import ProviderConfig, Settings, SettingsError
from trunkline_mock import MockUpstream, Script


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """A gateway started from a file: its address, the file, its log, its process, and an admin's key."""
    with MockUpstream.in_thread("ollama") as mock:
        config = tmp_path / "trunkline.yaml"
        config.write_text(f"ollama_base_url: {mock.base_url}\n")
        environment = os.environ | {"PORT": "0", "HOST": "127.0.0.1", "ALLOWED_API_KEYS": KEY}
        environment |= {"DATABASE_URL": f"sqlite:///{tmp_path / 'keys.db'}"}
        command = [sys.executable, "-m", "trunkline"]
        admin = subprocess.run(
            [*command, "keys", "create", "admin"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        log = tmp_path / "gateway.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*command, "serve", "--config", str(config)],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=tmp_path,
                env=environment,
            )
        try:
            yield _ready(process, log), config, log, process, admin
            process.terminate()
            assert process.wait(GUARD) == 0
        finally:
            process.kill()
            process.wait()


def model_of(url: str, name: str) -> str | None:
    """The model that answers to a name; None if none does."""
    answer = httpx.post(
        f"{url}/v1/chat/completions", json=chat(name), headers={"authorization": f"Bearer {KEY}"}
    )
    return answer.json()["model"] if answer.status_code == 200 else None


def test_by_the_file_by_a_signal_and_by_request(started: Any) -> None:
    url, config, log, process, admin = started
    plain = config.read_text()

    def serves(name: str, model: str) -> Callable[[], bool]:
        return lambda: model_of(url, name) == model

    assert model_of(url, "fast") is None
    config.write_text(f"{plain}aliases: {{fast: ollama/llama2}}\n")
    poll(serves("fast", "llama2"))
    os.kill(process.pid, signal.SIGHUP)
    poll(lambda: log.read_text().count("configuration taken over") >= 2)
    config.write_text(f"{plain}aliases: {{fast: ollama/qwen3:8b}}\nport: 1\n")
    reload = f"{url}/admin/v1/reload"
    answer = httpx.post(reload, headers={"authorization": f"Bearer {admin}"}, timeout=GUARD)
    assert answer.status_code == 200
    assert model_of(url, "fast") == "qwen3:8b"
    refused = httpx.post(reload, headers={"authorization": f"Bearer {KEY}"})
    assert refused.status_code == 403
    for text in "aliases: [broken\n", "models: &a {x: *a}\n", "models: " + "[" * 20_000:
        config.write_text(plain + text)
        refused = httpx.post(reload, headers={"authorization": f"Bearer {admin}"}, timeout=GUARD)
        assert refused.status_code == 400
        assert "the old one stays" in refused.json()["error"]["message"]
    assert model_of(url, "fast") == "qwen3:8b"
    poll(lambda: "the changed configuration is refused" in log.read_text())


def test_a_file_that_is_lost_changes_nothing(started: Any) -> None:
    url, config, log, _, admin = started
    full = f"{config.read_text()}aliases: {{fast: ollama/llama2}}\n"
    config.write_text(full)
    poll(lambda: model_of(url, "fast") == "llama2")

    def refusal() -> str:
        answer = httpx.post(
            f"{url}/admin/v1/reload", headers={"authorization": f"Bearer {admin}"}, timeout=GUARD
        )
        assert answer.status_code == 400
        return str(answer.json()["error"]["message"])

    for text, told in (
        ("", "holds no settings any more"),
        ("# nothing\n", "holds no settings any more"),
        (full[: full.index(" {fast")], "ends where it used to go on"),
        (full[: full.index("llama2")], "expected ',' or '}'"),
        ("aliases: &a {fast: *a}\n", "refers to itself"),
        ("- 1\n", "must hold settings"),
    ):
        config.write_text(text)
        assert told in refusal()
        assert model_of(url, "fast") == "llama2"
    config.unlink()
    assert "is not there any more" in refusal()
    config.mkdir()
    assert "is a folder and no file" in refusal()
    config.rmdir()
    assert model_of(url, "fast") == "llama2"
    poll(lambda: "is not there any more; if that is meant, start the gateway again" in log.read_text())
    config.write_text(full.replace("llama2", "qwen3:8b"))
    poll(lambda: model_of(url, "fast") == "qwen3:8b")
    assert "Traceback" not in log.read_text()


def test_a_store_that_is_lost_lets_its_keys_in(started: Any) -> None:
    url, config, log, _, admin = started
    store = config.parent / "keys.db"
    bearer = {"authorization": f"Bearer {admin}"}
    poll(lambda: httpx.get(f"{url}/admin/v1/keys", headers=bearer, timeout=GUARD).status_code == 200)
    for path in config.parent.glob("keys.db*"):
        path.unlink()
    poll(lambda: log.read_text().count("the file is not there any more") >= 1)
    assert f"DATABASE_URL: the store {store} cannot be used: " in log.read_text()
    answer = httpx.get(f"{url}/admin/v1/keys", headers=bearer, timeout=GUARD)
    assert answer.status_code == 503
    assert "the file is not there any more" in answer.json()["error"]["message"]
    reloaded = httpx.post(f"{url}/admin/v1/reload", headers=bearer, timeout=GUARD)
    assert reloaded.status_code == 200
    chatted = httpx.post(f"{url}/v1/chat/completions", json=chat("ollama/llama2"), headers=bearer)
    assert chatted.status_code == 200
    poll(lambda: "the database does not take usage" in log.read_text())
    assert not store.exists()
    assert "Traceback" not in log.read_text()


def _settings(model: str, *mocks: MockUpstream, **changes: Any) -> Settings:
    providers = {
        f"p{at}": ProviderConfig(type="openai-compatible", url=mock.base_url, models=("m",))
        for at, mock in enumerate(mocks)
    }
    return make_settings(providers=providers, aliases={"mine": model}, **changes)


async def test_two_hundred_streams_are_not_cut() -> None:
    script = Script(text="word " * 20, delay_chunk_s=0.02)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(MockUpstream("generic", script, any_model=True))
        other = await stack.enter_async_context(MockUpstream("generic", script, any_model=True))
        running = await stack.enter_async_context(serving(_settings("p0/m", one)))
        gateway = running.gateway
        limits = httpx.Limits(max_connections=None)
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=running.url,
                headers={"authorization": f"Bearer {INSIDE}"},
                timeout=GUARD,
                limits=limits,
            )
        )

        async def ask() -> httpx.Response:
            return await client.post("/v1/chat/completions", json=chat("mine", stream=True))

        asked = [asyncio.create_task(ask()) for _ in range(200)]
        await until(lambda: len(gateway.pipeline.active) == 200)
        old = gateway.providers["p0"]
        reloader = Reloader(gateway, lambda: _settings("p1/m", one, other, max_retries=1))
        found = await reloader.reload()
        assert set(found.changed) == {"PROVIDERS", "ALIASES", "MAX_RETRIES"}
        assert gateway.pipeline.active
        answer = await ask()
        assert answer.headers["x-trunkline-provider"] == "p1"
        answers = await asyncio.gather(*asked)
        assert {each.headers["x-trunkline-provider"] for each in answers} == {"p0"}
        for each in answers:
            records = events(each.content)
            assert records[-1] == "[DONE]"
            assert (
                "".join(
                    c["choices"][0]["delta"].get("content") or "" for c in records[:-1] if c["choices"]
                ).split()
                == ["word"] * 20
            )
        assert gateway.providers["p0"] is not old  # max_retries is a part of it
        again = await Reloader(gateway, lambda: _settings("p0/m", one, other, max_retries=1)).reload()
        assert again.changed == ["ALIASES"]
        kept = gateway.providers["p0"]
        await Reloader(gateway, lambda: _settings("p1/m", one, other, max_retries=1)).reload()
        assert gateway.providers["p0"] is kept


async def test_what_cannot_change_and_what_is_refused() -> None:
    async with MockUpstream("generic", any_model=True) as mock, serving(_settings("p0/m", mock)) as running:
        gateway = running.gateway
        found = await Reloader(gateway, lambda: _settings("p0/m", mock, port=1, log_level="DEBUG")).reload()
        assert (found.changed, sorted(found.at_next_start)) == ([], ["LOG_LEVEL", "PORT"])

        def broken() -> Settings:
            raise SettingsError("trunkline.yaml:3: no")

        before = gateway.wiring
        reloader = Reloader(gateway, broken)
        with pytest.raises(SettingsError):
            await reloader.reload()
        reloader.request()
        await until(lambda: not reloader._requested)
        assert gateway.wiring is before


async def test_the_rules_file_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.server.app.reload.INTERVAL_S", 0.01)
    rules = tmp_path / "rules.txt"
    rules.write_text("other\n")
    async with MockUpstream("generic", any_model=True) as mock:
        settings = _settings("p0/m", mock, models_filter=rules)
        async with serving(settings) as running:
            gateway = running.gateway
            reloader = gateway.reloader = Reloader(gateway, lambda: settings)
            assert not gateway.catalog.listings["p0"].models
            reloader.start()
            await asyncio.sleep(0)
            rules.write_text("m\nother\n")
            await until(lambda: bool(gateway.catalog.listings["p0"].models))
