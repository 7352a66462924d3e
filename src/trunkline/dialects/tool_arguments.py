"""The arguments of tool calls, which most dialects want to be a JSON object."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.errors import INVALID_JSON, CallerError

WRAPPED: Final = "arguments"
"""The one member of an object that was made of arguments that are none."""
_MAX_ENCODED: Final = 3
"""How often arguments may have been encoded over and over."""

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

    A model may encode them twice, wrap them in a list, or write ``null`` or ``[]`` where a tool takes none;
    it may fence them as code, close them once too often, or forget to escape a line break. Any other text is
    returned as it is.
    """
    text = arguments
    for _ in range(3):
        if not text.strip():
            return "{}"
        try:
            value = _decode(text)
        except UNREADABLE:
            mended = _mend(text)
            return arguments if mended is None else mended
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            return _encode(value[0]).decode()
        if value is None or value == []:
            return "{}"
        if not isinstance(value, str):
            return text if isinstance(value, dict) else arguments
        text = value
    return arguments


_FENCE: Final = re.compile(r"^\s*```\w*\n(.*?)\n?```\s*$", re.DOTALL)
_lenient: Final = json.JSONDecoder(strict=False)


def _mend(text: str) -> str | None:
    """The text of the object that ``text`` nearly is."""
    fenced = _FENCE.match(text)
    text = (fenced[1] if fenced else text).strip()
    try:
        value, end = _lenient.raw_decode(text)
    except UNREADABLE:
        return None
    return _encode(value).decode() if isinstance(value, dict) and not text[end:].strip(" \n\t}])") else None


def as_object(arguments: str) -> str:
    """Return ``arguments`` as the JSON text of an object.

    Text of an object stays as it is, and so does one that was encoded as a string once more. Nothing (no
    text, ``null``, an empty list) is an empty object. All else, such as the text of a call that was cut
    short, becomes the one member of an object: a conversation goes on with it, and loses nothing.
    """
    text = arguments
    for _ in range(_MAX_ENCODED):
        text = text.strip()
        if not text:
            return "{}"
        try:
            value: Any = _decode(text)
        except UNREADABLE:
            mended = _mend(text)
            return _wrap(text) if mended is None else mended
        if isinstance(value, dict):
            return text
        if value is None or value == []:
            return "{}"
        if not isinstance(value, str):
            return _wrap(value)
        text = value
    return _wrap(text)


def argument_text(value: Any) -> str:
    """Return as JSON text what a client sent as arguments: their text, or the value itself."""
    if isinstance(value, str):
        return value or "{}"
    return "{}" if value is None else _encode(value).decode()


def raw_text(value: msgspec.Raw) -> str:
    """Return a value that a client sent as JSON text.

    Raises:
        CallerError: It is not UTF-8.
    """
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        raise CallerError("The request body is not JSON: it is not UTF-8", INVALID_JSON) from None


def _wrap(value: Any) -> str:
    return _encode({WRAPPED: value}).decode()
