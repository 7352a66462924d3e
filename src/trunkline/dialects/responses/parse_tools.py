"""Tools of Responses clients: functions, functions in namespaces, and what OpenAI's own servers would run.

Upstreams know no namespaces: there, the name of a function that lies in one begins with it. A tool that
only OpenAI's servers can run is left out where the model has others to choose from, and refused where it
has not, or where it is the one that must be used: an answer without it would not be what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from trunkline.dialects.request_errors import decode, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.refusals import unsupported
from trunkline.model import Tool, ToolChoice

SEPARATOR: Final = "__"
"""Between a namespace and a name in it."""

_TYPED: Final = msgspec.json.Decoder(schema.Typed)
_FUNCTION: Final = msgspec.json.Decoder(schema.FunctionTool)
_NAMESPACE: Final = msgspec.json.Decoder(schema.NamespaceTool)


class Place(NamedTuple):
    """A tool in a namespace."""

    namespace: str
    name: str


class Toolbox(NamedTuple):
    """What a request says of tools."""

    tools: tuple[Tool, ...]
    choice: ToolChoice | None
    spaces: Mapping[str, Place]
    """Tools that lie in a namespace, by the names that upstreams know them by."""


def flat_name(namespace: str | None, name: str) -> str:
    """The name that upstreams know a tool by."""
    return f"{namespace}{SEPARATOR}{name}" if namespace else name


def read_tools(given: Sequence[msgspec.Raw], choice: str | schema.Choice | None) -> Toolbox:
    """The functions that the model may call; of those, the ones that ``choice`` allows.

    Raises:
        CallerError: with ``param`` naming the tool that cannot be offered.
    """
    tools: list[Tool] = []
    spaces: dict[str, Place] = {}
    foreign: list[tuple[str, str]] = []
    for index, raw in enumerate(given):
        at = f"tools[{index}]"
        kind = decode(_TYPED, raw, at).type
        if kind is None:
            raise missing(f"{at}.type")
        if kind == "function":
            tools.append(_tool(raw, at))
        elif kind == "namespace":
            space = decode(_NAMESPACE, raw, at)
            for number, inner in enumerate(space.tools):
                where = f"{at}.tools[{number}]"
                if decode(_TYPED, inner, where).type != "function":
                    foreign.append((where, f"{space.name}.{decode(_TYPED, inner, where).type}"))
                    continue
                tool = _tool(inner, where)
                flat = flat_name(space.name, tool.name)
                spaces[flat] = Place(space.name, tool.name)
                tools.append(msgspec.structs.replace(tool, name=flat))
        else:
            foreign.append((at, kind))
    if foreign and not tools:
        at, kind = foreign[0]
        raise unsupported(f"A tool of type '{kind}'", f"{at}.type", "only functions are")
    if isinstance(choice, schema.Choice) and choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools or () if tool.type == "function"}
        tools = [tool for tool in tools if tool.name in allowed]
    return Toolbox(tuple(tools), _tool_choice(choice), spaces)


def _tool(raw: msgspec.Raw, at: str) -> Tool:
    spec = decode(_FUNCTION, raw, at)
    return Tool(name=spec.name, description=spec.description, parameters=spec.parameters, strict=spec.strict)


def _tool_choice(seen: str | schema.Choice | None) -> ToolChoice | None:
    match seen:
        case None:
            return None
        case schema.Choice(type="function"):
            if seen.name is None:
                raise missing("tool_choice.name")
            return ToolChoice(mode="tool", name=seen.name)
        case schema.Choice(type="allowed_tools"):
            if seen.mode is None or seen.tools is None:
                raise missing("tool_choice.mode" if seen.mode is None else "tool_choice.tools")
            return ToolChoice(mode=seen.mode)
        case schema.Choice():
            raise unsupported(f"A tool choice of type '{seen.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)  # type: ignore[arg-type]
