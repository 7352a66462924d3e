"""The router: which upstreams are asked for a model name, as tables."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from trunkline.errors import UPSTREAM_AUTH, UPSTREAM_ERROR, CallerError, GatewayError, ProviderError
from trunkline.policy.filters import ModelFilter
from trunkline.providers.base import Upstream
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.resolve import RouteRule, RouteTarget, RoutingRules
from trunkline.routing.router import Router
from trunkline.routing.strategies import SelectionContext

from .fakes import Fake, candidates_in_order, make_catalog, make_router, targets_in_order

HF = "hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M"
OLLAMA = ("llama2:latest", "llama2:7b", "llama3.2:latest", "gpt-oss:20b", HF)
OPENROUTER = (
    "anthropic/claude-3.5-sonnet",
    "deepseek/deepseek-r1",
    "deepseek/deepseek-r1:free",
    "mistral/large",
    "acme/large",
    "openai/gpt-4o",
    "openrouter/auto",
)


def ollama() -> Fake:
    return Fake("ollama", OLLAMA)


def openrouter() -> Fake:
    return Fake("openrouter", OPENROUTER)


def vllm() -> Fake:
    return Fake("vllm", ["Qwen/Qwen3-8B", "llama3.2", "gpt-4o"])


async def refusal(model: str | None, *fakes: Fake, only: str | None = None, **rules: Any) -> GatewayError:
    router = await make_router(*fakes, **rules)
    with pytest.raises(CallerError) as caught:
        candidates_in_order(router, model, only=only)
    return caught.value


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("ollama:llama2:7b", ["ollama=llama2:7b"]),
        ("ollama/llama3.2", ["ollama=llama3.2"]),
        ("ollama/llama3.2:latest", ["ollama=llama3.2:latest"]),
        ("OLLAMA/LLAMA3.2", ["ollama=llama3.2"]),
        ("llama2", ["ollama=llama2"]),
        ("llama2:latest", ["ollama=llama2:latest"]),
        ("llama2:7b", ["ollama=llama2:7b"]),
        ("LLaMA2:7B", ["ollama=llama2:7b"]),
        (HF, [f"ollama={HF}"]),
        (HF.lower(), [f"ollama={HF}"]),
        (f"ollama/{HF}", [f"ollama={HF}"]),
        (f"ollama:{HF}", [f"ollama={HF}"]),
        ("openrouter/auto", ["openrouter=openrouter/auto"]),
        ("openrouter/openrouter/auto", ["openrouter=openrouter/auto"]),
        ("openrouter:openrouter/auto", ["openrouter=openrouter/auto"]),
        ("openrouter:anthropic/claude-3.5-sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("openrouter/anthropic/claude-3.5-sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("openrouter/claude-3.5-sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("anthropic/claude-3.5-sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("Anthropic/Claude-3.5-Sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("claude-3.5-sonnet", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("claude-3.5-sonnet:latest", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("deepseek/deepseek-r1", ["openrouter=deepseek/deepseek-r1"]),
        ("deepseek/deepseek-r1:free", ["openrouter=deepseek/deepseek-r1:free"]),
        ("openrouter/deepseek/deepseek-r1:free", ["openrouter=deepseek/deepseek-r1:free"]),
        ("deepseek-r1:free", ["openrouter=deepseek/deepseek-r1:free"]),
        ("deepseek-r1", ["openrouter=deepseek/deepseek-r1"]),
        ("large", ["openrouter=acme/large"]),
        ("mistral/large", ["openrouter=mistral/large"]),
        ("openai/gpt-4o", ["openrouter=openai/gpt-4o"]),
        ("qwen/qwen3-8b", ["vllm=Qwen/Qwen3-8B"]),
        ("Qwen3-8B", ["vllm=Qwen/Qwen3-8B"]),
        ("llama3.2", ["ollama=llama3.2", "vllm=llama3.2"]),
        ("vllm/llama3.2", ["vllm=llama3.2"]),
        ("gpt-4o", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
        ("gpt-oss:20b", ["ollama=gpt-oss:20b"]),
        ("custom", ["custom=custom"]),
        ("custom/custom", ["custom=custom"]),
        ("vllm/not-listed", ["vllm=not-listed"]),
        ("ollama:new:1b", ["ollama=new:1b"]),
    ],
)
async def test_names(model: str, found: list[str]) -> None:
    router = await make_router(ollama(), openrouter(), vllm(), preferred="openrouter")
    assert targets_in_order(router, model) == found
    assert targets_in_order(router, model) == found  # from the kept pool


@pytest.mark.parametrize(
    ("preferred", "found"),
    [
        ("openrouter", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
        ("vllm", ["vllm=gpt-4o", "openrouter=openai/gpt-4o"]),
        ("ollama", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
        ("auto", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
        ("cerebras", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
    ],
)
async def test_the_preferred_provider_comes_first(preferred: str, found: list[str]) -> None:
    router = await make_router(ollama(), openrouter(), vllm(), preferred=preferred)
    assert targets_in_order(router, "gpt-4o") == found
    router = await make_router(ollama(), openrouter(), vllm(), preferred=preferred, fallback=False)
    assert targets_in_order(router, "gpt-4o") == found[:1]


@pytest.mark.parametrize(
    ("fakes", "preferred", "found"),
    [
        ([Fake("ollama", None), Fake("vllm", ["a"])], "auto", "vllm"),
        ([Fake("ollama", ["a"]), Fake("vllm", ["a"])], "auto", "ollama"),
        ([Fake("ollama", None)], "auto", "ollama"),
        ([], "auto", "custom"),
        ([Fake("ollama", None), Fake("vllm", ["a"])], "ollama", "ollama"),
        ([Fake("ollama", ["a"])], "openrouter", "ollama"),
        ([Fake("ollama", ["a"])], "custom", "custom"),
    ],
)
async def test_which_provider_is_preferred(fakes: list[Fake], preferred: str, found: str) -> None:
    assert (await make_router(*fakes, preferred=preferred)).preferred == found


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("openrouter/auto", ["openrouter=openrouter/auto"]),
        ("openrouter:openrouter/auto", ["openrouter=openrouter/auto"]),
        ("openrouter/anthropic/claude", ["openrouter=anthropic/claude"]),
        ("openrouter:claude", ["openrouter=claude"]),
        ("anthropic/claude", ["openrouter=anthropic/claude"]),
        ("openai/gpt-4o", ["openrouter=openai/gpt-4o"]),
        ("anything", ["openrouter=anything"]),
        ("deepseek/deepseek-r1:free", ["openrouter=deepseek/deepseek-r1:free"]),
        ("llama2", ["ollama=llama2"]),
        ("ollama/else", ["ollama=else"]),
        ("custom", ["custom=custom"]),
    ],
)
async def test_names_while_the_listing_of_the_preferred_provider_is_unknown(
    model: str, found: list[str]
) -> None:
    router = await make_router(ollama(), Fake("openrouter", None), preferred="openrouter")
    assert targets_in_order(router, model) == found


@pytest.mark.parametrize("model", ["openai/gpt-4o", "cerebras:llama", "anthropic/claude-3.5-sonnet"])
async def test_a_vendor_that_is_not_configured(model: str) -> None:
    name = model.replace(":", "/").split("/")[0]
    error = await refusal(model, ollama())
    assert error.message == f"Provider '{name}' not configured. Set {name.upper()}_API_KEY"
    assert (error.status, error.code, error.param) == (404, "provider_not_configured", "model")


async def test_ollama_that_is_not_configured() -> None:
    error = await refusal("ollama/llama2", vllm())
    assert error.message == "Provider 'ollama' not configured. Check OLLAMA_ENABLED and OLLAMA_BASE_URL"
    error = await refusal("llama2", vllm(), only="mine")
    assert error.message == "Provider 'mine' not configured. Configure it under 'providers' as 'mine'"


@pytest.mark.parametrize(
    ("model", "fakes", "text"),
    [
        ("nobody", [openrouter()], "Model 'nobody' not found at openrouter, custom. GET /v1/models lists"),
        ("claude-3.5-sonet", [openrouter()], "Did you mean anthropic/claude-3.5-sonnet?"),
        ("custom/other", [ollama()], "Model 'other' not found at custom"),
    ],
)
async def test_models_that_nobody_has(model: str, fakes: list[Fake], text: str) -> None:
    error = await refusal(model, *fakes, preferred="openrouter")
    assert text in error.message
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")


async def test_custom_answers_anything_only_where_it_is_preferred() -> None:
    router = await make_router(ollama(), preferred="custom")
    assert targets_in_order(router, "whatever") == ["custom=whatever"]
    assert targets_in_order(router, "custom/whatever") == ["custom=whatever"]
    assert targets_in_order(router, "llama2") == ["custom=llama2", "ollama=llama2"]
    await refusal("whatever", ollama(), preferred="auto")


@pytest.mark.parametrize(
    ("preferred", "only", "found"),
    [
        ("ollama", None, "ollama=llama2"),
        ("auto", None, "ollama=llama2"),
        ("openrouter", "ollama", "ollama=llama2"),
    ],
)
async def test_no_model_is_ollamas_default(preferred: str, only: str | None, found: str) -> None:
    router = await make_router(ollama(), openrouter(), preferred=preferred)
    assert targets_in_order(router, None, only=only) == [found]
    assert targets_in_order(router, "", only=only) == [found]


@pytest.mark.parametrize("only", [None, "openrouter"])
async def test_no_model_elsewhere(only: str | None) -> None:
    error = await refusal(None, openrouter(), ollama(), only=only, preferred="openrouter")
    assert (error.status, error.param) == (400, "model")
    assert error.message == "Missing required parameter: 'model'"


@pytest.mark.parametrize(
    ("model", "only", "found"),
    [
        ("llama2", "ollama", ["ollama=llama2"]),
        ("ollama/llama2", "ollama", ["ollama=llama2"]),
        ("ollama:llama2:7b", "ollama", ["ollama=llama2:7b"]),
        ("openrouter/auto", "openrouter", ["openrouter=openrouter/auto"]),
        ("auto", "openrouter", ["openrouter=openrouter/auto"]),
        ("claude-3.5-sonnet", "openrouter", ["openrouter=anthropic/claude-3.5-sonnet"]),
        ("llama3.2", "vllm", ["vllm=llama3.2"]),
        ("openai/gpt-4o", "vllm", ["vllm=openai/gpt-4o"]),
    ],
)
async def test_the_path_pins_the_provider(model: str, only: str, found: list[str]) -> None:
    router = await make_router(ollama(), openrouter(), vllm(), preferred="openrouter")
    assert targets_in_order(router, model, only=only) == found


async def test_aliases_and_routes() -> None:
    router = await make_router(
        ollama(),
        openrouter(),
        preferred="openrouter",
        aliases={"fast": "ollama/llama3.2", "Best": "gpt-4"},
        routes={
            "GPT-4": RouteRule(
                [RouteTarget("openrouter", "openai/gpt-4o", 1, 1), RouteTarget("ollama", "llama3.3", 1, 0)]
            ),
            "bad": RouteRule([RouteTarget("none", "x", 1, 0)]),
        },
    )
    assert targets_in_order(router, "FAST") == ["ollama=llama3.2"]
    assert targets_in_order(router, "gpt-4") == ["ollama=llama3.3", "openrouter=openai/gpt-4o"]
    assert targets_in_order(router, "best") == targets_in_order(router, "gpt-4")
    with pytest.raises(CallerError, match="Provider 'none' not configured"):
        candidates_in_order(router, "bad")


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        (
            "llama3.2",
            ["llama3.2", "llama3.2:latest", "ollama/llama3.2", "vllm/llama3.2"],
            ["llama2", "custom", "gpt-4o", "ollama/llama2", "vllm/new"],
        ),
        ("anthropic/*", ["claude-3.5-sonnet", "anthropic/claude-3.5-sonnet"], ["deepseek-r1", "llama2"]),
        ("*:free", ["deepseek-r1:free"], ["deepseek-r1"]),
        (
            "!llama*\n!*:free",
            ["gpt-4o", "custom"],
            ["llama2:7b", "deepseek-r1:free", "vllm/llama9"],
        ),
    ],
)
async def test_a_filter_holds_for_every_name(rules: str, allowed: list[str], refused: list[str]) -> None:
    allows = ModelFilter.parse(rules, "test").allows
    router = await make_router(ollama(), openrouter(), vllm(), preferred="openrouter", allows=allows)
    for model in allowed:
        assert targets_in_order(router, model)
    for model in refused:
        with pytest.raises(CallerError, match="not found"):
            candidates_in_order(router, model)


async def test_operations_that_a_provider_lacks() -> None:
    cerebras = Fake("cerebras", ["gpt-oss", "llama3.2"], without=["embeddings"])
    router = await make_router(cerebras, vllm(), preferred="cerebras")
    assert targets_in_order(router, "llama3.2") == ["cerebras=llama3.2", "vllm=llama3.2"]
    assert targets_in_order(router, "llama3.2", "embeddings") == ["vllm=llama3.2"]
    with pytest.raises(CallerError, match="Provider 'cerebras' has no embeddings endpoint") as caught:
        candidates_in_order(router, "gpt-oss", "embeddings")
    assert (caught.value.status, caught.value.param) == (400, "model")


async def test_upstreams_take_turns() -> None:
    fleet = Fake("ollama", ["a:latest", "b:latest"], ["a:latest"], None)
    router = await make_router(fleet, preferred="ollama")
    pool = router.pool("a", "chat")
    firsts = [pool.pick(SelectionContext(0.0)) for _ in range(6)]
    assert [each.upstream.name for each in firsts if each] == ["ollama-0", "ollama-1", "ollama-2"] * 2
    assert {each.upstream.name for each in candidates_in_order(router, "b")} == {"ollama-0", "ollama-2"}
    assert [each.upstream.name for each in candidates_in_order(router, "ollama/c")] == ["ollama-2"]
    lines = candidates_in_order(router, "a")[0].header_lines
    assert lines.startswith(b"x-trunkline-provider: ollama\r\nx-trunkline-upstream: ollama-")


async def test_pools_are_rebuilt_when_the_catalog_changes() -> None:
    fake = Fake("vllm", ["a"])
    router = await make_router(fake, preferred="vllm")
    assert targets_in_order(router, "a") == ["vllm=a"]
    assert router.public_id("vllm", "a") == "a"
    fake.models = {"vllm-0": ["b"]}
    await router.catalog.refresh()
    assert targets_in_order(router, "b") == ["vllm=b"]
    with pytest.raises(CallerError):
        candidates_in_order(router, "a")


async def test_names_that_lead_back() -> None:
    router = await make_router(ollama(), openrouter(), vllm(), preferred="openrouter")
    for provider, model, found in (
        ("openrouter", "openai/gpt-4o", "openai/gpt-4o"),
        ("openrouter", "openrouter/auto", "openrouter/auto"),
        ("openrouter", "acme/large", "acme/large"),
        ("openrouter", "mistral/large", "mistral/large"),
        ("vllm", "gpt-4o", "vllm/gpt-4o"),
        ("vllm", "llama3.2", "vllm/llama3.2"),
        ("ollama", "llama3.2:latest", "llama3.2:latest"),
        ("custom", "custom", "custom"),
        ("vllm", "gone", "vllm/gone"),
    ):
        assert router.public_id(provider, model) == found
        target = router.resolver.resolve(found)[0]
        assert (target.provider.name, target.model) == (provider, model)


@pytest.mark.parametrize(
    ("preferred", "only", "local_only", "found"),
    [
        ("vllm", None, False, "vllm"),
        ("ollama", None, False, "openrouter"),  # the preferred one does not have these paths
        ("vllm", "openrouter", False, "openrouter"),
        ("vllm", None, True, "custom"),
        ("auto", None, False, "openrouter"),
        ("vllm", "ollama", False, None),
        ("vllm", "openrouter", True, None),
        ("vllm", "nobody", False, None),
    ],
)
async def test_paths_without_a_model(
    preferred: str, only: str | None, local_only: bool, found: str | None
) -> None:
    servers = Fake("ollama", OLLAMA, without=["other"])
    router = await make_router(servers, openrouter(), vllm(), preferred=preferred)
    if found is None:
        with pytest.raises(CallerError) as caught:
            router.pool_without_model(only, local_only)
        assert (caught.value.status, caught.value.provider) == (404, only)
        return
    pool = router.pool_without_model(only, local_only)
    assert [(each.provider.name, each.model) for each in pool] == [(found, "")]


async def test_upstreams_that_have_the_model_loaded_come_first() -> None:
    servers = Fake("ollama", ["m"], ["m"], ["m"])
    refreshed: list[str] = []

    async def refresh(upstream: Upstream) -> None:
        refreshed.append(upstream.name)

    servers.is_loaded = lambda upstream, model: (upstream.name, model) == ("ollama-2", "m")  # type: ignore[method-assign]
    servers.refresh_loaded_models = refresh  # type: ignore[method-assign]
    router = await make_router(servers)
    candidates = list(router.pool("m", "chat"))
    found = await router.resident_first([*candidates, candidates[0]])
    assert [each.upstream.name for each in found] == ["ollama-2", "ollama-0", "ollama-1", "ollama-0"]
    assert refreshed == ["ollama-0", "ollama-1", "ollama-2"]


async def test_a_new_router_goes_on_with_what_is_known() -> None:
    kept, changed = Fake("ollama", ["m"], ["m"]), vllm()
    kept.loads_models, kept.max_concurrent = True, 3
    before = await make_router(kept, changed, preferred="ollama", model_limits={"ollama/m": 2})
    for each in [*before.pool("m", "chat"), *before.pool("gpt-4o", "chat")]:
        each.acquire()
        each.state.record_failure(ProviderError("x", UPSTREAM_AUTH), each.model, False, 0.0)
    fresh = vllm()
    providers: Any = {"ollama": kept, "vllm": fresh}
    catalog = make_catalog(kept, fresh)
    await catalog.refresh()
    rules = RoutingRules(preferred="ollama", model_limits={"ollama/m": 5})
    after = Router(providers, catalog, rules, partial(CircuitBreaker, 2, 60.0))
    after.inherit(before)
    old, new = list(before.pool("m", "chat")), list(after.pool("m", "chat"))
    for one, other in zip(old, new, strict=True):
        assert one is not other
        assert (one.state, one.gate, one.predictor) == (other.state, other.gate, other.predictor)
        assert other.gate is not None
        assert (other.gate.in_flight, other.gate.limit) == (1, 5)
        assert other.state.failures() == 1
    assert after.pool("m", "chat").tiers[0].memory is before.pool("m", "chat").tiers[0].memory
    (renewed,) = after.pool("gpt-4o", "chat")
    assert (renewed.state.gate.in_flight, renewed.state.failures()) == (0, 0)
    # what is kept goes by the new settings: two failures, and a minute
    state = new[0].state
    state.record_failure(ProviderError("x", UPSTREAM_AUTH), "m", False, 100.0)
    assert state.seconds_until_allowed(100.0) == 60.0
    state.record_failure(ProviderError("x", UPSTREAM_ERROR), "n", False, 100.0)
    assert state.seconds_until_allowed(100.0, "n") == 60.0
    assert state.models["n"].threshold == 2
