"""Makes JSON Schemas fit a vendor's rule. What a schema can say no longer is said in its description.

A schema that is changed allows at least what the client's allowed, as far as the vendor can be told. So the
arguments and answers that a model makes by it need not be changed back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.fit.rules import SchemaRule

Schema = dict[str, Any]

_BY_NAME: Final = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
"""Keywords whose values have a schema for each name."""
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONE: Final = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_CHOICES: Final = ("anyOf", "oneOf", "allOf")
TOP: Final = (*_CHOICES, "not", "enum", "const", "$ref")
"""What may not stand at the top of a flat schema."""
_SCALARS: Final = [{"type": kind} for kind in ("string", "number", "boolean", "null")]
"""A schema for anything, as near as types can say it without an end."""
_TYPES: Final = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_ANY: Final = SchemaRule()
_DEPTH: Final = 64
"""How deep references are followed, so that one that refers to itself has an end."""


def fit_schema(schema: Schema, rule: SchemaRule) -> Schema:
    """Return a schema that fits ``rule``. It equals ``schema`` if that fits already."""
    root = schema
    if rule.flat_top:
        schema = _flat(schema, root)
    fitted: Schema = _fit(schema, rule, root)
    return fitted


def complete(schema: Schema) -> Schema:
    """Return a tool's schema that names what vendors look for: the properties of an object, and the items of
    every array."""
    if schema.get("type", "object") == "object" and not ("type" in schema and "properties" in schema):
        schema = {"type": "object", "properties": {}} | schema
    text = msgspec.json.encode(schema)
    is_odd = b'"exclusiveM' in text or b"\\\\p" in text or text.count(b'"array"') > text.count(b'"items"')
    return fit_schema(schema, _ANY) if is_odd else schema


def modernize(schema: Schema) -> Schema:
    """Return a tool's schema for vendors that insist on draft 2020-12 of JSON Schema."""
    return fit_schema(schema, _ANY) if b'"exclusiveM' in msgspec.json.encode(schema) else schema


def _fit(schema: Any, rule: SchemaRule, root: Schema) -> Any:
    if not isinstance(schema, dict):
        return {"anyOf": _SCALARS} if schema is True and rule.closed else schema
    schema = _modern(schema)
    if rule.closed and "$ref" in schema:  # nothing may stand beside a reference
        kept = ("$ref", "$defs", "definitions")
        schema = {name: value for name, value in schema.items() if name in kept}
    if rule.closed and _is_mixed(schema):
        schema = _flat(schema, root)
    if rule.closed and "oneOf" in schema and "anyOf" not in schema:
        schema = {("anyOf" if name == "oneOf" else name): value for name, value in schema.items()}
    if rule.typed or (rule.closed and "$ref" not in schema):
        schema = _typed(schema, is_open=not rule.closed)
    if rule.typed:
        schema = _untupled(schema)
    if schema.get("type") == "array" and not ("items" in schema or "prefixItems" in schema):
        schema = schema | {"items": {}}
    fitted = {name: _fit_keyword(name, value, rule, root) for name, value in schema.items()}
    if _is_object(fitted):
        fitted.setdefault("properties", {})
        if rule.closed:
            fitted = _closed(fitted)
    return _without_refused(fitted, rule)


def _modern(schema: Schema) -> Schema:
    """``schema`` as of draft 2020-12, where bounds that are excluded are numbers, and with no pattern that
    only one language's expressions have (``\\p{…}``): of that its description tells."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool):
            left_out = (exclusive, bound) if schema[exclusive] else (exclusive,)
            number = schema.get(bound)
            kept = {name: value for name, value in schema.items() if name not in left_out}
            schema = kept | ({exclusive: number} if schema[exclusive] and bound in schema else {})
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and _UNICODE.search(pattern):
        kept = {name: value for name, value in schema.items() if name != "pattern"}
        schema = _described(kept, {"pattern": pattern})
    return schema


_UNICODE: Final = re.compile(r"\\[pP]\{")


def _untupled(schema: Schema) -> Schema:
    """An array whose items are told one by one, with one schema for all."""
    places = schema.get("prefixItems", schema.get("items"))
    if not isinstance(places, list):
        return schema
    kept = {name: value for name, value in schema.items() if name not in ("prefixItems", "additionalItems")}
    choices = [each for number, each in enumerate(places) if each not in places[:number]]
    return kept | {"items": choices[0] if len(choices) == 1 else {"anyOf": choices}}


def _fit_keyword(name: str, value: Any, rule: SchemaRule, root: Schema) -> Any:
    if name in _BY_NAME and isinstance(value, dict):
        return {key: _fit(each, rule, root) for key, each in value.items()}
    if name in _LISTS and isinstance(value, list):
        return [_fit(each, rule, root) for each in value]
    if name in _ONE and isinstance(value, dict):
        return _fit(value, rule, root)
    return value


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_mixed(schema: Schema) -> bool:
    """Whether a choice stands beside an object's properties, or several schemas hold together."""
    beside = any(name in schema for name in ("anyOf", "oneOf")) and "properties" in schema
    return beside or "allOf" in schema


def _closed(schema: Schema) -> Schema:
    """An object without further properties; which it might have had is told in the description."""
    more = schema.get("additionalProperties")
    if more is False:
        return schema
    fitted = schema | {"additionalProperties": False}
    return _described(fitted, {"additionalProperties": more}) if isinstance(more, dict) and more else fitted


def _without_refused(schema: Schema, rule: SchemaRule) -> Schema:
    refused = {name: value for name, value in schema.items() if _is_refused(name, value, rule)}
    if not refused:
        return schema
    kept = {name: value for name, value in schema.items() if name not in refused}
    return _described(kept, {name: value for name, value in refused.items() if name[0] != "$"})


