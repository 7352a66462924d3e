"""The catalog: the models of the providers, and how the listings are kept fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.gateways import GUARD, until
from trunkline.errors import MODEL_NOT_FOUND, CallerError, ProviderError
from trunkline.policy.filters import ModelFilter
from trunkline.providers.base import ModelInfo, Provider, Upstream
from trunkline.routing import catalog as catalog_module
from trunkline.routing.catalog import Catalog, ModelListing

from .fakes import Fake, make_catalog


def listing(*models: str) -> ModelListing:
    listing = ModelListing()
    listing.replace({"here": [ModelInfo(id=model) for model in models]})
    return listing


@pytest.mark.parametrize(
    ("models", "name", "found"),
    [
        (["a:latest", "a:7b"], "a", "a:latest"),
        (["a:7b"], "a", None),
        (["a"], "a:latest", "a"),
        (["a", "a:latest"], "a", "a"),
        (["a", "a:latest"], "a:latest", "a:latest"),
        (["A:Latest"], "a", "A:Latest"),
        (["x/a", "b/a"], "a", "b/a"),
        (["x/a", "b/a"], "x/a", "x/a"),
        (["x/a", "a"], "a", "a"),
        (["x/a"], "y/a", None),
        (["x/a:free"], "a", None),
        (["x/a:free", "x/a"], "a:free", "x/a:free"),
        (["x/a"], "A:latest", "x/a"),
        ([], "a", None),
    ],
)
def test_finding_a_model(models: list[str], name: str, found: str | None) -> None:
    for order in (models, models[::-1]):
        model = listing(*order).find(name)
        assert (model and model.id) == found


def test_all_models_with_the_same_short_name_are_found() -> None:
    assert [model.id for model in listing("x/a", "b/a", "a", "c/b").find_by_short_name("A")] == [
        "a",
        "b/a",
        "x/a",
    ]
    assert listing("x/a").find_by_short_name("b") == []


async def test_discovery() -> None:
    fleet = Fake("ollama", ["a", "b"], ["b", "c"], None)
    catalog = make_catalog(fleet, Fake("vllm", None), Fake("mine", ["x"]), static={"mine": ["y"], "vllm": []})
    known = {name: listing.known for name, listing in catalog.listings.items()}
    assert known == {"ollama": False, "vllm": False, "mine": True}
    await catalog.refresh()
    ollama, vllm, mine = catalog.listings.values()
    assert list(ollama.models) == ["a", "b", "c"]
    assert ollama.by_upstream == {"ollama-0": {"a", "b"}, "ollama-1": {"b", "c"}}
    assert (ollama.known, ollama.stale) == (True, False)
    assert (vllm.known, vllm.stale, vllm.models) == (False, True, {})
    assert list(mine.models) == ["y"]


async def test_the_last_listing_is_kept_while_a_provider_does_not_answer() -> None:
    fake = Fake("vllm", ["a"])
    catalog = make_catalog(fake)
    await catalog.refresh()
    version = catalog.version
    fake.models = {"vllm-0": None}
    await catalog.refresh()
    listing = catalog.listings["vllm"]
    assert (listing.known, listing.stale, list(listing.models)) == (True, True, ["a"])
    assert catalog.version == version + 1
    await catalog.refresh()
    assert catalog.version == version + 1
    fake.models = {"vllm-0": ["b"]}
    await catalog.refresh()
    assert (listing.stale, list(listing.models)) == (False, ["b"])


async def test_a_refresh_of_some_providers_leaves_the_others_alone() -> None:
    first, second = Fake("vllm", ["a"]), Fake("ollama", ["b"])
    await make_catalog(first, second).refresh(["ollama"])
    assert (first.fetches, second.fetches) == (0, 1)


async def test_a_filter_hides_models() -> None:
    allows = ModelFilter.parse("llama3.2\n!*:1b", "test").allows
    fake = Fake("ollama", ["llama3.2:latest", "llama3.2:1b", "llama3.2:3b", "llama2:latest", "x/llama3.2"])
    catalog = make_catalog(fake, Fake("mine", []), static={"mine": ["llama2", "llama3.2"]}, allows=allows)
    await catalog.refresh()
    assert list(catalog.listings["ollama"].models) == ["llama3.2:latest", "llama3.2:3b", "x/llama3.2"]
    assert list(catalog.listings["mine"].models) == ["llama3.2"]
    assert catalog.listings["ollama"].by_upstream == {
        "ollama-0": {"llama3.2:latest", "llama3.2:3b", "x/llama3.2"}
    }


async def test_the_listings_are_refreshed_repeatedly() -> None:
    fake = Fake("vllm", ["a"])
    catalog = make_catalog(fake)
    fake.gate = asyncio.Event()
    catalog.start(0.001)
    await catalog.wait_until_discovered(0.01)  # the wait ends first
    assert not catalog.listings["vllm"].models
    fake.gate.set()
    async with asyncio.timeout(GUARD):
        await catalog.wait_until_discovered(GUARD)
    assert catalog.listings["vllm"].known
    fake.models = {"vllm-0": ["b"]}
    await until(lambda: "b" in catalog.listings["vllm"].models)
    await catalog.aclose()
    await catalog.aclose()


async def test_a_provider_without_an_interval_is_asked_at_the_start_only() -> None:
    seldom, often = Fake("ollama", ["a"]), Fake("vllm", ["b"])
    catalog = make_catalog(seldom, often)
    catalog.start(0.001, {"ollama": None})
    await until(lambda: often.fetches > 5)
    assert seldom.fetches == 1
    assert catalog.listings["ollama"].known
    await catalog.aclose()


async def test_the_first_discovery_is_waited_for() -> None:
    fake = Fake("vllm", ["a"])
    fake.gate = asyncio.Event()
    catalog = make_catalog(fake)
    catalog.start(60)
    waiting = asyncio.ensure_future(catalog.wait_until_discovered(GUARD))
    await until(lambda: fake.fetches == 1)
    assert not waiting.done()
    fake.gate.set()
    await waiting
    assert catalog.listings["vllm"].known
    await catalog.aclose()


def lookup(catalog: Catalog, name: str) -> Callable[[], ModelInfo]:
    """Looks a model up at ollama, as a router does."""

    def find() -> ModelInfo:
        model = catalog.listings["ollama"].find(name)
        if model is None:
            raise CallerError("not there", MODEL_NOT_FOUND)
        return model

    return find


async def test_an_unknown_name_causes_a_look_at_local_servers() -> None:
    local, cloud = Fake("ollama", []), Fake("openrouter", [])
    catalog = make_catalog(local, cloud, Fake("custom", ["custom"]))
    await catalog.refresh()
    local.models = {"ollama-0": ["pulled"]}
    assert (await catalog.find_after_look(lookup(catalog, "pulled"))).id == "pulled"
    assert (local.fetches, cloud.fetches) == (2, 1)
    await catalog.aclose()


async def test_there_is_no_look_where_only_clouds_could_have_got_a_model() -> None:
    catalog = make_catalog(Fake("ollama", None), Fake("openrouter", []), static={"ollama": ["m"]})
    with pytest.raises(CallerError):
        await catalog.find_after_look(lookup(catalog, "fresh"))
    assert sum(fake.fetches for fake in catalog._providers.values()) == 0  # type: ignore[attr-defined]


async def test_a_slow_server_does_not_keep_back_what_the_others_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one keeps its models until it has answered."""
    monkeypatch.setattr(catalog_module, "SLOW_S", 0.001)
    fake = Fake("ollama", ["a"], ["slow"])
    catalog = make_catalog(fake)
    await catalog.refresh()
    fake.models = {"ollama-0": ["a", "fresh"], "ollama-1": ["later"]}
    gate = fake.gates["ollama-1"] = asyncio.Event()
    found = await catalog.find_after_look(lookup(catalog, "fresh"))
    listing = catalog.listings["ollama"]
    assert (found.id, sorted(listing.models)) == ("fresh", ["a", "fresh", "slow"])
    gate.set()
    await until(lambda: sorted(listing.models) == ["a", "fresh", "later"])
    await catalog.aclose()


