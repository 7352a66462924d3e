"""Providers that are only data: address, key, headers and quirks. A new one is one row and one test.

A row's own dialect is what its vendor is asked in; clients of the dialects that it ``speaks`` besides are
passed through.

Facts: each vendor's API reference, as gathered in the project's notes; the fields of a row say which quirk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic import STATE_FIELDS as ANTHROPIC_STATE
from trunkline.dialects.anthropic import AnthropicBack
from trunkline.dialects.base import Back
from trunkline.dialects.fit.rules import FitRules
from trunkline.dialects.openai import ENDPOINTS, PENALTIES, SAMPLING, OpenAIBack, Quirks, ReasoningProfile
from trunkline.dialects.responses import ITEM_REFERENCE, ResponsesBack, ResponsesQuirks
from trunkline.dialects.responses import STATE_FIELDS as RESPONSES_STATE
from trunkline.dialects.turns import ANY_ORDER
from trunkline.dialects.vendor_state import Maker
from trunkline.providers.base import ModelInfo
from trunkline.providers.fits import ANTHROPIC_FIT, CEREBRAS_FIT, OPENAI_FIT, OPENAI_RESPONSES_FIT
from trunkline.providers.model_facts import capabilities_by_name, told_capabilities, told_length
from trunkline.providers.thought_rules import rules_for

BEARER: Final[Mapping[str, str]] = {"authorization": "Bearer "}
NO_FITS: Final[Mapping[str, FitRules]] = {}
"""Nothing is known of what a vendor refuses."""


class VendorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor."""

    kind: str
    title: str
    """Its name in texts for people."""
    url: str | None = None
    """Base address, unless the settings give one."""
    quirks: Quirks | None
    """What its dialect of OpenAI's API is like; None is a vendor who is asked in Anthropic's."""
    speaks: tuple[str, ...] = ()
    """Dialects that it has besides its own."""
    holds: Mapping[str, frozenset[str]] = {}
    """The state fields that it has, by dialect. A request with another one is not passed through to it."""
    path: str = ""
    """Where the API lies below the vendor's base address."""
    list_path: str = "/models"
    """Where its models are listed."""
    headers: Mapping[str, str] = {}
    """Sent with every request."""
    key_headers: Mapping[str, str] = msgspec.field(default_factory=lambda: BEARER)
    """Headers that carry the key, and what stands before it in each."""
    needs_key: bool = True
    key_path: str | None = None
    """Where it tells about the key, if anybody may read its list of models."""
    other_lists: tuple[str, ...] = ()
    """Paths of further lists of models, besides ``/models``."""
    vendor_ids: bool = False
    """Model ids are ``vendor/model``; one without a slash stands in the provider's own namespace
    (``openrouter/auto``)."""
    fits: Mapping[str, FitRules] = {}
    """What it refuses although the meaning is plain, by dialect; that of OpenAI's chats is in ``quirks``."""
    vendor: str | None = None
    """Whose API a compatible server has, if its address or the settings say so."""
    drop: Mapping[str, frozenset[str]] = {}
    """Request fields it refuses, by model pattern (``*`` and ``?`` match)."""
    id_prefix: str = "chatcmpl-"
    read_models: Callable[[Mapping[str, Any]], ModelInfo]
    """One item of its ``/models`` list → what it says."""

    def back(self, who: str, maker: Maker | None = None, urls: Iterable[str] = ()) -> Back:
        """The dialect that it is asked in.

        Args:
            who: its name in error texts.
            maker: whose state it takes back; None is nobody in particular.
            urls: its addresses, by which a server of a known vendor is known.
        """
        maker = maker or Maker()
        if self.quirks is None:
            holds = self.holds.get("anthropic", frozenset[str]())
            return AnthropicBack(who, maker=maker, holds=holds, fit=self.fits.get("anthropic"))
        thoughts = rules_for(self.kind, urls, self.vendor) or self.quirks.thoughts
        return OpenAIBack(msgspec.structs.replace(self.quirks, name=who, thoughts=thoughts), maker)


def plain_model(item: Mapping[str, Any]) -> ModelInfo:
    """OpenAI's item, with the context lengths and capabilities that other servers add."""
    created = item.get("created")
    return ModelInfo(
        id=str(item["id"]),
        created=created if isinstance(created, int) else None,
        owner=item.get("owned_by") if isinstance(item.get("owned_by"), str) else None,
        context_length=told_length(item),
        capabilities=told_capabilities(item),
    )


_CAPABILITIES: Final = {"tools": "tools", "reasoning": "thinking", "include_reasoning": "thinking"}
"""OpenRouter's ``supported_parameters`` → Ollama's word for the capability."""


