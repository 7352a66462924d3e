"""Checks a chat request against the row of its vendor. The request is one that OpenAI's API could take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from trunkline_mock.generation import make_id
from trunkline_mock.shapes.strict.rules import ChatRules, ModelRules
from trunkline_mock.shapes.strict.schemas import check_schema, check_tool_schema

SIGNATURE_PREFIX: Final = "mock-call-signature/"
"""How the signatures begin that the mock puts on calls."""
NO_SIGNATURE: Final = "skip_thought_signature_validator"
"""What Gemini takes in the place of a signature."""

GEMINI_FORMAT: Final = "google-gemini-v1"
"""OpenRouter's name for Gemini's signatures."""


def sign_call(name: str) -> str:
    """The signature of a call of the tool ``name``, by which the mock knows its own calls again."""
    return SIGNATURE_PREFIX + make_id(name, 0, 24)


def check_chat(rules: ChatRules, data: dict[str, Any]) -> None:
    """Refuse what the vendor refuses.

    Args:
        rules: The vendor's row.
        data: The body of a request, which is valid for OpenAI's API.

    Raises:
        VendorError: The vendor would refuse it.
    """
    model = rules.model(data["model"])
    for check in _CHECKS:
        check(rules, model, data)


def thinks(model: ModelRules, data: dict[str, Any]) -> bool:
    """Whether the model thinks about this request."""
    if model.thinks in ("never", "always"):
        return model.thinks == "always"
    asked = _asked_to_think(data)
    return model.thinks == "default" if asked is None else asked


def _asked_to_think(data: dict[str, Any]) -> bool | None:
    """Whether the request switches thinking on or off, in any vendor's words; ``None``: it says nothing."""
    reasoning = data.get("reasoning") if isinstance(data.get("reasoning"), dict) else {}
    thinking = data.get("thinking") if isinstance(data.get("thinking"), dict) else {}
    effort = data.get("reasoning_effort") or (reasoning or {}).get("effort")
    config = _thinking_config(data)
    off = (
        effort == "none",
        (thinking or {}).get("type") == "disabled",
        (reasoning or {}).get("enabled") is False,
        data.get("enable_thinking") is False,
        config.get("thinking_budget") == 0,
    )
    if any(off):
        return False
    return True if effort or thinking or reasoning or data.get("enable_thinking") or config else None


def _thinking_config(data: dict[str, Any]) -> dict[str, Any]:
    """Gemini's ``thinking_config``."""
    google = (data.get("extra_body") or {}).get("google")
    config = google.get("thinking_config") if isinstance(google, dict) else None
    return config if isinstance(config, dict) else {}


