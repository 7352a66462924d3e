from __future__ import annotations

import pytest

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.dialects.anthropic.server_blocks import search_result_text, server_text


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (
            schema.SearchResultBlock(
                content=[schema.TextBlock(text="Rain")], source="http://y", title="Milano"
            ),
            "Milano\nhttp://y\n\nRain\n\n",
        ),
        (schema.SearchResultBlock(content=[schema.TextBlock(text="Rain")]), "Rain\n\n"),
    ],
)
def test_a_clients_search(block: schema.SearchResultBlock, text: str) -> None:
    assert search_result_text(block).text == text


def test_what_a_server_did_and_found() -> None:
    use = schema.ServerToolUse(name="web_search", input={"query": "x"})
    assert server_text(use).text == '[server_tool_use] {"name":"web_search","input":{"query":"x"}}\n'
    content = [{"type": "web_search_result", "title": "T", "encrypted_content": "SECRET"}]
    found = schema.WebSearchResult(content=content)
    assert server_text(found).text == '[web_search_tool_result] {"content":[{"title":"T"}]}\n'
