"""A client's own body on its way to an upstream of the same dialect, changed in a few top-level fields.

Whatever else it holds goes on byte by byte: values are taken over as they were written, read or not.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults, RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.errors import CallerError

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def rewritten(
    body: bytes,
    summary: RequestSummary,
    model: str,
    defaults: RequestDefaults,
    *,
    bound: str,
    routes: bool = False,
) -> bytes:
    """``body`` for ``model``, filled where it leaves open what ``defaults`` say; itself if nothing changes.

    Args:
        body: as the client sent it.
        peek: what was read of it before.
        model: the model's name at the upstream.
        fills: what settings fill in or drop.
        bound: the field that bounds the length of an answer.
        routes: the upstream takes OpenRouter's ``provider`` object.

    Raises:
        CallerError: the body is not a JSON object.
    """
    if model == summary.model and defaults is NO_DEFAULTS:
        return body
    try:
        fields = _decode_fields(body)
    except UNREADABLE as error:
        raise CallerError(f"The request body is not a JSON object: {error}") from None
    named = {"temperature": defaults.temperature, bound: defaults.max_tokens}
    changes: dict[str, Any] = {
        name: value
        for name, value in (dict(defaults.fields) | named).items()
        if value is not None and name not in defaults.drop and _is_open(fields, name)
    }
    if model != summary.model:
        changes["model"] = model
    if defaults.routing and routes:
        wishes = _decode(fields.get("provider") or b"null")
        changes["provider"] = {**(wishes if isinstance(wishes, dict) else {}), **defaults.routing}
    dropped = defaults.drop & fields.keys()
    if not changes and not dropped:
        return body
    kept: dict[str, Any] = {name: value for name, value in fields.items() if name not in dropped}
    return _encode(kept | changes)


def _is_open(fields: dict[str, msgspec.Raw], name: str) -> bool:
    return bytes(fields.get(name, b"null")) == b"null"
