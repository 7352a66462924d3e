"""Canonical values that hold what they promise."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trunkline.model import MOST_COST, MOST_TOKENS, Usage


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({}, {}),
        (
            {"prompt_tokens": 3, "cached_tokens": 2, "cost": 0.5},
            {"prompt_tokens": 3, "cached_tokens": 2, "cost": 0.5},
        ),
        ({"prompt_tokens": -1, "completion_tokens": -(10**30)}, {}),
        ({"completion_tokens": 10**30}, {"completion_tokens": MOST_TOKENS}),
        (
            {"cached_tokens": -5, "reasoning_tokens": 2**63},
            {"cached_tokens": 0, "reasoning_tokens": MOST_TOKENS},
        ),
        ({"cache_write_tokens": -5, "cost": -1e5}, {"cache_write_tokens": 0, "cost": 0.0}),
        ({"cost": 1e300}, {"cost": MOST_COST}),
        ({"cost": math.inf}, {"cost": MOST_COST}),
        ({"cost": math.nan}, {"cost": 0.0}),
    ],
)
def test_usage_gives_nothing_back_and_fits_into_a_sum(said: dict[str, Any], meant: dict[str, Any]) -> None:
    usage = Usage(**said)
    names = Usage.__struct_fields__
    counts = {"prompt_tokens": 0, "completion_tokens": 0}
    assert {name: getattr(usage, name) for name in names} == dict.fromkeys(names) | counts | meant
