"""The gateway that is made from settings: its start, its keys, its end."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from tests.gateways import BEARER, KEY, chat, make_gateway, make_settings, post, serving, until, upstream
from trunkline.ledger.locate import StoreError
from trunkline.ledger.policies import Policies, StoredKey
from trunkline.server.app import policy_watcher
from trunkline.settings import SettingsError
from trunkline_mock import MockUpstream, Script

NEW = "gw_" + "n" * 43


class Store:
    """A key store that a test changes."""

    def __init__(self, *, blocking: bool) -> None:
        self.blocking = blocking
        self.keys: list[StoredKey] = []
        self.fails = False
        self.looks = 0
        self.closed = False
        self._seen: list[StoredKey] = []

    def load(self) -> Policies:
        self._seen = self.keys
        return Policies(keys=tuple(self.keys))

    def has_changed(self) -> bool:
        self.looks += 1
        if self.fails:
            raise StoreError("unavailable")
        return self.keys is not self._seen

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("blocking", [True, False])
async def test_keys_are_added_and_removed_while_it_runs(
    monkeypatch: pytest.MonkeyPatch, blocking: bool
) -> None:
    monkeypatch.setattr(policy_watcher, "INTERVAL_S", 0.001)
    store = Store(blocking=blocking)
    async with serving(make_settings(), keys=store) as running:
        find = running.gateway.key_ring.find
        assert find(NEW.encode()) is None
        digest = sha256(NEW.encode()).hexdigest()
        store.keys = [StoredKey(id="1", name="new", role="admin", prefix="gw_nnn", hash=digest)]
        await until(lambda: find(NEW.encode()) is not None)
        store.fails = True
        looks = store.looks
        await until(lambda: store.looks > looks + 2)
        assert find(NEW.encode()) is not None  # the keys that were read last still apply
        store.fails = False
        store.keys = []
        await until(lambda: find(NEW.encode()) is None)
        assert find(KEY.encode()) is not None
    assert store.closed


async def test_closing_stops_the_requests_under_way() -> None:
    async with MockUpstream("openai", Script(fault=None, delay_first_s=60)) as mock:
        gateway = make_gateway(make_settings(providers={"vllm": upstream(mock)}))
        await gateway.start()
        async with serving(make_settings(providers={"vllm": upstream(mock)})) as running:
            wire = await running.connect()
            wire.send(post(chat("gpt-4o"), BEARER))
            await mock.until(lambda: bool(mock.calls))
            await running.gateway.aclose()
            await mock.closed()
            assert not running.gateway.pipeline.active
        await gateway.aclose()
        await gateway.aclose()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


def test_a_models_filter(tmp_path: Path) -> None:
    rules = tmp_path / "filter.txt"
    rules.write_text("gpt-*\n!gpt-3*\n", encoding="utf-8")
    gateway = make_gateway(make_settings(models_filter=rules))
    assert gateway.catalog.allows("openai/gpt-4o")
    assert not gateway.catalog.allows("gpt-3.5")
    with pytest.raises(SettingsError):
        make_gateway(make_settings(models_filter=tmp_path / "none.txt"))
