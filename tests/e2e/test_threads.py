"""Message threads, as Anthropic's own client and its tool runner use them, in front of any model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import msgspec
import pytest
from anthropic import beta_async_tool
from pydantic import SecretStr

from tests.gateways import GUARD, KEY, make_settings, serving, upstream
from trunkline.settings.sections import ResponsesRule
from trunkline_mock import MockUpstream, Script, ToolCall

OTHER = "gw_" + "o" * 43
BETA = ["message-threads-2026-08-12"]
OFF = ResponsesRule(store=False)


@asynccontextmanager
async def clients(mock: MockUpstream, **more: Any) -> AsyncIterator[list[anthropic.AsyncAnthropic]]:
    """Of two keys."""
    keys = (SecretStr(KEY), SecretStr(OTHER))
    how = make_settings(allowed_api_keys=keys, providers={"plain": upstream(mock)}, **more)
    async with serving(how) as node:
        made = [
            anthropic.AsyncAnthropic(base_url=node.url, api_key=key, max_retries=0, timeout=GUARD)
            for key in (KEY, OTHER)
        ]
        try:
            yield made
        finally:
            for each in made:
                await each.close()


def details(error: anthropic.APIStatusError) -> Any:
    assert isinstance(error.body, dict)
    return error.body["error"]["details"]


@beta_async_tool
async def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return f"Blue sky in {city}"


@pytest.mark.parametrize("keeping", [ResponsesRule(max_disk_bytes=0), OFF])
@pytest.mark.parametrize("shape", ["generic", "openrouter", "anthropic", "ollama"])
async def test_the_tool_runner_loses_no_history(shape: str, keeping: ResponsesRule) -> None:
    """The thread is continued by the gateway, or by an upstream that has threads. Without either, the runner
    sends everything."""
    async with MockUpstream(shape, models=["gpt-4o"]) as mock:
        mock.script = Script(tool_calls=(ToolCall("weather", {"city": "Rome"}),), text="")
        async with clients(mock, responses=keeping) as (client, _):
            runner = client.beta.messages.tool_runner(
                model="gpt-4o",
                max_tokens=99,
                system="Be brief.",
                tools=[weather],
                messages=[{"role": "user", "content": "Weather in Rome?"}],
            )
            async for message in runner:
                if message.stop_reason == "tool_use":
                    mock.script = Script(text="Blue.")
            assert message.content[0].type == "text"
        sent = msgspec.json.encode(mock.calls[-1].json)
    assert b"Blue sky in Rome" in sent
    if shape == "anthropic":
        assert mock.calls[-1].json["thread"]["type"] == "continue"
    else:
        assert 0 < sent.find(b"Weather in Rome?") < sent.find(b"Blue sky in Rome")
        assert b"Be brief." in sent
        assert mock.calls[-1].json["tools"]
    assert len(mock.calls) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_thread_is_continued_with_what_is_new(stream: bool) -> None:
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock:
        async with clients(mock) as (client, _):
            thread = client.beta.messages.thread(model="gpt-4o", max_tokens=99, system="Be brief.")
            for text in ("How far?", "In miles?", "Sure?"):
                question: Any = {"role": "user", "content": text}
                if stream:
                    async with thread.stream(question) as answer:
                        await answer.get_final_message()
                else:
                    await thread.send(question)
        sent = [(each["role"], each["content"]) for each in mock.calls[-1].json["messages"]]
    assert sent == [
        ("system", "Be brief."),
        ("user", "How far?"),
        ("assistant", "384,400 km"),
        ("user", "In miles?"),
        ("assistant", "384,400 km"),
        ("user", "Sure?"),
    ]


async def ask(client: anthropic.AsyncAnthropic, thread: Any, **more: Any) -> Any:
    asked: dict[str, Any] = {"model": "gpt-4o", "max_tokens": 9, "betas": BETA, "thread": thread}
    asked["messages"] = [{"role": "user", "content": "How far?"}]
    return await client.beta.messages.create(**asked | more)


async def test_a_thread_is_its_keys_alone() -> None:
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock:
        async with clients(mock) as (client, other):
            first = await ask(client, {"type": "create"})
            assert first.id.startswith("msg_")
            for who, name in ((other, first.id), (client, "msg_doesnotexist")):
                with pytest.raises(anthropic.NotFoundError) as caught:
                    await ask(who, {"type": "continue", "previous_message_id": name})
                assert details(caught.value) == {"error_code": "thread_not_found"}
        assert len(mock.calls) == 1


async def test_a_thread_keeps_what_it_was_created_with() -> None:
    async with (
        MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock,
        clients(mock) as (client, _),
    ):
        first = await ask(client, {"type": "create"}, system="Be brief.")
        goes_on = {"type": "continue", "previous_message_id": first.id}
        with pytest.raises(anthropic.BadRequestError, match="system") as caught:
            await ask(client, goes_on, system="Be verbose.")
        assert details(caught.value) == {"error_code": "thread_fingerprint_mismatch"}
        await ask(client, goes_on, messages=[])
        assert mock.calls[-1].json["messages"][0] == {"role": "system", "content": "Be brief."}
        for wrong in ({"type": "fork"}, {"type": "continue"}):
            with pytest.raises(anthropic.BadRequestError, match="thread"):
                await ask(client, wrong)


async def test_without_a_store_a_thread_is_refused_in_anthropics_words() -> None:
    async with MockUpstream("generic", models=["gpt-4o"]) as mock:
        async with clients(mock, responses=OFF) as (client, _):
            with pytest.raises(anthropic.BadRequestError, match=r"responses: \{store: false\}") as caught:
                await ask(client, {"type": "continue", "previous_message_id": "msg_doesnotexist"})
        assert details(caught.value) == {"error_code": "thread_unsupported_request"}
        assert mock.calls == []


@pytest.mark.parametrize("keeping", [ResponsesRule(max_disk_bytes=0), OFF])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_upstream_with_threads_holds_them_itself(keeping: ResponsesRule, stream: bool) -> None:
    """It is sent requests as they came, and nothing else of the conversation."""
    async with MockUpstream("anthropic", Script(text="Far"), models=["gpt-4o"]) as mock:
        async with clients(mock, responses=keeping) as (client, _):
            thread = client.beta.messages.thread(model="gpt-4o", max_tokens=99, system="Be brief.")
            for text in ("How far?", "In miles?"):
                question: Any = {"role": "user", "content": text}
                if stream:
                    async with thread.stream(question) as answer:
                        await answer.get_final_message()
                else:
                    await thread.send(question)
        sent = mock.calls[-1].json
    assert sent["thread"]["type"] == "continue"
    assert [each["content"] for each in sent["messages"]] == ["In miles?"]


async def test_a_thread_moves_to_another_vendor() -> None:
    async with (
        MockUpstream("anthropic", Script(text="Far"), models=["claude"]) as mock,
        MockUpstream("generic", models=["gpt-4o"]) as other,
    ):
        told = {"plain": upstream(mock, models=("claude",)), "other": upstream(other)}
        async with (
            serving(make_settings(providers=told)) as node,
            anthropic.AsyncAnthropic(base_url=node.url, api_key=KEY, max_retries=0) as client,
        ):
            first = await ask(client, {"type": "create"}, model="claude")
            await ask(client, {"type": "continue", "previous_message_id": first.id})
        sent = [each["content"] for each in other.calls[-1].json["messages"]]
    assert sent == ["How far?", "Far", "How far?"]
