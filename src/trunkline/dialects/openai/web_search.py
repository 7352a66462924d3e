"""Searches of the web, for vendors of OpenAI's chat API that have one: by a field, or as OpenRouter's plugin.

Sources: OpenAI's guide to web search (chat's search models only), OpenRouter's guide to its web plugin.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from trunkline.dialects.openai.quirks import Quirks
from trunkline.dialects.web_search import forces_search, refuse_web_search
from trunkline.model import ChatRequest


def put_web_search(body: dict[str, Any], request: ChatRequest, model: str, quirks: Quirks) -> None:
    """Have the model search the web.

    Raises:
        CallerError: The vendor has no search for this model, or not within the domains that are asked for.
    """
    search = request.web_search
    assert search is not None
    restricted = bool(search.allowed_domains or search.blocked_domains)
    has_search = any(fnmatchcase(model, pattern) for pattern in quirks.searching_models)
    if not has_search or (restricted and not quirks.takes_plugins):
        refuse_web_search(search, quirks.name)
        return
    options: dict[str, Any] = {}
    if search.context_size is not None:
        options["search_context_size"] = search.context_size
    if search.location is not None:
        options["user_location"] = {"type": "approximate", "approximate": search.location}
    if not quirks.takes_plugins or options:
        body["web_search_options"] = options
    if quirks.takes_plugins:
        plugin: dict[str, Any] = {"id": "web"}
        if search.allowed_domains:
            plugin["include_domains"] = list(search.allowed_domains)
        if search.blocked_domains:
            plugin["exclude_domains"] = list(search.blocked_domains)
        body["plugins"] = [plugin]
    if forces_search(request):
        body.pop("tool_choice", None)
