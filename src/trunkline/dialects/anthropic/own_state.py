"""State in what passes through to and from an upstream of Anthropic's dialect.

Thinking that another vendor made, or nobody signed, is taken out of a client's body: the vendor would refuse
all of the request. What was sealed here and comes back to its maker is opened. Whether there is anything to
do is found by searching the bytes; only then is a body decoded, and only its messages are changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from trunkline.dialects.body_patch import BodyPatch
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.vendor_state import Maker, Sealed, is_sealed, string_values

NEEDLES: Final = (b'"signature"', b'"redacted_thinking"', b'"type":"thinking"', b'"type": "thinking"')
"""A request that has thinking in it has one of these in it."""
_SIGNATURE: Final = re.compile(rb'"signature"\s*:\s*"([^"\\]*)"')
_REDACTED: Final = re.compile(rb'"redacted_thinking"')
_THINKING: Final = re.compile(rb'"type"\s*:\s*"thinking"')
_ODD_DATA: Final = re.compile(rb'"data"\s*:\s*"(?![A-Za-z0-9+/=_-]*")')
_DATA: Final = re.compile(r"[A-Za-z0-9+/=_-]*")
"""What Anthropic encrypts is base64. OpenRouter, for one, marks what it puts in its place otherwise."""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[msgspec.Raw] | None = None


class _Block(msgspec.Struct):
    type: str = ""
    thinking: str = ""
    signature: str | None = None
    data: str | None = None


class _Thinking(msgspec.Struct):
    type: str = ""


_decode_messages: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_block: Final = msgspec.json.Decoder(_Block).decode
_decode_thinking: Final = msgspec.json.Decoder(_Thinking).decode
_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode


def made_state(answer: bytes) -> Iterator[str]:
    """Return the signatures in an answer."""
    return (state for state in string_values(answer, _SIGNATURE) if state)


def keep_own_state(body: bytes, maker: Maker) -> bytes:
    """Return a client's body with only that thinking which ``maker`` can read; ``body`` itself if that is
    all.

    A turn that consisted of nothing else is left out. Where a tool loop goes on whose first thought was taken
    out, thinking is switched off for the request, because the API insists on that thought.
    """
    if _is_all_own(body, maker):
        return body
    try:
        patch = BodyPatch(body)
        messages = _decode_messages(patch.raw("messages"))
        kept = [each for each in (_kept(message, maker) for message in messages) if each is not None]
    except (*UNREADABLE, ValueError):  # the upstream says what is wrong
        return body
    if kept == messages:
        return body
    patch.changes["messages"] = kept
    if _goes_on_unthinking(kept) and _budgeted(patch):
        patch.changes["thinking"] = {"type": "disabled"}
    return patch.encode()


def _is_all_own(body: bytes, maker: Maker) -> bool:
    """Whether all that could be state is the maker's own, told without decoding the body."""
    if _REDACTED.search(body) and (b"trunkline:" in body or _ODD_DATA.search(body)):
        return False
    signatures = list(string_values(body, _SIGNATURE))
    if len(signatures) < len(_THINKING.findall(body)):
        return False
    return not any(is_sealed(each) or maker.open(each, "signature") is None for each in signatures)


def _kept(message: msgspec.Raw, maker: Maker) -> msgspec.Raw | None:
    """One message without others' thinking; None if nothing is left of it."""
    if b'thinking"' not in bytes(message):
        return message
    decoded = _decode_message(message)
    if decoded.role != "assistant" or not isinstance(decoded.content, list):
        return message
    blocks: list[Any] = [block for raw in decoded.content if (block := _own(raw, maker)) is not None]
    if blocks == decoded.content:
        return message
    if not blocks:
        return None
    fields: dict[str, Any] = _decode_fields(message)
    return msgspec.Raw(_encode({**fields, "content": blocks}))


def _own(raw: msgspec.Raw, maker: Maker) -> msgspec.Raw | None:
    """One block as ``maker`` may get it; None if it is another's thinking."""
    if b'thinking"' not in bytes(raw):
        return raw
    block = _decode_block(raw)
    if block.type == "thinking":
        own = maker.open(block.signature, "signature", "redacted")
        unchanged = block.signature
    elif block.type == "redacted_thinking":
        data = block.data or ""
        own = maker.open(data, "redacted") if is_sealed(data) else None
        if own is None and not is_sealed(data) and _DATA.fullmatch(data):
            own = Sealed(maker.name, "redacted", data)
        unchanged = data
    else:
        return raw
    if own is None and not maker.knows("signature") and not is_sealed(unchanged or ""):
        return raw  # another vendor behind the same API, which may take thinking that nobody signed
    if own is None or not own.data:
        return None
    if own.data == unchanged:
        return raw
    if own.form == "redacted":
        return msgspec.Raw(_encode({"type": "redacted_thinking", "data": own.data}))
    return msgspec.Raw(_encode({"type": "thinking", "thinking": block.thinking, "signature": own.data}))


def _goes_on_unthinking(messages: list[msgspec.Raw]) -> bool:
    """Whether the last turn brings results of calls before which there is no thinking any more."""
    if not messages or b'"tool_result"' not in bytes(messages[-1]):
        return False
    for raw in reversed(messages):
        message = _decode_message(raw)
        if message.role == "assistant":
            first = message.content[0] if isinstance(message.content, list) and message.content else None
            return first is None or _decode_block(first).type not in ("thinking", "redacted_thinking")
    return False


def _budgeted(patch: BodyPatch) -> bool:
    """Whether the request asks for thinking with a budget. Without one the API does not insist."""
    thinking = patch.raw("thinking")
    return thinking != b"null" and _decode_thinking(thinking).type == "enabled"
