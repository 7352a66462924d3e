from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.anthropic import MESSAGES
from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.dialects.openai import CHAT
from trunkline.model import (
    ChatRequest,
    Effort,
    Message,
    Operation,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
)
from trunkline.providers.base import ModelInfo
from trunkline.providers.http import VendorProvider
from trunkline.providers.vendors import (
    CEREBRAS,
    COMPATIBLE,
    OPENAI,
    OPENROUTER,
    VENDORS,
    VendorSpec,
    openrouter_model,
    plain_model,
)
from trunkline.transport import Client

JOB = ChatRequest(
    model="m",
    messages=(
        Message(role="user", parts=(Text(text="Hi"),)),
        Message(role="assistant", parts=(Thinking(text="Hm"), Text(text="Hello"))),
    ),
    sampling=Sampling(max_tokens=9, top_k=4, frequency_penalty=0.5),
    reasoning=Reasoning(effort="low"),
    stream=True,
)


def rendered(row: VendorSpec, defaults: RequestDefaults | None = None) -> dict[str, Any]:
    body = row.back(row.title).render(JOB, "up", True, defaults or RequestDefaults())
    told: dict[str, Any] = msgspec.json.decode(body)
    return told


@pytest.mark.parametrize("kind", VENDORS)
def test_every_row_is_a_provider(kind: str) -> None:
    row = VENDORS[kind]
    assert row.kind == kind
    assert row.title
    assert row.url is None or (row.url.startswith("https://") and not row.url.endswith("/"))
    back = row.back(row.title)
    assert back.target("chat", None) is not None
    told = rendered(row)
    assert (told["model"], told["stream"]) == ("up", True)
    assert told["max_tokens" if row.quirks is None else row.quirks.max_tokens_field] == 9
    front = MESSAGES if row.quirks is None else CHAT
    assert front.summarize(back.render(JOB, "up", True, RequestDefaults())).max_tokens == 9
    assert row.read_models({"id": "a/b"}).id == "a/b"


@pytest.mark.parametrize(
    ("row", "who", "url", "operations", "fields"),
    [
        (
            OPENAI,
            "OpenAI",
            "https://api.openai.com/v1",
            {"chat", "completions", "embeddings"},
            {"max_completion_tokens": 9, "reasoning_effort": "low", "frequency_penalty": 0.5}
            | {"stream_options": {"include_usage": True}},
        ),
        (
            OPENROUTER,
            "OpenRouter",
            "https://openrouter.ai/api/v1",
            {"chat", "completions", "embeddings"},
            {"max_tokens": 9, "reasoning": {"effort": "low"}, "frequency_penalty": 0.5, "top_k": 4},
        ),
        (
            CEREBRAS,
            "Cerebras",
            "https://api.cerebras.ai/v1",
            {"chat", "completions"},
            {"max_completion_tokens": 9, "reasoning_effort": "low", "frequency_penalty": 0.5},
        ),
        (
            COMPATIBLE,
            "The OpenAI-compatible server",
            None,
            {"chat", "completions", "embeddings"},
            {"max_tokens": 9, "reasoning_effort": "low", "frequency_penalty": 0.5, "top_k": 4}
            | {"stream_options": {"include_usage": True}},
        ),
    ],
)
def test_what_each_vendor_is_asked(
    row: VendorSpec, who: str, url: str | None, operations: set[Operation], fields: dict[str, Any]
) -> None:
    assert (row.url, row.title) == (url, who)
    back = row.back(who)
    every: tuple[Operation, ...] = ("chat", "completions", "embeddings")
    assert {operation for operation in every if back.target(operation, None)} == operations
    told = rendered(row)
    history = [message.get("reasoning") for message in told.pop("messages")]
    assert history == [None, "Hm" if row is OPENROUTER else None]
    assert told == {"model": "up", "stream": True} | fields


