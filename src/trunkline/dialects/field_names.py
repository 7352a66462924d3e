"""The names of a request's fields: that every reader of a body reads the same in it.

Some servers find a field in any case of its letters, as Go does (where the long s is an s, and the Kelvin
sign a k), and of two fields with one name some take the first and some the last. So a name that is known only
in another spelling is refused, and a body with two fields of one name is written again with the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from trunkline.errors import INVALID_REQUEST, CallerError, redact

_DOT_ABOVE: Final = "\u0307"
"""What is left over an i where a dotted capital one is made small."""
_encode: Final = msgspec.json.Encoder().encode
decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def fold(name: str) -> str:
    """Return what all spellings of a name have in common, for whichever reader that tells no case."""
    return name.upper().casefold().replace(_DOT_ABOVE, "")


class FieldNames:
    """The names that one kind of request has.

    Args:
        decisive: Those that are read here, or that decide what a request does.
        others: Further names that are known; in another spelling they are left alone.
    """

    def __init__(self, decisive: Iterable[str], others: Iterable[str] = ()) -> None:
        self._decisive = {fold(name): name for name in decisive}
        self.known: Final = frozenset(self._decisive.values()) | frozenset(others)
        """The names, for a first look: a body that has no others has them in their usual spelling."""

    def check(self, fields: Mapping[str, object]) -> None:
        """Refuse a request with a decisive name in another spelling.

        Raises:
            CallerError: 400, it has one.
        """
        for name in fields:
            if name not in self.known and (usual := self._decisive.get(fold(name))) is not None:
                text = f"Unrecognized request argument supplied: {redact(name)}. Write it '{usual}'"
                raise CallerError(text, INVALID_REQUEST, param=usual)

    def usual(self, body: bytes) -> bytes:
        """Return ``body`` with one field of each name; itself, where it has no other and no space between
        them.

        Args:
            body: A JSON object.

        Raises:
            CallerError: 400, a decisive name is spelled in another way.
        """
        fields = decode_fields(body)  # of several fields with one name, it has the last
        if not self.known.issuperset(fields):
            self.check(fields)
        usual = _encode(fields)
        return body if len(usual) == len(body) else usual


def names_of(*structs: type[msgspec.Struct]) -> set[str]:
    """Return the names of the fields of structs."""
    return {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}


def named_models(value: Any) -> tuple[str, ...]:
    """Return the models that a field of a request names besides its model: in a list of names, or of objects
    with a name, as deep as they stand."""
    found: list[str] = []
    _collect(value, found, is_name=True)
    return tuple(dict.fromkeys(found))


def models_within(value: Any) -> tuple[str, ...]:
    """Return the models that settings of something else name, in members whose names say so."""
    found: list[str] = []
    _collect(value, found, is_name=False)
    return tuple(dict.fromkeys(found))


def _collect(value: Any, found: list[str], *, is_name: bool) -> None:
    if isinstance(value, str):
        if is_name:
            found.append(value)
    elif isinstance(value, list):
        for each in value:
            _collect(each, found, is_name=is_name)
    elif isinstance(value, dict):
        for name, member in value.items():
            _collect(member, found, is_name=_names_a_model(name))


def _names_a_model(name: str) -> bool:
    return "model" in fold(name) or fold(name) in ("fallbacks", "preset")
