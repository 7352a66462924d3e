"""A hard budget holds while many requests run, whatever their texts look like."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from tests.gateways import BEARER, Answer, Running, chat, make_settings, post, serving, upstream
from trunkline.settings.sections import BudgetRule, Price
from trunkline_mock import MockUpstream, Script, Usage

TOKENS = 25_000
TEXT = "Ab3d" * TOKENS
LIMIT = 100_000
"""Micros."""
PICTURE = "data:image/png;base64," + base64.b64encode(bytes(300_000)).decode()


def asked(dialect: str) -> tuple[str, dict[str, Any]]:
    """A path, and a request with a text without a blank in it."""
    message = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": TEXT}]}
    return {
        "chat": ("/v1/chat/completions", message),
        "parts": ("/v1/chat/completions", chat("m", max_tokens=1) | {"messages": [_parts()]}),
        "messages": ("/v1/messages", message),
        "responses": ("/v1/responses", {"model": "m", "input": TEXT, "max_output_tokens": 16}),
        "ollama": ("/api/generate", {"model": "m", "prompt": TEXT, "options": {"num_predict": 1}}),
    }[dialect]


def _parts() -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": TEXT}]}


async def ask(running: Running, path: str, body: dict[str, Any]) -> Answer:
    return await running.ask(post(msgspec.json.encode(body), BEARER, path=path))


@pytest.mark.parametrize("dialect", ["chat", "parts", "messages", "responses", "ollama"])
async def test_unbroken_texts_at_once(dialect: str) -> None:
    script = Script(text="x", usage=Usage(prompt=TOKENS, completion=1))
    async with MockUpstream("openai", script, models=["m"]) as mock:
        settings = make_settings(
            providers={"up": upstream(mock, models=("m",), local=False)},
            prices={"m": Price(input=1, output=1)},
            budgets=(BudgetRule(usd=0.1, per="total"),),
        )
        async with serving(settings) as running:
            path, body = asked(dialect)
            answers = await asyncio.gather(*(ask(running, path, body) for _ in range(20)))
            served = [answer for answer in answers if answer.status == 200]
            assert served
            assert {answer.status for answer in answers} == {200, 429}
            assert len(served) * (TOKENS + 1) <= LIMIT
            (spending,) = running.gateway.guard.spendings()
            assert spending.spent == len(served) * (TOKENS + 1)


async def test_a_picture_is_not_reserved_as_text() -> None:
    async with MockUpstream("openai", models=["m"]) as mock:
        settings = make_settings(
            providers={"up": upstream(mock, models=("m",), local=False)},
            prices={"m": Price(input=1, output=1)},
            budgets=(BudgetRule(usd=0.1, per="total"),),
        )
        async with serving(settings) as running:
            part = {"type": "image_url", "image_url": {"url": PICTURE}}
            body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": [part]}]}
            assert (await ask(running, "/v1/chat/completions", body)).status == 200
