"""Who a provider is as the maker of vendor state."""

from __future__ import annotations

from typing import Final

from trunkline.dialects.vendor_state import Maker
from trunkline.providers.thought_rules import FORMS
from trunkline.providers.vendors import VendorSpec

_ANYBODY: Final = "openai-compatible"


def maker_of(name: str, spec: VendorSpec) -> Maker:
    """The maker of what the provider ``name`` gives: its vendor, so that two accounts there take each other's
    state; for a server that may be anybody's, the provider itself."""
    who = f"provider={name}" if spec.kind == _ANYBODY else spec.kind
    return Maker(who, FORMS.get(spec.kind))
