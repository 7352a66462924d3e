"""A gateway with its admin API, over either database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.gateways import Running, make_settings, serving
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.policies import Role
from trunkline.ledger.reader import open_reader
from trunkline.ledger.writer import Ledger

ROLES: tuple[Role, ...] = ("admin", "member", "read-only")


class AdminApi(NamedTuple):
    """A running gateway, a client for each role, and the URL of its database."""

    running: Running
    admin: httpx.AsyncClient
    member: httpx.AsyncClient
    reader: httpx.AsyncClient
    url: str


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[AdminApi]:
    with KeyStore(database) as store:
        keys = [store.create(role, role)[1] for role in ROLES]
    reader = open_reader(database)
    ledger = Ledger(database, tmp_path / "ledger")
    settings = make_settings(database_url=database)
    async with serving(settings, keys=reader, ledger=ledger) as running:
        clients = [
            httpx.AsyncClient(base_url=running.url, headers={"x-api-key": key}, timeout=30) for key in keys
        ]
        admin, member, only_reads = clients
        yield AdminApi(running, admin, member, only_reads, database)
        for client in clients:
            await client.aclose()
