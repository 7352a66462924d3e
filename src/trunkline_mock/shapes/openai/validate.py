"""Validates requests of OpenAI's API, to catch a gateway that translates requests incompletely.

The functions take decoded JSON and raise a :class:`VendorError` with OpenAI's message and ``param``. Unknown
fields are accepted, except those that the vendor's row rejects.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.script import MockModel
from trunkline_mock.shapes.base import Catalog, VendorError
from trunkline_mock.shapes.openai.vendor import Vendor

_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")

_NUMBER_RANGES: Final = {
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_INTEGERS: Final = ("max_tokens", "max_completion_tokens", "n", "top_logprobs", "seed")
_FOREIGN_MESSAGE_FIELDS: Final = ("images", "thinking", "tool_name", "done")

_JSON_TYPE_NAMES: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body.

    Raises:
        VendorError: The body is no JSON object.
    """
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise VendorError(
            400, "We could not parse the JSON body of your request. The API expects a JSON object."
        ) from None


def require_model(vendor: Vendor, catalog: Catalog, name: str) -> MockModel:
    """The model ``name`` of ``catalog``.

    Raises:
        VendorError: There is no such model.
    """
    model = catalog.find(name)
    if model is None:
        if vendor.unknown_model == 400:
            raise VendorError(400, f"{name} is not a valid model ID")
        raise VendorError(
            vendor.unknown_model,
            f"The model `{name}` does not exist or you do not have access to it.",
            code="model_not_found",
            param="model",
        )
    return model


def validate_common_fields(data: dict[str, Any], vendor: Vendor) -> None:
    """Validate the fields that chat completions, text completions and responses have in common."""
    require(data, "model", str)
    for name in vendor.rejects:
        if name in data:
            raise VendorError(400, f"Unrecognized request argument supplied: {name}", param=name)
    for name, (low, high) in {**_NUMBER_RANGES, "temperature": (0, vendor.max_temperature)}.items():
        value = data.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a decimal", value)
        if not low <= value <= high:
            raise VendorError(
                400,
                f"Invalid '{name}': must be between {low} and {high}, but got {value}.",
                param=name,
                code="value_out_of_range",
            )
    for name in _INTEGERS:
        value = data.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise wrong_type(name, "an integer", value)
    if not isinstance(data.get("stream"), bool | None):
        raise wrong_type("stream", "a boolean", data["stream"])
    _validate_stop(data.get("stop"))
    _validate_stream_options(data)


def _validate_stop(stop: Any) -> None:
    sequences = stop if isinstance(stop, list) else [stop]
    if stop is not None and not all(isinstance(sequence, str) for sequence in sequences):
        raise wrong_type("stop", "a string or an array of strings", stop)


