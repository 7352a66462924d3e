"""Bytes of clients → structs, for OpenAI's two dialects; every complaint is named by the path of its field.

What is decoded may be a part of a request: a path inside it begins with its own place (``input[3]``).
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from trunkline.errors import INVALID_JSON, INVALID_REQUEST, CallerError

_T = TypeVar("_T")

_WHERE: Final = re.compile(r" - at `\$(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")


def decode(decoder: msgspec.json.Decoder[_T], data: bytes | msgspec.Raw, at: str = "") -> _T:
    """What ``data``, which stands at the path ``at``, holds.

    Raises:
        CallerError: it is not JSON, or a field is missing or of the wrong type.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), at) from None
    except (ValueError, RecursionError) as error:
        what = f"is not JSON: {error}" if bytes(data).strip() else "is empty"
        raise CallerError(f"The request body {what}", INVALID_JSON) from None


def missing(at: str) -> CallerError:
    """A required field is not there."""
    return CallerError(f"Missing required parameter: '{at}'", INVALID_REQUEST, param=at)


def invalid(at: str, problem: str) -> CallerError:
    """A field has a value that makes no sense."""
    return CallerError(f"Invalid '{at}': {problem}", INVALID_REQUEST, param=at)


def _invalid(text: str, at: str) -> CallerError:
    """msgspec's complaint as an error whose ``param`` is the path of the field."""
    where = _WHERE.search(text)
    path = (at + (where.group(1) if where else "")).lstrip(".")
    lacking = _MISSING.search(text)
    if lacking:
        return missing(f"{path}.{lacking.group(1)}".lstrip("."))
    problem = _WHERE.sub("", text)
    if not path:
        return CallerError(f"The request body is not a JSON object of the right form: {problem}")
    return invalid(path, problem)
