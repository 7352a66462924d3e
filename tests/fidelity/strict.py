"""The axis of strict vendors: what a client of each dialect asks is taken by each vendor's strict mock.

A cell is *taken* if the strict mock takes what the gateway makes of the request and the client gets the
answer, or *refused* if the vendor cannot have it and the gateway says so before it asks. Where the client
speaks the vendor's own dialect, it is *passed*: taken, or refused in the vendor's own words.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import pytest

from tests.fidelity.fronts import FRONTS
from tests.fidelity.lenient import said
from tests.fidelity.matrix import World
from tests.fidelity.values import ANSWER, BETA, CALL_IDS, PICTURE, PIXEL_URL, SCHEMA, STOP, WEATHER
from tests.gateways import BEARER, make_settings, post, serving, upstream
from trunkline.providers import build
from trunkline.providers.images import ImageFetcher
from trunkline.providers.vendors import VENDORS as KINDS
from trunkline.settings.sections import ProviderConfig
from trunkline_mock import MockUpstream, Script

StrictKind: TypeAlias = Literal["taken", "refused", "passed"]
StrictKey: TypeAlias = tuple[str, str, str]
"""Front, vendor, feature."""


class Vendor(NamedTuple):
    """A vendor of the axis."""

    title: str
    model: str


STRICT_VENDORS: Final[Mapping[str, Vendor]] = {
    "openai": Vendor("OpenAI", "gpt-5.1"),
    "anthropic": Vendor("Anthropic", "claude-sonnet-4-5"),
    "openrouter": Vendor("OpenRouter", "google/gemini-2.5-flash"),
    "gemini": Vendor("Gemini", "gemini-3-pro-preview"),
    "cerebras": Vendor("Cerebras", "gpt-oss-120b"),
    "groq": Vendor("Groq", "openai/gpt-oss-120b"),
    "mistral": Vendor("Mistral", "mistral-small-latest"),
    "deepseek": Vendor("DeepSeek", "deepseek-chat"),
    "xai": Vendor("xAI", "grok-4.3"),
    "moonshot": Vendor("Moonshot", "kimi-k2.6"),
}
"""The ten that are used most."""

PASSED: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(STRICT_VENDORS, ("openai",)),
    "openai": ("openai", "responses"),
    "anthropic": ("anthropic",),
    "openrouter": ("openai", "responses", "anthropic"),
}
"""The fronts whose dialect each vendor speaks itself."""

_TITLES: Final = {
    "long_name": "A tool's name of 68 characters",
    "dotted_name": "A tool's name with a dot",
    "foreign_ids": "Ids of calls that another vendor made",
    "empty_schema": "A tool without parameters",
    "combined_schema": "A tool's schema with `anyOf` at the top",
    "bounded_schema": "JSON of a schema with bounds and an open object",
    "many_stops": "Six stop sequences",
    "sampling_pair": "Temperature and `top_p`",
    "all_knobs": "Every knob of the dialect at once",
    "note_between": "A message between a call and its result",
    "forced_thinking": "A forced tool while it thinks",
    "unanswered_call": "A call without a result",
}
"""Features of this axis that are more than one of the dialects' own."""

_ANSWERED: Final = ("error_", "finish_", "usage")
"""Features of answers, whose requests ask nothing more."""

REFUSED: Final[Mapping[tuple[str, str], str]] = {
    ("deepseek", "image_*"): "its models take no images",
    ("anthropic", "n"): "one answer a request is all that it gives",
    ("groq", "n"): "one answer a request is all that it gives",
    ("moonshot", "n"): "one answer a request is all that it gives",
}
"""What a vendor cannot have, by vendor and pattern of features, and why."""


def _replaced(asked: dict[str, Any], *pairs: tuple[Any, Any]) -> dict[str, Any]:
    """A request with values replaced wherever they stand, as JSON."""
    text = json.dumps(asked)
    for old, new in pairs:
        assert json.dumps(old) in text
        text = text.replace(json.dumps(old), json.dumps(new))
    changed: dict[str, Any] = json.loads(text)
    return changed


