"""What OpenAI's servers refuse: the checks that catch a gateway which sends half-translated requests.

Pure functions over decoded JSON, each raising :class:`RefusalError` in OpenAI's words and with its
``param``. Fields that no check knows are let through, but for a vendor's own list of refused ones.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline_mock.shapes.base import RefusalError
from trunkline_mock.shapes.vendors import Vendor

_ROLES: Final = ("system", "developer", "user", "assistant", "tool", "function")

_NUMBERS: Final = {
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_COUNTS: Final = ("max_tokens", "max_completion_tokens", "n", "top_logprobs", "seed")
_FOREIGN_IN_MESSAGE: Final = ("images", "thinking", "tool_name", "done")

_JSON_NAMES: Final = {
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusalError(
            400, "We could not parse the JSON body of your request. The API expects a JSON object."
        ) from None


def check_common(data: dict[str, Any], vendor: Vendor) -> None:
    """Fields that chats, text completions and responses share."""
    require(data, "model", str)
    for name in vendor.rejects:
        if name in data:
            raise RefusalError(400, f"Unrecognized request argument supplied: {name}", param=name)
    for name, (low, high) in {**_NUMBERS, "temperature": (0, vendor.max_temperature)}.items():
        value = data.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a decimal", value)
        if not low <= value <= high:
            raise RefusalError(
                400,
                f"Invalid '{name}': must be between {low} and {high}, but got {value}.",
                param=name,
                code="value_out_of_range",
            )
    for name in _COUNTS:
        value = data.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise wrong_type(name, "an integer", value)
    if not isinstance(data.get("stream"), bool | None):
        raise wrong_type("stream", "a boolean", data["stream"])
    _check_stop(data.get("stop"))
    _check_stream_options(data)


def _check_stop(stop: Any) -> None:
    words = stop if isinstance(stop, list) else [stop]
    if stop is not None and not all(isinstance(word, str) for word in words):
        raise wrong_type("stop", "a string or an array of strings", stop)


def _check_stream_options(data: dict[str, Any]) -> None:
    if data.get("stream_options") is None:
        return
    if not isinstance(data["stream_options"], dict):
        raise wrong_type("stream_options", "an object", data["stream_options"])
    if not data.get("stream"):
        raise RefusalError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )


def check_chat(data: dict[str, Any], vendor: Vendor) -> None:
    """A chat request, tool pairing included."""
    check_common(data, vendor)
    messages = require(data, "messages", list)
    if not messages:
        raise RefusalError(400, "Invalid 'messages': empty array.", param="messages", code="empty_array")
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise wrong_type(f"messages[{index}]", "an object", message)
        _check_message(message, f"messages[{index}]")
    _check_pairing(messages)
    for index, tool in enumerate(data.get("tools") or ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if tool.get("type") == "function" and not (isinstance(function, dict) and function.get("name")):
            raise missing(f"tools[{index}].function.name")


def _check_message(message: dict[str, Any], where: str) -> None:
    if message.get("role") not in _ROLES:
        raise RefusalError(
            400, f"Invalid value: {message.get('role')!r}.", param=f"{where}.role", code="invalid_value"
        )
    for name in _FOREIGN_IN_MESSAGE:
        if name in message:
            raise RefusalError(
                400, f"Additional properties are not allowed ('{name}' was unexpected) - '{where}'"
            )
    content = message.get("content")
    calls = message.get("tool_calls")
    if content is None and not calls and message["role"] != "assistant":
        raise RefusalError(400, f"Invalid value for 'content': expected a string, got null. ({where})")
    if isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(part, f"{where}.content[{index}]")
    elif not isinstance(content, str | None):
        raise wrong_type(f"{where}.content", "a string or an array of objects", content)
    if not isinstance(calls, list | None):
        raise wrong_type(f"{where}.tool_calls", "an array", calls)
    for index, call in enumerate(calls or ()):
        _check_call(call, f"{where}.tool_calls[{index}]")


def _check_part(part: Any, where: str) -> None:
    if not isinstance(part, dict):
        raise wrong_type(where, "an object", part)
    if "type" not in part:
        raise missing(f"{where}.type")
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        raise wrong_type(f"{where}.text", "a string", part.get("text"))
    if part["type"] == "image_url":
        image = part.get("image_url")
        if not isinstance(image, dict):
            raise wrong_type(f"{where}.image_url", "an object", image)
        url = image.get("url")
        if not isinstance(url, str) or not url.startswith(("data:image/", "http://", "https://")):
            raise RefusalError(
                400, "Invalid image URL.", param=f"{where}.image_url.url", code="invalid_image_url"
            )


def _check_call(call: Any, where: str) -> None:
    if not isinstance(call, dict):
        raise wrong_type(where, "an object", call)
    for name in ("id", "type", "function"):
        if not call.get(name):
            raise missing(f"{where}.{name}")
    function = call["function"]
    if not isinstance(function, dict) or not function.get("name"):
        raise missing(f"{where}.function.name")
    if not isinstance(function.get("arguments"), str):
        raise wrong_type(f"{where}.function.arguments", "a string", function.get("arguments"))


def _check_pairing(messages: list[dict[str, Any]]) -> None:
    """Each call is answered right after its message, and each answer has a call."""
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") is None:
                raise missing(f"messages[{index}].tool_call_id")
            if message["tool_call_id"] not in waiting:
                raise RefusalError(
                    400,
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message"
                    " with 'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
            waiting.remove(message["tool_call_id"])
            continue
        _check_answered(waiting, index)
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        if len(set(waiting)) != len(waiting):
            raise RefusalError(400, "Duplicate tool call ids.", param=f"messages.[{index}].tool_calls")
    _check_answered(waiting, len(messages))


def _check_answered(waiting: list[str], index: int) -> None:
    if waiting:
        raise RefusalError(
            400,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            " 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(waiting),
            param=f"messages.[{index}].role",
        )


def check_embeddings(data: dict[str, Any]) -> list[Any]:
    """An embeddings request; returns its inputs as a list."""
    require(data, "model", str)
    given = data.get("input")
    if given is None or given in ("", []):
        raise missing("input")
    if not isinstance(given, str | list):
        raise wrong_type("input", "a string or an array", given)
    if data.get("encoding_format") not in (None, "float", "base64"):
        raise RefusalError(400, "Invalid value for 'encoding_format'.", param="encoding_format")
    if isinstance(given, str) or isinstance(given[0], int):
        return [given]
    return given


def require(data: dict[str, Any], name: str, kind: type) -> Any:
    """``data[name]``, which must be there and of that type."""
    value = data.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, kind):
        raise wrong_type(name, _JSON_NAMES[kind], value)
    return value


def missing(param: str) -> RefusalError:
    """A required field is not there."""
    return RefusalError(
        400, f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def wrong_type(param: str, expected: str, value: Any) -> RefusalError:
    """A field is of another type than ``expected``."""
    got = _JSON_NAMES[type(value)]
    return RefusalError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {got} instead.",
        param=param,
        code="invalid_type",
    )