async def test_a_new_catalog_goes_on_with_the_listings_of_the_same_providers() -> None:
    kept, changed, fixed = Fake("kept", ["m"]), Fake("changed", ["m"]), Fake("fixed", ["m"])
    before = make_catalog(kept, changed, fixed)
    await before.refresh()
    after = make_catalog(kept, Fake("changed", ["n"]), fixed, static={"fixed": ["s"]})
    after.inherit(before)
    assert after.listings["kept"] is before.listings["kept"]
    assert not after.listings["changed"].known
    assert after.listings["fixed"].find("s") is not None


async def test_a_check_asks_everybody() -> None:
    fakes = Fake("up", ["m"]), Fake("fixed", ["m"])
    catalog = make_catalog(*fakes, static={"fixed": ["s"]})
    await catalog.refresh()
    assert [each.fetches for each in fakes] == [1, 0]
    await catalog.check()
    assert [each.fetches for each in fakes] == [2, 1]


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, None), (405, None), (501, None), (400, "no list"), (500, "no list"), (None, "no list")],
)
@pytest.mark.parametrize("listed", [True, False])
async def test_a_server_without_a_list_of_models_can_be_reached(
    status: int | None, error: str | None, listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the settings list them. Where they do not, its list is needed."""
    fake = Fake("up", ["m"])

    async def fetch_models(upstream: Upstream) -> list[ModelInfo]:
        failure = ProviderError("no list")
        failure.upstream_status = status
        raise failure

    monkeypatch.setattr(fake, "fetch_models", fetch_models)
    catalog = make_catalog(fake, static={"up": ["s"] if listed else []})
    await catalog.check()
    assert catalog.listings["up"].discoveries["up-0"].error == (error if listed else "no list")
    assert list(catalog.listings["up"].models) == (["s"] if listed else [])


def test_what_is_known_of_a_model_besides() -> None:
    def complete(provider: Provider, model: ModelInfo) -> ModelInfo:
        return ModelInfo(id=f"{model.id} of {provider.name}")

    model = ModelInfo(id="m")
    assert make_catalog(Fake("up", [])).describe("up", model) is model
    assert make_catalog(Fake("up", []), complete=complete).describe("up", model).id == "m of up"
