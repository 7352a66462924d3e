"""Checks the JSON schemas of a request: those of its tools and the one of its answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from trunkline_mock.shapes.strict.rules import Refusal, SchemaRules

_COMBINATIONS: Final = ("anyOf", "oneOf", "allOf", "enum", "not")
_BY_NAME: Final = ("properties", "$defs", "definitions", "patternProperties")
"""Keywords whose value is an object of schemas by name."""
_SINGLE: Final = ("items", "additionalProperties", "not", "contains")
_TYPING: Final = frozenset({"type", "anyOf", "oneOf", "allOf", "$ref", "enum"})
"""Keywords that say what a value may be."""
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")


def check_tool_schema(rules: SchemaRules, name: str, schema: Any, *, strict: bool) -> None:
    """Refuse what a vendor refuses in the schema of a tool.

    Args:
        rules: The vendor's rules.
        name: The tool's name.
        schema: Its parameters; ``None`` if there are none.
        strict: Whether the tool says ``strict``.

    Raises:
        VendorError: The vendor would refuse it.
    """
    if schema is None:
        return
    if not isinstance(schema, dict) or schema.get("type", "object") != "object":
        _refuse(rules.not_object, name, "root type must be object")
        return
    if any(word in schema for word in _COMBINATIONS):
        _refuse(rules.combined_top, name)
    if "type" not in schema:
        _refuse(rules.not_object, name, "root type must be object")
    if "properties" not in schema:
        _refuse(rules.no_properties, name)
    check_schema(rules, name, schema, strict=strict)


def check_schema(rules: SchemaRules, name: str, schema: Any, *, strict: bool) -> None:
    """Refuse what a vendor refuses in any schema, at any depth.

    Args:
        rules: The vendor's rules.
        name: The name of the tool or of the answer's format.
        schema: The schema.
        strict: Whether the request says ``strict``.

    Raises:
        VendorError: The vendor would refuse it.
    """
    for path, part in walk(schema):
        for word in rules.words:
            if word in part:
                raise rules.bad_word.error(name=word, path=path)
        if "type" in part and "anyOf" in part:
            _refuse(
                rules.type_beside_any_of, name, f"At path '{path}': type should be defined in anyOf items"
            )
        if isinstance(part.get("items"), list) or "prefixItems" in part:
            _refuse(rules.tuple_items, name, f"At path '{path}': tuple items are not supported")
        for each, value in (part.get("properties") or {}).items():
            if isinstance(value, dict) and not (
                {"type", "anyOf", "oneOf", "allOf", "$ref", "enum"} & value.keys()
            ):
                _refuse(rules.untyped, name, f"At path '{path}.{each}': type is not defined")
        if strict and part.get("type") == "object":
            if part.get("additionalProperties") is not False:
                _refuse(rules.open_object, name, path)
            if set(part.get("required") or ()) != set(part.get("properties") or {}):
                _refuse(rules.optional_property, name, path)


def walk(schema: Any, path: str = "root") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within ``schema`` with its place, itself included. What only an enum or a default holds is
    no schema."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for word in _BY_NAME:
        children = schema.get(word)
        if isinstance(children, dict):
            for name, child in children.items():
                yield from walk(child, f"{path}.{word}.{name}")
    for word in _SINGLE:
        yield from walk(schema.get(word), f"{path}.{word}")
    for word in _LISTS:
        children = schema.get(word)
        if isinstance(children, list):
            for index, child in enumerate(children):
                yield from walk(child, f"{path}.{word}.{index}")


def _refuse(refusal: Refusal | None, name: str, path: str = "") -> None:
    if refusal is not None:
        raise refusal.error(name=name, path=path)
