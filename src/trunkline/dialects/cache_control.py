"""Cache breakpoints, in the form in which Anthropic's API and some of OpenAI's kind have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.model import Text


def read_ttl(control: Mapping[str, Any]) -> str | None:
    """Return how long a ``cache_control`` has the prompt kept, if it says so."""
    ttl = control.get("ttl")
    return ttl if isinstance(ttl, str) else None


def write_cache_control(part: Text) -> dict[str, Any]:
    """Return the field ``cache_control`` of a text; nothing if it is no breakpoint."""
    if not part.cache:
        return {}
    control = {"type": "ephemeral"} | ({"ttl": part.cache_ttl} if part.cache_ttl else {})
    return {"cache_control": control}
