"""JSON Schemas that fit a rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.fit.rules import SchemaRule
from trunkline.dialects.fit.schemas import complete, fit_schema
from trunkline.providers.fits import ANTHROPIC_FIT

FLAT = SchemaRule(flat_top=True)
TYPED = SchemaRule(typed=True)
assert ANTHROPIC_FIT.answer_schema is not None
STRICT = ANTHROPIC_FIT.answer_schema

A: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
B: dict[str, Any] = {"type": "object", "properties": {"b": TEXT, "a": NUMBER}, "required": ["b", "a"]}
NODE: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#"}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (A, A),
        ({}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object", "properties": {}}),
        (
            {"allOf": [A, {"properties": {"c": {}}, "required": ["c"]}]},
            {"type": "object", "properties": A["properties"] | {"c": {}}, "required": ["a", "c"]},
        ),
        (
            {"oneOf": [A, B], "description": "Either."},
            {
                "type": "object",
                "description": "Either.\n\nGive the properties of one of these groups: a; or b, a.",
                "properties": {"a": {"anyOf": [TEXT, NUMBER]}, "b": TEXT},
                "required": ["a"],
            },
        ),
        ({"anyOf": [A, {"type": "null"}]}, A),
        (
            {"properties": {"a": {}, "b": {}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
            {
                "type": "object",
                "properties": {"a": {}, "b": {}},
                "description": "Give the properties of one of these groups: a; or b.",
            },
        ),
        ({"$ref": "#/$defs/A", "$defs": {"A": A}}, A | {"$defs": {"A": A}}),
        ({"anyOf": [{"$ref": "#/$defs/T"}, A], "$defs": {"T": {"type": "string"}}},
         A | {"$defs": {"T": {"type": "string"}}}),
        (NODE, NODE),
        ({"type": "object", "properties": {"l": {"type": "array"}}},
         {"type": "object", "properties": {"l": {"type": "array", "items": {}}}}),
    ],
)  # fmt: skip
def test_one_object_at_the_top(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fit_schema(schema, FLAT) == expected


def test_a_reference_that_refers_to_itself_has_an_end() -> None:
    schema = {"anyOf": [{"$ref": "#/$defs/A"}], "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}
    assert fit_schema(schema, FLAT)["type"] == "object"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "maxLength": 3}, {"type": "string", "description": "{maxLength: 3}"}),
        ({"type": "string", "format": "email"}, {"type": "string", "format": "email"}),
        ({"type": "string", "format": "regex"}, {"type": "string", "description": '{format: "regex"}'}),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, None),
        ({"enum": ["a", "b"]}, {"type": "string", "enum": ["a", "b"]}),
        (
            {"type": "object", "additionalProperties": {"type": "integer"}},
            {
                "type": "object",
                "properties": {},
                "additionalProperties": False,
                "description": '{additionalProperties: {"type":"integer"}}',
            },
        ),
        ({"$ref": "#/$defs/A", "description": "x"}, {"$ref": "#/$defs/A"}),
        ({"$schema": "x", "type": "null"}, {"type": "null"}),
    ],
)
def test_anthropics_subset(schema: dict[str, Any], expected: dict[str, Any] | None) -> None:
    assert fit_schema(schema, STRICT) == (schema if expected is None else expected)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
        ({"description": "x"}, {"type": "string", "description": "x"}),
        ({"type": "string", "anyOf": [{"minLength": 1}]}, {"anyOf": [{"type": "string", "minLength": 1}]}),
        ({"items": {"const": True}}, {"type": "array", "items": {"type": "boolean", "const": True}}),
    ],
)
def test_every_schema_names_its_type(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert fit_schema(schema, TYPED) == expected


def test_what_has_all_that_is_looked_for_is_the_same_object() -> None:
    assert complete(A) is A
    assert complete({}) == {"type": "object", "properties": {}}
    assert complete({"type": "array"}) == {"type": "array", "items": {}}


_KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "anyOf", "allOf", "$ref", "enum", "required", "format"]
)
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 9)
    | st.sampled_from(["object", "array", "string", "#", "#/anyOf"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYWORDS, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("rule", [FLAT, TYPED, STRICT], ids=["flat", "typed", "strict"])
@given(schema=st.dictionaries(_KEYWORDS, _JSON, max_size=4))
def test_no_schema_breaks_it_and_what_fits_stays(rule: SchemaRule, schema: dict[str, Any]) -> None:
    fitted = fit_schema(schema, rule)
    msgspec.json.encode(fitted)
    if rule is FLAT:
        assert fitted["type"] == "object"
        assert fit_schema(fitted, rule) == fitted
