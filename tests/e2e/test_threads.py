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

from tests.gateways import BEARER, GUARD, KEY, make_settings, post, serving, upstream
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


@pytest.mark.parametrize("keeping", [ResponsesRule(), OFF])
@pytest.mark.parametrize("shape", ["generic", "openrouter"])
async def test_the_tool_runner_loses_no_history(shape: str, keeping: ResponsesRule) -> None:
    """With a store the thread is continued. Without one, the runner sends everything again."""
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
    places = [sent.find(each) for each in (b"Be brief.", b"Weather in Rome?", b"Blue sky in Rome")]
    assert -1 not in places
    assert places == sorted(places)
    assert mock.calls[-1].json["tools"]
    assert len(mock.calls) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_thread_is_continued_with_what_is_new(stream: bool) -> None:
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock:
        async with clients(mock) as (client, _):
            thread = client.beta.messages.thread(model="gpt-4o", max_tokens=99, system="Be brief.")
            for question in ("How far?", "In miles?", "Sure?"):
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
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as mock:
        async with clients(mock) as (client, _):
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
            with pytest.raises(anthropic.BadRequestError, match="responses: {store: false}") as caught:
                await ask(client, {"type": "continue", "previous_message_id": "msg_doesnotexist"})
        assert details(caught.value) == {"error_code": "thread_unsupported_request"}
        assert mock.calls == []


@pytest.mark.parametrize("keeping", [ResponsesRule(), OFF])
async def test_an_upstream_with_threads_holds_them_itself(keeping: ResponsesRule) -> None:
    """It is sent requests as they came, and nothing else of the conversation."""
    answer = {"id": "msg_up", "type": "message", "role": "assistant", "model": "gpt-4o"}
    answer |= {"content": [{"type": "text", "text": "Far"}], "stop_reason": "end_turn", "usage": {}}  # type: ignore[dict-item]
    async with MockUpstream("anthropic", Script(body=answer), models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)}, responses=keeping)) as node:
            asked = {"model": "gpt-4o", "max_tokens": 9, "messages": [{"role": "user", "content": "How far?"}]}
            goes_on = {"type": "continue", "previous_message_id": "msg_up"}
            for thread in ({"type": "create"}, goes_on):
                body = asked | {"thread": thread}
                got = await node.ask(post(body, BEARER, path="/v1/messages"))
                assert got.status == 200
                assert mock.calls[-1].json == body


async def test_a_thread_moves_to_another_vendor() -> None:
    answer = {"id": "msg_up", "type": "message", "role": "assistant", "model": "claude"}
    answer |= {"content": [{"type": "text", "text": "Far"}], "stop_reason": "end_turn", "usage": {}}  # type: ignore[dict-item]
    async with (
        MockUpstream("anthropic", Script(body=answer), models=["claude"]) as mock,
        MockUpstream("generic", models=["gpt-4o"]) as other,
    ):
        told = {"plain": upstream(mock, models=("claude",)), "other": upstream(other)}
        async with serving(make_settings(providers=told)) as node:
            asked: dict[str, Any] = {"max_tokens": 9, "messages": [{"role": "user", "content": "How far?"}]}
            goes_on = {"type": "continue", "previous_message_id": "msg_up"}
            for model, thread in (("claude", {"type": "create"}), ("gpt-4o", goes_on)):
                body = asked | {"model": model, "thread": thread}
                assert (await node.ask(post(body, BEARER, path="/v1/messages"))).status == 200
        sent = [each["content"] for each in other.calls[-1].json["messages"]]
    assert sent == ["How far?", "Far", "How far?"]
