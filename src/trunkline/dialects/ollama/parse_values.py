"""Single values of Ollama's requests: decoded → canonical.

The functions are pure. A wrong value raises a CallerError with the text that Ollama uses, and ``param`` names
the field. ``null`` and ``""`` leave a field open: clients send both.
"""

from __future__ import annotations

import binascii
import re
from typing import Any, Final

import msgspec

from trunkline.dialects.ollama.request_schema import SAMPLING
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

_SIGNATURES: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "image/webp"),
)


_LONGEST: Final = 64
"""Characters of a duration that is meant."""


def parse_keep_alive(value: float | str | None) -> float | str | None:
    """Return ``keep_alive`` as Ollama takes it: seconds, or the text of a Go duration; None if it is open.

    Raises:
        CallerError: The text is neither a duration nor a number.
    """
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST:
        raise CallerError("time: invalid duration", param="keep_alive")
    if _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if value and _DURATION.fullmatch(value) is None:
        raise CallerError(f'time: invalid duration "{value}"', param="keep_alive")
    return value or None


def keep_alive_seconds(value: float | str) -> float:
    """Return the seconds of a parsed ``keep_alive``; a negative number means for ever."""
    if not isinstance(value, str):
        return value
    total = sum(float(number) * _UNITS[unit] for number, unit in _TERMS.findall(value))
    return -total if value.startswith("-") else total


def parse_sampling(options: dict[str, Any] | None, **more: Any) -> tuple[Sampling, dict[str, Any]]:
    """Return the options that ``Sampling`` has fields for, and those that only Ollama has.

    A ``num_predict`` of zero or less and a negative ``seed`` leave their fields open.

    Args:
        options: The request's options.
        more: Further fields of the ``Sampling``.

    Raises:
        CallerError: A known option has the wrong type.
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
    try:
        return float(value) if name in _FLOATS else int(value)
    except (OverflowError, ValueError):  # more than a float holds, infinite, or no number
        raise CallerError(f'option "{name}" is out of range', param=f"options.{name}") from None


def parse_think(value: Any) -> Effort | None:
    """Return ``think`` as an effort; None if it is open. A plain true is "medium" for other dialects.

    Raises:
        CallerError: The value is neither a boolean nor a level.
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


def parse_format(value: Any) -> Format | None:
    """Return ``format``, which is "json" or a JSON Schema; None if it is open.

    Raises:
        CallerError: The value is something else.
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


def parse_image(value: str, param: str) -> Image:
    """Return an image by value: base64, with its type read from its first bytes.

    A ``data:`` prefix is taken off, and so are line ends: Ollama's decoder skips them, and no other does.

    Args:
        value: The image as the client sent it.
        param: The path of the field.

    Raises:
        CallerError: The value is not base64, or no PNG, JPEG, GIF or WebP.
    """
    data = value.partition(",")[2] if value.startswith("data:") else value
    data = data.replace("\n", "").replace("\r", "")
    try:
        head = binascii.a2b_base64(data[:24].encode("ascii"), strict_mode=True)
    except ValueError:
        raise CallerError("illegal base64 data in an image", param=param) from None
    for signature, media_type in _SIGNATURES:
        if signature.match(head):
            return Image(data=data, media_type=media_type)
    raise CallerError("invalid image: it is no PNG, JPEG, GIF or WebP", param=param)
