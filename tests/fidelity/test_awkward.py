"""The axis of awkward answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fidelity.awkward import AWKWARD_CELLS, awkward_world, check_awkward
from tests.fidelity.matrix import World


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there() -> AsyncIterator[World]:
    """One gateway for all cells: they leave nothing behind."""
    async with awkward_world() as made:
        yield made


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("front", "shape"),
    [pytest.param(*key, id="-".join(key)) for key in AWKWARD_CELLS],
)
async def test_cell(there: World, front: str, shape: str) -> None:
    await check_awkward(there, front, shape)


def test_there_are_more_than_forty_shapes() -> None:
    assert len({shape for _, shape in AWKWARD_CELLS}) >= 40
