"""Validates requests of Anthropic's API: their fields, their tools and their thinking.

The functions raise a :class:`VendorError` with the vendor's message. Unlike OpenAI's servers, Anthropic's
refuse every unknown field; fields of beta APIs need the header ``anthropic-beta``.
:mod:`.validate_messages` validates the messages.
"""

from __future__ import annotations

import re
from typing import Any, Final

from trunkline_mock.shapes.anthropic.validate_blocks import validate_blocks
from trunkline_mock.shapes.anthropic.validate_fields import (
    forbid_other_fields,
    invalid_request,
    require_field,
    require_number,
    require_one_of,
    require_type,
    unknown_type,
)
from trunkline_mock.shapes.anthropic.validate_messages import validate_messages
from trunkline_mock.shapes.base import ParsedRequest

_TOKEN_COUNT_FIELDS: Final = {
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
_MESSAGE_FIELDS: Final = _TOKEN_COUNT_FIELDS | {
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

_TOOL_NAME_PATTERN: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_SERVER_TOOL_PATTERN: Final = re.compile(r"[a-z0-9_]+_\d{8}")
_TOOL_TYPES: Final = ("bash_20250124", "custom", "text_editor_20250728", "web_search_20250305")
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
_TOOL_CHOICE_FIELDS: Final = {
    "auto": {"type", "disable_parallel_tool_use"},
    "any": {"type", "disable_parallel_tool_use"},
    "tool": {"type", "name", "disable_parallel_tool_use"},
    "none": {"type"},
}
_THINKING_FIELDS: Final = {
    "enabled": {"type", "budget_tokens", "display"},
    "disabled": {"type"},
    "adaptive": {"type", "display"},
    "between_tools": {"type"},
}
_EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_SERVICE_TIERS: Final = ("auto", "standard_only")
_MIN_THINKING_BUDGET: Final = 1024
_MAX_CACHE_CONTROLS: Final = 4


def validate_message(request: ParsedRequest) -> None:
    """Validate a request for a message.

    Raises:
        VendorError: The vendor would refuse it.
    """
    data = request.data
    _validate_field_names(request, _MESSAGE_FIELDS)
    if require_number(require_field(data, "max_tokens", ""), "max_tokens", integer=True) < 1:
        raise invalid_request("max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        value = data.get(name)
        if value is not None and not 0 <= require_number(value, name) <= 1:
            raise invalid_request(f"{name}: range: 0..1")
    if data.get("top_k") is not None and require_number(data["top_k"], "top_k", integer=True) < 0:
        raise invalid_request("top_k: Input should be greater than or equal to 0")
    require_type(data.get("stream"), bool, "stream", optional=True)
    if data.get("service_tier") is not None:
        require_one_of(data["service_tier"], _SERVICE_TIERS, "service_tier")
    metadata = require_type(data.get("metadata"), dict, "metadata", optional=True)
    forbid_other_fields(metadata or {}, {"user_id"}, "metadata")
    stop_sequences = require_type(data.get("stop_sequences"), list, "stop_sequences", optional=True)
    for index, sequence in enumerate(stop_sequences or ()):
        if not require_type(sequence, str, f"stop_sequences.{index}").strip():
            raise invalid_request("stop_sequences: each stop sequence must contain non-whitespace")
    _validate_common_fields(data)


def validate_token_count(request: ParsedRequest) -> None:
    """Validate a request to count tokens.

    Raises:
        VendorError: The vendor would refuse it.
    """
    _validate_field_names(request, _TOKEN_COUNT_FIELDS)
    _validate_common_fields(request.data)


def _validate_field_names(request: ParsedRequest, fields: set[str]) -> None:
    if request.headers.get("anthropic-beta"):
        fields = fields | _BETA_FIELDS
    forbid_other_fields(request.data, fields, "")
    if not require_type(require_field(request.data, "model", ""), str, "model"):
        raise invalid_request("model: String should have at least 1 character")


def _validate_common_fields(data: dict[str, Any]) -> None:
    """Validate the fields that a message and the counting of its tokens have in common."""
    system = data.get("system")
    if system is not None and not isinstance(system, str):
        validate_blocks(system, "system", ("text",))
    tool_names = _validate_tools(data)
    _validate_tool_choice(data, tool_names)
    _validate_output_config(data)
    _validate_thinking(data)
    validate_messages(data)
    cache_controls = _count_cache_controls(data)
    if cache_controls > _MAX_CACHE_CONTROLS:
        raise invalid_request(
            f"A maximum of {_MAX_CACHE_CONTROLS} blocks with cache_control may be provided."
            f" Found {cache_controls}."
        )


def _validate_tools(data: dict[str, Any]) -> list[str]:
    """Validate the tools; returns their names."""
    names = []
    for index, tool in enumerate(require_type(data.get("tools"), list, "tools", optional=True) or ()):
        path = f"tools.{index}"
        tool_type = require_type(tool, dict, path).get("type")
        if tool_type is None or tool_type == "custom":
            _validate_tool(tool, f"{path}.custom")
        elif not isinstance(tool_type, str) or not _SERVER_TOOL_PATTERN.fullmatch(tool_type):
            raise unknown_type(tool_type, _TOOL_TYPES, path)
        names.append(str(tool.get("name")))
    if len(set(names)) != len(names):
        raise invalid_request("tools: Tool names must be unique.")
    return names


def _validate_tool(tool: dict[str, Any], path: str) -> None:
    name = require_type(require_field(tool, "name", path), str, f"{path}.name")
    if not _TOOL_NAME_PATTERN.fullmatch(name):
        raise invalid_request(f"{path}.name: String should match pattern '^{_TOOL_NAME_PATTERN.pattern}$'")
    schema_path = f"{path}.input_schema"
    schema = require_type(require_field(tool, "input_schema", path), dict, schema_path)
    require_one_of(require_field(schema, "type", schema_path), ("object",), f"{schema_path}.type")
    forbid_other_fields(tool, _TOOL_FIELDS, path)


def _validate_tool_choice(data: dict[str, Any], tool_names: list[str]) -> None:
    choice = _typed_object(data, "tool_choice", _TOOL_CHOICE_FIELDS)
    if choice is None:
        return
    path = f"tool_choice.{choice['type']}.disable_parallel_tool_use"
    require_type(choice.get("disable_parallel_tool_use"), bool, path, optional=True)
    if not tool_names:
        raise invalid_request("tool_choice may only be specified while providing tools.")
    if choice["type"] == "tool":
        name = require_type(require_field(choice, "name", "tool_choice.tool"), str, "tool_choice.tool.name")
        if name not in tool_names:
            raise invalid_request(f"Tool '{name}' not found in provided tools")


def _validate_output_config(data: dict[str, Any]) -> None:
    config = require_type(data.get("output_config"), dict, "output_config", optional=True) or {}
    if config.get("effort") is not None:
        require_one_of(config["effort"], _EFFORTS, "output_config.effort")
    for path, output_format in (
        ("output_config.format", config.get("format")),
        ("output_format", data.get("output_format")),
    ):
        if output_format is not None:
            format_type = require_field(require_type(output_format, dict, path), "type", path)
            require_one_of(format_type, ("json_schema",), f"{path}.type")
            require_type(require_field(output_format, "schema", path), dict, f"{path}.schema")


def _validate_thinking(data: dict[str, Any]) -> None:
    thinking = _typed_object(data, "thinking", _THINKING_FIELDS)
    if thinking is None or thinking["type"] != "enabled":
        return
    path = "thinking.enabled.budget_tokens"
    budget = require_number(require_field(thinking, "budget_tokens", "thinking.enabled"), path, integer=True)
    if budget < _MIN_THINKING_BUDGET:
        raise invalid_request(f"{path}: Input should be greater than or equal to {_MIN_THINKING_BUDGET}")
    if "max_tokens" in data and budget >= data["max_tokens"]:
        raise invalid_request("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if data.get("temperature") not in (None, 1):
        raise invalid_request("`temperature` may only be set to 1 when thinking is enabled.")
    if data.get("top_p") is not None and data["top_p"] < 0.95:
        raise invalid_request(
            "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
        )
    if data.get("top_k") is not None:
        raise invalid_request("`top_k` must be unset when thinking is enabled.")
    if (data.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise invalid_request("Thinking may not be enabled when tool_choice forces tool use.")


def _typed_object(
    data: dict[str, Any], name: str, fields_by_type: dict[str, set[str]]
) -> dict[str, Any] | None:
    """The value of ``data[name]``, an object whose ``type`` decides which fields it may have, or ``None``."""
    value: dict[str, Any] | None = require_type(data.get(name), dict, name, optional=True)
    if value is None:
        return None
    object_type = value.get("type")
    if not isinstance(object_type, str) or object_type not in fields_by_type:
        raise unknown_type(object_type, fields_by_type, name)
    forbid_other_fields(value, fields_by_type[object_type], f"{name}.{object_type}")
    return value


def _count_cache_controls(value: Any) -> int:
    """The number of blocks with a ``cache_control``."""
    if isinstance(value, list):
        return sum(map(_count_cache_controls, value))
    if not isinstance(value, dict):
        return 0
    children = (value.get(name) for name in ("system", "tools", "messages", "content"))
    return (value.get("cache_control") is not None) + sum(map(_count_cache_controls, children))
