"""Single values of Ollama's requests: what each may be, and what it means.

Pure functions from a decoded value to a canonical one. A wrong value raises a CallerError in the words that
Ollama uses, with ``param`` naming the field. ``null`` and ``""`` leave a field open: clients send both.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

import msgspec

from trunkline.dialects.ollama.schema import SAMPLING
from trunkline.errors import CallerError
from trunkline.model import Effort, Format, Image, Sampling

_UNITS: Final[dict[str, float]] = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0
}  # fmt: skip
_TERM: Final = r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)"
_DURATION: Final = re.compile(rf"([-+]?)((?:{_TERM})+)")
_TERMS: Final = re.compile(_TERM)
_NUMBER: Final = re.compile(r"[-+]?\d+(\.\d*)?")

_EFFORTS: Final[dict[Any, Effort]] = {"low": "low", "medium": "medium", "high": "high", "max": "max"}

_FLOATS: Final = frozenset(
    ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repeat_penalty")
)

_MAGIC: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)


def keep_alive(value: float | str | None) -> float | str | None:
    """``keep_alive`` as Ollama takes it: seconds, or the text of a Go duration; None if it is open.

    Raises:
        CallerError: the text is neither a duration nor a number.
    """
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if value and _DURATION.fullmatch(value) is None:
        raise CallerError(f'time: invalid duration "{value}"', param="keep_alive")
    return value or None


def seconds(value: float | str) -> float:
    """The length of a checked ``keep_alive``; negative means for ever."""
    if not isinstance(value, str):
        return value
    total = sum(float(number) * _UNITS[unit] for number, unit in _TERMS.findall(value))
    return -total if value.startswith("-") else total


def sampling(options: dict[str, Any] | None, **more: Any) -> tuple[Sampling, dict[str, Any]]:
    """The options that the field knows as ``Sampling``, and those that are Ollama's alone.

    A ``num_predict`` of zero or less and a negative ``seed`` say "as you like" and stay open.

    Raises:
        CallerError: a known option has the wrong type.
    """
    known: dict[str, Any] = dict(more)
    rest: dict[str, Any] = {}
    for name, value in (options or {}).items():
        field = SAMPLING.get(name)
        if field is None:
            rest[name] = value
        elif value is not None:
            known[field] = _option(name, value)
    if known.get("max_tokens", 1) <= 0:
        del known["max_tokens"]
    if known.get("seed", 0) < 0:
        del known["seed"]
    return Sampling(**known), rest


def _option(name: str, value: Any) -> float | tuple[str, ...]:
    if name == "stop":
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise CallerError('option "stop" must be of type array of strings', param="options.stop")
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "float32" if name in _FLOATS else "integer"
        raise CallerError(f'option "{name}" must be of type {kind}', param=f"options.{name}")
    return float(value) if name in _FLOATS else int(value)


def think(value: Any) -> Effort | None:
    """``think`` as an effort. A plain true is "medium" for those who count efforts; None if it is open.

    Raises:
        CallerError: it is no boolean and no level.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "medium" if value else "none"
    if isinstance(value, str) and value in _EFFORTS:
        return _EFFORTS[value]
    shown = msgspec.json.encode(value).decode()
    raise CallerError(
        f'invalid think value: {shown} (must be "high", "medium", "low", "max", true, or false)',
        param="think",
    )


def answer_format(value: Any) -> Format | None:
    """``format``: "json" or a JSON Schema; None if it is open.

    Raises:
        CallerError: it is something else.
    """
    if value is None or value == "":
        return None
    if value == "json":
        return Format()
    if isinstance(value, dict):
        return Format(schema=value)
    shown = msgspec.json.encode(value).decode()
    raise CallerError(
        f'invalid format: {shown}; expected "json" or a valid JSON Schema object', param="format"
    )


def image(value: str, param: str) -> Image:
    """An image by value: base64, with its type read from its first bytes.

    A ``data:`` prefix is taken off, and so are the ends of lines: Ollama's decoder passes over them, and no
    other does.

    Raises:
        CallerError: it is no base64, or no PNG, JPEG, GIF or WebP.
    """
    data = value.partition(",")[2] if value.startswith("data:") else value
    data = data.replace("\n", "").replace("\r", "")
    try:
        head = binascii.a2b_base64(data[:24].encode("ascii"), strict_mode=True)
    except ValueError:
        raise CallerError("illegal base64 data in an image", param=param) from None
    for magic, media_type in _MAGIC:
        if magic.match(head):
            return Image(data=data, media_type=media_type)
    raise CallerError("invalid image: it is no PNG, JPEG, GIF or WebP", param=param)
