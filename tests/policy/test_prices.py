"""Prices: what requests cost, and which source of prices counts."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from types import SimpleNamespace
from typing import Any, NamedTuple

import genai_prices
import genai_prices.data_snapshot
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.test_pipeline import attempt_of, make_table
from trunkline.model import Usage
from trunkline.policy import prices as module
from trunkline.policy.guard import Guard
from trunkline.policy.prices import FREE, GENAI, PriceBook, Rates, preload, usd_to_micros
from trunkline.settings.sections import Price


class FakeProvider(NamedTuple):
    """A provider, as far as prices look at it."""

    name: str = "up"
    kind: str = "openai-compatible"
    local: bool = False


UP = FakeProvider()
OPENAI = FakeProvider("oa", "openai")
LOCAL = FakeProvider("cellar", "ollama", local=True)


def book(
    overrides: Mapping[str, Price] | None = None, published: Mapping[str, Mapping[str, float]] | None = None
) -> PriceBook:
    listed = published or {}
    return PriceBook(overrides or {}, lambda provider, model: listed.get(f"{provider}/{model}"))


def dollars(input: float, output: float = 0.0, **more: float) -> Rates:
    """The rates of a configured price of so many dollars per million tokens."""
    found = book({"*": Price(input=input, output=output, **more)}).rates(UP, "m")
    assert found is not None
    return found


# Which source counts

LISTED = {"oa/gpt-4o": {"prompt": 5e-6, "completion": 6e-6}, "cellar/m": {"prompt": 5e-6, "completion": 6e-6}}


@pytest.mark.parametrize(
    ("overrides", "listed", "provider", "model", "source"),
    [
        ({"*": Price(input=1)}, LISTED, OPENAI, "gpt-4o", "config"),
        ({"*": Price(input=1)}, LISTED, LOCAL, "m", "config"),  # electricity has a price too
        ({"other": Price(input=1)}, LISTED, OPENAI, "gpt-4o", "provider"),
        ({}, {}, OPENAI, "gpt-4o", GENAI),
        ({}, {}, FakeProvider("x", "anthropic"), "claude-sonnet-4-5", GENAI),
        ({}, LISTED, LOCAL, "m", "local"),
        ({}, {}, LOCAL, "gpt-4o", "local"),
        ({}, {}, OPENAI, "a-model-that-nobody-has-heard-of", None),
        ({}, {}, UP, "gpt-4o", None),  # an unknown vendor may ask any price
        ({}, {"oa/gpt-4o": {}}, OPENAI, "gpt-4o", GENAI),
        ({}, {"up/m": {"prompt": 1e-6}}, UP, "m", None),
    ],
)
def test_the_best_available_source_counts(
    overrides: dict[str, Price], listed: Any, provider: FakeProvider, model: str, source: str | None
) -> None:
    found = book(overrides, listed).rates(provider, model)
    assert (None if found is None else found.source) == source


@pytest.mark.parametrize(
    ("pattern", "provider", "model", "matches"),
    [
        ("up/m", UP, "m", True),
        ("m", UP, "m", True),
        ("up/*", UP, "m", True),
        ("UP/GPT-*", UP, "gpt-4o", True),
        ("gpt-*", UP, "GPT-4o", True),
        ("*/m", UP, "m", True),
        ("vendor/*", UP, "vendor/m", True),
        ("up/*", OPENAI, "m", False),
        ("m", UP, "m2", False),
        ("openai-compatible/*", UP, "m", False),
    ],
)
def test_patterns_of_configured_prices(
    pattern: str, provider: FakeProvider, model: str, matches: bool
) -> None:
    assert (book({pattern: Price(input=1)}).rates(provider, model) is not None) == matches


def test_the_first_pattern_that_matches_counts() -> None:
    found = book({"up/gpt-*": Price(input=1), "up/*": Price(input=2)})
    rates = [found.rates(UP, model) for model in ("gpt-4o", "other")]
    assert [rate and rate.input for rate in rates] == [1_000_000, 2_000_000]


def test_rates_are_cached_until_the_listing_changes() -> None:
    catalog, look_ups = SimpleNamespace(version=1), []

    def published(provider: str, model: str) -> Mapping[str, float]:
        look_ups.append(f"{provider}/{model}")
        return {"prompt": catalog.version * 1e-6, "completion": 0.0}

    prices = PriceBook({}, published, catalog)
    first = prices.rates(UP, "m")
    assert prices.rates(UP, "m") is first
    assert prices.rates(OPENAI, "m") == first
    assert look_ups == ["up/m", "oa/m"]
    catalog.version = 2
    second = prices.rates(UP, "m")
    assert second is not None
    assert second.input == 2_000_000
    assert look_ups == ["up/m", "oa/m", "up/m"]


def test_unknown_rates_are_cached_too() -> None:
    look_ups = 0

    def published(provider: str, model: str) -> None:
        nonlocal look_ups
        look_ups += 1

    prices = PriceBook({}, published)
    assert [prices.rates(UP, "m"), prices.rates(UP, "m"), look_ups] == [None, None, 1]


# Listings


def test_a_listing_in_dollars_per_token() -> None:
    listed = {
        "prompt": 3e-6,
        "completion": 15e-6,
        "input_cache_read": 0.3e-6,
        "input_cache_write": 3.75e-6,
        "internal_reasoning": 20e-6,
        "request": 0.005,
        "image": 0.0048,
    }
    assert book({}, {"up/m": listed}).rates(UP, "m") == Rates(
        source="provider",
        input=3_000_000,
        output=15_000_000,
        cached=300_000,
        cache_write=3_750_000,
        reasoning=20_000_000,
        request=5_000_000_000,
    )


@pytest.mark.parametrize("more", [{}, {"internal_reasoning": 0.0}])
def test_parts_without_a_listed_price_cost_what_the_rest_does(more: dict[str, float]) -> None:
    listed = {"prompt": 3e-6, "completion": 15e-6, **more}
    assert book({}, {"up/m": listed}).rates(UP, "m") == Rates(
        source="provider",
        input=3_000_000,
        output=15_000_000,
        cached=3_000_000,
        cache_write=3_000_000,
        reasoning=15_000_000,
    )


def test_a_listed_price_of_zero_is_not_unknown() -> None:
    found = book({}, {"up/m": {"prompt": 0.0, "completion": 0.0}}).rates(UP, "m")
    assert found is not None
    assert found.cost(Usage(prompt_tokens=10**6, completion_tokens=10**6)) == 0


# Costs


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        (Usage(), 0),
        (Usage(prompt_tokens=1000), 3000),
        (Usage(completion_tokens=1000), 15000),
        (Usage(prompt_tokens=1000, completion_tokens=10), 3150),
        (Usage(prompt_tokens=1000, cached_tokens=600), 1200 + 180),
        (Usage(prompt_tokens=1000, cache_write_tokens=200), 2400 + 750),
        (Usage(prompt_tokens=1000, cached_tokens=600, cache_write_tokens=200), 600 + 180 + 750),
        (Usage(completion_tokens=1000, reasoning_tokens=900), 1500 + 18000),
        (
            Usage(prompt_tokens=10, cached_tokens=20),
            6,
        ),  # an upstream that miscounts leads to no negative cost
        (Usage(completion_tokens=10, reasoning_tokens=20), 200),
    ],
)
def test_parts_of_a_request_have_their_own_prices(usage: Usage, micros: int) -> None:
    assert dollars(3, 15, cached_input=0.3, cache_write=3.75, reasoning=20).cost(usage) == micros


def test_parts_without_a_price_cost_what_the_rest_does() -> None:
    rates = dollars(3, 15)
    whole = Usage(prompt_tokens=100, completion_tokens=100)
    parts = Usage(
        prompt_tokens=100, completion_tokens=100, cached_tokens=30, cache_write_tokens=30, reasoning_tokens=50
    )
    assert rates.cost(whole) == rates.cost(parts) == 1800


def test_a_price_for_each_request() -> None:
    rates = dollars(1, request=0.01)
    assert rates.cost(Usage()) == 10_000
    assert rates.cost(Usage(prompt_tokens=5)) == 10_005
    assert rates.cost(Usage(prompt_tokens=5, cached_tokens=2)) == 10_005
    assert rates.max_cost(5, 0) == 10_005


@pytest.mark.parametrize(
    ("rate", "tokens", "micros"),
    [
        (0.5, 1, 1),
        (0.5, 3, 2),
        (0.4, 1, 0),
        (0.1, 4, 0),
        (0.1, 5, 1),
        (0.000001, 499_999, 0),
        (0.000001, 500_000, 1),
    ],
)
def test_halves_are_rounded_up_once_for_each_request(rate: float, tokens: int, micros: int) -> None:
    assert dollars(rate).cost(Usage(prompt_tokens=tokens)) == micros
    both = Usage(prompt_tokens=tokens, completion_tokens=tokens)
    exact = Decimal(str(rate)) * tokens * 2
    assert dollars(rate, rate).cost(both) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


PRICES = st.decimals(0, 1000, places=6)


@given(
    base=PRICES,
    out=PRICES,
    cached=PRICES,
    counts=st.tuples(*[st.integers(0, 10**6)] * 3),
)
def test_costs_are_exact_to_the_micro(
    base: Decimal, out: Decimal, cached: Decimal, counts: tuple[int, int, int]
) -> None:
    fresh, read, answer = counts
    rates = dollars(float(base), float(out), cached_input=float(cached))
    exact = fresh * base + read * cached + answer * out
    usage = Usage(prompt_tokens=fresh + read, cached_tokens=read, completion_tokens=answer)
    assert rates.cost(usage) == int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    assert rates.cost(usage) <= rates.max_cost(fresh + read, answer)


TIERS = Rates(
    "config",
    10**6,
    2 * 10**6,
    above=(100, Rates("config", 3 * 10**6, above=(1000, Rates("config", 9 * 10**6)))),
)


@pytest.mark.parametrize(("prompt", "micros"), [(100, 100), (101, 303), (1000, 3000), (1001, 9009)])
def test_long_prompts_cost_more_from_their_first_token_on(prompt: int, micros: int) -> None:
    assert TIERS.cost(Usage(prompt_tokens=prompt)) == micros
    assert TIERS.max_cost(prompt, 0) == micros


@pytest.mark.parametrize(
    ("rates", "micros"),
    [
        (Rates("config", 3 * 10**6, 10**6), 30 + 5),
        (Rates("config", 3 * 10**6, 10**6, cached=4 * 10**6), 40 + 5),
        (Rates("config", 3 * 10**6, 10**6, cache_write=5 * 10**6, reasoning=2 * 10**6), 50 + 10),
        (Rates("config", 10**5), 1),
        (Rates("config", 10**5, 1), 2),  # rounded up, because it is a maximum
        (FREE, 0),
    ],
)
def test_the_maximum_cost_of_a_request(rates: Rates, micros: int) -> None:
    assert rates.max_cost(10, 5) == micros


@pytest.mark.parametrize(
    ("cost", "micros"),
    [(0.0, 0), (0.0000005, 1), (0.0000004, 0), (1.25, 1_250_000), (0.1 + 0.2, 300_000), (-1.0, 0)],
)
def test_a_cost_that_an_upstream_reports(cost: float, micros: int) -> None:
    assert usd_to_micros(cost) == micros


@pytest.mark.parametrize(
    ("cost", "overrides", "micros", "source"),
    [
        (0.5, {"*": Price(input=1)}, 500_000, "upstream"),
        (0.0, {"*": Price(input=1)}, 0, "upstream"),
        (None, {"*": Price(input=1)}, 7, "config"),
        (None, {}, None, None),
    ],
)
async def test_the_cost_that_an_upstream_reports_counts_before_all_prices(
    cost: float | None, overrides: dict[str, Price], micros: int | None, source: str | None
) -> None:
    table = await make_table()
    table.pipeline.guard = Guard(book(overrides))
    asked = await table.ask()
    attempt = attempt_of(table.upstreams[0])
    attempt.exchange.usage = Usage(prompt_tokens=7, cost=cost)
    attempt.receiver.done(b"{}")
    await asked.end()
    assert (asked.active.attempts[-1].charge.cost, asked.active.attempts[-1].charge.source) == (
        micros,
        source,
    )


# The bundled table


def test_every_model_of_the_bundled_table_costs_what_its_library_says() -> None:
    snapshot = genai_prices.data_snapshot.get_snapshot()
    now, tiered, compared = datetime.now(UTC), 0, 0
    for vendor in snapshot.providers:
        if vendor.id not in module._GENAI_IDS:
            continue
        provider = FakeProvider("x", vendor.id)
        for model in vendor.models:
            rates = book().rates(provider, model.id)
            if rates is None:
                continue
            assert rates.source == GENAI
            tiered += rates.above is not None
            _, found = snapshot.find_provider_model(model.id, None, vendor.id, None)
            for prompt in (500, 50_000, 150_000, 300_000):
                usage = genai_prices.Usage(
                    input_tokens=prompt, cache_read_tokens=300, cache_write_tokens=100, output_tokens=777
                )
                exact = found.get_prices(now).calc_price(usage)["total_price"] * 1_000_000
                ours = Usage(
                    prompt_tokens=prompt, cached_tokens=300, cache_write_tokens=100, completion_tokens=777
                )
                assert abs(rates.cost(ours) - exact) <= 1, (model.id, prompt)
                compared += 1
    assert compared > 100
    assert tiered > 0


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A bundled table that the test fills: the attributes of a model's prices."""
    prices: dict[str, Any] = {}

    def find(model: str, ref: None, vendor: str, url: None) -> tuple[None, Any]:
        if (model, vendor) != ("m", "openai"):
            raise LookupError(model)
        return None, SimpleNamespace(get_prices=lambda now: SimpleNamespace(**prices))

    snapshot = SimpleNamespace(find_provider_model=find)
    monkeypatch.setattr(module, "_genai", lambda: SimpleNamespace(get_snapshot=lambda: snapshot))
    return prices


