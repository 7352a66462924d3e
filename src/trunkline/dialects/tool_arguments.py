"""The arguments of tool calls, which most dialects want to be a JSON object."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE

_decode: Final = msgspec.json.Decoder().decode


def is_object(arguments: str) -> bool:
    """Return whether ``arguments`` are the JSON text of an object."""
    try:
        return isinstance(_decode(arguments), dict)
    except UNREADABLE:
        return False
