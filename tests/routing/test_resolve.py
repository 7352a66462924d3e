"""Name resolution as a table: which models the providers list, the name that is asked for, and who serves it.

A row's providers are in the order of the configuration; a list of None is a provider that has not answered
yet. What is expected is ``provider=model`` for each provider that may be asked, in order, or an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import pytest

from trunkline.errors import CallerError
from trunkline.policy.filters import ModelFilter
from trunkline.routing.resolve import RouteRule, RouteTarget

from .fakes import Fake, candidates_in_order, make_router, targets_in_order

Lists = Mapping[str, Sequence[str] | None]

HF = "hf.co/bartowski/X-GGUF:Q4_K_M"
SONNET = "anthropic/claude-3.5-sonnet"
R1 = "deepseek/deepseek-r1"
FREE = "meta-llama/llama-3.3-70b-instruct:free"
REGISTRY = "registry.local:5000/me/model"

OLLAMA: Lists = {"ollama": ["llama2:latest", "llama2:7b", "llama3.2:latest", HF, f"{REGISTRY}:latest"]}
ROUTER: Lists = {
    "openrouter": ["openrouter/auto", SONNET, "openai/gpt-4o", R1, f"{R1}:free", FREE, "x-ai/big", "acme/big"]
}
BOTH = {**OLLAMA, **ROUTER}
VLLM: Lists = {"vllm": ["llama3.2", "gpt-4o", "Qwen/Qwen3-8B"]}
MANY = {**BOTH, **VLLM}
SILENT: Lists = {**OLLAMA, "openrouter": None}
OPENAI = {**BOTH, "openai": ["gpt-4o", "o3-mini"]}
NAMESAKE: Lists = {
    "ollama": [
        "mistral:latest",
        "mistral:7b",
        "mistral:small",
        "openrouter/mine:latest",
        "openai/gpt-oss:20b",
    ],
    "mistral": ["mistral-large", "small"],
}
"""A provider that has the name of a model, and models whose namespace is the name of a provider."""


class Missing(NamedTuple):
    """Nobody has the model: the providers that were searched, and for what, if not for the whole name."""

    searched: str
    rest: str | None = None


class Unknown(NamedTuple):
    """The name means a provider that is not configured."""

    provider: str


class Row(NamedTuple):
    """One name that a client asks for."""

    lists: Lists
    preferred: str
    name: str
    expected: list[str] | Missing | Unknown


TABLE = [
    # Prefixes, with either separator
    Row(BOTH, "openrouter", "ollama:llama2:7b", ["ollama=llama2:7b"]),
    Row(BOTH, "openrouter", "ollama/llama2:7b", ["ollama=llama2:7b"]),
    Row(BOTH, "openrouter", "ollama/llama3.2", ["ollama=llama3.2"]),
    Row(BOTH, "openrouter", "ollama:llama3.2:latest", ["ollama=llama3.2:latest"]),
    Row(BOTH, "ollama", f"openrouter:{SONNET}", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", f"openrouter/{SONNET}", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "openrouter:claude-3.5-sonnet", [f"openrouter={SONNET}"]),
    # A prefix pins: no other provider is asked, and a model that is not listed is asked for all the same
    Row(MANY, "vllm", "ollama/llama3.2", ["ollama=llama3.2"]),
    Row(MANY, "ollama", "vllm:llama3.2", ["vllm=llama3.2"]),
    Row(BOTH, "openrouter", "ollama:qwen3:8b", ["ollama=qwen3:8b"]),
    Row(BOTH, "openrouter", "ollama/openai/gpt-4o", ["ollama=openai/gpt-4o"]),
    Row(BOTH, "ollama", f"openrouter/{R1}:nitro", [f"openrouter={R1}:nitro"]),
    Row(BOTH, "ollama", "openrouter/llama2", ["openrouter=llama2"]),
    # Ids that begin with their provider's name
    Row(BOTH, "ollama", "openrouter/auto", ["openrouter=openrouter/auto"]),
    Row(BOTH, "ollama", "openrouter/openrouter/auto", ["openrouter=openrouter/auto"]),
    Row(BOTH, "ollama", "openrouter:openrouter/auto", ["openrouter=openrouter/auto"]),
    Row(BOTH, "ollama", "openrouter:auto", ["openrouter=openrouter/auto"]),
    Row(BOTH, "ollama", "openrouter/auto:latest", ["openrouter=openrouter/auto"]),
    Row(SILENT, "openrouter", "openrouter/auto", ["openrouter=openrouter/auto"]),
    Row(SILENT, "ollama", f"openrouter/{SONNET}", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "custom", ["custom=custom"]),
    Row(BOTH, "ollama", "custom:latest", ["custom=custom"]),
    Row(BOTH, "ollama", "custom/custom", ["custom=custom"]),
    Row(BOTH, "ollama", "custom:custom:latest", ["custom=custom"]),
    Row(BOTH, "ollama", "custom/else", Missing("custom", "else")),
    # Bare names and tags
    Row(OLLAMA, "ollama", "llama2", ["ollama=llama2"]),
    Row(OLLAMA, "ollama", "llama2:latest", ["ollama=llama2:latest"]),
    Row(OLLAMA, "ollama", "llama2:7b", ["ollama=llama2:7b"]),
    Row(OLLAMA, "ollama", "llama2:13b", Missing("ollama, custom")),
    Row(OLLAMA, "openrouter", "llama2", ["ollama=llama2"]),
    Row(OLLAMA, "ollama", REGISTRY, [f"ollama={REGISTRY}"]),
    Row(OLLAMA, "ollama", f"{REGISTRY}:latest", [f"ollama={REGISTRY}:latest"]),
    Row(OLLAMA, "ollama", f"ollama:{REGISTRY}", [f"ollama={REGISTRY}"]),
    Row(OLLAMA, "ollama", f"{REGISTRY}:7b", Missing("ollama, custom")),
    Row(OLLAMA, "ollama", HF, [f"ollama={HF}"]),
    Row(OLLAMA, "ollama", f"ollama/{HF}", [f"ollama={HF}"]),
    Row(OLLAMA, "ollama", f"ollama:{HF}", [f"ollama={HF}"]),
    Row(OLLAMA, "ollama", HF.removesuffix(":Q4_K_M"), Missing("ollama, custom")),
    Row(OLLAMA, "ollama", "ollama/hf.co/else/Y-GGUF", ["ollama=hf.co/else/Y-GGUF"]),
    # Names in full, of which Ollama shows the end alone
    Row(OLLAMA, "ollama", "library/llama3.2", ["ollama=llama3.2"]),
    Row(OLLAMA, "ollama", "registry.ollama.ai/library/llama2:7b", ["ollama=llama2:7b"]),
    Row(OLLAMA, "ollama", "ollama/library/llama3.2:latest", ["ollama=llama3.2:latest"]),
    Row(OLLAMA, "ollama", "hf.co/library/llama3.2", Missing("ollama, custom")),
    Row(OLLAMA, "ollama", "library/llama2:13b", Missing("ollama, custom")),
    # Case
    Row(BOTH, "ollama", "LLaMA2:7B", ["ollama=llama2:7b"]),
    Row(BOTH, "ollama", "Ollama:Llama3.2:Latest", ["ollama=llama3.2:latest"]),
    Row(BOTH, "ollama", "OPENROUTER/AUTO", ["openrouter=openrouter/auto"]),
    Row(BOTH, "ollama", HF.upper(), [f"ollama={HF}"]),
    Row(BOTH, "ollama", "Anthropic/Claude-3.5-Sonnet", [f"openrouter={SONNET}"]),
    Row(MANY, "ollama", "qwen/QWEN3-8b", ["vllm=Qwen/Qwen3-8B"]),
    # Vendors' ids, short names, and names as Ollama would write them
    Row(BOTH, "ollama", SONNET, [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", f"{SONNET}:latest", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "claude-3.5-sonnet", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "claude-3.5-sonnet:latest", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "Claude-3.5-Sonnet:Latest", [f"openrouter={SONNET}"]),
    Row(BOTH, "ollama", "other/claude-3.5-sonnet", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", f"{R1}:free", [f"openrouter={R1}:free"]),
    Row(BOTH, "ollama", f"openrouter/{R1}:free", [f"openrouter={R1}:free"]),
    Row(BOTH, "ollama", "deepseek-r1:free", [f"openrouter={R1}:free"]),
    Row(BOTH, "ollama", "deepseek-r1", [f"openrouter={R1}"]),
    Row(BOTH, "ollama", f"{R1}:latest", [f"openrouter={R1}"]),
    Row(BOTH, "ollama", FREE, [f"openrouter={FREE}"]),
    Row(BOTH, "ollama", "llama-3.3-70b-instruct:free", [f"openrouter={FREE}"]),
    Row(BOTH, "ollama", FREE.removesuffix(":free"), Missing("ollama, openrouter, custom")),
    # One short name, two vendors: the choice is fixed, and either full id leads to its own
    Row(BOTH, "ollama", "big", ["openrouter=acme/big"]),
    Row(BOTH, "ollama", "big:latest", ["openrouter=acme/big"]),
    Row({"openrouter": ["acme/big", "x-ai/big"]}, "openrouter", "big", ["openrouter=acme/big"]),
    Row(BOTH, "ollama", "x-ai/big", ["openrouter=x-ai/big"]),
    Row(BOTH, "ollama", "acme/big:latest", ["openrouter=acme/big"]),
    Row({"openrouter": ["acme/big", "big"]}, "openrouter", "big", ["openrouter=big"]),
    # Several providers: the preferred one first, the others after it
    Row(MANY, "ollama", "llama3.2", ["ollama=llama3.2", "vllm=llama3.2"]),
    Row(MANY, "vllm", "llama3.2", ["vllm=llama3.2", "ollama=llama3.2"]),
    Row(MANY, "vllm", "llama3.2:latest", ["vllm=llama3.2", "ollama=llama3.2:latest"]),
    Row(MANY, "openrouter", "gpt-4o", ["openrouter=openai/gpt-4o", "vllm=gpt-4o"]),
    Row(MANY, "vllm", "gpt-4o:latest", ["vllm=gpt-4o", "openrouter=openai/gpt-4o"]),
    # A built-in provider that is not configured, and names that are better explained otherwise
    Row(OLLAMA, "ollama", "openai/gpt-4o", Unknown("openai")),
    Row(OLLAMA, "ollama", "cerebras:llama-3.3-70b", Unknown("cerebras")),
    Row(OLLAMA, "ollama", "OpenRouter/auto", Unknown("openrouter")),
    Row(VLLM, "vllm", "ollama:llama2:7b", Unknown("ollama")),
    Row(VLLM, "vllm", "ollama/llama3.2", Unknown("ollama")),
    Row(BOTH, "ollama", "openai/gpt-4o", ["openrouter=openai/gpt-4o"]),
    Row(BOTH, "ollama", "openai/gpt-4o:latest", ["openrouter=openai/gpt-4o"]),
    Row(BOTH, "ollama", "openai:gpt-4o", Unknown("openai")),
    Row(BOTH, "ollama", "openai/gpt-9", Unknown("openai")),
    Row(SILENT, "openrouter", "openai/gpt-9", ["openrouter=openai/gpt-9"]),
    Row(OPENAI, "ollama", "openai/gpt-4o", ["openai=gpt-4o"]),
    Row(OPENAI, "ollama", "openai/o3-mini:latest", ["openai=o3-mini"]),
    Row({**OPENAI, "openai": ["o3-mini"]}, "ollama", "openai/gpt-4o", ["openrouter=openai/gpt-4o"]),
    Row({**OPENAI, "openai": None}, "ollama", "openai/gpt-4o", ["openai=gpt-4o"]),
    Row(OPENAI, "ollama", "openai:gpt-4o", ["openai=gpt-4o"]),
    Row(OPENAI, "ollama", "openai/gpt-9", ["openai=gpt-9"]),
    Row(OPENAI, "openai", "gpt-4o", ["openai=gpt-4o", "openrouter=openai/gpt-4o"]),
    Row(NAMESAKE, "ollama", "mistral", ["ollama=mistral"]),
    Row(NAMESAKE, "ollama", "mistral:latest", ["ollama=mistral:latest"]),
    Row(NAMESAKE, "ollama", "mistral:7b", ["ollama=mistral:7b"]),
    Row(NAMESAKE, "mistral", "mistral:7b", ["ollama=mistral:7b"]),
    Row(NAMESAKE, "ollama", "mistral:small", ["mistral=small"]),
    Row(NAMESAKE, "ollama", "ollama/mistral:small", ["ollama=mistral:small"]),
    Row(NAMESAKE, "ollama", "mistral/mistral-large", ["mistral=mistral-large"]),
    Row(NAMESAKE, "ollama", "mistral:mistral-large", ["mistral=mistral-large"]),
    Row(NAMESAKE, "ollama", "openrouter/mine", ["ollama=openrouter/mine"]),
    Row(NAMESAKE, "ollama", "openai/gpt-oss:20b", ["ollama=openai/gpt-oss:20b"]),
    Row({**NAMESAKE, **ROUTER}, "openrouter", "openrouter/mine", ["ollama=openrouter/mine"]),
    # Names of nothing
    Row(BOTH, "openrouter", "nope", Missing("openrouter, ollama, custom")),
    Row(BOTH, "ollama", "nope/nope:free", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", "ollama", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", "ollama/", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", "ollama:", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", ":latest", Missing("ollama, openrouter, custom")),
    Row(BOTH, "ollama", "/llama2", Missing("ollama, openrouter, custom")),
    Row(SILENT, "openrouter", "nope", ["openrouter=nope"]),
    Row({}, "custom", "nope", ["custom=nope"]),
]


def describe(row: Row) -> str:
    return f"{row.name} of {'+'.join(row.lists) or 'nobody'}, preferring {row.preferred}"


def make_fakes(lists: Lists) -> list[Fake]:
    return [Fake(name, models) for name, models in lists.items()]


@pytest.mark.parametrize("row", TABLE, ids=describe)
async def test_names(row: Row) -> None:
    router = await make_router(*make_fakes(row.lists), preferred=row.preferred)
    if isinstance(row.expected, list):
        assert targets_in_order(router, row.name) == row.expected
        return
    with pytest.raises(CallerError) as caught:
        candidates_in_order(router, row.name)
    error = caught.value
    assert (error.status, error.param) == (404, "model")
    if isinstance(row.expected, Unknown):
        assert error.code == "provider_not_configured"
        assert error.message.startswith(f"Provider '{row.expected.provider}' not configured. ")
    else:
        assert error.code == "model_not_found"
        name = row.expected.rest or row.name
        assert error.message.startswith(f"Model '{name}' not found at {row.expected.searched}. ")


@pytest.mark.parametrize("preferred", ["ollama", "openrouter", "vllm", "mistral", "auto"])
@pytest.mark.parametrize("tag", ["", ":latest"], ids=["as listed", "with the default tag"])
async def test_every_listed_name_leads_back(preferred: str, tag: str) -> None:
    """The two models with the same short name are both listed, each under a name of its own."""
    lists: Lists = {**NAMESAKE, **ROUTER, **VLLM, "openai": ["gpt-4o"]}
    router = await make_router(*make_fakes(lists), preferred=preferred)
    listed = {
        (provider, model): router.public_id(provider, model)
        for provider, listing in router.catalog.listings.items()
        for model in listing.models
    }
    assert len(set(listed.values())) == len(listed)
    assert {listed["openrouter", "acme/big"], listed["openrouter", "x-ai/big"]} == {"acme/big", "x-ai/big"}
    for (provider, model), name in listed.items():
        asked_name = name if ":" in name.rpartition("/")[2] else name + tag
        target = router.resolver.resolve(asked_name)[0]
        assert (target.provider.name, target.model) == (provider, model), asked_name


@pytest.mark.parametrize(
    ("patterns", "name", "has", "pulls"),
    [
        (["qwen*"], "qwen3", ["llama2"], True),
        (["qwen*"], "Qwen3:8B", ["llama2"], True),
        (["qwen3:latest"], "qwen3", ["llama2"], True),
        (["llama*", "qwen3"], "qwen3:latest", ["llama2"], True),
        (["qwen*"], "qwen3", ["qwen3:latest"], False),  # it is there
        (["qwen*"], "mistral", ["llama2"], False),
        (["qwen*"], "qwen3-hidden", ["llama2"], False),  # by the models filter
        ([], "qwen3", ["llama2"], False),
        (["qwen*"], "qwen3", None, False),  # what it has is not known
    ],
)
@pytest.mark.parametrize("loads_models", [True, False])
async def test_which_models_may_be_pulled(
    patterns: list[str], name: str, has: list[str] | None, pulls: bool, loads_models: bool
) -> None:
    fake = Fake("ollama", has)
    fake.loads_models = loads_models
    allows = ModelFilter.parse("!*-hidden", "f").allows
    router = await make_router(fake, preferred="custom", auto_pull=patterns, allows=allows)
    resolver = router.resolver
    assert resolver.may_pull(resolver.providers["ollama"], name) is (pulls and loads_models)
    if pulls and loads_models:
        assert router.pool(f"ollama/{name}", "chat").missing == (("ollama", name),)
        fake.models = {"ollama-0": None}
        await router.catalog.refresh()
        assert not resolver.may_pull(resolver.providers["ollama"], name)  # its list is an old one


@pytest.mark.parametrize(
    ("fakes", "name", "text"),
    [
        ([("ollama", ["a"])], "b", "Model 'b' not found in Ollama. Pull the model with `ollama pull b`"),
        ([("ollama", ["a"]), ("cloud", ["c"])], "b", "Model 'b' not found at ollama, cloud, custom"),
        ([("cloud", ["c"])], "b", "Model 'b' not found at cloud, custom"),
        ([("ollama", ["a"])], "hidden", "Model 'hidden' not found at ollama, custom"),
    ],
)
async def test_who_is_told_to_pull_a_model(fakes: list[tuple[str, list[str]]], name: str, text: str) -> None:
    made = [Fake(*each) for each in fakes]
    for each in made:
        each.loads_models = each.name == "ollama"
    allows = ModelFilter.parse("!hidden", "f").allows
    router = await make_router(*made, preferred=made[0].name, allows=allows)
    with pytest.raises(CallerError) as caught:
        router.pool(name, "chat")
    assert caught.value.message.startswith(text)


async def test_at_most_three_names_are_suggested() -> None:
    models = ["mistral-1", "mistral-2", "mistral-3", "mistral-4", "other"]
    router = await make_router(Fake("cloud", models), preferred="cloud")
    with pytest.raises(CallerError, match=r"Did you mean ([\w-]+) or ([\w-]+) or ([\w-]+)\?$"):
        router.pool("mistral-9", "chat")
    with pytest.raises(CallerError, match=r"what there is$"):
        router.pool("zephyr", "chat")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("fast", "Fast"),
        ("FAST:latest", "Fast"),
        ("group", "Group"),
        ("Group:latest", "Group"),
        ("group:7b", None),
        ("llama2", None),
    ],
)
async def test_names_of_the_settings_own(name: str, found: str | None) -> None:
    routes = {"Group": RouteRule([RouteTarget("ollama", "llama2")])}
    router = await make_router(Fake("ollama", ["llama2"]), aliases={"Fast": "llama2"}, routes=routes)
    resolver = router.resolver
    assert resolver.configured_name(name) == found
    assert resolver.configured_names == ("Group", "Fast")
    assert resolver.route(name) == (routes["Group"] if found == "Group" else None)


@pytest.mark.parametrize(
    ("preferred", "asked", "model"),
    [
        ("ollama", None, "tiny"),
        ("cloud", None, None),
        ("cloud", "ollama", "tiny"),
        ("ollama", "cloud", None),
    ],
)
async def test_the_model_of_a_request_that_names_none(
    preferred: str, asked: str | None, model: str | None
) -> None:
    fakes = Fake("ollama", ["tiny"]), Fake("cloud", ["big"])
    router = await make_router(*fakes, preferred=preferred, default_model="tiny")
    if model is not None:
        assert router.default_model(asked) == model
        return
    with pytest.raises(CallerError) as caught:
        router.default_model(asked)
    assert (caught.value.status, caught.value.param) == (400, "model")
    assert caught.value.message == "Missing required parameter: 'model'"


@pytest.mark.parametrize(
    ("model", "fields", "loads", "local"),
    [
        ("m", {}, True, True),
        ("m:120b-cloud", {}, True, False),
        ("unlisted:cloud", None, True, False),
        ("unlisted", None, True, True),
        ("m:cloudy", {}, True, True),
        ("m", {"remote_host": "https://ollama.com"}, True, False),
        ("m", {"remote_model": "big"}, True, False),
        ("m", {"remote_host": "", "size": 9}, True, True),
        ("m:cloud", {"remote_host": "x"}, False, True),
    ],
)
async def test_which_models_of_a_local_provider_are_local(
    model: str, fields: dict[str, object] | None, loads: bool, local: bool
) -> None:
    fake = Fake("ollama", [] if fields is None else [model])
    fake.loads_models = loads
    router = await make_router(fake)
    for listed in router.catalog.listings["ollama"].models.values():
        listing = msgspec.structs.replace(listed, listing=fields)
        router.catalog.listings["ollama"].replace({"": [listing]})
    assert router.resolver.is_local(router.providers["ollama"], model) is local
    fake.local = False
    assert not router.resolver.is_local(router.providers["ollama"], model)
