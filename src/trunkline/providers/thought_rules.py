"""What each vendor takes back of earlier turns' thinking and state: data, one row a vendor.

A row counts for the provider type of its name, and for a server of the type ``openai-compatible`` whose
address, or whose setting ``vendor``, says that it is the vendor's. A server that has no row gets back what it
sent itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from trunkline.dialects.openai.thoughts import ALL_FIELDS, ThoughtRules
from trunkline.dialects.vendor_state import Form, MadeState, Maker
from trunkline.providers.fits import KNOWN_VENDORS

_REFUSES_ALL: Final = ThoughtRules(turns="never", refuses=ALL_FIELDS)
_CONTENT: Final = "reasoning_content"
_SIGNED: Final = frozenset({"reasoning_details", "extra_content"})
"""State of other vendors' that a vendor without any does not know."""

_NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What Gemini takes in the place of a signature, for calls that it did not make."""

RULES: Final[Mapping[str, ThoughtRules]] = {
    "openai": _REFUSES_ALL,
    "groq": _REFUSES_ALL,
    "mistral": ThoughtRules(turns="never", refuses=ALL_FIELDS, takes_thinking_parts=True),
    "cerebras": ThoughtRules(field="reasoning", turns="calls", refuses=ALL_FIELDS - {"reasoning"}),
    "openrouter": ThoughtRules(
        refuses=frozenset({"extra_content"}),
        missing_signature=_NO_SIGNATURE,
        signed_models=("*google/gemini-*",),
        signs_in_details=True,
    ),
    "deepseek": ThoughtRules(
        field=_CONTENT,
        turns="calls",
        insists=True,
        refuses=_SIGNED | frozenset({"reasoning"}),
    ),
    "moonshot": ThoughtRules(
        field=_CONTENT,
        turns="calls",
        insists=True,
        refuses=_SIGNED | frozenset({"reasoning"}),
    ),
    "zai": ThoughtRules(field=_CONTENT, turns="all", refuses=_SIGNED),
    "minimax": ThoughtRules(refuses=frozenset({"extra_content"})),
    "dashscope": ThoughtRules(field=_CONTENT, turns="calls", refuses=_SIGNED),
    "gemini": ThoughtRules(
        turns="never",
        refuses=ALL_FIELDS - {"extra_content"},
        missing_signature=_NO_SIGNATURE,
    ),
}
"""OpenRouter is told all turns' thinking besides (see its quirks)."""

HOSTS: Final[Mapping[str, str]] = {
    **{host: name for name, vendor in KNOWN_VENDORS.items() if name in RULES for host in vendor.hosts},
    "api.anthropic.com": "anthropic",
    "openrouter.ai": "openrouter",
}
"""The host in a vendor's address → its row."""

_NAMED: Final = frozenset({*RULES, "anthropic"})
"""Provider types that are one vendor."""

FORMS: Final[Mapping[str, Mapping[Form, re.Pattern[str]]]] = {
    "anthropic": {"signature": re.compile(r"(?![0-9a-f]+={0,2}$)[A-Za-z0-9+/]{40,}={0,2}")},
    "openai": {"encrypted": re.compile(r"gAAAA[A-Za-z0-9_=-]+")},
}
"""How the state looks that these vendors make: base64 of a message of some length; a Fernet token. Other
vendors put hexadecimal digests and UUIDs in the same fields."""


def rules_for(kind: str, urls: Iterable[str] = (), vendor: str | None = None) -> ThoughtRules | None:
    """The row of a provider of this type at these addresses; None if nobody knows its vendor.

    Args:
        kind: its type.
        urls: its addresses.
        vendor: whose API it has, if the settings say so.
    """
    if kind in RULES:
        return RULES[kind]
    return RULES.get(vendor or _vendor_at(urls) or "")


def _vendor_at(urls: Iterable[str]) -> str | None:
    """The vendor whose addresses these are; None if nobody knows it."""
    found = {HOSTS.get(urlsplit(url).hostname or "") for url in urls}
    return found.pop() if len(found) == 1 else None


def maker_of(
    name: str,
    kind: str,
    urls: Iterable[str] = (),
    made: MadeState | None = None,
    vendor: str | None = None,
) -> Maker:
    """Who a provider is as the maker of state.

    Args:
        name: the provider's.
        kind: its type.
        urls: its addresses.
        made: which state was made by whom.
        vendor: whose API it has, if the settings say so.

    Returns:
        Its vendor, by the address or by the type, so that two accounts there take each other's state; for a
        server that may be anybody's, the provider itself.
    """
    vendor = vendor or _vendor_at(urls) or (kind if kind in _NAMED else None)
    if vendor is None:
        return Maker(f"provider={name}", made=made)
    return Maker(vendor, FORMS.get(vendor), made)
