"""JSON Schema of ``trunkline.yaml``, for editors.

It is generated from the pydantic models and loosened in one way. Where a setting is a number or a boolean,
the schema also accepts a text with a ``${NAME}`` reference, because references are replaced before a value is
validated.
"""

from __future__ import annotations

import json
from typing import Any, Final

from trunkline.settings.model import Settings

_REFERENCE: Final = {"type": "string", "pattern": r"\$\{"}


def file_schema() -> dict[str, Any]:
    """The schema as JSON values."""
    schema: dict[str, Any] = _allow_references(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "trunkline.yaml"}


def schema_text() -> str:
    """The schema as the text of docs/trunkline.schema.json."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _allow_references(node: Any) -> Any:
    """A copy of a schema's node in which every number and boolean may also be a text with a reference."""
    if isinstance(node, list):
        return [_allow_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") in ("integer", "number", "boolean"):
        annotations = {key: node[key] for key in ("title", "description", "default") if key in node}
        constraints = {key: value for key, value in node.items() if key not in annotations}
        return {**annotations, "anyOf": [constraints, _REFERENCE]}
    return {key: _allow_references(value) for key, value in node.items()}
