"""Searches of the web by vendors' own tools, for backs that cannot ask their vendor for one."""

from __future__ import annotations

from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import ChatRequest, WebSearch


def refuse_web_search(search: WebSearch | None, who: str) -> None:
    """Refuse a search where the upstream has none, unless the answer makes sense without it.

    Args:
        search: What the request asks for.
        who: The upstream, for the error's text.

    Raises:
        CallerError: It asks for a search; the error names the client's tool.
    """
    if search is not None and not search.optional:
        raise CallerError(
            f"{who} has no web search of its own for this model: '{search.kind}' is not supported "
            f"('{search.field}')",
            UNSUPPORTED,
            param=search.field,
        )


def forces_search(request: ChatRequest) -> bool:
    """Return whether the model has to search: the request's tool choice names the search."""
    choice, search = request.tool_choice, request.web_search
    return search is not None and choice is not None and choice.name == search.tool_name
