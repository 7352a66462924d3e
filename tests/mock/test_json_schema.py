"""The smallest value of a JSON Schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from trunkline_mock.json_schema import smallest_value

_TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}},
            "required": ["n"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "object"},
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a"]},
        {"properties": {"a": {"type": "null"}}, "required": ["a"]},
        {"required": ["a"]},
        {"const": [1]},
        {"enum": ["x", "y"]},
        {"type": ["string", "null"]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2},
        {"prefixItems": [{"const": 1}, {"type": "boolean"}]},
        {"items": {"type": "string"}},
        {"type": "string", "minLength": 10},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"minLength": 7},
        {"type": "integer", "minimum": 3},
        {"type": "integer", "exclusiveMinimum": 3},
        {"type": "integer", "minimum": 3, "multipleOf": 5},
        {"type": "integer", "maximum": -3},
        {"type": "integer", "exclusiveMaximum": -3},
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"minimum": 4},
        {"anyOf": [{"type": "integer", "minimum": 2}, {"type": "null"}]},
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]},
                {"required": ["b"]},
            ]
        },
        {"allOf": [True, {"type": "string"}]},
        {"oneOf": [{"type": "string"}]},
        {"$defs": {"a/b": {"const": 2}}, "$ref": "#/$defs/a~1b"},
        _TREE,
        {"type": "object", "properties": {"t": {"type": "array", "items": {"$ref": "#"}}}, "required": ["t"]},
    ],
)
def test_the_value_is_valid(schema: Any) -> None:
    jsonschema.validate(smallest_value(schema), schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "boolean"}, False),
        ({"type": "unheard-of"}, None),
        ({"type": "integer"}, 0),
        ({"type": "string", "format": "email"}, "mock@example.com"),
    ],
)
def test_the_value_is_the_simplest(schema: Any, value: Any) -> None:
    assert smallest_value(schema) == value
