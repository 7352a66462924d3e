"""The fit step of Anthropic's Messages API: where its bodies have names, ids and schemas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from trunkline.dialects.fit.step import (
    DialectFitStep,
    Draft,
    Object,
    fitting_fields,
    fitting_schema,
    matching,
    objects,
)


class MessagesFitStep(DialectFitStep):
    """Fits the bodies of Messages requests."""

    stop_field: ClassVar[str] = "stop_sequences"
    schema_field: ClassVar[str] = "input_schema"

    def fitting_type(self) -> Any:
        """Return a type that a body which needs no change decodes into."""
        rules = self.rules
        name, call_id = matching(rules.tool_names), matching(rules.call_ids)
        strict = [] if rules.answer_schema is None else [("strict", None, None)]
        tool = msgspec.defstruct(
            "FittingTool",
            [("name", name, ""), ("input_schema", fitting_schema(rules.tool_schema), None), *strict],
        )
        block = msgspec.defstruct(
            "FittingBlock",
            [("type", str, ""), ("id", call_id, ""), ("name", name, ""), ("tool_use_id", call_id, "")],
        )
        message = msgspec.defstruct("FittingMessage", [("content", list[block] | str | None, None)])  # type: ignore[valid-type]
        choice = msgspec.defstruct("FittingChoice", [("name", name, "")])
        fields: list[Any] = fitting_fields(rules, self.stop_field)
        known = {field[0] for field in fields}
        more: list[Any] = [
            ("messages", list[message] | None, None),  # type: ignore[valid-type]
            ("tools", list[tool] | None, None),  # type: ignore[valid-type]
            ("tool_choice", choice | None, None),
        ]
        if rules.answer_schema is not None:
            plain = msgspec.defstruct("FittingConfig", [("format", None, None)])
            more += [("output_config", plain | None, None), ("output_format", None, None)]
        fields += [field for field in more if field[0] not in known]
        return msgspec.defstruct("FittingMessages", fields, kw_only=True)

    def restore(self, record: Any, names: Mapping[str, str]) -> bool:
        """Give the tools in an event, or a whole message, the client's names again."""
        if not isinstance(record, dict):
            return False
        found = False
        for _, block in (*objects([record.get("content_block")], ""), *objects(record.get("content"), "")):
            if block.get("type") == "tool_use" and block.get("name") in names:
                block["name"] = names[block["name"]]
                found = True
        return found

    def _tool_specs(self, body: Draft) -> Iterator[tuple[str, Object]]:
        for path, tool in objects(body.value("tools"), "tools"):
            if tool.get("type") in (None, "custom"):
                yield path, tool

    def _named(self, body: Draft) -> Iterator[tuple[str, Object]]:
        choice = body.value("tool_choice")
        if isinstance(choice, dict):
            yield "tool_choice", choice
        for path, block in _blocks(body):
            if block.get("type") == "tool_use":
                yield path, block

    def _ids(self, body: Draft) -> Iterator[tuple[str, Object, str]]:
        for path, block in _blocks(body):
            if block.get("type") == "tool_use":
                yield path, block, "id"
            elif block.get("type") == "tool_result":
                yield path, block, "tool_use_id"

    def _fit_messages(self, body: Draft) -> None:
        """Nothing besides names and ids is to be changed there."""

    def _fit_answer_schema(self, body: Draft) -> None:
        rule = self.rules.answer_schema
        if rule is None:
            return
        config = body.value("output_config")
        for path, owner in (
            ("output_config.format", config.get("format") if isinstance(config, dict) else None),
            ("output_format", body.value("output_format")),
        ):
            if isinstance(owner, dict):
                self._fit_schema(body, owner, "schema", f"{path}.schema", rule)


def _blocks(body: Draft) -> Iterator[tuple[str, Object]]:
    for path, message in objects(body.value("messages"), "messages"):
        yield from objects(message.get("content"), f"{path}.content")