def openrouter_model(item: Mapping[str, Any]) -> ModelInfo:
    """OpenRouter's item: context length, modalities, parameters, prices as strings of USD per token."""
    architecture, top = item.get("architecture") or {}, item.get("top_provider") or {}
    found = {_CAPABILITIES[name] for name in item.get("supported_parameters") or () if name in _CAPABILITIES}
    if "image" in (architecture.get("input_modalities") or ()):
        found.add("vision")
    outputs = architecture.get("output_modalities") or ()
    embeds = "embeddings" in outputs or "embedding" in outputs
    prices = {}
    for name, text in (item.get("pricing") or {}).items():
        try:
            price = float(text)
        except (TypeError, ValueError):
            continue
        if 0 <= price < math.inf:  # -1 stands for "it depends", at models that choose among others
            prices[name] = price
    base = plain_model(item)
    return ModelInfo(
        id=base.id,
        created=base.created,
        owner=base.id.partition("/")[0],
        context_length=item.get("context_length") or top.get("context_length"),
        max_output=top.get("max_completion_tokens"),
        capabilities=("embedding" if embeds else "completion", *sorted(found)),
        prices=prices or None,
    )


def anthropic_model(item: Mapping[str, Any]) -> ModelInfo:
    """Anthropic's item: ``created_at`` in RFC 3339, and lengths and capabilities where they are told."""
    created = item.get("created_at")
    length, most = item.get("max_input_tokens"), item.get("max_tokens")
    return ModelInfo(
        id=str(item["id"]),
        created=_moment(created) if isinstance(created, str) else None,
        owner="anthropic",
        context_length=length if isinstance(length, int) else None,
        max_output=most if isinstance(most, int) else None,
        capabilities=capabilities_by_name(str(item["id"])),
    )


def _moment(text: str) -> int | None:
    try:
        return max(0, int(datetime.fromisoformat(text).timestamp()))
    except (ValueError, OverflowError):
        return None


_KNOBS: Final = SAMPLING | PENALTIES
_STOPLESS: Final = _KNOBS | {"stop"}
_SERIAL: Final = frozenset({"parallel_tool_calls"})
"""What models that call one tool at a time refuse to be told."""

OPENAI_REASONING: Final = (
    ReasoningProfile(pattern="o1-mini*", refuses=_STOPLESS | _SERIAL),
    ReasoningProfile(pattern="o1-preview*", refuses=_STOPLESS | _SERIAL),
    ReasoningProfile(pattern="o1*", efforts=("low", "medium", "high"), refuses=_KNOBS | _SERIAL),
    ReasoningProfile(pattern="o3-mini*", efforts=("low", "medium", "high"), refuses=_KNOBS | _SERIAL),
    ReasoningProfile(pattern="o[34]*", efforts=("low", "medium", "high"), refuses=_STOPLESS | _SERIAL),
    ReasoningProfile(pattern="gpt-5-chat*"),
    ReasoningProfile(pattern="gpt-5-search*", refuses=_STOPLESS | _SERIAL | {"n", "seed"}),
    ReasoningProfile(pattern="gpt-5.?-chat*", efforts=("medium",), refuses=_STOPLESS),
    ReasoningProfile(
        pattern="gpt-5.1*",
        efforts=("none", "low", "medium", "high"),
        refuses=PENALTIES | {"stop"},
        refuses_thinking=SAMPLING,
    ),
    ReasoningProfile(
        pattern="gpt-5.[23]*",
        efforts=("none", "low", "medium", "high", "xhigh"),
        refuses=PENALTIES | {"stop"},
        refuses_thinking=SAMPLING,
    ),
    ReasoningProfile(
        pattern="gpt-5.4*",
        efforts=("none", "low", "medium", "high", "xhigh"),
        refuses=PENALTIES | {"stop"},
        refuses_thinking=SAMPLING,
        calls_thinking=False,
    ),
    ReasoningProfile(
        pattern="gpt-5.5*",
        efforts=("none", "low", "medium", "high", "xhigh"),
        refuses=_STOPLESS,
        calls_thinking=False,
        thinks_unasked=True,
    ),
    ReasoningProfile(
        pattern="gpt-5.*",
        efforts=("none", "low", "medium", "high", "xhigh"),
        more_efforts=("max",),
        refuses=_STOPLESS,
        calls_thinking=False,
        thinks_unasked=True,
        calls_unasked=False,
    ),
    ReasoningProfile(pattern="gpt-5*", efforts=("minimal", "low", "medium", "high"), refuses=_STOPLESS),
    *(
        ReasoningProfile(
            pattern=pattern,
            efforts=("none", "low", "medium", "high", "xhigh"),
            more_efforts=("max",),
            refuses=_STOPLESS,
            calls_thinking=False,
            thinks_unasked=True,
            calls_unasked=False,
        )
        for pattern in ("gpt-6-sol*", "gpt-6-luna*")
    ),
    ReasoningProfile(
        pattern="gpt-6*",
        efforts=("low", "medium", "high", "xhigh"),
        more_efforts=("max",),
        refuses=_STOPLESS,
        thinks_unasked=True,
    ),
)
"""OpenAI's thinking models. From 5.5 on a model thinks unless it is told not to; 5.1 to 5.4 think only when
told to, and sample as they are told while they do not. From 5.4 on the chat API takes no tools from who
thinks, and from 5.6 on none unless an effort of ``none`` is named. It takes no effort of ``max``."""

