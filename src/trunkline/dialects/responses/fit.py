"""The fit step of the Responses API: where its bodies have names, ids and schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

import msgspec

from trunkline.dialects.fit.names import fit_names
from trunkline.dialects.fit.step import (
    DialectFitStep,
    Draft,
    Object,
    absent,
    fitting_fields,
    fitting_schema,
    matching,
    objects,
)

_CALLS: Final = ("function_call", "custom_tool_call")
_NAMED: Final = frozenset({*_CALLS, "function", "custom", "response.function_call_arguments.done"})
"""Types of items, tools and events with a tool's name."""


class ResponsesFitStep(DialectFitStep):
    """Fits the bodies of Responses requests."""

    stop_field: ClassVar[str] = "stop"
    schema_field: ClassVar[str] = "parameters"

    def fitting_type(self) -> Any:
        """Return a type that a body which needs no change decodes into."""
        rules = self.rules
        name, call_id = matching(rules.tool_names), matching(rules.call_ids)
        schema = fitting_schema(rules.tool_schema)
        tool = msgspec.defstruct(
            "FittingTool",
            [("name", name | None, None), ("parameters", schema, None), *absent(rules.refused_in_tools)],
        )
        item = msgspec.defstruct(
            "FittingItem", [("name", name | None, None), ("call_id", call_id | None, None)]
        )
        choice = msgspec.defstruct("FittingChoice", [("name", name, ""), ("tools", None, None)])
        fields: list[Any] = fitting_fields(rules, self.stop_field)
        known = {field[0] for field in fields}
        more: list[Any] = [
            ("input", list[item] | str | None, None),  # type: ignore[valid-type]
            ("tools", list[tool] | None, None),  # type: ignore[valid-type]
            ("tool_choice", str | choice | None, None),
        ]
        if rules.schema_names is not None:
            named = msgspec.defstruct("FittingFormat", [("name", matching(rules.schema_names), "")])
            text = msgspec.defstruct("FittingText", [("format", named | None, None)])
            more.append(("text", text | None, None))
        fields += [field for field in more if field[0] not in known]
        return msgspec.defstruct("FittingResponse", fields, kw_only=True)

    def restore(self, record: Any, names: Mapping[str, str]) -> bool:
        """Give the tools in an event, or a whole response, the client's names again."""
        if isinstance(record, list):
            restored = [self.restore(each, names) for each in record]
            return any(restored)
        if not isinstance(record, dict):
            return False
        found = self.restore([each for each in record.values() if isinstance(each, dict | list)], names)
        if record.get("type") in _NAMED and record.get("name") in names:
            record["name"] = names[record["name"]]
            found = True
        return found

    def _tool_specs(self, body: Draft) -> Iterator[tuple[str, Object]]:
        for path, tool in objects(body.value("tools"), "tools"):
            if tool.get("type") in ("function", "custom"):
                yield path, tool

    def _named(self, body: Draft) -> Iterator[tuple[str, Object]]:
        choice = body.value("tool_choice")
        if isinstance(choice, dict):
            yield "tool_choice", choice
            yield from objects(choice.get("tools"), "tool_choice.tools")
        for path, item in objects(body.value("input"), "input"):
            if item.get("type") in _CALLS:
                yield path, item

    def _ids(self, body: Draft) -> Iterator[tuple[str, Object, str]]:
        for path, item in objects(body.value("input"), "input"):
            yield path, item, "call_id"

    def _fit_messages(self, body: Draft) -> None:
        """Nothing besides names and ids is to be changed there."""

    def _fit_answer_schema(self, body: Draft) -> None:
        text, rule = body.value("text"), self.rules.schema_names
        wanted = text.get("format") if isinstance(text, dict) else None
        if rule is None or not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
            return
        if new := fit_names([wanted["name"]], rule):
            wanted["name"] = new[wanted["name"]]
            body.note("text.format.name")