@pytest.mark.parametrize(
    ("model", "dropped", "kept"),
    [
        ("llama3.1-8b", {"frequency_penalty", "logit_bias", "reasoning_effort"}, {"temperature", "seed"}),
        ("gpt-oss-120b", {"presence_penalty", "service_tier"}, {"reasoning_effort"}),
        ("qwen-3-235b-a22b-instruct-2507", {"reasoning_effort"}, {"tools"}),
    ],
)
async def test_what_cerebras_refuses_is_left_out(model: str, dropped: set[str], kept: set[str]) -> None:
    provider = VendorProvider("cerebras", CEREBRAS, [CEREBRAS.url or ""], client=Client(), drop=["seed"])
    drop = provider.defaults_for(model).drop
    assert dropped <= drop
    assert not (kept - {"seed"}) & drop
    assert "seed" in drop, "the settings' own list holds too"
    assert (provider.supports("chat"), provider.supports("embeddings")) == (True, False)
    await provider.aclose()


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("gpt-4o-mini", False),
        ("gpt-4.1", False),
        ("ft:gpt-4o-2024-08-06:acme::x", False),
        ("gpt-3.5-turbo", False),
        ("gpt-5-chat-latest", False),
        ("gpt-5", True),
        ("o4-mini", True),
    ],
)
async def test_openais_models_that_do_not_think_are_not_told_how_much(model: str, thinks: bool) -> None:
    provider = VendorProvider("openai", OPENAI, [OPENAI.url or ""], client=Client())
    assert ("reasoning_effort" not in provider.defaults_for(model).drop) is thinks
    await provider.aclose()


KNOBS = {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"}
TOLD = ChatRequest(
    model="m",
    messages=JOB.messages[:1],
    sampling=Sampling(
        temperature=0.5,
        top_p=0.9,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
        stop=("END",),
        seed=7,
    ),
)


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        ("gpt-4o", KNOBS | {"stop"}),
        ("gpt-5-chat-latest", KNOBS | {"stop"}),
        ("o1", {"stop"}),
        ("o3-mini-2025-01-31", {"stop"}),
        ("o3", set()),
        ("o4-mini", set()),
        ("ft:o4-mini-2025-04-16:acme::x", set()),
        ("gpt-5", set()),
        ("gpt-5-mini-2025-08-07", set()),
        ("gpt-5.1", {"temperature", "top_p", "logprobs", "top_logprobs"}),
        ("gpt-5.4-mini", {"temperature", "top_p", "logprobs", "top_logprobs"}),
        ("gpt-5.2-chat-latest", set()),
        ("gpt-5.6", set()),
    ],
)
def test_openais_thinking_models_are_not_sent_the_knobs_that_they_refuse(model: str, kept: set[str]) -> None:
    told = msgspec.json.decode(
        OPENAI.back("OpenAI").render(TOLD, model, False, RequestDefaults(temperature=0.1))
    )
    assert told.keys() & (KNOBS | {"stop"}) == kept
    assert told["seed"] == 7


@pytest.mark.parametrize(
    ("model", "tools", "asked", "sent"),
    [
        ("o1-mini", False, "high", None),
        ("o3", False, "none", "low"),
        ("o3", False, "minimal", "low"),
        ("o4-mini", False, "xhigh", "high"),
        ("gpt-5", False, "none", "minimal"),
        ("gpt-5-nano", False, "max", "high"),
        ("gpt-5.1", False, "none", "none"),
        ("gpt-5.1", False, "minimal", "low"),
        ("gpt-5.1", True, "xhigh", "high"),
        ("gpt-5.2", False, "max", "xhigh"),
        ("gpt-5.2-chat-latest", False, "none", "medium"),
        ("gpt-5.4", False, "high", "high"),
        ("gpt-5.4", True, "high", "none"),
        ("gpt-5.6-luna", True, None, "none"),
        ("gpt-5.6", False, "max", "xhigh"),
        ("gpt-5.6", False, None, None),
        ("gpt-6", True, "none", "low"),
    ],
)
def test_how_much_openais_models_are_told_to_think(
    model: str, tools: bool, asked: Effort | None, sent: Effort | None
) -> None:
    request = ChatRequest(
        model="m",
        messages=JOB.messages[:1],
        reasoning=Reasoning(effort=asked),
        tools=(Tool(name="look"),) if tools else (),
    )
    told = msgspec.json.decode(OPENAI.back("OpenAI").render(request, model, False, RequestDefaults()))
    assert told.get("reasoning_effort") == sent


