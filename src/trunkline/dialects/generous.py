"""Records that do not fit the struct they are decoded with, read as far as they do.

Servers send fields of other types than the vendor whose API they copy: a cost as an object, a count as 3.0,
an id as a number. A field that an answer does not depend on must not fail it. Here such a record is fitted to
its struct field by field: a value that can be converted is, any other one is left out. Only where the content
of the answer itself cannot be read is the record malformed. All this is slow, and done only after strict
decoding has failed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from trunkline.dialects.error_words import find_words
from trunkline.events import (
    Finished,
    RefusalDelta,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)

ESSENTIAL: Final = frozenset(
    {
        "choices",
        "delta",
        "message",
        "content",
        "text",
        "reasoning",
        "reasoning_content",
        "thinking",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "content_block",
        "partial_json",
        "response",
        "output",
        "data",
        "embedding",
        "embeddings",
        "type",
        "done",
        "finish_reason",
        "stop_reason",
    }
)
"""Fields that hold what the answer says, or whether it is whole: one that cannot be read makes the record
malformed."""

T = TypeVar("T")


@cache
def _type_info(type: Any) -> Any:
    return inspect.type_info(type)


class _UnfitError(ValueError):
    """A value that cannot be converted to the type of its field."""


def decode_generously(data: bytes, type: type[T]) -> T:
    """Return the record in ``data``, with those of its fields that could be read.

    It is JSON as Python reads it: half of a surrogate pair, ``NaN`` and bare control characters are taken.
    Of a list, which some servers put their errors in, the first object is the record.

    Raises:
        ValueError: ``data`` is not JSON, or its content cannot be read.
    """
    given = json.loads(data, strict=False)
    value = given
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if not isinstance(value, dict):
        raise ValueError(find_words(given) or "it is no JSON object")
    form: Any = type
    fitted: T = _fit(value, _type_info(form))
    return fitted


def has_halves(data: bytes) -> bool:
    """Whether JSON text may hold one half of a surrogate pair alone."""
    return b"\\ud" in data or b"\\uD" in data


def _fit(value: Any, info: Any) -> Any:
    match info:
        case inspect.AnyType():
            return value
        case inspect.StructType():
            return _fit_struct(value, info)
        case inspect.UnionType():
            return _fit_union(value, info)
        case inspect.ListType():
            return _fit_list(value, info)
        case inspect.IntType() | inspect.FloatType():
            return _fit_number(value, whole=isinstance(info, inspect.IntType))
        case inspect.StrType():
            if isinstance(value, str):
                return value
            if isinstance(value, int | float) and not isinstance(value, bool):
                return str(value)
        case inspect.DictType():
            if isinstance(value, dict):
                return value
        case inspect.BoolType():
            if isinstance(value, bool):
                return value
        case inspect.NoneType():
            if value is None:
                return None
        case inspect.LiteralType():
            if value in info.values:
                return value
        case inspect.RawType():
            return msgspec.Raw(json.dumps(value).encode())
        case _:
            pass
    raise _UnfitError(f"a value of type {type(value).__name__} has no place in it")


def _fit_struct(value: Any, info: inspect.StructType) -> Any:
    if not isinstance(value, dict):
        raise _UnfitError(f"a value of type {type(value).__name__} stands where an object is expected")
    fields = {}
    for field in info.fields:
        if field.encode_name not in value:
            if field.required:
                raise _UnfitError(f"it has no '{field.encode_name}'")
            continue
        given = value[field.encode_name]
        try:
            fields[field.name] = _fit(given, field.type)
        except _UnfitError:
            is_text = field.encode_name in _TEXTS and _takes_text(field.type)
            text = _texts(given) if is_text else None
            if text is not None:
                fields[field.name] = text
            elif field.required or (given and field.encode_name in ESSENTIAL):
                raise _UnfitError(f"its '{field.encode_name}' is of an unknown form") from None
    return info.cls(**fields)


_TEXTS: Final = ("content", "text", "reasoning", "reasoning_content", "reasoning_text", "thinking")
"""Fields that hold text. Servers also put objects and lists there that hold it."""


def _takes_text(info: Any) -> bool:
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    return any(isinstance(member, inspect.StrType) for member in members)


def _texts(value: Any) -> str | None:
    """The text in an object or a list; None if nothing there is text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        found = [text for each in value if (text := _texts(each)) is not None]
        return "".join(found) if found else None
    if isinstance(value, dict):
        return next((text for name in _TEXTS if (text := _texts(value.get(name))) is not None), None)
    return None


def _fit_union(value: Any, info: inspect.UnionType) -> Any:
    """The member that ``value`` is of already, else the first that it can be converted to."""
    if value is None and any(isinstance(member, inspect.NoneType) for member in info.types):
        return None
    members = sorted(info.types, key=lambda member: not _is_like(value, member))
    for member in members:
        if not isinstance(member, inspect.NoneType):
            try:
                return _fit(value, member)
            except _UnfitError:
                continue
    raise _UnfitError(f"a value of type {type(value).__name__} has no place in it")


_LIKE: Final[tuple[tuple[type, tuple[Any, ...]], ...]] = (
    (bool, (inspect.BoolType,)),
    (str, (inspect.StrType,)),
    (int, (inspect.IntType, inspect.FloatType)),
    (float, (inspect.FloatType,)),
    (list, (inspect.ListType,)),
    (dict, (inspect.StructType, inspect.DictType)),
)


def _is_like(value: Any, info: Any) -> bool:
    return any(isinstance(value, kind) and isinstance(info, types) for kind, types in _LIKE)


def _fit_list(value: Any, info: inspect.ListType) -> list[Any]:
    if isinstance(value, dict) and isinstance(info.item_type, inspect.StructType):
        value = [value]  # one object instead of a list of one
    if not isinstance(value, list):
        raise _UnfitError(f"a value of type {type(value).__name__} stands where a list is expected")
    return [_fit(item, info.item_type) for item in value if item is not None]


def _fit_number(value: Any, *, whole: bool) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise TypeError
        number = value if isinstance(value, int) else float(value)
        if not math.isfinite(number):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise _UnfitError("it is no number") from None
    return int(number) if whole else float(number)


class HalfJoiner:
    """Puts the halves of surrogate pairs together that an upstream has sent in two deltas. A half that stays
    alone becomes U+FFFD, as no client could read it."""

    def __init__(self) -> None:
        self._held: dict[tuple[type, int, int], str] = {}
        """Kind of delta, choice and number of the call → the first half."""

    def join(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        """Return ``events`` with whole characters only. A first half waits for its second one."""
        out: list[StreamEvent] = []
        for event in events:
            match event:
                case TextDelta() | ThinkingDelta() | RefusalDelta():
                    text = self._whole((type(event), event.choice, 0), event.text)
                    out.append(msgspec.structs.replace(event, text=text))
                case ToolCallDelta():
                    key = (type(event), event.choice, event.index)
                    out.append(msgspec.structs.replace(event, arguments=self._whole(key, event.arguments)))
                case Finished():
                    out += self._give_up(event.choice)
                    out.append(event)
                case _:
                    out.append(event)
        return out

    def _whole(self, key: tuple[type, int, int], text: str) -> str:
        text = self._held.pop(key, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held[key] = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def _give_up(self, choice: int) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for key in [key for key in self._held if key[1] == choice]:
            del self._held[key]
            kind, _, index = key
            out.append(
                ToolCallDelta(index, arguments="\ufffd", choice=choice)
                if kind is ToolCallDelta
                else kind("\ufffd", choice)
            )
        return out
