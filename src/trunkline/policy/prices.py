"""Prices: what a request costs, by provider and model, from the best source there is.

The sources are, in this order: what the upstream itself reports with the answer; the operator's own price;
what the provider publishes in its list of models; and the bundled table of PyPI's genai-prices. Without any
of them the price is unknown, which is never zero. Local models cost nothing. Amounts are whole millionths of
a US dollar ("micros"), rounded half up once for each request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

import msgspec

from trunkline.model import Usage

_RATE_SCALE: Final = 1_000_000
"""Rates are whole millionths of a micro for each token, so that sums are exact."""
_A_MILLION: Final = 1_000_000
_MAX_CACHED: Final = 10_000


class PricedProvider(Protocol):
    """What prices need to know of a provider."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def local(self) -> bool: ...


class Versioned(Protocol):
    """What prices need to know of the catalog."""

    @property
    def version(self) -> int: ...


class PriceRule(Protocol):
    """An operator's price, in dollars per million tokens."""

    @property
    def input(self) -> float: ...
    @property
    def output(self) -> float: ...
    @property
    def cached_input(self) -> float | None: ...
    @property
    def cache_write(self) -> float | None: ...
    @property
    def reasoning(self) -> float | None: ...
    @property
    def request(self) -> float: ...


class Rates(msgspec.Struct, frozen=True):
    """What each token costs, in millionths of a micro (dollars per million tokens, times a million)."""

    source: str
    """Where the rates are from: ``local``, ``config``, ``provider`` or ``genai-prices``."""
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    request: int = 0
    """For each request."""
    above: tuple[int, Rates] | None = None
    """A number of prompt tokens, and the rates for requests with more; these may have ``above`` as well."""
    max_input: int = 0
    """The maximum cost of a prompt token; computed from the other fields."""
    max_output: int = 0
    """The maximum cost of an answer's token; computed from the other fields."""

    def __post_init__(self) -> None:
        max_input = max(self.input, self.cached, self.cache_write)
        msgspec.structs.force_setattr(self, "max_input", max_input)
        msgspec.structs.force_setattr(self, "max_output", max(self.output, self.reasoning))

    def cost(self, usage: Usage) -> int:
        """The cost of one answer in micros."""
        if self.above is not None and usage.prompt_tokens > self.above[0]:
            return self.above[1].cost(usage)
        if not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens):
            total = usage.prompt_tokens * self.input + usage.completion_tokens * self.output + self.request
            return (total + _RATE_SCALE // 2) // _RATE_SCALE
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        reasoning = min(usage.reasoning_tokens or 0, usage.completion_tokens)
        uncached = max(0, usage.prompt_tokens - cached - written)
        total = (
            uncached * self.input
            + cached * self.cached
            + written * self.cache_write
            + (usage.completion_tokens - reasoning) * self.output
            + reasoning * self.reasoning
            + self.request
        )
        return (total + _RATE_SCALE // 2) // _RATE_SCALE

    def max_cost(self, prompt: int, completion: int) -> int:
        """The maximum cost in micros of a request whose prompt and answer have so many tokens."""
        if self.above is not None and prompt > self.above[0]:
            return self.above[1].max_cost(prompt, completion)
        total = prompt * self.max_input + completion * self.max_output + self.request
        return -(-total // _RATE_SCALE)


FREE: Final = Rates("local")
GENAI: Final = "genai-prices"
_GENAI_IDS: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cerebras": "cerebras",
    "openrouter": "openrouter",
}
"""The vendors of the bundled table by our types of providers."""


def usd_to_micros(cost_usd: float) -> int:
    """The micros of a cost that an upstream has reported in dollars; never below zero."""
    return max(0, int(cost_usd * _A_MILLION + 0.5))


class PriceBook:
    """Rates by provider and model. Rates that were found are kept until what providers publish changes."""

    def __init__(
        self,
        overrides: Mapping[str, PriceRule],
        published: Callable[[str, str], Mapping[str, float] | None],
        publisher: Versioned | None = None,
    ) -> None:
        """
        Args:
            overrides: the operator's prices, by patterns of ``provider/model`` or ``model``.
            published: what a provider publishes of a model, in dollars per token.
            publisher: its version changes when what is published does.
        """
        self._overrides = [(pattern.lower(), _rates_of_rule(rule)) for pattern, rule in overrides.items()]
        self._published = published
        self._publisher = publisher
        self._cached_version = -1
        self._cache: dict[tuple[str, str], Rates | None] = {}

    def rates(self, provider: PricedProvider, model: str) -> Rates | None:
        """The rates of a model at a provider; None if they are unknown."""
        publisher = self._publisher
        if publisher is not None and publisher.version != self._cached_version:
            self._cache.clear()
            self._cached_version = publisher.version
        cache_key = provider.name, model
        try:
            return self._cache[cache_key]
        except KeyError:
            if len(self._cache) > _MAX_CACHED:
                self._cache.clear()
            found = self._cache[cache_key] = self._find(provider, model)
            return found

    def request_rates(self, provider: PricedProvider, model: str, *, countable: bool) -> Rates | None:
        """The rates for one request.

        The price of what cannot be counted in tokens (images, sounds) is unknown, except at a provider where
        everything is free.

        Args:
            provider: the provider that serves it.
            model: the model's name there.
            countable: whether the request's usage can be counted in tokens.
        """
        rates = self.rates(provider, model)
        return rates if countable or rates is FREE else None

    def _find(self, provider: PricedProvider, model: str) -> Rates | None:
        short, full = model.lower(), f"{provider.name}/{model}".lower()
        for pattern, rates in self._overrides:
            if fnmatchcase(full, pattern) or fnmatchcase(short, pattern):
                return rates
        if provider.local:
            return FREE
        return _rates_of_listing(self._published(provider.name, model)) or _rates_of_table(
            provider.kind, model
        )


def preload(kinds: Iterable[str]) -> None:
    """Import the bundled table in the background, if it has prices for any of these types of providers.

    The import takes a fifth of a second and 20 MB.
    """
    if not _GENAI_IDS.keys().isdisjoint(kinds):
        threading.Thread(target=_genai, name="prices", daemon=True).start()


def _scale(usd_per_million: float) -> int:
    """A rate from dollars per million tokens."""
    return round(usd_per_million * _RATE_SCALE)


def _rates_of_rule(rule: PriceRule) -> Rates:
    """The rates of an operator's price. Tokens without a price of their own cost ``input`` or ``output``."""
    base, out = rule.input, rule.output
    return Rates(
        source="config",
        input=_scale(base),
        output=_scale(out),
        cached=_scale(base if rule.cached_input is None else rule.cached_input),
        cache_write=_scale(base if rule.cache_write is None else rule.cache_write),
        reasoning=_scale(out if rule.reasoning is None else rule.reasoning),
        request=_scale(rule.request * _A_MILLION),
    )


def _rates_of_listing(prices: Mapping[str, float] | None) -> Rates | None:
    """The rates of a published price, which is in OpenRouter's form: dollars for each token."""
    if not prices or "prompt" not in prices or "completion" not in prices:
        return None

    def rate(name: str, default: str) -> int:
        return _scale(prices.get(name, prices[default]) * _A_MILLION)

    return Rates(
        source="provider",
        input=rate("prompt", "prompt"),
        output=rate("completion", "completion"),
        cached=rate("input_cache_read", "prompt"),
        cache_write=rate("input_cache_write", "prompt"),
        reasoning=rate("internal_reasoning", "completion") or rate("completion", "completion"),
        request=_scale(prices.get("request", 0.0) * _A_MILLION),
    )


def _genai() -> Any:
    import genai_prices.data_snapshot

    return genai_prices.data_snapshot


def _rates_of_table(kind: str, model: str) -> Rates | None:
    """The rates of the bundled table for a model of a type of provider, with their steps."""
    vendor = _GENAI_IDS.get(kind)
    if vendor is None:
        return None
    try:
        _, found = _genai().get_snapshot().find_provider_model(model, None, vendor, None)
        prices = found.get_prices(datetime.now(UTC))
    except (LookupError, ValueError):
        return None
    steps = {tier.start for price in vars(prices).values() for tier in getattr(price, "tiers", ())}
    above: tuple[int, Rates] | None = None
    for start in sorted(steps, reverse=True):
        higher = _rates_of_prices(prices, start + 1)
        above = above if higher is None else (start, msgspec.structs.replace(higher, above=above))
    rates = _rates_of_prices(prices, 0)
    return None if rates is None else msgspec.structs.replace(rates, above=above)


def _rates_of_prices(prices: Any, prompt: int) -> Rates | None:
    """The table's rates for a prompt of so many tokens."""

    def rate(name: str, default: int | None) -> int | None:
        price = getattr(prices, name, None)
        if price is None:
            return default
        for tier in reversed(getattr(price, "tiers", ())):
            if prompt > tier.start:
                return _scale(float(tier.price))
        return _scale(float(getattr(price, "base", price)))

    base = rate("input_mtok", None)
    if base is None:
        return None
    out = rate("output_mtok", 0) or 0
    return Rates(
        source=GENAI,
        input=base,
        output=out,
        cached=rate("cache_read_mtok", base) or 0,
        cache_write=rate("cache_write_mtok", base) or 0,
        reasoning=out,
        request=_scale(float(getattr(prices, "requests_kcount", None) or 0) / 1000 * _A_MILLION),
    )