def _is_refused(name: str, value: Any, rule: SchemaRule) -> bool:
    if rule.takes is not None and name not in rule.takes:
        return True
    if name in rule.lacks:
        return name != "additionalProperties" or value is False
    if name == "format" and rule.formats is not None:
        return not isinstance(value, str) or value not in rule.formats
    too_many = name == "minItems" and rule.most_min_items is not None
    return too_many and isinstance(value, int) and value > (rule.most_min_items or 0)


def _described(schema: Schema, facts: Mapping[str, Any]) -> Schema:
    """``schema`` with what is not said by keywords in its description, as Anthropic's own SDKs word it."""
    if not facts:
        return schema
    told = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in facts.items())
    return _noted(schema, f"{{{told}}}")


def _noted(schema: Schema, note: str) -> Schema:
    before = schema.get("description")
    return schema | {"description": f"{before}\n\n{note}" if isinstance(before, str) and before else note}


def _typed(schema: Schema, *, is_open: bool) -> Schema:
    """``schema`` with a type, in itself or in the choices that it has."""
    choice = next((name for name in ("anyOf", "oneOf") if isinstance(schema.get(name), list)), None)
    if choice is not None and "type" in schema:
        own = {"type": schema["type"]}
        parts = [
            own | each if isinstance(each, dict) and "$ref" not in each else each for each in schema[choice]
        ]
        return {name: value for name, value in schema.items() if name != "type"} | {choice: parts}
    if any(name in schema for name in ("type", "$ref", "anyOf", "oneOf", "allOf")):
        return schema
    if "properties" in schema or "required" in schema:
        return {"type": "object"} | schema
    if "items" in schema or "prefixItems" in schema:
        return {"type": "array"} | schema
    values = schema.get("enum") if "enum" in schema else [schema["const"]] if "const" in schema else []
    kinds = {_TYPES.get(type(value)) for value in values} if isinstance(values, list) else set()
    if len(kinds) == 1 and None not in kinds:
        return {"type": kinds.pop()} | schema
    if is_open:
        return {"type": "string"} | schema
    return schema if kinds else {"anyOf": _SCALARS} | schema


def _flat(schema: Schema, root: Schema, depth: int = 0) -> Schema:
    """One object that has the properties of all choices which ``schema`` leaves between objects."""
    if not any(name in schema for name in TOP):
        return schema if schema.get("type") == "object" else schema | {"type": "object"}
    target = _target(schema, root)
    if target is not None and depth < _DEPTH:
        beside = {name: value for name, value in schema.items() if name != "$ref"}
        return _flat(target | beside, root, depth + 1)
    flat = {name: value for name, value in schema.items() if name not in TOP} | {"type": "object"}
    own = schema.get("properties")
    properties: Schema = dict(own) if isinstance(own, dict) else {}
    required = _required(schema)
    notes: list[str] = []
    closed = [schema.get("additionalProperties")] if "properties" in schema else []
    for name in _CHOICES:
        parts = _objects(schema.get(name), root, depth)
        for part in parts:
            _add_properties(properties, part.get("properties") or {}, together=name == "allOf")
        closed += [part.get("additionalProperties") for part in parts]
        common = [set(_required(part)) for part in parts]
        if name == "allOf":
            required += [each for part in parts for each in _required(part)]
        elif parts:
            required += [each for each in _required(parts[0]) if all(each in group for group in common)]
            notes += _groups(parts)
    if "additionalProperties" not in flat and closed and all(each is False for each in closed):
        flat["additionalProperties"] = False
    elif flat.get("additionalProperties") is False and any(each is not False for each in closed):
        del flat["additionalProperties"]
    flat["properties"] = properties
    if required:
        flat["required"] = list(dict.fromkeys(required))
    if "not" in schema:
        flat = _described(flat, {"not": schema["not"]})
    for note in notes:
        flat = _noted(flat, note)
    return flat


def _target(schema: Schema, root: Schema) -> Schema | None:
    """The schema that a local reference means."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return None
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) and step else found
    return found if isinstance(found, dict) and found is not root else None


def _objects(parts: Any, root: Schema, depth: int) -> list[Schema]:
    """The choices that are objects, each of them flat."""
    if not isinstance(parts, list) or depth >= _DEPTH:
        return []
    found = []
    for part in parts:
        if not isinstance(part, dict):
            continue
        if (_target(part, root) or part).get("type", "object") == "object":
            found.append(_flat(part, root, depth + 1))
    return found


def _required(schema: Schema) -> list[str]:
    names = schema.get("required")
    return [each for each in names if isinstance(each, str)] if isinstance(names, list) else []


def _add_properties(properties: Schema, more: object, *, together: bool) -> None:
    """Add the properties of one choice, if they are any. Of one that several have, either schema may hold."""
    for name, schema in more.items() if isinstance(more, dict) else ():
        known = properties.get(name)
        if known is None or known == schema:
            properties[name] = schema
        elif together and isinstance(known, dict) and isinstance(schema, dict):
            properties[name] = known | schema
        else:
            choices = known["anyOf"] if isinstance(known, dict) and known.keys() == {"anyOf"} else [known]
            if schema not in choices:
                properties[name] = {"anyOf": [*choices, schema]}


def _groups(parts: Sequence[Schema]) -> list[str]:
    """Which properties belong together, in words."""
    groups = [_required(part) or list(part.get("properties") or ()) for part in parts]
    told = [", ".join(group) for group in groups if group]
    return [f"Give the properties of one of these groups: {'; or '.join(told)}."] if len(told) > 1 else []
