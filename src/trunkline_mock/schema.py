"""The smallest JSON value that a JSON Schema allows, for answers to ``response_format`` and ``format``.

A pure function of the schema. It knows the keywords that structured outputs use (``$ref``, ``const``,
``enum``, ``anyOf`` and its like, object, array, string and number bounds, the common ``format`` values);
``pattern`` and ``not`` are beyond it: script the answer where a schema needs them.
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

_BY_KEYWORD: Final = {
    "properties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "minLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}


def smallest(schema: Any) -> Any:
    """A value valid for ``schema``: required properties only, the fewest items, the first choice."""
    return _value(schema, schema)


def _value(schema: Any, root: Any) -> Any:
    if not isinstance(schema, dict):  # the schemas true and false, or nonsense
        return {}
    schema = _merged(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    return _MAKERS.get(_type(schema), _null)(schema, root)


def _merged(schema: dict[str, Any], root: Any) -> dict[str, Any]:
    """``schema`` with references, ``allOf`` and the first of its alternatives folded into it."""
    while True:
        parts: list[Any] = list(schema.get("allOf", ()))
        parts += [_lookup(schema["$ref"], root)] if "$ref" in schema else []
        parts += [schema[word][0] for word in ("anyOf", "oneOf") if schema.get(word)]
        if not parts:
            return schema
        folded = {k: v for k, v in schema.items() if k not in ("allOf", "$ref", "anyOf", "oneOf")}
        for part in parts:
            if isinstance(part, dict):
                folded = _fold(folded, part)
        schema = folded


def _fold(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {**other, **one}
    both["properties"] = {**other.get("properties", {}), **one.get("properties", {})}
    both["required"] = [*one.get("required", ()), *other.get("required", ())]
    return {k: v for k, v in both.items() if v or k not in ("properties", "required")}


def _lookup(reference: str, root: Any) -> Any:
    found = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def _type(schema: dict[str, Any]) -> str:
    declared = schema.get("type")
    if isinstance(declared, list):
        declared = declared[0]
    if isinstance(declared, str):
        return declared
    return next((name for keyword, name in _BY_KEYWORD.items() if keyword in schema), "object")


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
    """0 if it is allowed, else the multiple nearest to 0, else the middle of the range."""
    step: float = schema.get("multipleOf", 1)
    low: float = schema.get("minimum", -math.inf)
    above: float = schema.get("exclusiveMinimum", -math.inf)
    high: float = schema.get("maximum", math.inf)
    below: float = schema.get("exclusiveMaximum", math.inf)

    def allowed(value: float) -> bool:
        return low <= value <= high and above < value < below

    floor, ceiling = max(low, above), min(high, below)
    candidates = [0.0]
    if math.isfinite(floor):
        candidates += [math.ceil(floor / step) * step, (math.floor(floor / step) + 1) * step]
    if math.isfinite(ceiling):
        candidates += [math.floor(ceiling / step) * step, (math.ceil(ceiling / step) - 1) * step]
    fitting = [value for value in candidates if allowed(value)]
    value = min(fitting, key=abs) if fitting else (floor + ceiling) / 2
    return int(value) if value == int(value) else value


def _boolean(schema: dict[str, Any], root: Any) -> bool:
    return False


def _null(schema: dict[str, Any], root: Any) -> None:
    return None


_MAKERS: Final = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "null": _null,
}