def tiers(base: str, *steps: tuple[int, str]) -> Any:
    found = [SimpleNamespace(start=start, price=Decimal(price)) for start, price in steps]
    return SimpleNamespace(base=Decimal(base), tiers=found)


def test_a_price_of_the_table(table: dict[str, Any]) -> None:
    table |= {"input_mtok": Decimal("0.25"), "output_mtok": Decimal(2), "requests_kcount": Decimal(5)}
    assert book().rates(OPENAI, "m") == Rates(
        source=GENAI,
        input=250_000,
        output=2_000_000,
        cached=250_000,
        cache_write=250_000,
        reasoning=2_000_000,
        request=5_000_000_000,
    )
    assert book().rates(OPENAI, "n") is None
    assert book().rates(UP, "m") is None
    assert book().rates(FakeProvider("x", "anthropic"), "m") is None


def test_steps_of_the_table(table: dict[str, Any]) -> None:
    table |= {
        "input_mtok": tiers("1", (100, "2"), (1000, "4")),
        "output_mtok": tiers("10", (1000, "20")),
        "cache_read_mtok": Decimal("0.5"),
    }
    rates = book().rates(OPENAI, "m")
    assert rates is not None
    costs = [
        rates.cost(Usage(prompt_tokens=prompt, completion_tokens=1)) for prompt in (100, 101, 1000, 1001)
    ]
    assert costs == [100 + 10, 202 + 10, 2000 + 10, 4004 + 20]
    assert rates.cost(Usage(prompt_tokens=2000, cached_tokens=2000)) == 1000


def test_without_a_price_for_prompts_the_table_has_no_price(table: dict[str, Any]) -> None:
    table |= {"input_mtok": None, "output_mtok": tiers("10", (1000, "20"))}
    assert book().rates(OPENAI, "m") is None


@pytest.mark.parametrize(
    ("kinds", "loads"),
    [(["ollama", "openai"], True), (["anthropic"], True), (["ollama", "vllm"], False), ([], False)],
)
def test_the_table_is_only_loaded_if_it_can_be_used(
    monkeypatch: pytest.MonkeyPatch, kinds: list[str], loads: bool
) -> None:
    loaded = threading.Event()
    monkeypatch.setattr(module, "_genai", loaded.set)
    before = set(threading.enumerate())
    preload(kinds)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert loaded.is_set() == loads
