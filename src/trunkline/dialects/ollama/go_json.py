"""Requests as Go's JSON decoder reads them: what Ollama takes and a strict decoder does not.

Go finds a field in any case of its letters (the last spelling wins), stops reading at the end of the first
value, and puts U+FFFD where half a surrogate pair or bytes that are not UTF-8 stand in a text. Such a body is
written again as everybody else reads it, once, before anything else looks at it. Two objects or lists of one
name are refused, as Go would merge them. Source: Go's ``encoding/json``, and Gin's ``ShouldBindJSON``, which
Ollama reads its requests with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, get_args

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.field_names import decode_fields, fold
from trunkline.dialects.ollama import request_schema as schema
from trunkline.errors import INVALID_REQUEST, CallerError

_STRUCTS: Final = (
    schema.Chat,
    schema.Generate,
    schema.AnyEmbed,
    schema.MessageIn,
    schema.CallIn,
    schema.FunctionIn,
    schema.ToolIn,
    schema.FunctionSpec,
)
"""What are structs in Go, too. Everything else there is a map, whose names are taken as they are."""

_OTHERS: Final[Mapping[type, tuple[str, ...]]] = {
    schema.CallIn: ("type",),
    schema.FunctionIn: ("index",),
    schema.ToolIn: ("type", "items"),
}
"""Fields that Ollama knows besides."""

_NAMES: Final = frozenset(
    fold(field.encode_name) for struct in _STRUCTS for field in msgspec.structs.fields(struct)
) | {name for names in _OTHERS.values() for name in names}
_ODD_NAME: Final = re.compile(rb'("[a-z_]*+(?:[A-Z]|\\u|[\x80-\xff])(?:[\w\x80-\xff]|\\u)*+")\s*+:')
find_odd_name: Final = _ODD_NAME.search
"""Finds a name with a capital, an escape or a letter that is not ASCII, without which no field has another
spelling than its usual one."""
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_value_at: Final = json.JSONDecoder().raw_decode
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def repair(body: bytes) -> bytes | None:
    """Return a body that is not JSON as Go reads it; None if Go cannot read it either."""
    text = _ESCAPE.sub(_whole_escape, body).decode("utf-8", "replace").lstrip(" \t\r\n")
    try:
        _, end = _value_at(text)
    except UNREADABLE:
        return None
    return text[:end].encode()


def respell(body: bytes, struct: type[msgspec.Struct]) -> bytes:
    """Return ``body`` with the names of ``struct`` in their usual spelling; ``body`` itself if they have it
    already, or if it is no JSON object.

    Raises:
        CallerError: Two of its objects or lists have one name in different spellings.
    """
    try:
        if not any(fold(_decode(each[1])) in _NAMES for each in _ODD_NAME.finditer(body)):
            return body
        value = _decode(body)
    except UNREADABLE:
        return body
    usual = respelled(value, struct) if isinstance(value, dict) else value
    return body if usual == value else msgspec.json.encode(usual)


def without_doubles(body: bytes, fields: dict[str, msgspec.Raw]) -> bytes:
    """Return ``body`` with one field of each name, among its options too; itself, where it has no other.

    Args:
        body: A request.
        fields: What it was decoded to: of several with one name, the last.
    """
    options = fields.get("options")
    if options is not None and bytes(options).startswith(b"{"):
        fields["options"] = msgspec.Raw(_encode(decode_fields(options)))
    usual = _encode(fields)
    return body if len(usual) == len(body) else usual


def respelled(value: Mapping[str, Any], struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the fields of ``struct`` in ``value`` by their usual names, and all others as they are.

    Raises:
        CallerError: Two objects or lists have one name in different spellings: Go merges them. Of other
            values it takes the last.
    """
    inner, by_fold = _members(struct)
    found: dict[str, Any] = {}
    for name, member in value.items():
        usual = name if name in inner else by_fold.get(fold(name))
        kind = None if usual is None else inner[usual]
        if kind is not None and isinstance(member, list):
            member = [respelled(each, kind) if isinstance(each, dict) else each for each in member]
        elif kind is not None and isinstance(member, dict):
            member = respelled(member, kind)
        if usual in found and isinstance(member, dict | list):
            raise CallerError(f"{usual}: given twice, in different spellings", INVALID_REQUEST, param=usual)
        found[name if usual is None else usual] = member
    return found


@cache
def _members(
    struct: type[msgspec.Struct],
) -> tuple[Mapping[str, type[msgspec.Struct] | None], Mapping[str, str]]:
    """The fields of a struct with the structs in them, and their names by what all spellings have in
    common."""
    inner: dict[str, type[msgspec.Struct] | None] = {
        field.encode_name: _inner(field.type) for field in msgspec.structs.fields(struct)
    }
    inner |= dict.fromkeys(_OTHERS.get(struct, ()))
    return inner, {fold(name): name for name in inner}


def _inner(annotation: Any) -> type[msgspec.Struct] | None:
    """The struct that a field holds, alone or in a list."""
    if annotation in _STRUCTS:
        struct: type[msgspec.Struct] = annotation
        return struct
    return next((found for each in get_args(annotation) if (found := _inner(each)) is not None), None)


def _whole_escape(match: re.Match[bytes]) -> bytes:
    return match.group() if match.group(1) is None else b"\\ufffd"
