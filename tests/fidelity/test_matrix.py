"""Every cell of the fidelity matrix, produced and compared with what it ought to be."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fidelity.expected import COUNTED, ROWS
from tests.fidelity.features import FEATURES
from tests.fidelity.fronts import FRONTS
from tests.fidelity.matrix import World, produce, world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[World]:
    """One gateway for all cells: they leave nothing behind."""
    async with world() as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("front", "back", "feature"), COUNTED, ids=["-".join(key) for key in COUNTED])
async def test_cell(there: World, front: str, back: str, feature: str) -> None:
    assert await produce(there, front, back, feature) == COUNTED[front, back, feature].kind


def test_every_row_is_produced() -> None:
    assert list(FEATURES) == list(ROWS)


@pytest.mark.parametrize("front", FRONTS)
def test_a_front_asks_for_what_its_dialect_has_and_for_nothing_else(front: str) -> None:
    has = {row.name for row in ROWS.values() if front not in row.lacks}
    assert FRONTS[front].ASKS.keys() <= has
