from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.anthropic import MESSAGES
from trunkline.dialects.base import NO_DEFAULTS, Front
from trunkline.dialects.openai import CHAT, EMBEDDINGS
from trunkline.dialects.responses import RESPONSES
from trunkline.exchange import Exchange, PassThrough, Translate
from trunkline.model import Effort
from trunkline.providers.build import build_providers
from trunkline.providers.http import VendorProvider
from trunkline.providers.responses_rules import ApiName
from trunkline.providers.vendors import COMPATIBLE, OPENAI, OPENROUTER, VendorSpec
from trunkline.settings import ProviderConfig, Settings
from trunkline.transport import Client

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CHAT_BODY: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
MESSAGES_BODY: dict[str, Any] = CHAT_BODY | {"max_tokens": 4096}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
URL = {"type": "document", "source": {"type": "url", "url": "https://a.example/d.pdf"}}


def provider(spec: VendorSpec = OPENAI, api: ApiName | None = None, **more: Any) -> VendorProvider:
    return VendorProvider("p", spec, ["http://127.0.0.1:1"], client=Client(), api=api, **more)


def exchange(who: VendorProvider, front: Front, body: dict[str, Any], model: str = "gpt-5.6") -> Exchange:
    data = msgspec.json.encode({"model": model} | body)
    return who.exchange(front, data, front.summarize(data), model)


@pytest.mark.parametrize(
    ("model", "fields", "translates"),
    [
        ("gpt-5.6", {}, False),
        ("gpt-5.6", {"tools": [TOOL]}, True),
        ("gpt-5.6", {"tools": []}, False),
        ("gpt-5.6", {"functions": [TOOL["function"]]}, True),
        ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "none"}, False),
        ("gpt-5.6", {"tools": [TOOL], "reasoning_effort": "low"}, True),
        ("gpt-5.6", {"tools": [TOOL], "n": 2}, False),
        ("gpt-5.6", {"tools": [TOOL], "modalities": ["text", "audio"]}, False),
        ("gpt-5.6", {"tools": [TOOL], "audio": {"voice": "a"}}, False),
        ("gpt-5.6", {"tools": [TOOL], "modalities": 7, "reasoning_effort": "none"}, False),
        ("gpt-5.6", {"reasoning_effort": "xhigh"}, False),
        ("gpt-5.6", {"reasoning_effort": "max"}, True),
        ("gpt-5.6", {"reasoning_effort": 7, "tools": [TOOL]}, False),
        ("gpt-5.5", {"tools": [TOOL]}, False),
        ("gpt-5.5", {"tools": [TOOL], "reasoning_effort": "low"}, True),
        ("gpt-5.4-mini", {"tools": [TOOL], "reasoning_effort": "low"}, True),
        ("gpt-5.4", {"tools": [TOOL]}, False),
        ("gpt-5.2", {"tools": [TOOL], "reasoning_effort": "low"}, False),
        ("gpt-4o", {"tools": [TOOL], "reasoning_effort": "low"}, False),
        ("gpt-6-sol", {"tools": [TOOL]}, True),
        ("ft:gpt-5.6:acme::x", {"tools": [TOOL]}, True),
    ],
)
def test_a_chat_clients_request_passes_through_unless_it_would_be_refused(
    model: str, fields: dict[str, Any], translates: bool
) -> None:
    who = provider()
    for _ in range(2):  # the second time from what was remembered of the model
        made = exchange(who, CHAT, CHAT_BODY | fields, model)
        assert isinstance(made, Translate) == translates
        assert made.path == ("/responses" if translates else "/chat/completions")


