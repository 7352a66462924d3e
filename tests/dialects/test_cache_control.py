"""Cache breakpoints, read and written."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.cache_control import read_ttl, write_cache_control
from trunkline.model import Text


@pytest.mark.parametrize("control", [{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
def test_what_is_read_is_written_again(control: dict[str, Any]) -> None:
    part = Text(text="x", cache=True, cache_ttl=read_ttl(control))
    assert write_cache_control(part) == {"cache_control": control}


def test_other_texts_have_none() -> None:
    assert write_cache_control(Text(text="x")) == {}
    assert read_ttl({"ttl": 5}) is None
