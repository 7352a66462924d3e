"""What OpenAI's Responses API refuses beyond its reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from trunkline_mock.shapes.base import VendorError
from trunkline_mock.shapes.strict.chat import thinks
from trunkline_mock.shapes.strict.rules import ChatRules
from trunkline_mock.shapes.strict.schemas import check_schema, check_tool_schema

ENCRYPTED_PREFIX: Final = "mock-"
"""How the encrypted reasoning begins that the mock sends."""
BOUND_SUFFIX: Final = "r"
"""How the ids of calls end that came with a reasoning item."""

_FIELD_NAMES: Final = (
    "access_programs background client_metadata context_management conversation image include input"
    " instructions max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls"
    " previous_response_id prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning"
    " safety_identifier service_tier store stream stream_options temperature text tool_choice tools"
    " top_logprobs top_p truncation user"
)
_FIELDS: Final = frozenset(_FIELD_NAMES.split())
_PREFIXES: Final = {"function_call": "fc", "reasoning": "rs", "message": "msg", "custom_tool_call": "ctc"}


def check_response_request(
    rules: ChatRules, data: dict[str, Any], items: Sequence[dict[str, Any]], is_stored: Callable[[str], bool]
) -> None:
    """Refuse what OpenAI refuses in a request that is valid for its reference.

    Args:
        rules: The vendor's rules of chats, for names, schemas and models.
        data: The request.
        items: All items of the conversation.
        is_stored: Whether the server has an item of that id.

    Raises:
        VendorError: The vendor would refuse it.
    """
    for name in data:
        if name not in _FIELDS:
            raise VendorError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    model = rules.model(data["model"])
    effort = (data.get("reasoning") or {}).get("effort")
    allowed = model.allowed.get("reasoning_effort")
    if effort is not None and "reasoning_effort" in model.refuses:
        raise VendorError(
            400,
            "Unsupported parameter: 'reasoning.effort' is not supported with this model.",
            param="reasoning.effort",
            code="unsupported_parameter",
        )
    if effort is not None and allowed is not None and effort not in (*allowed.values, "max"):
        raise allowed.refusal.error(name="reasoning.effort", value=effort, model=data["model"])
    if thinks(model, data):
        for name, limit in model.allowed_thinking.items():
            if data.get(name) is not None and data[name] not in limit.values:
                raise limit.refusal.error(name=name, value=data[name])
    for index, tool in enumerate(data.get("tools") or ()):
        if tool["type"] == "function":
            if not re.fullmatch(rules.tool_name, tool["name"]):
                raise rules.bad_tool_name.error(name=tool["name"], path=f"tools[{index}].name")
            strict = tool.get("strict") is True
            check_tool_schema(rules.schemas, tool["name"], tool.get("parameters"), strict=strict)
    answer_format = (data.get("text") or {}).get("format") or {}
    if answer_format.get("type") == "json_schema":
        strict = answer_format.get("strict") is True
        check_schema(rules.schemas, answer_format["name"], answer_format["schema"], strict=strict)
    _check_items(rules, items, is_stored)


def _check_items(rules: ChatRules, items: Sequence[dict[str, Any]], is_stored: Callable[[str], bool]) -> None:
    reasoning: set[str] = set()
    for index, item in enumerate(items):
        kind, item_id = item.get("type", "message"), item.get("id")
        prefix = _PREFIXES.get(kind)
        if item_id is not None and prefix is not None and not str(item_id).startswith(prefix):
            raise VendorError(
                400,
                f"Invalid 'input[{index}].id': '{item_id}'. Expected an ID that begins with '{prefix}'.",
                param=f"input[{index}].id",
                code="invalid_value",
            )
        if kind in ("function_call", "custom_tool_call"):
            if not re.fullmatch(rules.tool_name, item["name"]):
                raise rules.bad_tool_name.error(name=item["name"], path=f"input[{index}].name")
            _require_reasoning(kind, item_id, reasoning)
        if kind == "reasoning":
            reasoning.add(str(item_id))
            _check_reasoning(index, item, items, is_stored)


def _require_reasoning(kind: str, item_id: str | None, reasoning: set[str]) -> None:
    """Require that a call comes back with the reasoning item that it came with."""
    if item_id is None or not item_id.endswith(BOUND_SUFFIX):
        return
    wanted = f"rs_{item_id.partition('_')[2][:32]}00"
    if wanted not in reasoning:
        raise VendorError(
            400,
            f"Item '{item_id}' of type '{kind}' was provided without its required 'reasoning' item:"
            f" '{wanted}'.",
            param="input",
        )


def _check_reasoning(
    index: int, item: dict[str, Any], items: Sequence[dict[str, Any]], is_stored: Callable[[str], bool]
) -> None:
    following = items[index + 1].get("type", "message") if index + 1 < len(items) else ""
    if following not in ("function_call", "reasoning", "message", "custom_tool_call"):
        raise VendorError(
            400,
            f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item.",
            param="input",
        )
    encrypted = item.get("encrypted_content")
    if encrypted is not None:
        if not str(encrypted).startswith(ENCRYPTED_PREFIX):
            raise VendorError(
                400,
                f"The encrypted content {str(encrypted)[:12]}... could not be verified. Reason: Encrypted"
                " content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )
    elif not is_stored(str(item.get("id"))):
        raise VendorError(
            404,
            f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to"
            " false. Try again with `store` set to true, or remove this item from your input.",
            param="input",
        )