@pytest.mark.parametrize(
    ("model", "tools", "effort", "path"),
    [
        ("gpt-5.6", True, None, "/responses"),
        ("gpt-5.6", True, "none", "/chat/completions"),
        ("gpt-5.6", False, None, "/chat/completions"),
        ("gpt-5.6", False, "max", "/responses"),
        ("gpt-5.5", True, None, "/responses"),
        ("gpt-5.4", True, None, "/chat/completions"),
        ("gpt-5.4", True, "low", "/responses"),
        ("gpt-5.1", True, "low", "/chat/completions"),
        ("gpt-4o", True, "low", "/chat/completions"),
    ],
)
def test_a_translated_request_is_asked_where_it_can_be(
    model: str, tools: bool, effort: Effort | None, path: str
) -> None:
    body = MESSAGES_BODY | ({} if effort is None else {"output_config": {"effort": effort}})
    if effort == "none":
        body = MESSAGES_BODY | {"thinking": {"type": "disabled"}}
    if tools:
        body = body | {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    assert exchange(provider(), MESSAGES, body, model).path == path


@pytest.mark.parametrize(
    ("model", "fields", "path"),
    [
        ("gpt-4o", {"tools": [SEARCH]}, "/responses"),
        ("gpt-4o-search-preview", {"tools": [SEARCH]}, "/chat/completions"),
        ("gpt-3.5-turbo", {"tools": [SEARCH]}, "/chat/completions"),
        ("gpt-4o", {"messages": [{"role": "user", "content": [URL]}]}, "/responses"),
    ],
)
def test_what_only_the_responses_api_has(model: str, fields: dict[str, Any], path: str) -> None:
    assert exchange(provider(), MESSAGES, MESSAGES_BODY | fields, model).path == path


def test_everything_in_the_responses_api() -> None:
    who = provider(COMPATIBLE, "responses")
    for front, body in ((CHAT, CHAT_BODY), (MESSAGES, MESSAGES_BODY)):
        made = exchange(who, front, body, "any")
        assert isinstance(made, Translate)
        assert made.path == "/responses"
    assert isinstance(exchange(who, RESPONSES, {"input": "Hi"}, "any"), PassThrough)
    assert exchange(who, EMBEDDINGS, {"input": "Hi"}, "any").path == "/embeddings"
    assert who.supports("chat")
    assert who.speaks("responses")


@pytest.mark.parametrize(
    ("spec", "api", "speaks"),
    [(OPENAI, "chat", None), (OPENAI, None, ()), (COMPATIBLE, None, None), (OPENROUTER, None, None)],
)
def test_everything_in_the_chat_api(spec: VendorSpec, api: ApiName | None, speaks: Any) -> None:
    who = provider(spec, api, speaks=speaks)
    assert isinstance(exchange(who, CHAT, CHAT_BODY | {"tools": [TOOL]}), PassThrough)
    body = MESSAGES_BODY | {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}
    made = exchange(who, MESSAGES, body)
    assert made.path == ("/messages" if spec is OPENROUTER else "/chat/completions")


def test_a_vendor_without_a_chat_api() -> None:
    spec = msgspec.structs.replace(COMPATIBLE, vendor="perplexity")
    who = provider(spec)
    assert who.supports("chat")
    assert exchange(who, CHAT, CHAT_BODY, "sonar").path == "/responses"


@pytest.mark.parametrize("api", ["auto", "responses"])
def test_openais_models_elsewhere(api: ApiName) -> None:
    """Azure has OpenAI's models, at an address of its own."""
    config = ProviderConfig(
        type="openai-compatible", url="https://x.openai.azure.com/openai/v1", api=api, models=("gpt-5.6",)
    )
    settings = Settings(providers={"azure": config}, ollama_enabled=False)
    who = build_providers(settings)["azure"]
    assert isinstance(who, VendorProvider)
    assert exchange(who, CHAT, CHAT_BODY | {"tools": [TOOL]}).path == "/responses"
    plain = exchange(who, CHAT, CHAT_BODY).path
    assert plain == ("/responses" if api == "responses" else "/chat/completions")


def test_what_both_apis_have_goes_on_and_the_rest_is_told() -> None:
    fields = {"metadata": {"a": "b"}, "verbosity": "low", "seed": 7, "logit_bias": {}, "store": None}
    made = exchange(provider(), CHAT, CHAT_BODY | {"tools": [TOOL]} | fields)
    sent = msgspec.json.decode(made.body)
    assert (sent["metadata"], sent["text"], sent["store"]) == ({"a": "b"}, {"verbosity": "low"}, False)
    assert set(made.left_out) == {"seed", "logit_bias"}


def test_the_models_that_stay_are_remembered_within_bounds() -> None:
    who = provider()
    for number in range(5000):
        assert isinstance(exchange(who, CHAT, CHAT_BODY, f"gpt-4o-{number}"), PassThrough)
    choice = who._api_choice
    assert choice is not None
    assert len(choice.stays) <= 4096
    assert who.defaults_for("other") is NO_DEFAULTS
