from __future__ import annotations

from tests.dialects.anthropic.cases import FIRST
from tests.dialects.anthropic.samples import BEGIN, body, event
from trunkline.dialects.anthropic.inspect import StreamInspector


def test_usage_so_far_is_known() -> None:
    inspector = StreamInspector("Acme")
    inspector.feed(BEGIN)
    assert inspector.usage == FIRST.usage


def test_an_error_event_keeps_its_body() -> None:
    """For the client, which is to get it as the vendor wrote it, but for what may be secret."""
    error = {"type": "overloaded_error", "message": "Oh sk-ant-abcdef123456"}
    inspector = StreamInspector("Acme")
    assert inspector.feed(event("error", error=error)) == b""
    assert inspector.error is not None
    kept = body({"type": "error", "error": error | {"message": "Oh ***"}})
    assert inspector.error.body == kept
