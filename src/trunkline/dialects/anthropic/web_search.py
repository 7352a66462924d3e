"""Anthropic's web search tool, which its own servers run, both ways.

Source: Anthropic's page on the web search tool.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.model import WebSearch

SEARCH_NAME: Final = "web_search"
"""The name that the tool always has."""
SEARCH_PREFIX: Final = "web_search_"
"""Begins the types of all its versions."""
_VERSION: Final = "web_search_20250305"
"""The version that every model with a search has."""


def search_tool(search: WebSearch) -> dict[str, Any]:
    """Return the tool that has the model search. How much it may read of each page is its own choice here."""
    wire: dict[str, Any] = {"type": _VERSION, "name": SEARCH_NAME}
    if search.max_uses is not None:
        wire["max_uses"] = search.max_uses
    if search.allowed_domains:
        wire["allowed_domains"] = list(search.allowed_domains)
    if search.blocked_domains:
        wire["blocked_domains"] = list(search.blocked_domains)
    if search.location is not None:
        wire["user_location"] = {"type": "approximate"} | search.location
    return wire


def parse_search(tool: schema.ToolIn, path: str) -> WebSearch:
    """Return the search that a client's tool is."""
    location = tool.user_location or {}
    return WebSearch(
        field=f"{path}.type",
        kind=tool.type or "",
        tool_name=tool.name or SEARCH_NAME,
        location={
            name: value for name, value in location.items() if name != "type" and isinstance(value, str)
        }
        or None,
        allowed_domains=tuple(tool.allowed_domains or ()),
        blocked_domains=tuple(tool.blocked_domains or ()),
        max_uses=tool.max_uses,
    )
