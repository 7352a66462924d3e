"""An opened store, once in each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.ledger.store import Store


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store(database) as opened:
        yield opened
