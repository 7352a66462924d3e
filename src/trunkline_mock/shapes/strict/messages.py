"""What Anthropic's Messages API refuses beyond its reference: by API version, by model, and in schemas.

Sources: the vendor's client libraries and migration guides, and error bodies in public bug reports.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from trunkline_mock.shapes.base import ParsedRequest, VendorError
from trunkline_mock.shapes.strict.schemas import walk

_NEW_VERSION: Final = "2026-10-21"
_GONE_FIELDS: Final = ("temperature", "top_p", "top_k")
"""Fields that the new version refuses even at their default."""
_REDACTED_PREFIX: Final = "mock-redacted/"

_FORMAT_WORDS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
)
"""Keywords that the schema of an answer may not have."""
_COMBINATIONS: Final = ("oneOf", "allOf", "anyOf")


class ClaudeRules(msgspec.Struct, frozen=True, kw_only=True):
    """What some models refuse; the first pattern that matches a model counts."""

    pattern: str
    sampling_pair: bool = True
    """Whether ``temperature`` and ``top_p`` may stand together."""
    thinking_types: frozenset[str] = frozenset({"enabled", "disabled", "adaptive", "between_tools"})
    forced_tools: bool = True
    prefill: bool = True


_ALWAYS: Final = frozenset({"adaptive", "between_tools"})

CLAUDES: Final = (
    ClaudeRules(pattern="claude-sonnet-5-5*", thinking_types=_ALWAYS, sampling_pair=False, prefill=False),
    ClaudeRules(
        pattern="claude-*-5-[5-9]*",
        thinking_types=_ALWAYS,
        sampling_pair=False,
        forced_tools=False,
        prefill=False,
    ),
    ClaudeRules(
        pattern="claude-fable-5-[1-9]*",
        thinking_types=_ALWAYS,
        sampling_pair=False,
        forced_tools=False,
        prefill=False,
    ),
    ClaudeRules(pattern="claude-3*"),
    ClaudeRules(pattern="claude-*-4-0*"),
    ClaudeRules(pattern="claude-*-4-2025*"),
    ClaudeRules(pattern="claude-*-4*", sampling_pair=False),
    ClaudeRules(pattern="claude-*-5*", sampling_pair=False, prefill=False),
    ClaudeRules(pattern="*"),
)
"""The models, the most particular first."""


def redacted_data(text: str) -> str:
    """The data of a redacted thinking block, by which the mock knows its own ones again."""
    return _REDACTED_PREFIX + text


def check_message(request: ParsedRequest) -> None:
    """Refuse what Anthropic refuses in a request that is valid for its reference.

    Raises:
        VendorError: The vendor would refuse it.
    """
    data = request.data
    model = next(each for each in CLAUDES if fnmatchcase(data["model"].lower(), each.pattern))
    if (request.headers.get("anthropic-version") or "") >= _NEW_VERSION:
        _check_new_version(data)
    _check_model(model, data)
    _check_schemas(data)
    for path, block in _blocks(data):
        if block["type"] == "redacted_thinking" and not block["data"].startswith(_REDACTED_PREFIX):
            raise _invalid(f"{path}: Invalid `data` in `redacted_thinking` block")


def _invalid(message: str) -> VendorError:
    return VendorError(400, message)


def _blocks(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every block of every message, with its path."""
    for index, message in enumerate(data["messages"]):
        content = message["content"]
        for number, block in enumerate(content if isinstance(content, list) else ()):
            yield f"messages.{index}.content.{number}", block


def _check_new_version(data: dict[str, Any]) -> None:
    for name in _GONE_FIELDS:
        if name in data:
            raise _invalid(f"{name}: Extra inputs are not permitted")
    for path, block in _blocks(data):
        role = data["messages"][int(path.split(".")[1])]["role"]
        if role == "user" and block["type"] == "text" and "citations" in block:
            raise _invalid(f"{path}.text.citations: Extra inputs are not permitted")


def _check_model(model: ClaudeRules, data: dict[str, Any]) -> None:
    if not model.sampling_pair and data.get("temperature") is not None and data.get("top_p") is not None:
        raise _invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    thinking = (data.get("thinking") or {}).get("type")
    if thinking is not None and thinking not in model.thinking_types:
        raise _invalid(f"thinking.type: '{thinking}' is not supported for this model")
    if not model.forced_tools and (data.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise _invalid("tool_choice: forced tool use is not supported for this model")
    if not model.prefill and data["messages"][-1]["role"] == "assistant":
        raise _invalid(
            "This model does not support assistant message prefill. The conversation must end with a user"
            " message."
        )


def _check_schemas(data: dict[str, Any]) -> None:
    for index, tool in enumerate(data.get("tools") or ()):
        schema = tool.get("input_schema") or {}
        if any(word in schema for word in _COMBINATIONS):
            raise _invalid(
                f"tools.{index}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at"
                " the top level"
            )
        if tool.get("strict"):
            _check_format(schema, f"tools.{index}.custom.input_schema")
    output_format = (data.get("output_config") or {}).get("format") or data.get("output_format")
    if output_format is not None:
        _check_format(output_format["schema"], "output_config.format.schema")


def _check_format(schema: Any, path: str) -> None:
    for _, part in walk(schema):
        kind = part.get("type")
        if kind == "object" and part.get("additionalProperties") is not False:
            raise _invalid(
                f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false"
            )
        for word in _FORMAT_WORDS:
            if word in part:
                raise _invalid(f"{path}: For '{kind}' type, property '{word}' is not supported")
        if part.get("minItems", 0) > 1:
            raise _invalid(f"{path}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
