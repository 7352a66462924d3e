"""Canonical values."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trunkline.model import MOST_COST, MOST_TOKENS, Document, Usage


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (Document(data="SGk=", media_type="text/plain"), "Hi"),
        (Document(data="SGk=", media_type="text/markdown", name="A"), "A\n\nHi"),
        (Document(data="SGk=", media_type="application/pdf"), None),
        (Document(data="SGk="), None),
        (Document(url="https://example.com/a.txt", media_type="text/plain"), None),
        (Document(data="/w==", media_type="text/plain"), None),
        (Document(data="?", media_type="text/plain"), None),
    ],
)
def test_the_text_of_a_document(document: Document, text: str | None) -> None:
    assert document.text == text


@pytest.mark.parametrize(
    ("given", "clipped"),
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
def test_usage_is_clipped(given: dict[str, Any], clipped: dict[str, Any]) -> None:
    usage = Usage(**given)
    names = Usage.__struct_fields__
    counts = {"prompt_tokens": 0, "completion_tokens": 0}
    assert {name: getattr(usage, name) for name in names} == dict.fromkeys(names) | counts | clipped
