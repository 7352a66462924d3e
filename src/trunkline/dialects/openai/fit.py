"""The fit step of OpenAI's chat API: where its bodies have names, ids, schemas and fields of messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final

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

FILE_NAMES: Mapping[str, str] = {
    "application/pdf": "document.pdf",
    "text/plain": "document.txt",
    "text/csv": "document.csv",
    "text/markdown": "document.md",
}
"""Type of a file → its name, where the client has given none."""


_KINDS: Final = ("function", "custom")
"""The fields of a tool, or of a call, that have its name."""


def file_name(media_type: str) -> str:
    """Return a name for a file without one: vendors insist on it, and read its ending."""
    return FILE_NAMES.get(media_type, "document")


class ChatFitStep(DialectFitStep):
    """Fits the bodies of chats."""

    stop_field: ClassVar[str] = "stop"
    schema_field: ClassVar[str] = "parameters"

    def fitting_type(self) -> Any:
        """Return a type that a body which needs no change decodes into."""
        rules = self.rules
        named = msgspec.defstruct("FittingName", [("name", matching(rules.tool_names), "")])
        custom = ("custom", named | None, None)
        function = self._fitting_function()
        refused = rules.refused_in_tools | (frozenset() if rules.takes_cache_control else {"cache_control"})
        tool = msgspec.defstruct(
            "FittingTool", [("function", function | None, None), custom, *absent(refused)]
        )
        choice = msgspec.defstruct(
            "FittingChoice", [("function", named | None, None), custom, ("allowed_tools", None, None)]
        )
        own: list[Any] = [
            ("messages", list[self._fitting_message(named)] | None, None),  # type: ignore[misc]
            ("tools", list[tool] | None, None),  # type: ignore[valid-type]
            ("functions", list[function] | None, None),  # type: ignore[valid-type]
            ("function_call", str | named | None, None),
            ("tool_choice", str | choice | None, None),
        ]
        if rules.answer_schema is not None or rules.schema_names is not None:
            plain = msgspec.defstruct("FittingFormat", [("json_schema", None, None)])
            own.append(("response_format", plain | None, None))
        fields: list[Any] = fitting_fields(rules, self.stop_field)
        known = {field[0] for field in fields}
        fields += [field for field in own if field[0] not in known]
        return msgspec.defstruct("FittingChat", fields, kw_only=True)

    def _fitting_function(self) -> Any:
        rules = self.rules
        fields: list[Any] = [
            ("name", matching(rules.tool_names), ""),
            ("parameters", fitting_schema(rules.tool_schema), None),
            *absent(rules.refused_in_tools),
        ]
        if rules.answer_schema is not None and "strict" not in rules.refused_in_tools:
            fields.append(("strict", None, None))
        return msgspec.defstruct("FittingFunction", fields)

    def _fitting_message(self, named: Any) -> Any:
        rules = self.rules
        call_id = matching(rules.call_ids)
        call = msgspec.defstruct(
            "FittingCall", [("id", call_id | None, None), *((kind, named | None, None) for kind in _KINDS)]
        )
        fields: list[Any] = [
            ("content", self._fitting_content(), None),
            ("tool_calls", list[call] | None, None),  # type: ignore[valid-type]
            ("tool_call_id", call_id | None, None),
            ("function_call", named if rules.refused_in_messages else named | None, msgspec.UNSET),
        ]
        fields = [field for field in fields if field[0] not in rules.refused_in_messages]
        if rules.roles:
            others = "|".join(rules.roles)
            fields.append(("role", Annotated[str, msgspec.Meta(pattern=f"^(?!(?:{others})$)")], ""))
        return msgspec.defstruct("FittingMessage", [*fields, *absent(self._refused_in_messages)])

    @property
    def _refused_in_messages(self) -> frozenset[str]:
        rules = self.rules
        return rules.refused_in_messages | (frozenset() if rules.takes_cache_control else {"cache_control"})

    def _fitting_content(self) -> Any:
        rules = self.rules
        if rules.text_results:
            return str | None
        fields: list[Any] = [] if rules.takes_cache_control else absent(["cache_control"])
        if rules.names_files:
            fields.append(("file", msgspec.defstruct("FittingFile", [("filename", str)]) | None, None))
        if not fields:
            return Any
        part = msgspec.defstruct("FittingPart", fields)
        return list[part] | str | None  # type: ignore[valid-type]

    def restore(self, record: Any, names: Mapping[str, str]) -> bool:
        """Give the tools in a chunk, or a whole answer, the client's names again."""
        found = False
        for _, choice in objects(record.get("choices") if isinstance(record, dict) else None, ""):
            for field in ("delta", "message"):
                piece = choice.get(field)
                if not isinstance(piece, dict):
                    continue
                calls = [
                    call.get(kind) for _, call in objects(piece.get("tool_calls"), "") for kind in _KINDS
                ]
                for function in (*calls, piece.get("function_call")):
                    if isinstance(function, dict) and function.get("name") in names:
                        function["name"] = names[function["name"]]
                        found = True
        return found

    def _tool_specs(self, body: Draft) -> Iterator[tuple[str, Object]]:
        for path, tool in objects(body.value("tools"), "tools"):
            for kind in _KINDS:
                if isinstance(tool.get(kind), dict):
                    yield f"{path}.{kind}", tool[kind]
        yield from objects(body.value("functions"), "functions")

    def _named(self, body: Draft) -> Iterator[tuple[str, Object]]:
        choice = body.value("tool_choice")
        if isinstance(choice, dict):
            for kind in _KINDS:
                if isinstance(choice.get(kind), dict):
                    yield f"tool_choice.{kind}", choice[kind]
            allowed = choice.get("allowed_tools")
            tools = allowed.get("tools") if isinstance(allowed, dict) else None
            for path, tool in objects(tools, "tool_choice.allowed_tools.tools"):
                if isinstance(tool.get("function"), dict):
                    yield f"{path}.function", tool["function"]
        forced = body.value("function_call")
        if isinstance(forced, dict):
            yield "function_call", forced
        for path, message in objects(body.value("messages"), "messages"):
            for at, call in objects(message.get("tool_calls"), f"{path}.tool_calls"):
                for kind in _KINDS:
                    if isinstance(call.get(kind), dict):
                        yield f"{at}.{kind}", call[kind]
            if isinstance(message.get("function_call"), dict):
                yield f"{path}.function_call", message["function_call"]
            if message.get("role") in ("tool", "function") and message.get("name"):
                yield path, message

    def _ids(self, body: Draft) -> Iterator[tuple[str, Object, str]]:
        for path, message in objects(body.value("messages"), "messages"):
            for at, call in objects(message.get("tool_calls"), f"{path}.tool_calls"):
                yield at, call, "id"
            yield path, message, "tool_call_id"

    def _fit_messages(self, body: Draft) -> None:
        rules = self.rules
        for path, message in objects(body.value("messages"), "messages"):
            role = message.get("role")
            if isinstance(role, str) and role in rules.roles:
                message["role"] = rules.roles[role]
                body.note(f"{path}.role")
            refused = self._refused_in_messages
            if rules.refused_in_messages and message.get("function_call", "") is None:
                refused |= {"function_call"}
            for name in sorted(refused & message.keys()):
                del message[name]
                body.note(f"-{path}.{name}")
            self._fit_content(body, path, message)
        if not rules.takes_cache_control:
            for path, tool in objects(body.value("tools"), "tools"):
                _drop_cache_control(body, path, tool)

    def _fit_content(self, body: Draft, path: str, message: Object) -> None:
        content = message.get("content")
        for at, part in objects(content, f"{path}.content"):
            if not self.rules.takes_cache_control:
                _drop_cache_control(body, at, part)
            file = part.get("file")
            if self.rules.names_files and isinstance(file, dict) and not file.get("filename"):
                data = file.get("file_data")
                if isinstance(data, str):
                    file["filename"] = file_name(data.removeprefix("data:").partition(";")[0])
                    body.note(f"{at}.file.filename")
        if self.rules.text_results and message.get("role") == "tool" and isinstance(content, list):
            texts = [part.get("text") for _, part in objects(content, "")]
            message["content"] = "".join(text for text in texts if isinstance(text, str))
            body.note(f"{path}.content")

    def _fit_answer_schema(self, body: Draft) -> None:
        wanted = body.value("response_format")
        spec = wanted.get("json_schema") if isinstance(wanted, dict) else None
        if not isinstance(spec, dict):
            return
        rule, names = self.rules.answer_schema, self.rules.schema_names
        if rule is not None:
            self._fit_schema(body, spec, "schema", "response_format.json_schema.schema", rule)
        name = spec.get("name")
        if names is not None and isinstance(name, str) and (new := fit_names([name], names)):
            spec["name"] = new[name]
            body.note("response_format.json_schema.name")


def _drop_cache_control(body: Draft, path: str, owner: Object) -> None:
    if "cache_control" in owner:
        del owner["cache_control"]
        body.note(f"-{path}.cache_control")
