"""What each vendor refuses although the meaning is plain, as rules of the fit step.

A provider of the type ``openai-compatible`` is known by its address, or by ``vendor:`` in its section; its
quirks are then the vendor's. A new vendor is one row.

Facts: each vendor's API reference and SDKs, and error texts that other gateways' users have reported, as
gathered in the project's notes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from trunkline.dialects.fit.rules import Exclusive, FitRules, NameRule, Range, SchemaRule, ValueRule
from trunkline.dialects.openai import ENDPOINTS, Quirks
from trunkline.dialects.turns import ANY_ORDER, TurnRules
from trunkline.model import MOST_TOKENS

_NAMES: Final = NameRule()
"""What most vendors take as a tool's name."""
_LETTER_FIRST: Final = NameRule(begins="a-zA-Z_")
_OBJECT: Final = SchemaRule()
_FLAT: Final = SchemaRule(flat_top=True)

_FOREIGN: Final = frozenset(
    {
        "chat_template_kwargs",
        "enable_thinking",
        "include_reasoning",
        "keep_alive",
        "min_p",
        "options",
        "random_seed",
        "reasoning",
        "reasoning_format",
        "reasoning_split",
        "repetition_penalty",
        "safe_prompt",
        "think",
        "thinking",
        "thinking_budget",
        "top_a",
        "top_k",
        "typical_p",
    }
)
"""Knobs that some vendor or server has and OpenAI has not. An answer without them is still right."""
_OPENAI_ONLY: Final = frozenset(
    {"logit_bias", "metadata", "prediction", "prompt_cache_key", "prompt_cache_retention"}
    | {"safety_identifier", "service_tier", "store", "verbosity"}
)
"""Knobs that OpenAI has and few others."""
_LOGPROBS: Final = frozenset({"logprobs", "top_logprobs"})
_PENALTIES: Final = frozenset({"frequency_penalty", "presence_penalty"})
_ECHOED: Final = frozenset({"annotations", "audio", "refusal"})
"""Fields of OpenAI's answers that its clients send back within the history."""
_REASONED: Final = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
"""The same of other vendors' answers."""
_NO_DEVELOPER: Final = {"developer": "system"}


def _only(field: str, *values: str) -> dict[str, Mapping[str, Any]]:
    """The values that a field has; others are left out."""
    return {each: {field: each} for each in values}


def _efforts(*models: str, **values: str) -> ValueRule:
    """Which effort is sent for each that a client may name; others are left out."""
    sent = {name: {"reasoning_effort": effort} for name, effort in values.items()}
    return ValueRule(field="reasoning_effort", models=models or ("*",), values=sent)


_THREE: Final = {"minimal": "low", "low": "low", "medium": "medium"} | dict.fromkeys(
    ("high", "xhigh", "max"), "high"
)
_LOW_HIGH_MAX: Final = {"minimal": "low", "low": "low", "medium": "high", "high": "high"} | dict.fromkeys(
    ("xhigh", "max"), "max"
)
_ANY_HIGH: Final = dict.fromkeys(_THREE, "high")
_UNTHINKING: Final[Mapping[str, Any]] = {"thinking": {"type": "disabled"}}

OPENAI_FIT: Final = FitRules(
    tool_names=_NAMES,
    call_ids=NameRule(chars="!-~", longest=40),
    schema_names=_NAMES,
    tool_schema=_FLAT,
    refused={"*": _FOREIGN},
    most_stops=4,
    takes_cache_control=False,
    refused_in_messages=_REASONED,
    names_files=True,
)
"""OpenAI itself. ``id``: "string too long. Expected a string with maximum length 40" (seen by many)."""

OPENAI_RESPONSES_FIT: Final = FitRules(
    tool_names=_NAMES,
    call_ids=NameRule(chars="!-~", longest=64),
    schema_names=_NAMES,
    tool_schema=_FLAT,
    refused={"*": _FOREIGN - {"reasoning"}},
    ranges={"max_output_tokens": Range(16, MOST_TOKENS)},
)
"""The same in its Responses API, whose ids may be longer, and whose answers have a least bound."""

