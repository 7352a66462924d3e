"""Which script a request gets, and which responses are cached."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from trunkline_mock import Fault, MockModel, MockUpstream, Rule, Script

from .wire import MESSAGES, MODELS, PATHS, connect, encode_request, exchange

_CHAT = "/v1/chat/completions"


async def send_chat(mock: MockUpstream, model: str = "gpt-4o", **extra: Any) -> httpx.Response:
    headers = extra.pop("headers", {})
    async with httpx.AsyncClient(base_url=mock.url) as client:
        return await client.post(
            PATHS.get(mock.shape.name, _CHAT),
            json={"model": model, "messages": MESSAGES, "stream": False, **extra},
            headers=headers,
        )


def answer_text(answer: httpx.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


async def test_the_most_specific_script_is_used() -> None:
    async with MockUpstream("openai", Script(text="base"), scripts=[Script(text="queued")]) as mock:
        mock.on(Script(text="rule"), model="GPT-4*")
        header = {"x-mock-script": '{"text":"header"}'}
        assert answer_text(await send_chat(mock, headers=header)) == "header"
        assert answer_text(await send_chat(mock, "mock-words-2")) == "word word "
        assert answer_text(await send_chat(mock)) == "queued"
        assert answer_text(await send_chat(mock)) == "rule"
        assert answer_text(await send_chat(mock, "o3-mini")) == "base"
        mock.clear_rules()
        assert answer_text(await send_chat(mock)) == "base"
        assert answer_text(await send_chat(mock, headers=header)) == "header"


async def test_rules_are_used_up_and_later_ones_are_checked_first() -> None:
    rules = [Rule(script=Script(text="old"))]
    async with MockUpstream("openai", rules=rules) as mock:
        mock.on(Script(text="new"), times=1)
        assert [answer_text(await send_chat(mock)) for _ in range(2)] == ["new", "old"]


async def test_listings_follow_only_rules_with_their_path() -> None:
    broken = Script(fault=Fault("status", status=500))
    async with MockUpstream("openai", broken, scripts=[broken]) as mock:
        mock.on(broken)
        async with httpx.AsyncClient(base_url=mock.url) as client:
            assert (await client.get("/v1/models")).status_code == 200
            mock.on(broken, path="/v1/models", method="get")
            assert (await client.get("/v1/models")).status_code == 500
            mock.on(Script(headers={"x-a": "b"}, body={"data": []}), path="*/models")
            listing = await client.get("/v1/models")
            assert (listing.json(), listing.headers["x-a"]) == ({"data": []}, "b")


async def test_an_invalid_script_in_a_header_is_a_400() -> None:
    async with MockUpstream("openai") as mock:
        answer = await send_chat(mock, headers={"x-mock-script": '{"txt":1}'})
        assert answer.status_code == 400
        assert "x-mock-script" in answer.json()["error"]["message"]


async def test_a_scripted_body() -> None:
    script = Script(status=202, body={"anything": 1}, headers={"x-extra": "1"})
    async with MockUpstream("openai", script) as mock:
        answer = await send_chat(mock)
        assert (answer.status_code, answer.json(), answer.headers["x-extra"]) == (202, {"anything": 1}, "1")
        mock.script = Script(body="not json")
        assert (await send_chat(mock)).text == "not json"


async def test_a_response_is_cached_until_the_script_changes() -> None:
    sent = encode_request(_CHAT, {"model": "gpt-4o", "messages": MESSAGES})
    async with MockUpstream("openai") as mock:
        first, second = [await exchange(mock, sent) for _ in range(2)]
        assert first == second
        mock.script = Script(text="new")
        assert b"new" in (await exchange(mock, sent))[0]
        assert [call.prompt_tokens for call in mock.calls] == [4, 4, 4]
        assert [call.completion_tokens for call in mock.calls] == [6, 6, 1]


async def test_the_cache_is_bounded() -> None:
    async with MockUpstream("openai") as mock:
        for number in range(300):
            await exchange(
                mock, encode_request(f"{_CHAT}?{number}", {"model": "gpt-4o", "messages": MESSAGES})
            )
        await exchange(
            mock, encode_request(_CHAT, {"model": "gpt-4o", "messages": MESSAGES, "x": "y" * 200_000})
        )
        assert len(mock._cache) < 256


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "ollama", "sglang"])
async def test_a_key_can_be_required(shape: str) -> None:
    async with MockUpstream(shape, require_key="secret") as mock:
        model = MODELS.get(shape, "mock-model")
        for headers in ({}, {"authorization": "Bearer wrong"}):
            answer = await send_chat(mock, model, headers=headers)
            assert answer.status_code == 401
            assert "error" in answer.json() or "message" in answer.json()
        assert (await send_chat(mock, model, headers={"authorization": "Bearer secret"})).status_code == 200
        if shape == "ollama":
            assert (await exchange(mock, encode_request("/", method="GET")))[0].endswith(b"Ollama is running")


async def test_the_models_can_be_configured() -> None:
    async with MockUpstream("openai", models=["a", MockModel("b")]) as mock:
        assert (await send_chat(mock, "a")).status_code == 200
        assert (await send_chat(mock, "gpt-4o")).status_code == 404
    async with MockUpstream("openai", any_model=True, list_magic=True) as mock:
        assert (await send_chat(mock, "whatever")).status_code == 200
        assert any(model.name == "mock-fault-huge" for model in mock.shape.catalog.all())


async def test_a_request_that_the_mock_cannot_answer_is_a_500() -> None:
    async with MockUpstream("openai") as mock:
        answer = await send_chat(mock, tools=[{"type": "function", "function": 5}], response_format="odd")
        assert answer.status_code in (400, 500)
        answer = await send_chat(mock, response_format="odd")
        assert answer.status_code == 500
        assert "cannot answer" in answer.json()["error"]["message"]


async def test_the_fault_refuse_closes_new_connections() -> None:
    sent = encode_request(_CHAT, {"model": "gpt-4o", "messages": MESSAGES})
    async with MockUpstream("openai", scripts=[Script(fault=Fault("refuse"))]) as mock:
        assert (await exchange(mock, sent))[0] == b""
        assert not mock.requests
        got, _ = await exchange(mock, sent)
        assert msgspec.json.decode(got.partition(b"\r\n\r\n")[2])["object"] == "chat.completion"
        mock.script = Script(fault=Fault("refuse"))
        assert (await exchange(mock, sent))[0] == b""
        assert len(mock.calls) == 1
        assert mock.accepted == 3


async def test_the_fault_refuse_closes_an_open_connection() -> None:
    sent = encode_request(_CHAT, {"model": "gpt-4o", "messages": MESSAGES}, close=False)
    async with MockUpstream("openai") as mock, connect(mock) as peer:
        peer.writer.write(encode_request("/v1/models", method="GET", close=False))
        await peer.read_until(b"}]}")
        mock.scripts.append(Script(fault=Fault("refuse")))
        peer.writer.write(sent)
        assert await peer.read_all() == b""
        assert peer.ending == "closed"
