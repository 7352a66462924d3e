"""What Ollama refuses, in its words: the checks that catch a gateway which sends OpenAI's forms to it.

Pure functions over decoded JSON, each raising :class:`RefusalError` with status 400. The messages are those
of Go's JSON decoder and of Ollama's own handlers.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from trunkline_mock.shapes.base import RefusalError

_GO_NAMES: Final = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_NO_LINES: Final = str.maketrans("", "", "\r\n")
"""Go's decoder of base64 passes over the ends of lines."""
_DURATION: Final = re.compile(r"[-+]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")
_UNIT_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_THINK: Final = ("low", "medium", "high", "max")
_DEFAULT_KEEP_ALIVE_S: Final = 300.0

_INTEGERS: Final = (
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
_FLOATS: Final = (
    "top_p",
    "min_p",
    "typical_p",
    "temperature",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
)


def check_fields(data: dict[str, Any]) -> None:
    """Fields that all inference requests share."""
    _expect(data, "model", str)
    _expect(data, "stream", bool)
    if not (data.get("model") or data.get("name")):
        raise RefusalError(400, "model is required")
    keep_alive_s(data)
    _check_options(data.get("options"))
    _check_think(data.get("think"))
    _check_format(data.get("format"))


def check_chat(data: dict[str, Any]) -> None:
    """A chat request."""
    check_fields(data)
    _expect(data, "messages", list)
    _expect(data, "tools", list)
    for message in data.get("messages") or ():
        if not isinstance(message, dict):
            raise _go(message, "ChatRequest.messages", "api.Message")
        for name in ("role", "content", "thinking", "tool_name", "tool_call_id"):
            if not isinstance(message.get(name), str | None):
                raise _go(message[name], f"ChatRequest.messages.{name}", "string")
        images_of(message, "ChatRequest.messages.images")
        for call in message.get("tool_calls") or ():
            arguments = call.get("function", {}).get("arguments")
            if not isinstance(arguments, dict | None):
                field = "ChatRequest.messages.tool_calls.function.arguments"
                raise _go(arguments, field, "api.ToolCallFunctionArguments")


def check_generate(data: dict[str, Any]) -> None:
    """A generate request."""
    check_fields(data)
    for name in ("prompt", "suffix", "system", "template"):
        _expect(data, name, str)
    images_of(data, "GenerateRequest.images")
    if data.get("raw") and any(data.get(name) for name in ("template", "system", "context")):
        raise RefusalError(400, "raw mode does not support template, system, or context")


def images_of(holder: dict[str, Any], field: str) -> list[bytes]:
    """The images of a message or a request: plain base64, no ``data:`` prefix."""
    images = holder.get("images")
    if images is None:
        return []
    if not isinstance(images, list):
        raise _go(images, field, "[]api.ImageData")
    decoded = []
    for image in images:
        if not isinstance(image, str):
            raise _go(image, field, "api.ImageData")
        try:
            decoded.append(base64.b64decode(image.translate(_NO_LINES), validate=True))
        except binascii.Error:
            at = next((i for i, char in enumerate(image) if not (char.isalnum() or char in "+/")), len(image))
            raise RefusalError(400, f"illegal base64 data at input byte {at}") from None
    return decoded


def inputs_of(data: dict[str, Any]) -> list[str]:
    """The texts of an embed request."""
    check_fields(data)
    given = data.get("input")
    if given is None or given == "":
        return []
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise RefusalError(400, "invalid input type")
    return given


def keep_alive_s(data: dict[str, Any]) -> float:
    """``keep_alive`` in seconds: a number, or a Go duration; less than 0 is for ever."""
    given = data.get("keep_alive")
    if given is None:
        return _DEFAULT_KEEP_ALIVE_S
    if isinstance(given, int | float) and not isinstance(given, bool):
        return float(given)
    if isinstance(given, str):
        if re.fullmatch(r"-?\d+", given):
            return float(given)
        if _DURATION.fullmatch(given):
            parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", given)
            seconds = sum(float(number) * _UNIT_S[unit] for number, unit in parts)
            return -seconds if given.startswith("-") else seconds
    raise RefusalError(400, f'time: invalid duration "{given}"')


def _check_options(options: Any) -> None:
    if not isinstance(options, dict | None):
        raise _go(options, "ChatRequest.options", "map[string]interface {}")
    for name, value in (options or {}).items():
        if value is None:
            continue  # Ollama passes over nulls
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _INTEGERS and not number:  # a fraction is cut off
            raise RefusalError(400, f'option "{name}" must be of type integer')
        if name in _FLOATS and not number:
            raise RefusalError(400, f'option "{name}" must be of type float32')
        if name == "stop" and not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
            raise RefusalError(400, 'option "stop" must be of type array')


def _check_think(think: Any) -> None:
    if think is None or isinstance(think, bool) or think in _THINK:
        return
    allowed = '"high", "medium", "low", "max", true, or false'
    raise RefusalError(400, f'invalid think value: "{think}" (must be {allowed})')


def _check_format(form: Any) -> None:
    if form in (None, "", "json") or isinstance(form, dict):
        return
    raise RefusalError(400, f'invalid format: "{form}"; expected "json" or a valid JSON Schema object')


def _expect(data: dict[str, Any], name: str, kind: type) -> None:
    value = data.get(name)
    if value is not None and not isinstance(value, kind):
        raise _go(value, f"ChatRequest.{name}", _GO_NAMES[kind])


def _go(value: Any, field: str, kind: str) -> RefusalError:
    got = _GO_NAMES.get(type(value), "null")
    return RefusalError(400, f"json: cannot unmarshal {got} into Go struct field {field} of type {kind}")
