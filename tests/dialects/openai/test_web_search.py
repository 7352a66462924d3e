from __future__ import annotations

from typing import Any

import pytest

from trunkline.dialects.openai.quirks import Quirks
from trunkline.dialects.openai.web_search import put_web_search
from trunkline.errors import CallerError
from trunkline.model import ChatRequest, ToolChoice, WebSearch

FIELD = Quirks(searching_models=("*-search-*",))
PLUGIN = Quirks(searching_models=("*",), takes_plugins=True)


def put(quirks: Quirks, model: str = "gpt-search-x", **fields: Any) -> dict[str, Any]:
    search = WebSearch(field="tools[0].type", kind="web_search", **fields)
    choice = ToolChoice(mode="tool", name="web_search")
    body: dict[str, Any] = {"tool_choice": {}}
    put_web_search(
        body, ChatRequest(model=model, messages=(), web_search=search, tool_choice=choice), model, quirks
    )
    return body


@pytest.mark.parametrize(
    ("quirks", "fields", "sent"),
    [
        (FIELD, {}, {"web_search_options": {}}),
        (FIELD, {"context_size": "low"}, {"web_search_options": {"search_context_size": "low"}}),
        (PLUGIN, {}, {"plugins": [{"id": "web"}]}),
        (
            PLUGIN,
            {"location": {"city": "Rome"}, "allowed_domains": ("a.it",), "blocked_domains": ("b.it",)},
            {
                "web_search_options": {
                    "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}
                },
                "plugins": [{"id": "web", "include_domains": ["a.it"], "exclude_domains": ["b.it"]}],
            },
        ),
    ],
)
def test_what_is_sent(quirks: Quirks, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    assert put(quirks, **fields) == sent


def test_what_cannot_be_sent() -> None:
    with pytest.raises(CallerError):
        put(FIELD, allowed_domains=("a.it",))
    with pytest.raises(CallerError):
        put(FIELD, "gpt-4o")
    assert put(Quirks(), optional=True) == {"tool_choice": {}}