OPENAIS_MODELS: Final = frozenset({"openai", "azure"})
"""Known vendors whose models are OpenAI's."""

OPENAI: Final = VendorSpec(
    kind="openai",
    title="OpenAI",
    url="https://api.openai.com/v1",
    quirks=Quirks(
        name="OpenAI",
        turns=ANY_ORDER,
        searching_models=("*-search-*", "*-search"),
        max_tokens_field="max_completion_tokens",
        extra_sampling=frozenset(),
        profiles=OPENAI_REASONING,
        fit=OPENAI_FIT,
    ),
    speaks=("responses",),
    holds={"responses": frozenset(RESPONSES_STATE) - {"models", "plugins", "preset"} | {ITEM_REFERENCE}},
    fits={"responses": OPENAI_RESPONSES_FIT},
    drop={
        f"{tuned}{model}": frozenset({"reasoning_effort"})
        for tuned in ("", "ft:")
        for model in ("gpt-3.5*", "gpt-4*", "chatgpt-4o*", "gpt-5-chat*")
    },
    read_models=plain_model,
)

OPENROUTER: Final = VendorSpec(
    kind="openrouter",
    title="OpenRouter",
    url="https://openrouter.ai/api/v1",
    quirks=Quirks(
        name="OpenRouter",
        endpoints={each: path for each, path in ENDPOINTS.items() if each != "other"},
        reasoning="object",
        history_reasoning_field="reasoning",
        usage_on_request=False,
        searching_models=("*",),
        takes_plugins=True,
        takes_routing=True,
        takes_cache_control=True,
    ),
    speaks=("anthropic", "responses"),
    holds={
        "anthropic": frozenset({"context_management"}),
        "responses": frozenset({"models", "plugins", "preset"}),
    },
    headers={"X-Title": "Trunkline"},
    key_path="/key",
    other_lists=("/embeddings/models",),
    vendor_ids=True,
    read_models=openrouter_model,
)

CEREBRAS: Final = VendorSpec(
    kind="cerebras",
    title="Cerebras",
    url="https://api.cerebras.ai/v1",
    quirks=Quirks(
        name="Cerebras",
        endpoints={"chat": "/chat/completions", "completions": "/completions"},
        max_tokens_field="max_completion_tokens",
        extra_sampling=frozenset(),
        usage_on_request=False,
        fit=CEREBRAS_FIT,
    ),
    drop={
        "*": frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "service_tier"}),
        "llama*": frozenset({"reasoning_effort", "reasoning_format"}),
        "qwen-3-*-instruct*": frozenset({"reasoning_effort", "reasoning_format"}),
    },
    read_models=plain_model,
)

ANTHROPIC: Final = VendorSpec(
    kind="anthropic",
    title="Anthropic",
    path="/v1",
    url="https://api.anthropic.com",
    quirks=None,
    holds={"anthropic": frozenset(ANTHROPIC_STATE)},
    fits={"anthropic": ANTHROPIC_FIT},
    headers={"anthropic-version": "2023-06-01"},
    key_headers={"x-api-key": ""},
    list_path="/models?limit=1000",
    read_models=anthropic_model,
)

COMPATIBLE: Final = VendorSpec(
    kind="openai-compatible",
    title="The OpenAI-compatible server",
    quirks=Quirks(),
    needs_key=False,
    read_models=plain_model,
)

VENDORS: Final[Mapping[str, VendorSpec]] = {
    spec.kind: spec for spec in (OPENAI, OPENROUTER, CEREBRAS, ANTHROPIC, COMPATIBLE)
}
"""Every row by its type's name."""


def other_backs(
    name: str,
    speaks: Iterable[str],
    base: str = "",
    *,
    takes_routing: bool = False,
    maker: Maker | None = None,
    holds: Mapping[str, frozenset[str]] = MappingProxyType({}),
    fits: Mapping[str, FitRules] = NO_FITS,
    responses: ResponsesQuirks | None = None,
) -> list[Back]:
    """Make a back for each dialect that a provider speaks besides its own.

    Args:
        name: the provider's, for error texts.
        speaks: the dialects.
        base: their paths lie below it.
        takes_routing: the provider takes OpenRouter's ``provider`` object.
        maker: whose state the provider takes back; None is nobody in particular.
        holds: the state fields that it has, by dialect.
        fits: what the provider refuses although the meaning is plain, by dialect.
        responses: what its Responses API takes of requests that are translated for it.
    """
    maker = maker or Maker()
    made: dict[str, Callable[..., Back]] = {
        "anthropic": AnthropicBack,
        "responses": partial(ResponsesBack, quirks=responses or ResponsesQuirks()),
    }
    return [
        made[dialect](
            name,
            base,
            takes_routing=takes_routing,
            maker=maker,
            holds=holds.get(dialect, frozenset()),
            fit=fits.get(dialect),
        )
        for dialect in speaks
    ]
