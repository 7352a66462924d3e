"""Decodes what clients send. An error in a field is reported with the path of that field.

The decoded bytes may be a part of a request: a path inside it then begins with the part's own path
(``input[3]``). Ollama's clients know other error texts, so its dialect does not use this module.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from trunkline.errors import INVALID_JSON, INVALID_REQUEST, UNSUPPORTED, CallerError

_T = TypeVar("_T")

_PATH: Final = re.compile(r" - at `\$(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")


def decode(decoder: msgspec.json.Decoder[_T], data: bytes | msgspec.Raw, path: str = "") -> _T:
    """Decode ``data``, which stands at ``path`` in the request.

    Raises:
        CallerError: ``data`` is not JSON, or a field is missing or of the wrong type.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _explain(str(error), path) from None
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON: {error}" if bytes(data).strip() else "is empty"
        raise CallerError(f"The request body {problem}", INVALID_JSON) from None


def missing(path: str) -> CallerError:
    """The error for a required field that is not there."""
    return CallerError(f"Missing required parameter: '{path}'", INVALID_REQUEST, param=path)


def invalid(path: str, problem: str) -> CallerError:
    """The error for a field whose value makes no sense."""
    return CallerError(f"Invalid '{path}': {problem}", INVALID_REQUEST, param=path)


def unsupported(what: str, path: str) -> CallerError:
    """The error for a field that asks for something which no other dialect can express."""
    return CallerError(f"{what} cannot be sent to this model's provider ('{path}')", UNSUPPORTED, param=path)


def split_data_url(url: str, path: str) -> tuple[str | None, str]:
    """Return the media type and the base64 text of ``data:image/png;base64,…`` (RFC 2397).

    Raises:
        CallerError: The URL has another form.
    """
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        raise invalid(path, "a data: URL must be of the form data:TYPE;base64,DATA")
    return head.split(";", 1)[0] or None, data


def _explain(text: str, path: str) -> CallerError:
    """msgspec's error text as an error whose ``param`` is the path of the field."""
    inner = _PATH.search(text)
    field = (path + (inner.group(1) if inner else "")).lstrip(".")
    absent = _MISSING.search(text)
    if absent:
        return missing(f"{field}.{absent.group(1)}".lstrip("."))
    problem = _PATH.sub("", text)
    if not field:
        return CallerError(f"The request body is not a JSON object of the right form: {problem}")
    return invalid(field, problem)
