"""Validates requests of the Responses API. Above all, it refuses the fields and forms of chat completions.

The functions take decoded JSON and raise a :class:`VendorError` with OpenAI's message and ``param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trunkline_mock.shapes.base import VendorError
from trunkline_mock.shapes.openai.validate import missing, require, validate_common_fields, wrong_type
from trunkline_mock.shapes.openai.vendor import Vendor

_MOVED_FIELDS: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_CHAT_FIELDS: Final = (
    *_MOVED_FIELDS,
    "n",
    "stop",
    "seed",
    "logprobs",
    "logit_bias",
    "presence_penalty",
    "frequency_penalty",
    "functions",
    "function_call",
    "modalities",
    "prediction",
)

_FIELD_TYPES: Final = {
    "instructions": (str, "a string"),
    "previous_response_id": (str, "a string"),
    "store": (bool, "a boolean"),
    "metadata": (dict, "an object"),
    "include": (list, "an array"),
    "reasoning": (dict, "an object"),
    "text": (dict, "an object"),
    "tools": (list, "an array"),
}

_INPUT_PARTS: Final = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT_PARTS: Final = ("output_text", "refusal")
_PARTS_BY_ROLE: Final = {
    "user": _INPUT_PARTS,
    "system": _INPUT_PARTS,
    "developer": _INPUT_PARTS,
    "assistant": _OUTPUT_PARTS,
}
_FOREIGN_MESSAGE_FIELDS: Final = ("tool_calls", "tool_call_id", "images", "thinking", "reasoning_content")
_ITEM_TYPES: Final = ("message", "function_call", "function_call_output", "reasoning", "item_reference")
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def validate_request(data: dict[str, Any], vendor: Vendor) -> None:
    """Validate a request, except for its references to what the server stores."""
    validate_common_fields(data, vendor)
    for name in _CHAT_FIELDS:
        if data.get(name) is not None:
            raise _unsupported_parameter(name)
    for name, (kind, type_name) in _FIELD_TYPES.items():
        value = data.get(name)
        if value is not None and not isinstance(value, kind):
            raise wrong_type(name, type_name, value)
    _validate_max_output_tokens(data.get("max_output_tokens"), vendor)
    _validate_input(data)
    for index, tool in enumerate(data.get("tools") or ()):
        _validate_tool(tool, f"tools[{index}]")
    _validate_tool_choice(data.get("tool_choice"))
    _validate_format((data.get("text") or {}).get("format"))
    effort = (data.get("reasoning") or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise _invalid_value(effort, "reasoning.effort", _EFFORTS)


def _unsupported_parameter(name: str) -> VendorError:
    moved = _MOVED_FIELDS.get(name)
    hint = f" In the Responses API, this parameter has moved to '{moved}'." if moved else ""
    return VendorError(
        400, f"Unsupported parameter: '{name}'.{hint}", param=name, code="unsupported_parameter"
    )


def _invalid_value(value: Any, param: str, supported: tuple[str, ...]) -> VendorError:
    names = ", ".join(f"'{name}'" for name in supported)
    return VendorError(
        400, f"Invalid value: '{value}'. Supported values are: {names}.", param=param, code="invalid_value"
    )


def _validate_max_output_tokens(limit: Any, vendor: Vendor) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise wrong_type("max_output_tokens", "an integer", limit)
    least = vendor.least_output_tokens
    if limit < least:
        raise VendorError(
            400,
            "Invalid 'max_output_tokens': integer below minimum value."
            f" Expected a value >= {least}, but got {limit} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )


def _validate_input(data: dict[str, Any]) -> None:
    request_input = data.get("input")
    if request_input is None:
        raise missing("input")
    if isinstance(request_input, str):
        return
    if not isinstance(request_input, list):
        raise wrong_type("input", "one of an array of objects or a string", request_input)
    if not request_input:
        raise VendorError(400, "Invalid 'input': empty array.", param="input", code="empty_array")
    for index, item in enumerate(request_input):
        _validate_item(item, f"input[{index}]")


def _validate_item(item: Any, path: str) -> None:
    if not isinstance(item, dict):
        raise wrong_type(path, "an object", item)
    kind = item.get("type", "message" if "role" in item else None)
    if kind is None:
        raise missing(f"{path}.type")
    match kind:
        case "message":
            _validate_message(item, path)
        case "function_call":
            for name in ("call_id", "name", "arguments"):
                _require_string(item, name, path)
        case "function_call_output":
            _require_string(item, "call_id", path)
            if not isinstance(item.get("output"), str):
                _validate_parts(item, "output", _INPUT_PARTS, path)
        case "reasoning":
            if not isinstance(item.get("summary"), list):
                raise missing(f"{path}.summary")
        case "item_reference":
            _require_string(item, "id", path)
        case str() if kind.endswith(("_call", "_output", "_request", "_response", "_tools", "compaction")):
            pass  # items of tools that OpenAI runs itself
        case _:
            raise _invalid_value(kind, f"{path}.type", _ITEM_TYPES)


def _require_string(item: dict[str, Any], name: str, path: str) -> None:
    if item.get(name) is None:
        raise missing(f"{path}.{name}")
    if not isinstance(item[name], str):
        raise wrong_type(f"{path}.{name}", "a string", item[name])


def _validate_message(item: dict[str, Any], path: str) -> None:
    role = item.get("role")
    if role not in _PARTS_BY_ROLE:
        raise _invalid_value(role, f"{path}.role", tuple(_PARTS_BY_ROLE))
    for name in _FOREIGN_MESSAGE_FIELDS:
        if name in item:
            raise VendorError(
                400,
                f"Unknown parameter: '{path}.{name}'.",
                param=f"{path}.{name}",
                code="unknown_parameter",
            )
    if not isinstance(item.get("content"), str):
        _validate_parts(item, "content", _PARTS_BY_ROLE[role], path)


def _validate_parts(item: dict[str, Any], name: str, types: tuple[str, ...], path: str) -> None:
    """Require that ``item[name]`` is a list of parts, each of one of ``types``."""
    path = f"{path}.{name}"
    parts = item.get(name)
    if parts is None:
        raise missing(path)
    if not isinstance(parts, list):
        raise wrong_type(path, "one of an array of objects or a string", parts)
    for index, part in enumerate(parts):
        part_path = f"{path}[{index}]"
        if not isinstance(part, dict):
            raise wrong_type(part_path, "an object", part)
        if part.get("type") not in types:
            raise _invalid_value(part.get("type"), f"{part_path}.type", types)
        if part["type"].endswith("_text"):
            _require_string(part, "text", part_path)
        if part["type"] == "input_image":
            _validate_image(part, part_path)


def _validate_image(part: dict[str, Any], path: str) -> None:
    if part.get("file_id") is not None:
        return
    _require_string(part, "image_url", path)
    if not part["image_url"].startswith(("data:image/", "http://", "https://")):
        raise VendorError(
            400,
            f"Invalid '{path}.image_url'. Expected a valid URL, but got a value with an invalid format.",
            param=f"{path}.image_url",
            code="invalid_value",
        )


def _validate_tool(tool: Any, path: str) -> None:
    if not isinstance(tool, dict):
        raise wrong_type(path, "an object", tool)
    if tool.get("type") is None:
        raise missing(f"{path}.type")
    if tool["type"] == "function":
        _require_string(tool, "name", path)
        if not isinstance(tool.get("parameters"), dict | None):
            raise wrong_type(f"{path}.parameters", "an object", tool["parameters"])


def _validate_tool_choice(choice: Any) -> None:
    modes = ("none", "auto", "required")
    if choice is None or choice in modes:
        return
    if not isinstance(choice, dict):
        raise _invalid_value(choice, "tool_choice", modes)
    if require(choice, "type", str) == "function":
        _require_string(choice, "name", "tool_choice")


def _validate_format(format: Any) -> None:
    if format is None:
        return
    if not isinstance(format, dict):
        raise wrong_type("text.format", "an object", format)
    types = ("text", "json_object", "json_schema")
    if format.get("type") not in types:
        raise _invalid_value(format.get("type"), "text.format.type", types)
    if format["type"] == "json_schema":
        _require_string(format, "name", "text.format")
        if not isinstance(format.get("schema"), dict):
            raise missing("text.format.schema")


def validate_tool_results(items: Sequence[dict[str, Any]]) -> None:
    """Require that each call of a conversation has a result after it, and each result a call before it.

    Raises:
        VendorError: A call or a result has no counterpart.
    """
    open_calls: list[str] = []
    for item in items:
        if item.get("type") == "function_call":
            open_calls.append(item["call_id"])
        if item.get("type") == "function_call_output":
            if item["call_id"] not in open_calls:
                raise _unmatched(
                    f"No tool call found for function call output with call_id {item['call_id']}."
                )
            open_calls.remove(item["call_id"])
    if open_calls:
        raise _unmatched(f"No tool output found for function call {open_calls[0]}.")


def _unmatched(message: str) -> VendorError:
    return VendorError(400, message, param="input")
