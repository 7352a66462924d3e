"""The smallest JSON value that a JSON Schema allows, for answers to ``response_format`` and ``format``.

The result is a pure function of the schema. The supported keywords are those of structured outputs:
``$ref``, ``const``, ``enum``, ``anyOf``, ``oneOf``, ``allOf``, the bounds of objects, arrays, strings and
numbers, and the common ``format`` values. ``pattern`` and ``not`` are not supported: a test whose schema
needs them has to script the answer.
"""

from __future__ import annotations

import math
from typing import Any, Final

_FORMATS: Final = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "mock@example.com",
    "hostname": "example.com",
    "ipv4": "127.0.0.1",
    "ipv6": "::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

_TYPE_BY_KEYWORD: Final = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}


def smallest_value(schema: Any) -> Any:
    """A value that is valid for ``schema``: only required properties, the fewest items, the first choice."""
    return _value(schema, schema)


def _value(schema: Any, root: Any) -> Any:
    if not isinstance(schema, dict):  # the schemas true and false, or no schema at all
        return {}
    schema = _merged(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _BUILDERS.get(_type(schema), _null)(schema, root)


def _merged(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    """``schema`` with its references, its ``allOf`` and the first of its alternatives merged into it."""
    while True:
        parts: list[Any] = list(schema.get("allOf", ()))
        parts += [_lookup(schema["$ref"], root)] if "$ref" in schema else []
        parts += [schema[keyword][0] for keyword in ("anyOf", "oneOf") if schema.get(keyword)]
        if not parts:
            return schema
        merged = {k: v for k, v in schema.items() if k not in ("allOf", "$ref", "anyOf", "oneOf")}
        for part in parts:
            if isinstance(part, dict):
                merged = _merge(merged, part)
        schema = merged


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**other, **one}
    both["properties"] = {**other.get("properties", {}), **one.get("properties", {})}
    both["required"] = [*one.get("required", ()), *other.get("required", ())]
    return {k: v for k, v in both.items() if v or k not in ("properties", "required")}


def _lookup(reference: str, root: Any) -> Any:
    target = root
    for token in reference.removeprefix("#").split("/")[1:]:
        target = target[token.replace("~1", "/").replace("~0", "~")]
    return target


def _type(schema: dict[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = declared[0]
    if isinstance(declared, str):
        return declared
    return next((name for keyword, name in _TYPE_BY_KEYWORD.items() if keyword in schema), "object")


def _object(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: _value(properties.get(name, {}), root) for name in schema.get("required", ())}


def _array(schema: dict[str, Any], root: Any) -> list[Any]:
    first = [_value(item, root) for item in schema.get("prefixItems", ())]
    missing = schema.get("minItems", 0) - len(first)
    return first + [_value(schema.get("items", {}), root) for _ in range(missing)]


def _string(schema: dict[str, Any], root: Any) -> str:
    text: str = _FORMATS.get(schema.get("format", ""), "mock").ljust(schema.get("minLength", 0), "x")
    return text[: schema.get("maxLength", len(text))]


def _number(schema: dict[str, Any], root: Any) -> float:
    """0 if it is allowed, else the multiple that is nearest to 0, else the middle of the range."""
    step: float = schema.get("multipleOf", 1)
    minimum: float = schema.get("minimum", -math.inf)
    exclusive_minimum: float = schema.get("exclusiveMinimum", -math.inf)
    maximum: float = schema.get("maximum", math.inf)
    exclusive_maximum: float = schema.get("exclusiveMaximum", math.inf)

    def allowed(value: float) -> bool:
        return minimum <= value <= maximum and exclusive_minimum < value < exclusive_maximum

    floor, ceiling = max(minimum, exclusive_minimum), min(maximum, exclusive_maximum)
    candidates = [0.0]
    if math.isfinite(floor):
        candidates += [math.ceil(floor / step) * step, (math.floor(floor / step) + 1) * step]
    if math.isfinite(ceiling):
        candidates += [math.floor(ceiling / step) * step, (math.ceil(ceiling / step) - 1) * step]
    valid = [value for value in candidates if allowed(value)]
    value = min(valid, key=abs) if valid else (floor + ceiling) / 2
    return int(value) if value == int(value) else value


def _boolean(schema: dict[str, Any], root: Any) -> bool:
    return False


def _null(schema: dict[str, Any], root: Any) -> None:
    return None


_BUILDERS: Final = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "null": _null,
}
