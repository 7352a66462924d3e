"""What Anthropic's servers refuse: the fields of a request, its tools and its thinking.

Pure functions over decoded JSON, each raising :class:`RefusalError` in the vendor's words. Unlike OpenAI's
servers these refuse every field that they do not know; fields of beta APIs want the ``anthropic-beta``
header. What is inside messages is :mod:`.anthropic_messages`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from trunkline_mock.shapes.anthropic_blocks import (
    check_blocks,
    complain,
    known,
    number,
    one_of,
    required,
    typed,
    wrong_tag,
)
from trunkline_mock.shapes.anthropic_messages import check_messages
from trunkline_mock.shapes.base import Call

_COUNTED: Final = {
    "cache_control",
    "messages",
    "model",
    "output_config",
    "speed",
    "system",
    "thinking",
    "tool_choice",
    "tools",
}
_FIELDS: Final = _COUNTED | {
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "metadata",
    "service_tier",
    "stop_sequences",
    "stream",
    "temperature",
    "top_k",
    "top_p",
}
_BETA_FIELDS: Final = {
    "billing_policy",
    "compaction",
    "context_management",
    "fallback_credit_token",
    "fallbacks",
    "mcp_servers",
    "output_format",
    "thread",
}

_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SERVER_TOOL: Final = re.compile(r"[a-z0-9_]+_\d{8}")
_TOOLS: Final = ("bash_20250124", "custom", "text_editor_20250728", "web_search_20250305")
_TOOL_FIELDS: Final = {
    "allowed_callers",
    "cache_control",
    "defer_loading",
    "description",
    "eager_input_streaming",
    "input_examples",
    "input_schema",
    "name",
    "strict",
    "type",
}
_CHOICES: Final = {
    "auto": {"type", "disable_parallel_tool_use"},
    "any": {"type", "disable_parallel_tool_use"},
    "tool": {"type", "name", "disable_parallel_tool_use"},
    "none": {"type"},
}
_THINKING: Final = {
    "enabled": {"type", "budget_tokens", "display"},
    "disabled": {"type"},
    "adaptive": {"type", "display"},
    "between_tools": {"type"},
}
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_TIERS: Final = ("auto", "standard_only")
_LEAST_BUDGET: Final = 1024
_CACHE_POINTS: Final = 4


def check_message(call: Call) -> None:
    """A request for a message."""
    data = call.data
    _check_known(call, _FIELDS)
    if number(required(data, "max_tokens", ""), "max_tokens", whole=True) < 1:
        raise complain("max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        value = data.get(name)
        if value is not None and not 0 <= number(value, name) <= 1:
            raise complain(f"{name}: range: 0..1")
    if data.get("top_k") is not None and number(data["top_k"], "top_k", whole=True) < 0:
        raise complain("top_k: Input should be greater than or equal to 0")
    typed(data.get("stream"), bool, "stream", optional=True)
    if data.get("service_tier") is not None:
        one_of(data["service_tier"], _TIERS, "service_tier")
    metadata = typed(data.get("metadata"), dict, "metadata", optional=True)
    known(metadata or {}, {"user_id"}, "metadata")
    for index, word in enumerate(
        typed(data.get("stop_sequences"), list, "stop_sequences", optional=True) or ()
    ):
        if not typed(word, str, f"stop_sequences.{index}").strip():
            raise complain("stop_sequences: each stop sequence must contain non-whitespace")
    _check_shared(data)


def check_count(call: Call) -> None:
    """A request to count tokens."""
    _check_known(call, _COUNTED)
    _check_shared(call.data)


def _check_known(call: Call, fields: set[str]) -> None:
    known(call.data, fields | _BETA_FIELDS if call.headers.get("anthropic-beta") else fields, "")
    if not typed(required(call.data, "model", ""), str, "model"):
        raise complain("model: String should have at least 1 character")


def _check_shared(data: dict[str, Any]) -> None:
    """What a message and the counting of its tokens have in common."""
    system = data.get("system")
    if system is not None and not isinstance(system, str):
        check_blocks(system, "system", ("text",))
    tools = _check_tools(data)
    _check_choice(data, tools)
    _check_output(data)
    _check_thinking(data)
    check_messages(data)
    points = _cache_points(data)
    if points > _CACHE_POINTS:
        raise complain(
            f"A maximum of {_CACHE_POINTS} blocks with cache_control may be provided. Found {points}."
        )


def _check_tools(data: dict[str, Any]) -> list[str]:
    """The tools' names."""
    names = []
    for index, tool in enumerate(typed(data.get("tools"), list, "tools", optional=True) or ()):
        where = f"tools.{index}"
        kind = typed(tool, dict, where).get("type")
        if kind is None or kind == "custom":
            _check_tool(tool, f"{where}.custom")
        elif not isinstance(kind, str) or not _SERVER_TOOL.fullmatch(kind):
            raise wrong_tag(kind, _TOOLS, where)
        names.append(str(tool.get("name")))
    if len(set(names)) != len(names):
        raise complain("tools: Tool names must be unique.")
    return names