CEREBRAS_FIT: Final = FitRules(
    tool_names=_NAMES,
    schema_names=_NAMES,
    tool_schema=_OBJECT,
    answer_schema=SchemaRule(lacks=frozenset({"minItems", "maxItems"})),
    refused={"*": (_FOREIGN - {"reasoning_format"}) | {"store", "prompt_cache_key", "verbosity", "metadata"}},
    values=(_efforts("gpt-oss*", **_THREE),),
    takes_cache_control=False,
    refused_in_messages=_ECHOED | {"reasoning_content", "reasoning_details"},
    roles=_NO_DEVELOPER,
)
"""A 400 for every unknown field: "property 'X' is unsupported"."""

ANTHROPIC_FIT: Final = FitRules(
    tool_names=NameRule(longest=128),
    call_ids=NameRule(longest=None),
    tool_schema=_FLAT,
    answer_schema=SchemaRule(
        closed=True,
        takes=frozenset(
            {"$defs", "$ref", "additionalProperties", "anyOf", "const", "definitions", "description", "enum"}
            | {"format", "items", "minItems", "properties", "required", "title", "type"}
        ),
        formats=frozenset(
            {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
        ),
        most_min_items=1,
    ),
    exclusive=(
        Exclusive(
            "temperature",
            "top_p",
            (
                "claude-opus-4[-.]1*",
                "claude-opus-4[-.][56]*",
                "claude-sonnet-4[-.][56]*",
                "claude-haiku-4[-.]5*",
            ),
        ),
    ),
)
"""Anthropic's Messages API. Its schemas for answers and strict tools are those that its own SDKs make."""


class KnownVendor(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor whose API is one like OpenAI's, and what is known of it."""

    hosts: tuple[str, ...]
    """Its hosts, and those below them."""
    quirks: Quirks


_OPENAI: Final = Quirks(
    max_tokens_field="max_completion_tokens",
    extra_sampling=frozenset(),
    turns=ANY_ORDER,
    fit=OPENAI_FIT,
)
"""OpenAI's own API, wherever it is served."""

KNOWN_VENDORS: Final[Mapping[str, KnownVendor]] = {
    "openai": KnownVendor(
        hosts=("api.openai.com",),
        quirks=_OPENAI,
    ),
    "azure": KnownVendor(
        hosts=("openai.azure.com",),
        quirks=_OPENAI,
    ),
    "cerebras": KnownVendor(
        hosts=("api.cerebras.ai",),
        quirks=Quirks(
            max_tokens_field="max_completion_tokens",
            extra_sampling=frozenset(),
            usage_on_request=False,
            fit=CEREBRAS_FIT,
        ),
    ),
    "groq": KnownVendor(
        hosts=("api.groq.com",),
        quirks=Quirks(
            max_tokens_field="max_completion_tokens",
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_NAMES,
                schema_names=_NAMES,
                tool_schema=_OBJECT,
                refused={
                    "*": (_FOREIGN - {"include_reasoning", "reasoning_format"})
                    | _LOGPROBS
                    | {"logit_bias", "store", "prompt_cache_key", "prompt_cache_retention", "verbosity"}
                    | {"safety_identifier", "prediction"},
                },
                values=(
                    _efforts("*gpt-oss*", **_THREE),
                    _efforts("*qwen3*", "*qwen-3*", none="none", **dict.fromkeys(_THREE, "default")),
                    ValueRule(
                        field="reasoning_effort",
                        models=("llama*", "kimi*", "compound*", "gemma*", "mistral*", "allam*", "meta-*"),
                        values={},
                    ),
                ),
                exclusive=(Exclusive("reasoning_format", "include_reasoning"),),
                most_stops=4,
                takes_cache_control=False,
                refused_in_messages=_ECHOED | _REASONED | {"name", "metadata"},
            ),
        ),
    ),
    "mistral": KnownVendor(
        hosts=("api.mistral.ai",),
        quirks=Quirks(
            turns=TurnRules(system="first", user_after_tool=False),
            prefix_field="prefix",
            usage_on_request=False,
            extra_sampling=frozenset(),
            endpoints={each: ENDPOINTS[each] for each in ("chat", "embeddings", "other")},
            fit=FitRules(
                tool_names=_NAMES,
                call_ids=NameRule(chars="a-zA-Z0-9", longest=9, exact=True),
                schema_names=_NAMES,
                tool_schema=_OBJECT,
                renamed={"*": {"seed": "random_seed", "max_completion_tokens": "max_tokens"}},
                refused={
                    "*": (_FOREIGN - {"random_seed", "safe_prompt"})
                    | (_OPENAI_ONLY - {"metadata", "prediction", "prompt_cache_key"})
                    | _LOGPROBS
                    | {"stream_options", "user", "modalities", "web_search_options"},
                },
                values=(
                    _efforts("mistral-small*", "mistral-medium*", none="none", **_ANY_HIGH),
                    ValueRule(
                        field="reasoning_effort",
                        models=(
                            *("magistral*", "codestral*", "devstral*", "ministral*", "pixtral*", "open-*"),
                            *("mistral-large*", "mistral-tiny*", "voxtral*"),
                        ),
                        values={},
                    ),
                ),
                takes_cache_control=False,
                refused_in_messages=_ECHOED | _REASONED | {"name"},
                roles=_NO_DEVELOPER,
            ),
        ),
    ),
    "gemini": KnownVendor(
        hosts=("generativelanguage.googleapis.com",),
        quirks=Quirks(
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_LETTER_FIRST,
                schema_names=_NAMES,
                tool_schema=SchemaRule(
                    lacks=frozenset(
                        {"$schema", "$id", "examples", "exclusiveMaximum", "exclusiveMinimum"}
                        | {"patternProperties", "propertyNames"}
                    ),
                ),
                refused={
                    "*": _FOREIGN | _OPENAI_ONLY | _PENALTIES | {"seed"},
                },
                values=(
                    ValueRule(
                        field="reasoning_effort",
                        models=("*pro*",),
                        values={"none": {"reasoning_effort": "low"}},
                        others=True,
                    ),
                ),
                exclusive=(Exclusive("extra_body", "reasoning_effort"),),
                most_stops=5,
                takes_cache_control=False,
                refused_in_messages=_ECHOED | _REASONED,
            ),
        ),
    ),
    "deepseek": KnownVendor(
        hosts=("api.deepseek.com",),
        quirks=Quirks(
            takes_images=False,
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_NAMES,
                tool_schema=_OBJECT,
                renamed={"*": {"max_completion_tokens": "max_tokens"}},
                refused={"*": (_FOREIGN - {"thinking"}) | _OPENAI_ONLY | {"seed"}},
                values=(
                    ValueRule(
                        field="reasoning_effort",
                        values={"none": _UNTHINKING}
                        | {name: {"reasoning_effort": each} for name, each in _LOW_HIGH_MAX.items()},
                    ),
                ),
                forced_tool=_UNTHINKING,
                takes_cache_control=False,
                refused_in_messages=_ECHOED | {"reasoning", "reasoning_details"},
                roles=_NO_DEVELOPER,
                text_results=True,
            ),
        ),
    ),
    "xai": KnownVendor(
        hosts=("api.x.ai",),
        quirks=Quirks(
            max_tokens_field="max_completion_tokens",
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_NAMES,
                tool_schema=SchemaRule(lacks=frozenset({"additionalProperties"})),
                answer_schema=SchemaRule(lacks=frozenset({"additionalProperties"})),
                refused={
                    "*": _FOREIGN | _PENALTIES | {"stop", "search_parameters"},
                    "grok-4.20*": frozenset({"reasoning_effort"}),
                    "grok-4-20*": frozenset({"reasoning_effort"}),
                    "grok-build*": frozenset({"reasoning_effort"}),
                },
                values=(
                    _efforts("grok-4.[5-9]*", "grok-5*", **_THREE),
                    _efforts("grok-4.3*", none="none", **_THREE),
                ),
                takes_cache_control=False,
            ),
        ),
    ),
    "moonshot": KnownVendor(
        hosts=("api.moonshot.ai", "api.moonshot.cn"),
        quirks=Quirks(
            takes_image_addresses=False,
            max_tokens_field="max_completion_tokens",
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_LETTER_FIRST,
                tool_schema=SchemaRule(flat_top=True, typed=True),
                answer_schema=SchemaRule(typed=True),
                refused={
                    "*": (_FOREIGN - {"thinking"})
                    | (_OPENAI_ONLY - {"prompt_cache_key", "safety_identifier"}),
                    "kimi-k2.[5-9]*": _PENALTIES | {"temperature", "top_p"},
                    "kimi-k[3-9]*": _PENALTIES | {"temperature", "top_p"},
                },
                values=(
                    ValueRule(
                        field="reasoning_effort",
                        models=("kimi-k[3-9]*",),
                        values={name: {"reasoning_effort": each} for name, each in _LOW_HIGH_MAX.items()},
                    ),
                    ValueRule(
                        field="reasoning_effort",
                        models=("kimi-k2*", "kimi-latest*", "kimi-thinking*", "moonshot-*"),
                        values={"none": _UNTHINKING},
                    ),
                ),
                exclusive=(Exclusive("thinking", "reasoning_effort"),),
                forced_tool=_UNTHINKING,
                takes_cache_control=False,
            ),
        ),
    ),
    "zai": KnownVendor(
        hosts=("api.z.ai", "open.bigmodel.cn"),
        quirks=Quirks(
            usage_on_request=False,
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_NAMES,
                tool_schema=_OBJECT,
                renamed={"*": {"max_completion_tokens": "max_tokens"}},
                refused={
                    "*": (_FOREIGN - {"thinking"}) | _OPENAI_ONLY | _PENALTIES | {"stream_options"},
                },
                values=(
                    ValueRule(field="tool_choice", values=_only("tool_choice", "auto", "none")),
                    _efforts("glm-5.[2-9]*", "glm-[6-9]*", **_LOW_HIGH_MAX),
                    ValueRule(
                        field="reasoning_effort",
                        models=("glm-4*", "glm-5", "glm-5-*", "glm-5.[01]*"),
                        values={"none": _UNTHINKING},
                    ),
                ),
                most_stops=1,
                takes_cache_control=False,
                refused_in_messages=_ECHOED | {"name"},
                refused_in_tools=frozenset({"strict"}),
                roles=_NO_DEVELOPER,
            ),
        ),
    ),
    "minimax": KnownVendor(
        hosts=("api.minimax.io", "api.minimaxi.com"),
        quirks=Quirks(
            max_tokens_field="max_completion_tokens",
            extra_sampling=frozenset(),
            fit=FitRules(
                tool_names=_NAMES,
                tool_schema=_OBJECT,
                refused={
                    "*": (_FOREIGN - {"thinking", "reasoning_split"})
                    | _OPENAI_ONLY
                    | _PENALTIES
                    | {"reasoning_effort", "response_format", "seed", "tool_choice"},
                },
                ranges={"temperature": Range(0.01, 1.0)},
                takes_cache_control=False,
                refused_in_tools=frozenset({"strict"}),
                roles=_NO_DEVELOPER,
            ),
        ),
    ),
    "dashscope": KnownVendor(
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        quirks=Quirks(
            takes_cache_control=True,
            fit=FitRules(
                tool_names=_NAMES,
                tool_schema=_OBJECT,
                renamed={"*": {"max_completion_tokens": "max_tokens"}},
                forced_tool={"enable_thinking": False},
                roles=_NO_DEVELOPER,
            ),
        ),
    ),
    "together": KnownVendor(
        hosts=("api.together.ai", "api.together.xyz"),
        quirks=Quirks(fit=FitRules(tool_schema=_OBJECT, takes_cache_control=False, roles=_NO_DEVELOPER)),
    ),
    "fireworks": KnownVendor(
        hosts=("api.fireworks.ai",),
        quirks=Quirks(
            fit=FitRules(
                tool_schema=_OBJECT,
                exclusive=(Exclusive("thinking", "reasoning_effort"),),
                takes_cache_control=False,
            ),
        ),
    ),
    "perplexity": KnownVendor(
        hosts=("api.perplexity.ai",),
        quirks=Quirks(endpoints={"embeddings": ENDPOINTS["embeddings"], "other": ENDPOINTS["other"]}),
    ),
    "cohere": KnownVendor(
        hosts=("api.cohere.ai", "api.cohere.com"),
        quirks=Quirks(
            usage_on_request=False,
            fit=FitRules(
                tool_schema=_OBJECT,
                refused={"*": frozenset({"stream_options"})},
                values=(_efforts(none="none", **_ANY_HIGH),),
                takes_cache_control=False,
            ),
        ),
    ),
}
"""By the name that ``vendor:`` has for each."""


def find_vendor(addresses: Iterable[str]) -> str | None:
    """Return the name of the vendor that all ``addresses`` belong to, if it is a known one."""
    found = [_vendor_at(urlsplit(address).hostname or "") for address in addresses]
    first = found[0] if found else None
    return first if all(each == first for each in found) else None


def _vendor_at(host: str) -> str | None:
    for name, vendor in KNOWN_VENDORS.items():
        if any(host == each or host.endswith(f".{each}") for each in vendor.hosts):
            return name
    return None