def _check_fields(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    for name, value in data.items():
        if rules.fields is not None and name not in rules.fields:
            raise rules.unknown_field.error(name=name, value=value, place=(name,))
        refusal = model.refuses.get(name) or rules.refuses.get(name)
        if refusal is not None:
            raise refusal.error(name=name, value=value, model=data["model"], place=(name,))
    limits = [rules.allowed, model.allowed]
    if thinks(model, data):
        limits.append(model.allowed_thinking)
    for limit in limits:
        for name, allowed in limit.items():
            value = data.get(name)
            if value is not None and value not in allowed.values:
                raise allowed.refusal.error(name=name, value=value, model=data["model"])
    present = data.keys() | ({"thinking_config"} if _thinking_config(data) else set())
    for pair, refusal in rules.pairs:
        if present >= set(pair):
            raise refusal.error()
    stop = data.get("stop")
    if rules.max_stops is not None and isinstance(stop, list) and len(stop) > rules.max_stops:
        raise rules.too_many_stops.error(value=len(stop))
    if model.cannot_stop is not None and _asked_to_think(data) is False:
        raise model.cannot_stop.error(model=data["model"])


def _check_tools(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    tools = data.get("tools") or []
    if rules.max_tools is not None and len(tools) > rules.max_tools:
        raise rules.too_many_tools.error(value=len(tools))
    for index, tool in enumerate(tools):
        if tool.get("type") != "function":
            continue
        function, path = tool["function"], f"tools[{index}].function.name"
        if not re.fullmatch(rules.tool_name, function["name"]):
            raise rules.bad_tool_name.error(name=function["name"], path=path)
        for name, value in function.items():
            if rules.function_fields is not None and name not in rules.function_fields:
                raise rules.unknown_field.error(
                    name=name, value=value, place=("tools", index, "function", name)
                )
        strict = bool(function.get("strict"))
        check_tool_schema(rules.schemas, function["name"], function.get("parameters"), strict=strict)
    if tools and model.tools_and_thinking is not None and thinks(model, data):
        raise model.tools_and_thinking.error(model=data["model"])


def _check_answer_format(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    asked = data.get("response_format") or {}
    kind = asked.get("type")
    if kind in ("json_object", "json_schema") and data.get("tools") and model.tools_with_json is not None:
        raise model.tools_with_json.error()
    if kind == "json_schema":
        json_schema = asked["json_schema"]
        name, strict = str(json_schema.get("name")), bool(json_schema.get("strict"))
        check_schema(rules.schemas, name, json_schema.get("schema"), strict=strict)


def _check_tool_choice(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    choice = data.get("tool_choice")
    if choice is None:
        return
    kind = choice if isinstance(choice, str) else "named"
    if rules.tool_choices is not None and kind not in rules.tool_choices:
        raise rules.bad_tool_choice.error(name=kind)
    free = rules.thinking_tool_choices
    if free is not None and kind not in free and thinks(model, data):
        raise rules.bad_thinking_tool_choice.error(name=kind)


def _check_messages(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    before = ""
    for index, message in enumerate(data["messages"]):
        role, path = message["role"], f"messages.{index}"
        if rules.roles is not None and role not in rules.roles:
            raise rules.unknown_role.error(
                name=role, path=f"messages[{index}]: ", place=("messages", index), value=role
            )
        known = None if rules.message_fields is None else rules.message_fields[role]
        for name in message:
            if known is not None and name not in known:
                raise rules.unknown_message_field.error(
                    name=name, path=path, value=role, place=("messages", index, role, name)
                )
        if before == "tool" and rules.after_tool is not None and role not in rules.after_tool:
            raise rules.bad_order.error(name=role, path=path)
        before = role
        _check_content(rules, model, message, path)
        for number, call in enumerate(message.get("tool_calls") or ()):
            name = call["function"]["name"]
            if not re.fullmatch(rules.tool_name, name):
                raise rules.bad_tool_name.error(
                    name=name, path=f"messages[{index}].tool_calls[{number}].function.name"
                )
        for call_id in _call_ids(message):
            if not re.fullmatch(rules.call_id, call_id):
                raise rules.bad_call_id.error(name=call_id, path=path)
    last = data["messages"][-1]
    prefixes = last["role"] == "assistant" and last.get("prefix")
    if rules.last_roles is not None and last["role"] not in rules.last_roles and not prefixes:
        raise rules.bad_last.error(name=last["role"])


def _call_ids(message: dict[str, Any]) -> Iterator[str]:
    """The ids of calls in a message: of its own calls, or of the call whose result it is."""
    for call in message.get("tool_calls") or ():
        yield call["id"]
    if message.get("tool_call_id") is not None:
        yield message["tool_call_id"]


def _check_content(rules: ChatRules, model: ModelRules, message: dict[str, Any], path: str) -> None:
    content = message.get("content")
    if message["role"] == "tool" and not isinstance(content, str) and rules.result_parts is not None:
        raise rules.result_parts.error(path=f"{path}.")
    if message.get("tool_calls") and content == "" and rules.empty_text is not None:
        raise rules.empty_text.error(path=path)
    if not isinstance(content, list):
        return
    for number, part in enumerate(content):
        kind, at = part.get("type"), f"{path}.content[{number}]"
        if kind == "text" and not part["text"] and rules.empty_text is not None:
            raise rules.empty_text.error(path=at)
        if kind == "image_url":
            if model.no_images is not None:
                raise model.no_images.error(path=at)
            url = part["image_url"]["url"]
            if rules.image_urls is not None and not url.startswith(rules.image_urls):
                raise rules.bad_image_url.error(name=url, path=at)
        file = part.get("file") if kind == "file" else None
        nameless = isinstance(file, dict) and file.get("file_data") and not file.get("filename")
        if nameless and rules.nameless_file is not None:
            raise rules.nameless_file.error(path=f"{at}.file.filename")


def _check_state(rules: ChatRules, model: ModelRules, data: dict[str, Any]) -> None:
    """Refuse histories without the state that the vendor wants back."""
    messages = data["messages"]
    thinking = thinks(model, data)
    last_user = max((at for at, each in enumerate(messages) if each["role"] == "user"), default=-1)
    for index, message in enumerate(messages):
        calls = message.get("tool_calls")
        if message["role"] != "assistant" or not calls:
            continue
        wanted = rules.reasoning_back == "calls" or (rules.reasoning_back == "loop" and index > last_user)
        if thinking and wanted and not isinstance(message.get(rules.reasoning_field), str):
            raise rules.missing_reasoning.error(path=str(index))
        if model.details_back is not None and not _is_signed(message):
            raise model.details_back.error()
        if model.signed_calls:
            _check_signature(rules, calls[0], is_wanted=index > last_user)


def _is_signed(message: dict[str, Any]) -> bool:
    """Whether there are signatures among the details of a message with calls, and none of anybody else."""
    details = message.get("reasoning_details")
    found = [
        detail.get("data")
        for detail in (details if isinstance(details, list) else ())
        if isinstance(detail, dict) and detail.get("type") == "reasoning.encrypted"
    ]
    own = {NO_SIGNATURE, *(sign_call(call["function"]["name"]) for call in message["tool_calls"])}
    return bool(found) and own.issuperset(found)


def _check_signature(rules: ChatRules, call: dict[str, Any], *, is_wanted: bool) -> None:
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    name = call["function"]["name"]
    if not signature and is_wanted:
        raise rules.missing_signature.error(name=name)
    if signature and signature not in (NO_SIGNATURE, sign_call(name)):
        raise rules.foreign_signature.error()


_CHECKS: Final[tuple[Callable[[ChatRules, ModelRules, dict[str, Any]], None], ...]] = (
    _check_fields,
    _check_messages,
    _check_tools,
    _check_answer_format,
    _check_tool_choice,
    _check_state,
)
"""All checks, in the order in which they are made."""
