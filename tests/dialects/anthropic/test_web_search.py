from __future__ import annotations

from trunkline.dialects.anthropic.request_schema import ToolIn
from trunkline.dialects.anthropic.web_search import parse_search, search_tool
from trunkline.model import WebSearch


def test_a_search_survives_both_ways() -> None:
    tool = ToolIn(
        name="web_search",
        type="web_search_20260209",
        max_uses=3,
        allowed_domains=["a.it"],
        blocked_domains=[],
        user_location={"type": "approximate", "city": "Rome", "region": None},
    )
    search = parse_search(tool, "tools[1]")
    assert search == WebSearch(
        field="tools[1].type",
        kind="web_search_20260209",
        location={"city": "Rome"},
        allowed_domains=("a.it",),
        max_uses=3,
    )
    assert search_tool(search) == {
        "type": "web_search_20250305",
        "name": "web_search",
        "max_uses": 3,
        "allowed_domains": ["a.it"],
        "user_location": {"type": "approximate", "city": "Rome"},
    }


def test_blocked_domains() -> None:
    wire = search_tool(WebSearch(field="f", kind="k", blocked_domains=("b.it",)))
    assert wire["blocked_domains"] == ["b.it"]
