from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.responses import server_items
from trunkline.errors import CallerError
from trunkline.model import Image


def raw(item: dict[str, Any]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(item))


@pytest.mark.parametrize(
    ("kind", "item", "text"),
    [
        (
            "web_search_call",
            {"id": "ws", "action": {"type": "search", "query": "x"}},
            '[web_search_call] {"action":{"type":"search","query":"x"}}',
        ),
        (
            "mcp_call",
            {"name": "f", "arguments": "{}", "output": "4", "error": None},
            '[mcp_call] {"name":"f","arguments":"{}","output":"4"}',
        ),
        ("file_search_call", {"id": "fs", "queries": [], "results": None}, None),
    ],
)
def test_what_an_item_tells(kind: str, item: dict[str, Any], text: str | None) -> None:
    told = server_items.as_text(kind, raw(item), "input[0]")
    assert (told and told.text) == text


def test_a_generated_image() -> None:
    assert server_items.as_image(raw({"result": "iVBOR"}), "input[0]") == Image(data="iVBOR")
    assert server_items.as_image(raw({"result": None}), "input[0]") is None


def test_an_item_that_is_not_utf8() -> None:
    with pytest.raises(CallerError):
        server_items.as_text("mcp_call", msgspec.Raw(b'{"name":"\xff"}'), "input[0]")
