"""The limit on open files."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from trunkline.server.app.run import allow_files


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_on_open_files_is_raised_as_far_as_the_machine_permits(limits: tuple[int, int]) -> None:
    _, most = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (900, most))
    allow_files(1000)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, most)
    allow_files(950)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (1000, most)
    if most != resource.RLIM_INFINITY:
        allow_files(most + 1)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
