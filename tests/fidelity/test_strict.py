"""The axis of strict vendors, produced and compared with what it ought to be."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fidelity.matrix import World
from tests.fidelity.strict import STRICT_CELLS, produce_strict, strict_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[World]:
    """One gateway for all cells: they leave nothing behind."""
    async with strict_world() as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("front", "vendor", "feature"), [pytest.param(*key, id="-".join(key)) for key in STRICT_CELLS]
)
async def test_cell(there: World, front: str, vendor: str, feature: str) -> None:
    expected = STRICT_CELLS[front, vendor, feature]
    assert await produce_strict(there, front, vendor, feature) == expected
