"""Errors inside upstreams' answers; the table of their forms is in ``cases``."""

from __future__ import annotations

from tests.dialects.openai.cases import BEGUN, ERROR_RECORD, METERED
from tests.dialects.openai.samples import usage_chunk
from trunkline.dialects.openai.inspect import StreamInspector
from trunkline.dialects.openai.read import StreamReader


def test_usage_before_an_error_still_counts() -> None:
    data = BEGUN + usage_chunk() + ERROR_RECORD
    reader, inspector = StreamReader("Acme"), StreamInspector("Acme", drop_usage=True)
    assert METERED in reader.feed(data)
    assert inspector.feed(data) == BEGUN
    assert inspector.usage == METERED.usage
