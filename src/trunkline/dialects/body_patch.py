"""Changes to a few top-level fields of a client's own body, on its way to an upstream of the same dialect.

Everything else in the body goes on byte by byte: values are copied as the client wrote them, known or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults, RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.field_names import fold
from trunkline.errors import CallerError

Fields = dict[str, msgspec.Raw]

decode_fields: Final = msgspec.json.Decoder(Fields).decode
_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class BodyPatch:
    """One body, and the changes to its top-level fields.

    Args:
        body: The body as the client sent it.

    Attributes:
        fields: The fields as the client sent them.
        changes: New values by name. A field that the client did not send is added at the end.

    Raises:
        CallerError: The body is not a JSON object.
    """

    __slots__ = ("_body", "_dropped", "changes", "fields")

    def __init__(self, body: bytes) -> None:
        try:
            self.fields: Fields = decode_fields(body)
        except UNREADABLE as error:
            raise CallerError(f"The request body is not a JSON object: {error}") from None
        self.changes: dict[str, Any] = {}
        self._body = body
        self._dropped: set[str] = set()

    def raw(self, name: str) -> bytes:
        """Return the field's value as JSON after the changes so far; ``null`` if there is none."""
        if name in self.changes:
            return _encode(self.changes[name])
        value = self.fields.get(name)
        return b"null" if value is None or name in self._dropped else bytes(value)

    def drop(self, names: Iterable[str]) -> None:
        """Take fields out, also those that were changed before."""
        for name in names:
            self.changes.pop(name, None)
            if name in self.fields:
                self._dropped.add(name)

    def merged(self, name: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object in a field after the changes so far, with ``members`` set in it, whatever their
        spelling was."""
        value = _decode(self.raw(name))
        kept = value if isinstance(value, dict) else {}
        return {each: kept[each] for each in kept if fold(each) not in members} | dict(members)

    def encode(self) -> bytes:
        """Return the changed body. The patch cannot be used afterwards."""
        fields: dict[str, Any] = self.fields
        for name in self._dropped:
            del fields[name]
        fields.update(self.changes)
        return _encode(fields)

    def result(self) -> bytes:
        """Return the changed body, or the client's own bytes if nothing was changed."""
        return self.encode() if self.changes or self._dropped else self._body


def patch_body(
    body: bytes,
    summary: RequestSummary,
    model: str,
    defaults: RequestDefaults,
    *,
    bound: str,
    takes_routing: bool = False,
) -> bytes:
    """Patch a body whose sampling fields stand at the top level.

    Args:
        body: The body as the client sent it.
        summary: What was read of the body before.
        model: The model's name at the upstream.
        defaults: What settings fill in or drop.
        bound: The field that bounds the length of an answer.
        takes_routing: The upstream takes OpenRouter's ``provider`` object.

    Returns:
        The patched body, or ``body`` itself if nothing changes.

    Raises:
        CallerError: The body is not a JSON object.
    """
    if model == summary.model and defaults is NO_DEFAULTS:
        return body
    patch = BodyPatch(body)
    routing = patch.merged("provider", defaults.routing) if defaults.routing and takes_routing else None
    named = {"temperature": defaults.temperature, bound: defaults.max_tokens}
    for name, value in (dict(defaults.fields) | named).items():
        if value is not None and patch.raw(name) == b"null":
            patch.changes[name] = value
    if defaults.drop:
        patch.drop(defaults.drop)
    if model != summary.model:
        patch.changes["model"] = model
    if routing is not None:
        patch.changes["provider"] = routing
    return patch.result()