def test_what_an_openai_client_says_itself_is_left_to_it() -> None:
    hi = b'[{"role":"user","content":"Hi"}]'
    body = b'{"model":"o3","messages":%b,"temperature":0.5,"reasoning_effort":"none"}' % hi
    assert OPENAI.back("OpenAI").patch(body, CHAT.summarize(body), "o3", NO_DEFAULTS) == body


def test_the_dropped_fields_do_not_reach_the_wire() -> None:
    assert "frequency_penalty" not in rendered(CEREBRAS, RequestDefaults(drop=CEREBRAS.drop["*"]))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"id": "gpt-4o"}, ModelInfo(id="gpt-4o")),
        (
            {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"},
            ModelInfo(id="gpt-4o", created=1715367049, owner="system"),
        ),
        ({"id": "m", "max_model_len": 8192}, ModelInfo(id="m", context_length=8192)),
        ({"id": "m", "context_length": 4096}, ModelInfo(id="m", context_length=4096)),
        ({"id": "m", "meta": {"n_ctx_train": 2048}}, ModelInfo(id="m", context_length=2048)),
        ({"id": "m", "created": "soon", "owned_by": 7, "context_length": "big"}, ModelInfo(id="m")),
        ({"id": 7, "meta": None}, ModelInfo(id="7")),
    ],
)
def test_what_a_plain_list_says_of_a_model(item: dict[str, Any], expected: ModelInfo) -> None:
    assert plain_model(item) == expected


SONNET = {
    "id": "anthropic/claude-3.5-sonnet",
    "created": 1718841600,
    "context_length": 200000,
    "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["text"]},
    "pricing": {"prompt": "0.000003", "completion": "0.000015", "request": "0", "discount": None, "x": "?"},
    "top_provider": {"context_length": 100000, "max_completion_tokens": 8192},
    "supported_parameters": ["tools", "reasoning", "include_reasoning", "seed"],
}


def test_what_openrouter_says_of_a_model() -> None:
    assert openrouter_model(SONNET) == ModelInfo(
        id="anthropic/claude-3.5-sonnet",
        created=1718841600,
        owner="anthropic",
        context_length=200000,
        max_output=8192,
        capabilities=("completion", "thinking", "tools", "vision"),
        prices={"prompt": 0.000003, "completion": 0.000015, "request": 0.0},
    )


@pytest.mark.parametrize(
    ("item", "length", "capabilities"),
    [
        ({"id": "openrouter/auto"}, None, ("completion",)),
        ({"id": "a/b", "pricing": {"prompt": "-1", "completion": "-1", "x": "NaN"}}, None, ("completion",)),
        ({"id": "a/b", "pricing": {"prompt": "Infinity"}}, None, ("completion",)),
        ({"id": "a/b", "top_provider": {"context_length": 7}}, 7, ("completion",)),
        ({"id": "a/b", "architecture": {"output_modalities": ["embeddings"]}}, None, ("embedding",)),
        (
            {"id": "a/b", "architecture": None, "pricing": None, "supported_parameters": None},
            None,
            ("completion",),
        ),
    ],
)
def test_what_openrouter_leaves_out(
    item: dict[str, Any], length: int | None, capabilities: tuple[str, ...]
) -> None:
    model = openrouter_model(item)
    assert (model.context_length, model.capabilities, model.prices) == (length, capabilities, None)


def test_a_namespace_is_no_prefix_where_ids_have_one() -> None:
    assert [kind for kind, row in VENDORS.items() if row.vendor_ids] == ["openrouter"]
    assert not COMPATIBLE.needs_key
    assert all(row.needs_key for row in (OPENAI, OPENROUTER, CEREBRAS))
