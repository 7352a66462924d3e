"""Checks of a single field, with the error messages of Anthropic's API.

Every function raises a :class:`VendorError` with status 400. Its ``path`` names the field in the message.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from trunkline_mock.shapes.base import VendorError

_TYPE_NAMES: Final = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "list",
    dict: "dictionary",
}


def invalid_request(message: str) -> VendorError:
    """The error for an invalid request: a 400."""
    return VendorError(400, message)


def unknown_type(type: Any, known_types: Collection[str], path: str) -> VendorError:
    """The error for an object whose ``type`` is none of ``known_types``."""
    expected = ", ".join(f"'{known_type}'" for known_type in known_types)
    return invalid_request(
        f"{path}: Input tag '{type}' found using 'type' does not match any of the expected tags: {expected}"
    )


def require_field(data: dict[str, Any], name: str, path: str) -> Any:
    """The value of a required field.

    Args:
        data: The object.
        name: The field's name.
        path: The path of the object.

    Raises:
        VendorError: The field is missing.
    """
    if name not in data:
        raise invalid_request(f"{_join_path(path, name)}: Field required")
    return data[name]


def require_type(value: Any, kind: type, path: str, *, optional: bool = False) -> Any:
    """``value``, if it has the type ``kind``.

    Args:
        value: The value.
        kind: The type that it must have.
        path: The path of the value.
        optional: Whether ``None`` is valid as well.

    Raises:
        VendorError: The value has another type.
    """
    if (optional and value is None) or isinstance(value, kind):
        return value
    raise invalid_request(f"{path}: Input should be a valid {_TYPE_NAMES[kind]}")


def require_number(value: Any, path: str, *, integer: bool = False) -> Any:
    """``value``, if it is a number.

    Args:
        value: The value.
        path: The path of the value.
        integer: Whether it must be an integer.

    Raises:
        VendorError: The value is not a number.
    """
    if isinstance(value, bool) or not isinstance(value, int if integer else int | float):
        raise invalid_request(f"{path}: Input should be a valid {_TYPE_NAMES[int if integer else float]}")
    return value


def require_one_of(value: Any, allowed: Sequence[str], path: str) -> None:
    """Require that ``value`` is one of ``allowed``."""
    if value not in allowed:
        *others, last = (f"'{item}'" for item in allowed)
        choices = f"{', '.join(others)} or {last}" if others else last
        raise invalid_request(f"{path}: Input should be {choices}")


def forbid_other_fields(data: dict[str, Any], fields: Collection[str], path: str) -> None:
    """Require that ``data`` has no fields other than ``fields``."""
    for name in data:
        if name not in fields:
            raise invalid_request(f"{_join_path(path, name)}: Extra inputs are not permitted")


def _join_path(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
