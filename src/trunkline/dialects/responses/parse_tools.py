"""Tools of Responses clients: functions, functions in namespaces, and tools that OpenAI's own servers run.

Upstreams know no namespaces: the name that they get for a function in a namespace begins with the namespace.
A tool that the client runs reaches them as a function, whatever OpenAI calls it. A search of the web is a
tool that some of them have. Any other tool that only OpenAI's servers can run is left out if the model has
others to choose from. It is refused if there are no others, or if it must be used: an answer without it would
not be what the client asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from trunkline.dialects.request_errors import decode, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.client_tools import BUILT_IN, OfferedTool, offered
from trunkline.dialects.responses.errors import unsupported
from trunkline.model import Tool, ToolChoice, WebSearch

SEPARATOR: Final = "__"
"""Between a namespace and a name in it."""

_TYPED: Final = msgspec.json.Decoder(schema.Typed)
_FUNCTION: Final = msgspec.json.Decoder(schema.FunctionTool)
_SEARCH: Final = msgspec.json.Decoder(schema.SearchTool)
_NAMED: Final = msgspec.json.Decoder(schema.Named)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])
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
    client_tools: Mapping[str, OfferedTool]
    """The tools other than functions that the client runs, by the names that upstreams get for them."""
    web_search: WebSearch | None


def flat_name(namespace: str | None, name: str) -> str:
    """Return the name that upstreams get for a tool."""
    return f"{namespace}{SEPARATOR}{name}" if namespace else name


def tool_names(raw_tools: Sequence[msgspec.Raw]) -> list[str]:
    """Return the names that upstreams get for these functions and custom tools."""
    return [
        flat_name(namespace, name)
        for path, namespace, raw in _flatten(raw_tools)
        if (name := decode(_NAMED, raw, path).name) is not None
    ]


def parse_tools(
    raw_tools: Sequence[msgspec.Raw],
    choice: str | schema.Choice | None,
    found: Sequence[msgspec.Raw] = (),
) -> Toolbox:
    """Return the functions that the model may call; only those that ``choice`` allows, if it names some.

    Args:
        raw_tools: The tools of the request.
        choice: What the request says of them.
        found: Tools that the request's input offers besides. One that is there already counts once.

    Raises:
        CallerError: A tool cannot be offered; ``param`` names it.
    """
    tools: list[Tool] = []
    qualified_names: dict[str, QualifiedName] = {}
    client_tools: dict[str, OfferedTool] = {}
    foreign: list[tuple[str, str]] = []
    search: WebSearch | None = None
    for path, namespace, raw in _distinct(raw_tools, found):
        kind = decode(_TYPED, raw, path).type
        if kind is None:
            raise missing(f"{path}.type")
        if kind == "function" or kind == "custom":
            spec = decode(_FUNCTION, raw, path)
            name = flat_name(namespace, spec.name)
            if namespace is not None:
                qualified_names[name] = QualifiedName(namespace, spec.name)
        else:
            spec, name = None, ""
        if kind == "function" and spec is not None:
            tools.append(_tool(spec, name))
        elif (made := offered(kind, decode(_FIELDS, raw, path), name)) is not None:
            tool, offer = made
            tools.append(tool)
            client_tools[tool.name] = offer
        elif kind.startswith("web_search") and namespace is None:
            search = _web_search(decode(_SEARCH, raw, path), kind, f"{path}.type") or search
            foreign.append((path, kind))
        else:
            foreign.append((path, f"{namespace}.{kind}" if namespace else kind))
    others = [each for each in foreign if search is None or each[1] != search.kind]
    if others and not tools:
        path, kind = others[0]
        raise unsupported(f"A tool of type '{kind}'", f"{path}.type", "only tools that the client runs are")
    if isinstance(choice, schema.Choice) and choice.type == "allowed_tools":
        allowed = {tool.name or tool.type for tool in choice.tools or ()}
        tools = [tool for tool in tools if tool.name in allowed]
    if search is not None and isinstance(choice, schema.Choice) and choice.type.startswith("web_search"):
        forced = ToolChoice(mode="tool", name=search.tool_name)
        return Toolbox(tuple(tools), forced, qualified_names, client_tools, search)
    if search is not None and tools:
        search = msgspec.structs.replace(search, optional=True)
    return Toolbox(tuple(tools), _tool_choice(choice, client_tools), qualified_names, client_tools, search)


def _distinct(
    raw_tools: Sequence[msgspec.Raw], found: Sequence[msgspec.Raw]
) -> Iterator[tuple[str, str | None, msgspec.Raw]]:
    """All tools of the request, and of those that were found the ones with other names."""
    yield from _flatten(raw_tools)
    if found:
        names = set(tool_names(raw_tools))
        for path, namespace, raw in _flatten(found, "found"):
            name = flat_name(namespace, decode(_NAMED, raw, path).name or "")
            if name not in names:
                names.add(name)
                yield path, namespace, raw


def _flatten(
    raw_tools: Sequence[msgspec.Raw], field: str = "tools"
) -> Iterator[tuple[str, str | None, msgspec.Raw]]:
    """Each tool with its path, and with its namespace if it is in one."""
    for index, raw in enumerate(raw_tools):
        path = f"{field}[{index}]"
        if decode(_TYPED, raw, path).type != "namespace":
            yield path, None, raw
            continue
        namespace = decode(_NAMESPACE, raw, path)
        for number, inner in enumerate(namespace.tools):
            yield f"{path}.tools[{number}]", namespace.name, inner


def _tool(spec: schema.FunctionTool, name: str) -> Tool:
    return Tool(name=name, description=spec.description, parameters=spec.parameters, strict=spec.strict)


def _web_search(spec: schema.SearchTool, kind: str, path: str) -> WebSearch | None:
    """The search; None for one that may only look at what OpenAI has stored, which nobody else has."""
    if spec.external_web_access is False:
        return None
    location = msgspec.structs.asdict(spec.user_location) if spec.user_location is not None else {}
    return WebSearch(
        field=path,
        kind=kind,
        context_size=spec.search_context_size,
        location={name: value for name, value in location.items() if value} or None,
        allowed_domains=tuple(spec.filters.allowed_domains or ()) if spec.filters is not None else (),
    )


def _tool_choice(
    choice: str | schema.Choice | None, client_tools: Mapping[str, OfferedTool]
) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case schema.Choice(type="function" | "custom"):
            if choice.name is None:
                raise missing("tool_choice.name")
            return ToolChoice(mode="tool", name=choice.name)
        case schema.Choice(type="allowed_tools"):
            if choice.mode is None or choice.tools is None:
                raise missing("tool_choice.mode" if choice.mode is None else "tool_choice.tools")
            return ToolChoice(mode=choice.mode)
        case schema.Choice(type=kind) if kind in BUILT_IN and BUILT_IN[kind].name in client_tools:
            return ToolChoice(mode="tool", name=BUILT_IN[kind].name)
        case schema.Choice():
            raise unsupported(f"A tool choice of type '{choice.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)  # type: ignore[arg-type]
