"""An opened store and the usage in it, for each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.ledger.store import Store
from trunkline.ledger.usage_store import UsageStore


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store(database) as opened:
        yield opened


@pytest.fixture
def usage_store(database: str) -> Iterator[UsageStore]:
    opened = UsageStore(database)
    yield opened
    opened.close()
