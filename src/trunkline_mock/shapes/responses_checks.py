"""What OpenAI's Responses API refuses: above all what belongs to chat completions.

Pure functions over decoded JSON, each raising :class:`RefusalError` in OpenAI's words and with its ``param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from trunkline_mock.shapes.base import RefusalError
from trunkline_mock.shapes.openai_checks import check_common, missing, require, wrong_type
from trunkline_mock.shapes.vendors import Vendor

_MOVED: Final = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
}
_CHAT_ONLY: Final = (
    *_MOVED,
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

_TYPES: Final = {
    "instructions": (str, "a string"),
    "previous_response_id": (str, "a string"),
    "store": (bool, "a boolean"),
    "metadata": (dict, "an object"),
    "include": (list, "an array"),
    "reasoning": (dict, "an object"),
    "text": (dict, "an object"),
    "tools": (list, "an array"),
}

_USERS: Final = ("input_text", "input_image", "input_file", "input_audio")
_MODELS: Final = ("output_text", "refusal")
_PARTS: Final = {"user": _USERS, "system": _USERS, "developer": _USERS, "assistant": _MODELS}
_FOREIGN_IN_MESSAGE: Final = ("tool_calls", "tool_call_id", "images", "thinking", "reasoning_content")
_ITEMS: Final = ("message", "function_call", "function_call_output", "reasoning", "item_reference")
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def check_response(data: dict[str, Any], vendor: Vendor) -> None:
    """A request, but for what refers to something that the server keeps."""
    check_common(data, vendor)
    for name in _CHAT_ONLY:
        if data.get(name) is not None:
            raise _unsupported(name)
    for name, (kind, called) in _TYPES.items():
        value = data.get(name)
        if value is not None and not isinstance(value, kind):
            raise wrong_type(name, called, value)
    _check_limit(data.get("max_output_tokens"), vendor)
    _check_input(data)
    for index, tool in enumerate(data.get("tools") or ()):
        _check_tool(tool, f"tools[{index}]")
    _check_choice(data.get("tool_choice"))
    _check_format((data.get("text") or {}).get("format"))
    effort = (data.get("reasoning") or {}).get("effort")
    if effort is not None and effort not in _EFFORTS:
        raise _invalid(effort, "reasoning.effort", _EFFORTS)


def _unsupported(name: str) -> RefusalError:
    moved = _MOVED.get(name)
    hint = f" In the Responses API, this parameter has moved to '{moved}'." if moved else ""
    return RefusalError(
        400, f"Unsupported parameter: '{name}'.{hint}", param=name, code="unsupported_parameter"
    )


def _invalid(value: Any, param: str, known: tuple[str, ...]) -> RefusalError:
    names = ", ".join(f"'{name}'" for name in known)
    return RefusalError(
        400, f"Invalid value: '{value}'. Supported values are: {names}.", param=param, code="invalid_value"
    )


def _check_limit(limit: Any, vendor: Vendor) -> None:
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise wrong_type("max_output_tokens", "an integer", limit)
    least = vendor.least_output_tokens
    if limit < least:
        raise RefusalError(
            400,
            "Invalid 'max_output_tokens': integer below minimum value."
            f" Expected a value >= {least}, but got {limit} instead.",
            param="max_output_tokens",
            code="integer_below_min_value",
        )


def _check_input(data: dict[str, Any]) -> None:
    given = data.get("input")
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        return
    if not isinstance(given, list):
        raise wrong_type("input", "one of an array of objects or a string", given)
    if not given:
        raise RefusalError(400, "Invalid 'input': empty array.", param="input", code="empty_array")
    for index, item in enumerate(given):
        _check_item(item, f"input[{index}]")


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise wrong_type(where, "an object", item)
    kind = item.get("type", "message" if "role" in item else None)
    if kind is None:
        raise missing(f"{where}.type")
    match kind:
        case "message":
            _check_message(item, where)
        case "function_call":
            for name in ("call_id", "name", "arguments"):
                _need_text(item, name, where)
        case "function_call_output":
            _need_text(item, "call_id", where)
            if not isinstance(item.get("output"), str):
                _check_parts(item, "output", _USERS, where)
        case "reasoning":
            if not isinstance(item.get("summary"), list):
                raise missing(f"{where}.summary")
        case "item_reference":
            _need_text(item, "id", where)
        case str() if kind.endswith(("_call", "_output", "_request", "_response", "_tools", "compaction")):
            pass  # of tools that OpenAI runs itself
        case _:
            raise _invalid(kind, f"{where}.type", _ITEMS)


def _need_text(item: dict[str, Any], name: str, where: str) -> None:
    if item.get(name) is None:
        raise missing(f"{where}.{name}")
    if not isinstance(item[name], str):
        raise wrong_type(f"{where}.{name}", "a string", item[name])


def _check_message(item: dict[str, Any], where: str) -> None:
    role = item.get("role")
    if role not in _PARTS:
        raise _invalid(role, f"{where}.role", tuple(_PARTS))
    for name in _FOREIGN_IN_MESSAGE:
        if name in item:
            raise RefusalError(
                400,
                f"Unknown parameter: '{where}.{name}'.",
                param=f"{where}.{name}",
                code="unknown_parameter",
            )
    if not isinstance(item.get("content"), str):
        _check_parts(item, "content", _PARTS[role], where)


def _check_parts(item: dict[str, Any], name: str, known: tuple[str, ...], where: str) -> None:
    """``item[name]`` as a list of parts, each of a type that may stand there."""
    where = f"{where}.{name}"
    parts = item.get(name)
    if parts is None:
        raise missing(where)
    if not isinstance(parts, list):
        raise wrong_type(where, "one of an array of objects or a string", parts)
    for index, part in enumerate(parts):
        at = f"{where}[{index}]"
        if not isinstance(part, dict):
            raise wrong_type(at, "an object", part)
        if part.get("type") not in known:
            raise _invalid(part.get("type"), f"{at}.type", known)
        if part["type"].endswith("_text"):
            _need_text(part, "text", at)
        if part["type"] == "input_image":
            _check_image(part, at)


def _check_image(part: dict[str, Any], where: str) -> None:
    if part.get("file_id") is not None:
        return
    _need_text(part, "image_url", where)
    if not part["image_url"].startswith(("data:image/", "http://", "https://")):
        raise RefusalError(
            400,
            f"Invalid '{where}.image_url'. Expected a valid URL, but got a value with an invalid format.",
            param=f"{where}.image_url",
            code="invalid_value",
        )


def _check_tool(tool: Any, where: str) -> None:
    if not isinstance(tool, dict):
        raise wrong_type(where, "an object", tool)
    if tool.get("type") is None:
        raise missing(f"{where}.type")
    if tool["type"] == "function":
        _need_text(tool, "name", where)
        if not isinstance(tool.get("parameters"), dict | None):
            raise wrong_type(f"{where}.parameters", "an object", tool["parameters"])


def _check_choice(choice: Any) -> None:
    words = ("none", "auto", "required")
    if choice is None or choice in words:
        return
    if not isinstance(choice, dict):
        raise _invalid(choice, "tool_choice", words)
    if require(choice, "type", str) == "function":
        _need_text(choice, "name", "tool_choice")


def _check_format(format: Any) -> None:
    if format is None:
        return
    if not isinstance(format, dict):
        raise wrong_type("text.format", "an object", format)
    known = ("text", "json_object", "json_schema")
    if format.get("type") not in known:
        raise _invalid(format.get("type"), "text.format.type", known)
    if format["type"] == "json_schema":
        _need_text(format, "name", "text.format")
        if not isinstance(format.get("schema"), dict):
            raise missing("text.format.schema")


def check_pairing(items: Sequence[dict[str, Any]]) -> None:
    """Each call of a conversation is answered somewhere behind it, and each answer has a call before it."""
    calls: list[str] = []
    for item in items:
        if item.get("type") == "function_call":
            calls.append(item["call_id"])
        if item.get("type") == "function_call_output":
            if item["call_id"] not in calls:
                raise _unpaired(
                    f"No tool call found for function call output with call_id {item['call_id']}."
                )
            calls.remove(item["call_id"])
    if calls:
        raise _unpaired(f"No tool output found for function call {calls[0]}.")


def _unpaired(message: str) -> RefusalError:
    return RefusalError(400, message, param="input")
