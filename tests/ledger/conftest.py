"""An opened store, and what writes usage into it, once in each kind of database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trunkline.ledger.recording import Recording
from trunkline.ledger.store import Store


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with Store(database) as opened:
        yield opened


@pytest.fixture
def recording(database: str) -> Iterator[Recording]:
    opened = Recording(database)
    yield opened
    opened.close()
