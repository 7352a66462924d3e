"""Tools of Responses clients that the client itself runs: custom tools, patches, shells, screens, and the
search for more tools.

OpenAI's models have forms of their own for these tools' calls. Other upstreams get a function for each, and
its call becomes an item of the tool's own type again. The same items in a history are calls and results like
all others. Source: OpenAI's published schema, the tools and the items of the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from trunkline.dialects.custom_tools import as_function, wrap_input
from trunkline.dialects.tool_arguments import as_object
from trunkline.model import Tool

_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


class ClientTool(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of tool that the client runs."""

    name: str
    """The function's name; empty for custom tools, which have names of their own."""
    call: str
    """The type of the item that calls it."""
    prefix: str
    """Begins the ids of such items."""
    field: str
    """The field of a call that says what is to be done."""
    description: str = ""
    parameters: Mapping[str, Any] = {}
    required: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = {}
    """Members of ``field`` that the model is not asked for."""
    more: Mapping[str, Any] = {}
    """Other fields that a call has to have."""
    output: str = ""
    """The type of the item with its result, if that is not ``call`` with ``_output``."""

    @property
    def is_custom(self) -> bool:
        """Whether its input is a text."""
        return not self.name

    def function(self) -> Tool:
        """Return the function that upstreams get."""
        schema = {"type": "object", "properties": dict(self.parameters), "required": list(self.required)}
        return Tool(name=self.name, description=self.description, parameters=schema)

    def call_fields(self, arguments: str) -> dict[str, Any]:
        """Return the fields of the call whose arguments these are."""
        return {self.field: {**self.fixed, **_decode(as_object(arguments))}, **self.more}

    def arguments(self, value: Any) -> str:
        """Return the function's arguments for the value of a call's ``field``."""
        if self.is_custom:
            return wrap_input(value if isinstance(value, str) else "")
        if isinstance(value, dict):
            value = {name: each for name, each in value.items() if each != self.fixed.get(name)}
        return as_object(_encode(value).decode())


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


_MILLISECONDS: Final = {"type": "integer", "description": "Time limit in milliseconds"}
_NUMBER: Final = {"type": "integer"}

_SEARCH: Final = ClientTool(
    name="tool_search",
    call="tool_search_call",
    prefix="tsc",
    field="arguments",
    description="Search for further tools. Those that are found can be called afterwards.",
    parameters={"query": _text("What the tools are to do")},
    required=("query",),
    more={"execution": "client"},
    output="tool_search_output",
)
CUSTOM: Final = ClientTool(name="", call="custom_tool_call", prefix="ctc", field="input")
_COMPUTER: Final = ClientTool(
    name="computer",
    call="computer_call",
    prefix="cu",
    field="action",
    description="Use the computer's screen, mouse and keyboard. Each call returns a screenshot.",
    parameters={
        "type": {
            "type": "string",
            "enum": [
                "click",
                "double_click",
                "drag",
                "keypress",
                "move",
                "screenshot",
                "scroll",
                "type",
                "wait",
            ],
        },
        "x": _NUMBER,
        "y": _NUMBER,
        "button": {"type": "string", "enum": ["left", "right", "wheel", "back", "forward"]},
        "scroll_x": _NUMBER,
        "scroll_y": _NUMBER,
        "keys": _texts("Keys to press together"),
        "text": _text("Text to type"),
        "path": {
            "type": "array",
            "items": {"type": "object", "properties": {"x": _NUMBER, "y": _NUMBER}},
            "description": "Points of a drag",
        },
    },
    required=("type",),
    more={"pending_safety_checks": []},
)
BUILT_IN: Final[Mapping[str, ClientTool]] = {
    "apply_patch": ClientTool(
        name="apply_patch",
        call="apply_patch_call",
        prefix="apc",
        field="operation",
        description="Create, update or delete one file by a diff in the V4A format.",
        parameters={
            "type": {"type": "string", "enum": ["create_file", "update_file", "delete_file"]},
            "path": _text("The file"),
            "diff": _text("The diff; for a new file its lines, each after a +. Not for delete_file"),
        },
        required=("type", "path"),
    ),
    "shell": ClientTool(
        name="shell",
        call="shell_call",
        prefix="sh",
        field="action",
        description="Run shell commands, and return the output and the exit code of each.",
        parameters={
            "commands": _texts("Command lines"),
            "timeout_ms": _MILLISECONDS,
            "max_output_length": {"type": "integer", "description": "Characters of output to return"},
        },
        required=("commands",),
    ),
    "local_shell": ClientTool(
        name="local_shell",
        call="local_shell_call",
        prefix="lsh",
        field="action",
        description="Run one command, and return its output.",
        parameters={
            "command": _texts("The program and its arguments"),
            "working_directory": _text("Where to run it"),
            "timeout_ms": _MILLISECONDS,
            "env": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        required=("command",),
        fixed={"type": "exec", "env": {}},
    ),
    "computer": _COMPUTER,
    "computer_use_preview": _COMPUTER,
    "computer_use": _COMPUTER,
    "tool_search": _SEARCH,
}
"""By the type of the tool."""
CALLS: Final[Mapping[str, ClientTool]] = {tool.call: tool for tool in (CUSTOM, *BUILT_IN.values())}
"""By the type of the item that calls it."""
OUTPUTS: Final[Mapping[str, ClientTool]] = {
    tool.output or f"{call}_output": tool for call, tool in CALLS.items()
}
"""By the type of the item with its result."""


class OfferedTool(msgspec.Struct, frozen=True):
    """A tool of a request that the client runs."""

    kind: ClientTool
    wire: dict[str, Any]
    """As the client sent it."""


def offered(kind: str, wire: dict[str, Any], flat_name: str) -> tuple[Tool, OfferedTool] | None:
    """Return the function for a tool, and the tool; None if the client does not run tools of this type.

    Args:
        kind: The tool's type.
        wire: The tool, as the client sent it.
        flat_name: The name that upstreams get for it, if it is a custom tool.
    """
    if kind == "custom":
        description, form = wire.get("description"), wire.get("format")
        function = as_function(
            flat_name,
            description if isinstance(description, str) else None,
            form if isinstance(form, dict) else None,
        )
        return function, OfferedTool(CUSTOM, wire)
    tool = BUILT_IN.get(kind)
    if tool is None or _is_hosted(kind, wire):
        return None
    return _described(tool.function(), wire), OfferedTool(tool, wire)


def _described(function: Tool, wire: Mapping[str, Any]) -> Tool:
    """The function with the description and the parameters that the client gives, if it gives some."""
    description, parameters = wire.get("description"), wire.get("parameters")
    if isinstance(description, str):
        function = msgspec.structs.replace(function, description=description)
    if isinstance(parameters, dict):
        function = msgspec.structs.replace(function, parameters=parameters)
    return function


def is_run_by_client(kind: str, execution: str | None) -> bool:
    """Whether the client made what is of type ``kind``: a search for tools says who runs it."""
    return execution == "client" or kind not in ("tool_search", "tool_search_call", "tool_search_output")


def _is_hosted(kind: str, wire: Mapping[str, Any]) -> bool:
    """Whether OpenAI runs it: a search for tools, or a shell in a container."""
    if not is_run_by_client(kind, wire.get("execution")):
        return True
    environment = wire.get("environment")
    return isinstance(environment, dict) and environment.get("type") != "local"