def _validate_stream_options(data: dict[str, Any]) -> None:
    if data.get("stream_options") is None:
        return
    if not isinstance(data["stream_options"], dict):
        raise wrong_type("stream_options", "an object", data["stream_options"])
    if not data.get("stream"):
        raise VendorError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def validate_chat(data: dict[str, Any], vendor: Vendor) -> None:
    """Validate a chat completion, including that tool calls and tool results match."""
    validate_common_fields(data, vendor)
    messages = require(data, "messages", list)
    if not messages:
        raise VendorError(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{index}]", "an object", message)
        _validate_message(message, f"messages[{index}]")
    _validate_tool_results(messages)
    for index, tool in enumerate(data.get("tools") or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if tool.get("type") == "function" and not (isinstance(function, dict) and function.get("name")):
            raise missing(f"tools[{index}].function.name")


def _validate_message(message: dict[str, Any], path: str) -> None:
    if message.get("role") not in _ROLES:
        raise VendorError(
            400, f"Invalid value: {message.get('role')!r}.", param=f"{path}.role", code="invalid_value"
        )
    for name in _FOREIGN_MESSAGE_FIELDS:
        if name in message:
            raise VendorError(
                400, f"Additional properties are not allowed ('{name}' was unexpected) - '{path}'"
            )
    content = message.get("content")
    calls = message.get("tool_calls")
    if content is None and not calls and message["role"] != "assistant":
        raise VendorError(400, f"Invalid value for 'content': expected a string, got null. ({path})")
    if isinstance(content, list):
        for index, part in enumerate(content):
            _validate_part(part, f"{path}.content[{index}]")
    elif not isinstance(content, str | None):
        raise wrong_type(f"{path}.content", "a string or an array of objects", content)
    if not isinstance(calls, list | None):
        raise wrong_type(f"{path}.tool_calls", "an array", calls)
    for index, call in enumerate(calls or ()):
        _validate_tool_call(call, f"{path}.tool_calls[{index}]")


def _validate_part(part: Any, path: str) -> None:
    if not isinstance(part, dict):
        raise wrong_type(path, "an object", part)
    if "type" not in part:
        raise missing(f"{path}.type")
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        raise wrong_type(f"{path}.text", "a string", part.get("text"))
    if part["type"] == "image_url":
        image = part.get("image_url")
        if not isinstance(image, dict):
            raise wrong_type(f"{path}.image_url", "an object", image)
        url = image.get("url")
        if not isinstance(url, str) or not url.startswith(("data:image/", "http://", "https://")):
            raise VendorError(
                400, "Invalid image URL.", param=f"{path}.image_url.url", code="invalid_image_url"
            )


def _validate_tool_call(call: Any, path: str) -> None:
    if not isinstance(call, dict):
        raise wrong_type(path, "an object", call)
    for name in ("id", "type", "function"):
        if not call.get(name):
            raise missing(f"{path}.{name}")
    function = call["function"]
    if not isinstance(function, dict) or not function.get("name"):
        raise missing(f"{path}.function.name")
    if not isinstance(function.get("arguments"), str):
        raise wrong_type(f"{path}.function.arguments", "a string", function.get("arguments"))


def _validate_tool_results(messages: list[dict[str, Any]]) -> None:
    """Require that each tool call has a result right after its message, and each result a call before it."""
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") is None:
                raise missing(f"messages[{index}].tool_call_id")
            if message["tool_call_id"] not in open_calls:
                raise VendorError(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message"
                    " with 'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
            open_calls.remove(message["tool_call_id"])
            continue
        _require_no_open_calls(open_calls, index)
        open_calls = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(open_calls)) != len(open_calls):
            raise VendorError(400, "Duplicate tool call ids.", param=f"messages.[{index}].tool_calls")
    _require_no_open_calls(open_calls, len(messages))


def _require_no_open_calls(open_calls: list[str], index: int) -> None:
    if open_calls:
        raise VendorError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            " 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(open_calls),
            param=f"messages.[{index}].role",
        )


def validate_embeddings(data: dict[str, Any]) -> list[Any]:
    """Validate an embeddings request; returns its inputs, each a text or a list of token numbers."""
    require(data, "model", str)
    inputs = data.get("input")
    if inputs is None or inputs in ("", []):
        raise missing("input")
    if not isinstance(inputs, str | list):
        raise wrong_type("input", "a string or an array", inputs)
    if data.get("encoding_format") not in (None, "float", "base64"):
        raise VendorError(400, "Invalid value for 'encoding_format'.", param="encoding_format")
    if isinstance(inputs, str) or isinstance(inputs[0], int):
        return [inputs]
    return inputs


def require(data: dict[str, Any], name: str, kind: type) -> Any:
    """The value of a required field.

    Raises:
        VendorError: The field is missing, or not of the type ``kind``.
    """
    value = data.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, kind):
        raise wrong_type(name, _JSON_TYPE_NAMES[kind], value)
    return value


def missing(param: str) -> VendorError:
    """The error for a required field that is missing."""
    return VendorError(
        400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def wrong_type(param: str, expected: str, value: Any) -> VendorError:
    """The error for a field that has another type than ``expected``."""
    got = _JSON_TYPE_NAMES[type(value)]
    return VendorError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )
