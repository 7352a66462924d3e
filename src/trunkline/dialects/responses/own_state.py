"""State in what passes through to and from an upstream of the Responses dialect.

Reasoning items that another vendor encrypted are taken out of a client's body: the upstream would refuse all
of the request. The items that followed such an item lose their ids, for by them the upstream would look for
the reasoning that belongs to them. Whether there is anything to do is found by searching the bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline.dialects.body_patch import BodyPatch
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.vendor_state import Maker, is_sealed, string_values

NEEDLES: Final = (b'"encrypted_content"', b'"type":"reasoning"', b'"type": "reasoning"')
"""A request that has reasoning items in it has one of these in it."""

_ENCRYPTED: Final = re.compile(rb'"encrypted_content"\s*:\s*"([^"\\]*)"')
_REASONING: Final = re.compile(rb'"type"\s*:\s*"reasoning"')
_OUR_ID: Final = re.compile(r"rs_[0-9a-f]{34}")
"""The ids that this gateway gives to reasoning items: no upstream knows them."""


class _Item(msgspec.Struct):
    type: str = ""
    role: str | None = None
    id: str | None = None
    encrypted_content: str | None = None
    content: Any = None
    summary: Any = None


_decode_item: Final = msgspec.json.Decoder(_Item).decode
_decode_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def made_state(answer: bytes) -> Iterator[str]:
    """Return the encrypted contents in an answer."""
    return (state for state in string_values(answer, _ENCRYPTED) if state)


def keep_own_state(body: bytes, maker: Maker) -> bytes:
    """Return a client's body with only those reasoning items which ``maker`` can read; ``body`` itself if
    that is all."""
    if _is_all_own(body, maker):
        return body
    try:
        patch = BodyPatch(body)
        items = _decode_items(patch.raw("input"))
        kept = _kept_items(items, maker)
    except (*UNREADABLE, ValueError):  # the upstream says what is wrong, or the input is a text
        return body
    if kept == items:
        return body
    patch.changes["input"] = kept
    return patch.encode()


def _is_all_own(body: bytes, maker: Maker) -> bool:
    """Whether all reasoning is the maker's own, told without decoding the body."""
    states = list(string_values(body, _ENCRYPTED))
    if len(states) < len(_REASONING.findall(body)):
        return False
    return not any(is_sealed(each) or maker.open(each, "encrypted") is None for each in states)


def _kept_items(items: list[msgspec.Raw], maker: Maker) -> list[msgspec.Raw]:
    kept: list[msgspec.Raw] = []
    lost = False
    for raw in items:
        item = _decode_item(raw)
        if item.type == "reasoning":
            own = _own(raw, item, maker)
            lost = own is None
            if own is not None:
                kept.append(own)
            continue
        if item.role in ("user", "system", "developer"):
            lost = False
        kept.append(_without_id(raw) if lost and item.id is not None else raw)
    return kept


def _own(raw: msgspec.Raw, item: _Item, maker: Maker) -> msgspec.Raw | None:
    """One reasoning item as ``maker`` may get it; None if it is another's."""
    state = item.encrypted_content
    if not state:  # an item that the upstream has stored is known to it by its id
        return None if state == "" or _OUR_ID.fullmatch(item.id or "") else raw
    own = maker.open(state, "encrypted")
    if own is None:
        return None
    if own.data == state:
        return raw
    fields: dict[str, Any] = _decode_fields(raw)
    fields.pop("id", None)
    return msgspec.Raw(_encode({**fields, "encrypted_content": own.data}))


def _without_id(raw: msgspec.Raw) -> msgspec.Raw:
    fields = _decode_fields(raw)
    fields.pop("id", None)
    return msgspec.Raw(_encode(fields))
