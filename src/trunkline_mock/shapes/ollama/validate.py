"""Validates requests of Ollama's native API, to catch a gateway that sends it requests in OpenAI's format.

The functions take decoded JSON and raise a :class:`VendorError` with status 400. The messages are those of
Go's JSON decoder and of Ollama's own handlers.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from trunkline_mock.shapes.base import VendorError

_GO_TYPE_NAMES: Final = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_WITHOUT_NEWLINES: Final = str.maketrans("", "", "\r\n")
"""A translation that removes newlines, which Go's base64 decoder ignores."""
_DURATION_PATTERN: Final = re.compile(r"[-+]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
_SECONDS_BY_UNIT: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_THINK_LEVELS: Final = ("low", "medium", "high", "max")
_DEFAULT_KEEP_ALIVE_S: Final = 300.0

_INTEGER_OPTIONS: Final = (
    "num_keep",
    "seed",
    "num_predict",
    "top_k",
    "repeat_last_n",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
)
_FLOAT_OPTIONS: Final = (
    "top_p",
    "min_p",
    "typical_p",
    "temperature",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
)


def validate_common_fields(data: dict[str, Any]) -> None:
    """Validate the fields that all inference requests have in common."""
    _require_type(data, "model", str)
    _require_type(data, "stream", bool)
    if not (data.get("model") or data.get("name")):
        raise VendorError(400, "model is required")
    parse_keep_alive(data)
    _validate_options(data.get("options"))
    _validate_think(data.get("think"))
    _validate_format(data.get("format"))


def validate_chat(data: dict[str, Any]) -> None:
    """Validate a chat request."""
    validate_common_fields(data)
    _require_type(data, "messages", list)
    _require_type(data, "tools", list)
    for message in data.get("messages") or ():
        if not isinstance(message, dict):
            raise _go_type_error(message, "ChatRequest.messages", "api.Message")
        for name in ("role", "content", "thinking", "tool_name", "tool_call_id"):
            if not isinstance(message.get(name), str | None):
                raise _go_type_error(message[name], f"ChatRequest.messages.{name}", "string")
        decode_images(message, "ChatRequest.messages.images")
        for call in message.get("tool_calls") or ():
            arguments = call.get("function", {}).get("arguments")
            if not isinstance(arguments, dict | None):
                field = "ChatRequest.messages.tool_calls.function.arguments"
                raise _go_type_error(arguments, field, "api.ToolCallFunctionArguments")


def validate_generate(data: dict[str, Any]) -> None:
    """Validate a generate request."""
    validate_common_fields(data)
    for name in ("prompt", "suffix", "system", "template"):
        _require_type(data, name, str)
    decode_images(data, "GenerateRequest.images")
    if data.get("raw") and any(data.get(name) for name in ("template", "system", "context")):
        raise VendorError(400, "raw mode does not support template, system, or context")


def decode_images(parent: dict[str, Any], field: str) -> list[bytes]:
    """The images of a message or a request, in base64 without a ``data:`` prefix.

    Args:
        parent: The message or the request.
        field: The name of the images' field in Ollama's Go code, for error messages.

    Raises:
        VendorError: An image is invalid.
    """
    images = parent.get("images")
    if images is None:
        return []
    if not isinstance(images, list):
        raise _go_type_error(images, field, "[]api.ImageData")
    decoded = []
    for image in images:
        if not isinstance(image, str):
            raise _go_type_error(image, field, "api.ImageData")
        try:
            decoded.append(base64.b64decode(image.translate(_WITHOUT_NEWLINES), validate=True))
        except binascii.Error:
            position = next(
                (i for i, char in enumerate(image) if not (char.isalnum() or char in "+/")), len(image)
            )
            raise VendorError(400, f"illegal base64 data at input byte {position}") from None
    return decoded


def parse_inputs(data: dict[str, Any]) -> list[str]:
    """Validate an embed request; returns its texts."""
    validate_common_fields(data)
    inputs = data.get("input")
    if inputs is None or inputs == "":
        return []
    if isinstance(inputs, str):
        return [inputs]
    if not isinstance(inputs, list) or not all(isinstance(text, str) for text in inputs):
        raise VendorError(400, "invalid input type")
    return inputs


def parse_keep_alive(data: dict[str, Any]) -> float:
    """``keep_alive`` in seconds. A negative value means that the model stays loaded without limit.

    Raises:
        VendorError: It is neither a number nor a Go duration.
    """
    keep_alive = data.get("keep_alive")
    if keep_alive is None:
        return _DEFAULT_KEEP_ALIVE_S
    if isinstance(keep_alive, int | float) and not isinstance(keep_alive, bool):
        return float(keep_alive)
    if isinstance(keep_alive, str):
        if re.fullmatch(r"-?\d+", keep_alive):
            return float(keep_alive)
        if _DURATION_PATTERN.fullmatch(keep_alive):
            parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", keep_alive)
            seconds = sum(float(number) * _SECONDS_BY_UNIT[unit] for number, unit in parts)
            return -seconds if keep_alive.startswith("-") else seconds
    raise VendorError(400, f'time: invalid duration "{keep_alive}"')


def _validate_options(options: Any) -> None:
    if not isinstance(options, dict | None):
        raise _go_type_error(options, "ChatRequest.options", "map[string]interface {}")
    for name, value in (options or {}).items():
        if value is None:
            continue  # Ollama ignores nulls
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _INTEGER_OPTIONS and not is_number:  # Ollama accepts fractions and truncates them
            raise VendorError(400, f'option "{name}" must be of type integer')
        if name in _FLOAT_OPTIONS and not is_number:
            raise VendorError(400, f'option "{name}" must be of type float32')
        is_list_of_strings = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if name == "stop" and not is_list_of_strings:
            raise VendorError(400, 'option "stop" must be of type array')


def _validate_think(think: Any) -> None:
    if think is None or isinstance(think, bool) or think in _THINK_LEVELS:
        return
    allowed = '"high", "medium", "low", "max", true, or false'
    raise VendorError(400, f'invalid think value: "{think}" (must be {allowed})')


def _validate_format(output_format: Any) -> None:
    if output_format in (None, "", "json") or isinstance(output_format, dict):
        return
    expected = '"json" or a valid JSON Schema object'
    raise VendorError(400, f'invalid format: "{output_format}"; expected {expected}')


def _require_type(data: dict[str, Any], name: str, kind: type) -> None:
    value = data.get(name)
    if value is not None and not isinstance(value, kind):
        raise _go_type_error(value, f"ChatRequest.{name}", _GO_TYPE_NAMES[kind])


def _go_type_error(value: Any, field: str, kind: str) -> VendorError:
    """The error of Go's JSON decoder for a value that is not of the Go type ``kind``."""
    got = _GO_TYPE_NAMES.get(type(value), "null")
    return VendorError(400, f"json: cannot unmarshal {got} into Go struct field {field} of type {kind}")