def _check_tool(tool: dict[str, Any], where: str) -> None:
    name = typed(required(tool, "name", where), str, f"{where}.name")
    if not _TOOL_NAME.fullmatch(name):
        raise complain(f"{where}.name: String should match pattern '^{_TOOL_NAME.pattern}$'")
    schema = typed(required(tool, "input_schema", where), dict, f"{where}.input_schema")
    one_of(required(schema, "type", f"{where}.input_schema"), ("object",), f"{where}.input_schema.type")
    known(tool, _TOOL_FIELDS, where)


def _check_choice(data: dict[str, Any], tools: list[str]) -> None:
    choice = _tagged(data, "tool_choice", _CHOICES)
    if choice is None:
        return
    single = choice.get("disable_parallel_tool_use")
    typed(single, bool, f"tool_choice.{choice['type']}.disable_parallel_tool_use", optional=True)
    if not tools:
        raise complain("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool":
        name = typed(required(choice, "name", "tool_choice.tool"), str, "tool_choice.tool.name")
        if name not in tools:
            raise complain(f"Tool '{name}' not found in provided tools")


def _check_output(data: dict[str, Any]) -> None:
    config = typed(data.get("output_config"), dict, "output_config", optional=True) or {}
    if config.get("effort") is not None:
        one_of(config["effort"], _EFFORTS, "output_config.effort")
    for where, form in (
        ("output_config.format", config.get("format")),
        ("output_format", data.get("output_format")),
    ):
        if form is not None:
            one_of(required(typed(form, dict, where), "type", where), ("json_schema",), f"{where}.type")
            typed(required(form, "schema", where), dict, f"{where}.schema")


def _check_thinking(data: dict[str, Any]) -> None:
    thinking = _tagged(data, "thinking", _THINKING)
    if thinking is None or thinking["type"] != "enabled":
        return
    where = "thinking.enabled"
    budget = number(required(thinking, "budget_tokens", where), f"{where}.budget_tokens", whole=True)
    if budget < _LEAST_BUDGET:
        raise complain(f"{where}.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}")
    if "max_tokens" in data and budget >= data["max_tokens"]:
        raise complain("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if data.get("temperature") not in (None, 1):
        raise complain("`temperature` may only be set to 1 when thinking is enabled.")
    if data.get("top_p") is not None and data["top_p"] < 0.95:
        raise complain("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
    if data.get("top_k") is not None:
        raise complain("`top_k` must be unset when thinking is enabled.")
    if (data.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise complain("Thinking may not be enabled when tool_choice forces tool use.")


def _tagged(data: dict[str, Any], name: str, kinds: dict[str, set[str]]) -> dict[str, Any] | None:
    """An object whose ``type`` says which fields it has."""
    value: dict[str, Any] | None = typed(data.get(name), dict, name, optional=True)
    if value is None:
        return None
    kind = value.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        raise wrong_tag(kind, kinds, name)
    known(value, kinds[kind], f"{name}.{kind}")
    return value


def _cache_points(value: Any) -> int:
    """How many blocks ask for caching."""
    if isinstance(value, list):
        return sum(map(_cache_points, value))
    if not isinstance(value, dict):
        return 0
    inside = (value.get(name) for name in ("system", "tools", "messages", "content"))
    return (value.get("cache_control") is not None) + sum(map(_cache_points, inside))
