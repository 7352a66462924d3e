"""The arguments of tool calls, which most dialects want to be a JSON object."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def is_object(arguments: str) -> bool:
    """Return whether ``arguments`` are the JSON text of an object."""
    try:
        return isinstance(_decode(arguments), dict)
    except UNREADABLE:
        return False


def open_arguments(arguments: str) -> str:
    """Return the JSON text of the object that ``arguments`` stand for.

    A model may encode them twice, wrap them in a list, or write ``null`` or ``[]`` where a tool takes none.
    Any other text is returned as it is.
    """
    text = arguments
    for _ in range(3):
        if not text.strip():
            return "{}"
        try:
            value = _decode(text)
        except UNREADABLE:
            return arguments
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            return _encode(value[0]).decode()
        if value is None or value == []:
            return "{}"
        if not isinstance(value, str):
            return text if isinstance(value, dict) else arguments
        text = value
    return arguments
