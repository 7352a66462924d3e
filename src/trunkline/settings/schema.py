"""JSON Schema of ``trunkline.yaml``, for editors.

Generated from the models, and loosened in one way: where a number or a truth value is wanted, a text with a
``${NAME}`` reference will do too, since it is replaced before the value is checked.
"""

from __future__ import annotations

import json
from typing import Any, Final

from trunkline.settings.model import Settings

_REFERENCE: Final = {"type": "string", "pattern": r"\$\{"}


def file_schema() -> dict[str, Any]:
    """The schema as a dict of plain JSON values."""
    schema: dict[str, Any] = _allow_references(Settings.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "trunkline.yaml"}


def schema_text() -> str:
    """The schema as it stands in docs/trunkline.schema.json."""
    return json.dumps(file_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def _allow_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_allow_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") in ("integer", "number", "boolean"):
        about = {key: node[key] for key in ("title", "description", "default") if key in node}
        check = {key: value for key, value in node.items() if key not in about}
        return {**about, "anyOf": [check, _REFERENCE]}
    return {key: _allow_references(value) for key, value in node.items()}