def _siblings(asks: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The features of ``_TITLES`` that can be made of what a front asks for the dialects' features."""
    results, name = asks["tool_results"], WEATHER[0]
    made = {
        "long_name": _replaced(results, (name, name.ljust(68, "x"))),
        "dotted_name": _replaced(results, (name, "fs.read")),
        "empty_schema": _replaced(asks["tool"], (SCHEMA, {"type": "object"})),
        "combined_schema": _replaced(asks["tool"], (SCHEMA, {"type": "object", "anyOf": [SCHEMA]})),
        "sampling_pair": asks["temperature"] | asks["top_p"],
        "forced_thinking": asks["thinking_effort"] | asks.get("tool_choice_required", asks["tool"]),
    }
    knobs = ("temperature", "top_p", "top_k", "stop", "seed", "penalties", "logprobs", "user", "max_tokens")
    if json.dumps(CALL_IDS[0]) in json.dumps(results):
        made["foreign_ids"] = _replaced(results, (CALL_IDS[0], "call_0"), (CALL_IDS[1], "toolu_01AbC-9"))
    bounded = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1},
            "l": {
                "type": "array",
                "minItems": 2,
                "items": {"type": "object", "properties": {"x": {"type": "string"}}},
            },
        },
        "required": ["n"],
    }
    made["bounded_schema"] = _replaced(asks["json_schema"], (SCHEMA, bounded))
    if "stop" in asks:
        many = [f"{STOP}{at}" for at in range(6)]
        made["many_stops"] = _replaced(
            asks["stop"], ([STOP] if json.dumps([STOP]) in json.dumps(asks["stop"]) else STOP, many)
        )
    merged: dict[str, Any] = {}
    for each in knobs:
        for field, value in asks.get(each, {}).items():
            merged[field] = merged[field] | value if isinstance(merged.get(field), dict) else value
    made["all_knobs"] = merged
    for turns in ("messages", "input"):
        if turns in results:
            note = {"role": "user", "content": "(note)"}
            items = list(results[turns])
            call = max(at for at, item in enumerate(items) if _is_call(item)) + 1
            made["note_between"] = results | {turns: [*items[:call], note, *items[call:]]}
            made["unanswered_call"] = results | {turns: [*items[:call], note]}
    return made


def _is_call(item: dict[str, Any]) -> bool:
    return '"tool_use"' in json.dumps(item) or "tool_calls" in item or item.get("type") == "function_call"


def _asks(front: str) -> dict[str, dict[str, Any]]:
    own = {
        name: asked
        for name, asked in FRONTS[front].ASKS.items()
        if not name.startswith(_ANSWERED) and name != "unknown"
    }
    return {"text": {}, **own, **_siblings(own)}


ASKS: Final = {front: _asks(front) for front in FRONTS}
"""What each front asks, by feature."""


def _expected(front: str, vendor: str, feature: str) -> StrictKind:
    if front in PASSED[vendor]:
        return "passed"
    hits = (fnmatchcase(feature, pattern) for who, pattern in REFUSED if who == vendor)
    return "refused" if any(hits) else "taken"


STRICT_CELLS: Final[Mapping[StrictKey, StrictKind]] = {
    (front, vendor, feature): _expected(front, vendor, feature)
    for front in FRONTS
    for vendor in STRICT_VENDORS
    for feature in ASKS[front]
}
"""Every cell."""


def title(feature: str, titles: Mapping[str, str]) -> str:
    """The name of a feature for people."""
    return _TITLES.get(feature) or titles[feature]


@asynccontextmanager
async def strict_world() -> AsyncIterator[World]:
    """A gateway with a strict mock of each vendor. It fetches images, without asking a network for them."""
    async with AsyncExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(build, "ImageFetcher", _PictureFetcher)
        mocks, providers = {}, {}
        for name, vendor in STRICT_VENDORS.items():
            script = Script(thinking="Hm. ", text=ANSWER)
            mock = MockUpstream(name, script, models=(vendor.model,), strict=True)
            mocks[name] = await stack.enter_async_context(mock)
            providers[f"to-{name}"] = provider(mock, vendor.model)
        gateway = await stack.enter_async_context(
            serving(make_settings(providers=providers, fetch_image_urls=True))
        )
        yield World(gateway, mocks)


class _PictureFetcher(ImageFetcher):
    """Has one picture."""

    async def fetch(self, url: str, param: str | None = None) -> str:
        assert url == PICTURE
        return PIXEL_URL


def provider(mock: MockUpstream, *models: str) -> ProviderConfig:
    """The section of a provider that is a mock of one vendor, as a user would write it."""
    name = mock.shape.name
    more: dict[str, Any] = {"models": models, "api_key": ("sk-upstream-secret",)}
    if name in KINDS:
        return upstream(mock, type=name, **more)
    if "vendor" in ProviderConfig.model_fields:
        more["vendor"] = name
    return upstream(mock, type="openai-compatible", **more)


async def produce_strict(there: World, front_name: str, vendor: str, feature: str) -> StrictKind:
    """What becomes of a request at a strict vendor. The answer is streamed for every second feature."""
    front, mock, model = FRONTS[front_name], there.mocks[vendor], STRICT_VENDORS[vendor].model
    stream = list(ASKS[front_name]).index(feature) % 2 == 1
    mock.requests.clear()
    body = front.base(model, stream) | ASKS[front_name][feature]
    lines = (BEARER, BETA) if front_name == "anthropic" else (BEARER,)
    answer = await there.gateway.ask(post(body, *lines, path=front.PATH))
    if not mock.calls:
        assert answer.status == 400, answer.body
        assert front.complaint(answer)
        return "refused"
    if front_name in PASSED[vendor]:
        assert answer.status == mock.calls[-1].status < 500, answer.body
        if answer.status == 200:
            assert ANSWER in said(answer), answer.body
        return "passed"
    assert mock.calls[-1].status == 200, (answer.body, mock.calls[-1].json)
    assert answer.status == 200, answer.body
    assert set(front.hear(answer, stream).texts) == {ANSWER}
    return "taken"
