"""Tools of Responses clients: functions, functions in namespaces, and tools that OpenAI's own servers run.

Upstreams know no namespaces: the name that they get for a function in a namespace begins with the namespace.
A tool that only OpenAI's servers can run is left out if the model has others to choose from. It is refused if
there are no others, or if it must be used: an answer without it would not be what the client asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from trunkline.dialects.request_errors import decode, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.errors import unsupported
from trunkline.model import Tool, ToolChoice

SEPARATOR: Final = "__"
"""Between a namespace and a name in it."""

_TYPED: Final = msgspec.json.Decoder(schema.Typed)
_FUNCTION: Final = msgspec.json.Decoder(schema.FunctionTool)
_NAMESPACE: Final = msgspec.json.Decoder(schema.NamespaceTool)


class QualifiedName(NamedTuple):
    """The name of a tool in a namespace."""

    namespace: str
    name: str


class Toolbox(NamedTuple):
    """The tools of a request."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | None
    qualified_names: Mapping[str, QualifiedName]
    """The names of tools in a namespace, by the names that upstreams get for them."""


def flat_name(namespace: str | None, name: str) -> str:
    """Return the name that upstreams get for a tool."""
    return f"{namespace}{SEPARATOR}{name}" if namespace else name


def parse_tools(raw_tools: Sequence[msgspec.Raw], choice: str | schema.Choice | None) -> Toolbox:
    """Return the functions that the model may call; only those that ``choice`` allows, if it names some.

    Raises:
        CallerError: A tool cannot be offered; ``param`` names it.
    """
    tools: list[Tool] = []
    qualified_names: dict[str, QualifiedName] = {}
    foreign: list[tuple[str, str]] = []
    for index, raw in enumerate(raw_tools):
        path = f"tools[{index}]"
        kind = decode(_TYPED, raw, path).type
        if kind is None:
            raise missing(f"{path}.type")
        if kind == "function":
            tools.append(_tool(raw, path))
        elif kind == "namespace":
            namespace = decode(_NAMESPACE, raw, path)
            for number, inner in enumerate(namespace.tools):
                inner_path = f"{path}.tools[{number}]"
                inner_kind = decode(_TYPED, inner, inner_path).type
                if inner_kind != "function":
                    foreign.append((inner_path, f"{namespace.name}.{inner_kind}"))
                    continue
                tool = _tool(inner, inner_path)
                flat = flat_name(namespace.name, tool.name)
                qualified_names[flat] = QualifiedName(namespace.name, tool.name)
                tools.append(msgspec.structs.replace(tool, name=flat))
        else:
            foreign.append((path, kind))
    if foreign and not tools:
        path, kind = foreign[0]
        raise unsupported(f"A tool of type '{kind}'", f"{path}.type", "only functions are")
    if isinstance(choice, schema.Choice) and choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools or () if tool.type == "function"}
        tools = [tool for tool in tools if tool.name in allowed]
    return Toolbox(tuple(tools), _tool_choice(choice), qualified_names)


def _tool(raw: msgspec.Raw, path: str) -> Tool:
    spec = decode(_FUNCTION, raw, path)
    return Tool(name=spec.name, description=spec.description, parameters=spec.parameters, strict=spec.strict)


def _tool_choice(choice: str | schema.Choice | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case schema.Choice(type="function"):
            if choice.name is None:
                raise missing("tool_choice.name")
            return ToolChoice(mode="tool", name=choice.name)
        case schema.Choice(type="allowed_tools"):
            if choice.mode is None or choice.tools is None:
                raise missing("tool_choice.mode" if choice.mode is None else "tool_choice.tools")
            return ToolChoice(mode=choice.mode)
        case schema.Choice():
            raise unsupported(f"A tool choice of type '{choice.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)  # type: ignore[arg-type]
