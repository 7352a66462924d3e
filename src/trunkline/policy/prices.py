"""What a request costs: rates by provider and model, from the best source there is.

In this order: what the upstream itself reports with the answer; the operator's own price; what the provider
publishes in its list of models; the bundled table of PyPI's genai-prices; else unknown, which is never zero.
Local models cost nothing. Amounts are whole millionths of a US dollar ("micros"), rounded half up once for
each request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final, Protocol

import msgspec

from trunkline.model import Usage

_FINE: Final = 1_000_000
"""Rates are whole millionths of a micro for each token, so that sums are exact."""
_A_MILLION: Final = 1_000_000
_MOST_KEPT: Final = 10_000


class Priced(Protocol):
    """What prices need to know of a provider."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def local(self) -> bool: ...


class Versioned(Protocol):
    """What prices need to know of the catalog: its version changes when what providers publish does."""

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
    """What tokens cost, in millionths of a micro each (dollars per million tokens, times a million)."""

    source: str
    """Where they are from: ``local``, ``config``, ``provider`` or ``genai-prices``."""
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    request: int = 0
    """For each request."""
    above: tuple[int, Rates] | None = None
    """Other rates, for requests whose prompt is longer than so many tokens; they may have others above."""
    dearest_input: int = 0
    """What a token of a prompt costs at most; worked out."""
    dearest_output: int = 0

    def __post_init__(self) -> None:
        dearest = max(self.input, self.cached, self.cache_write)
        msgspec.structs.force_setattr(self, "dearest_input", dearest)
        msgspec.structs.force_setattr(self, "dearest_output", max(self.output, self.reasoning))

    def cost(self, usage: Usage) -> int:
        """The micros of one answer."""
        if self.above is not None and usage.prompt_tokens > self.above[0]:
            return self.above[1].cost(usage)
        if not (usage.cached_tokens or usage.cache_write_tokens or usage.reasoning_tokens):
            total = usage.prompt_tokens * self.input + usage.completion_tokens * self.output + self.request
            return (total + _FINE // 2) // _FINE
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        thought = min(usage.reasoning_tokens or 0, usage.completion_tokens)
        fresh = max(0, usage.prompt_tokens - cached - written)
        total = (
            fresh * self.input
            + cached * self.cached
            + written * self.cache_write
            + (usage.completion_tokens - thought) * self.output
            + thought * self.reasoning
            + self.request
        )
        return (total + _FINE // 2) // _FINE

    def most(self, prompt: int, completion: int) -> int:
        """Micros that a request costs at most, with a prompt and an answer of so many tokens."""
        if self.above is not None and prompt > self.above[0]:
            return self.above[1].most(prompt, completion)
        total = prompt * self.dearest_input + completion * self.dearest_output + self.request
        return -(-total // _FINE)


FREE: Final = Rates("local")
GENAI: Final = "genai-prices"
_GENAI_IDS: Final = {
    "openai": "openai",
    "anthropic": "anthropic",
    "cerebras": "cerebras",
    "openrouter": "openrouter",
}
"""That library's names for our types of providers."""


def reported(cost_usd: float) -> int:
    """Micros of a cost that an upstream has reported in dollars."""
    return max(0, int(cost_usd * _A_MILLION + 0.5))


class PriceBook:
    """Rates by provider and model. What was found is kept until ``forget``."""

    def __init__(
        self,
        overrides: Mapping[str, PriceRule],
        published: Callable[[str, str], Mapping[str, float] | None],
        publisher: Versioned | None = None,
    ) -> None:
        """``overrides`` go by pattern of ``provider/model`` or ``model``; ``published`` tells what a provider
        publishes of a model, in dollars per token; the version of ``publisher`` changes when that does."""
        self._overrides = [(pattern.lower(), _of_rule(rule)) for pattern, rule in overrides.items()]
        self._published = published
        self._publisher = publisher
        self._seen = -1
        self._kept: dict[tuple[str, str], Rates | None] = {}

    def rates(self, provider: Priced, model: str) -> Rates | None:
        """The rates of a model at a provider; None if nobody knows."""
        publisher = self._publisher
        if publisher is not None and publisher.version != self._seen:
            self._kept.clear()
            self._seen = publisher.version
        place = provider.name, model
        try:
            return self._kept[place]
        except KeyError:
            if len(self._kept) > _MOST_KEPT:
                self._kept.clear()
            found = self._kept[place] = self._find(provider, model)
            return found

    def rates_of(self, provider: Priced, model: str, *, countable: bool) -> Rates | None:
        """The same for a request; of what is not ``countable`` in tokens (pictures, sounds) nobody knows the
        price, but where nothing costs anything."""
        rates = self.rates(provider, model)
        return rates if countable or rates is FREE else None

    def _find(self, provider: Priced, model: str) -> Rates | None:
        short, full = model.lower(), f"{provider.name}/{model}".lower()
        for pattern, rates in self._overrides:
            if fnmatchcase(full, pattern) or fnmatchcase(short, pattern):
                return rates
        if provider.local:
            return FREE
        return _of_listing(self._published(provider.name, model)) or _of_genai(provider.kind, model)


def preload(kinds: Iterable[str]) -> None:
    """Import the bundled table in the background, if it has prices of any of these types of providers: it
    takes a fifth of a second and 20 MB."""
    if not _GENAI_IDS.keys().isdisjoint(kinds):
        threading.Thread(target=_genai, name="prices", daemon=True).start()


def _fine(usd_per_million: float) -> int:
    return round(usd_per_million * _FINE)


def _of_rule(rule: PriceRule) -> Rates:
    base, out = rule.input, rule.output
    return Rates(
        "config",
        _fine(base),
        _fine(out),
        _fine(base if rule.cached_input is None else rule.cached_input),
        _fine(base if rule.cache_write is None else rule.cache_write),
        _fine(out if rule.reasoning is None else rule.reasoning),
        _fine(rule.request * _A_MILLION),
    )


def _of_listing(prices: Mapping[str, float] | None) -> Rates | None:
    """OpenRouter's words: dollars for each token."""
    if not prices or "prompt" not in prices or "completion" not in prices:
        return None

    def rate(name: str, otherwise: str) -> int:
        return _fine(prices.get(name, prices[otherwise]) * _A_MILLION)

    return Rates(
        "provider",
        rate("prompt", "prompt"),
        rate("completion", "completion"),
        rate("input_cache_read", "prompt"),
        rate("input_cache_write", "prompt"),
        rate("internal_reasoning", "completion") or rate("completion", "completion"),
        _fine(prices.get("request", 0.0) * _A_MILLION),
    )


def _genai() -> Any:
    import genai_prices.data_snapshot

    return genai_prices.data_snapshot


def _of_genai(kind: str, model: str) -> Rates | None:
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
        higher = _of_prices(prices, start + 1)
        above = above if higher is None else (start, msgspec.structs.replace(higher, above=above))
    rates = _of_prices(prices, 0)
    return None if rates is None else msgspec.structs.replace(rates, above=above)


def _of_prices(prices: Any, prompt: int) -> Rates | None:
    def rate(name: str, otherwise: int | None) -> int | None:
        price = getattr(prices, name, None)
        if price is None:
            return otherwise
        for tier in reversed(getattr(price, "tiers", ())):
            if prompt > tier.start:
                return _fine(float(tier.price))
        return _fine(float(getattr(price, "base", price)))

    base = rate("input_mtok", None)
    if base is None:
        return None
    out = rate("output_mtok", 0) or 0
    return Rates(
        GENAI,
        base,
        out,
        rate("cache_read_mtok", base) or 0,
        rate("cache_write_mtok", base) or 0,
        out,
        _fine(float(getattr(prices, "requests_kcount", None) or 0) / 1000 * _A_MILLION),
    )
