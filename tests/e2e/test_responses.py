"""The Responses API as OpenAI's own client uses it, with and without responses that are kept."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, GUARD, KEY, make_settings, post, serving, upstream
from trunkline.settings.sections import ResponsesRule
from trunkline_mock import MockUpstream, Script, ToolCall

OTHER = "gw_" + "o" * 43
KEEPING = ResponsesRule(max_disk_bytes=0)
FORGETTING = ResponsesRule(store=False)


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as running:
        yield running


@asynccontextmanager
async def clients(mock: MockUpstream, **more: Any) -> AsyncIterator[list[openai.AsyncOpenAI]]:
    """Of two keys."""
    keys = (SecretStr(KEY), SecretStr(OTHER))
    how = make_settings(allowed_api_keys=keys, providers={"plain": upstream(mock)}, **more)
    async with serving(how) as node:
        url = f"{node.url}/v1"
        made = [
            openai.AsyncOpenAI(
                base_url=url, api_key=key, max_retries=0, timeout=GUARD, _strict_response_validation=True
            )
            for key in (KEY, OTHER)
        ]
        try:
            yield made
        finally:
            for each in made:
                await each.close()


def texts(mock: MockUpstream) -> list[tuple[str, str]]:
    """The messages of the last request to the upstream."""
    body = mock.calls[-1].json
    return [(message["role"], message["content"]) for message in body["messages"]]


async def test_a_response_and_a_stream_of_it(mock: MockUpstream) -> None:
    async with clients(mock) as (client, _):
        response = await client.responses.create(model="gpt-4o", input="How far?", instructions="Be brief.")
        assert response.output_text == "384,400 km"
        assert response.status == "completed"
        assert texts(mock) == [("system", "Be brief."), ("user", "How far?")]
        async with client.responses.stream(model="gpt-4o", input="How far?") as stream:
            seen = [event.sequence_number async for event in stream]
            final = await stream.get_final_response()
        assert final.output_text == "384,400 km"
        assert seen == list(range(len(seen)))


async def test_without_a_store_nothing_is_kept_and_errors_name_the_setting(mock: MockUpstream) -> None:
    async with clients(mock, responses=FORGETTING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        assert (first.model_extra or {})["store"] is False
        item: Any = {"type": "item_reference", "id": first.output[0].id}
        setting = r"keeps no \w+; `responses: \{store: true\}`"
        with pytest.raises(openai.BadRequestError, match=setting):
            await client.responses.create(model="gpt-4o", input="And?", previous_response_id=first.id)
        with pytest.raises(openai.BadRequestError, match=setting):
            await client.responses.create(model="gpt-4o", input="And?", conversation="conv_1")
        with pytest.raises(openai.BadRequestError, match=setting):
            await client.responses.create(model="gpt-4o", input=[item])
        with pytest.raises(openai.NotFoundError, match=setting):
            await client.responses.retrieve(first.id)
        with pytest.raises(openai.NotFoundError, match=setting):
            await client.conversations.create()
    assert len(mock.calls) == 1


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_conversation_goes_on_from_a_kept_response(mock: MockUpstream, streamed: bool) -> None:
    async with clients(mock, responses=KEEPING) as (client, _):
        if streamed:
            async with client.responses.stream(model="gpt-4o", input="How far?") as stream:
                number = (await stream.get_final_response()).id
        else:
            number = (await client.responses.create(model="gpt-4o", input="How far?")).id
        second = await client.responses.create(model="gpt-4o", input="In miles?", previous_response_id=number)
        assert texts(mock) == [("user", "How far?"), ("assistant", "384,400 km"), ("user", "In miles?")]
        assert second.previous_response_id == number
        await client.responses.create(model="gpt-4o", input="Sure?", previous_response_id=second.id)
        assert [role for role, _ in texts(mock)] == ["user", "assistant", "user", "assistant", "user"]
        assert (await client.responses.retrieve(number)).output_text == "384,400 km"


async def test_a_tools_result_finds_its_call(mock: MockUpstream) -> None:
    tool = {"type": "function", "name": "far", "parameters": {"type": "object"}, "strict": False}
    mock.script = Script(tool_calls=(ToolCall("far", {"to": "moon"}),), text="")
    async with clients(mock, responses=KEEPING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="How far?", tools=[tool])  # type: ignore[list-item]
        call = next(item for item in first.output if item.type == "function_call")
        mock.script = Script(text="Far.")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "384400"}
        await client.responses.create(model="gpt-4o", input=[result], previous_response_id=first.id)  # type: ignore[list-item]
    messages = mock.calls[-1].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
    assert messages[1]["tool_calls"][0]["id"] == messages[2]["tool_call_id"] == call.call_id


async def test_a_call_of_a_tool_in_a_namespace_is_kept_with_it(mock: MockUpstream) -> None:
    inner = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": False}
    space = {"type": "namespace", "name": "crm", "description": "Customers", "tools": [inner]}
    mock.script = Script(tool_calls=(ToolCall("crm__find"),), text="")
    async with clients(mock, responses=KEEPING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="Who?", tools=[space])  # type: ignore[list-item]
        call = next(item for item in first.output if item.type == "function_call")
        assert (call.namespace, call.name) == ("crm", "find")
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "Ann"}
        await client.responses.create(model="gpt-4o", input=[result], previous_response_id=first.id)  # type: ignore[list-item]
    assert mock.calls[-1].json["messages"][1]["tool_calls"][0]["function"]["name"] == "crm__find"


async def test_a_kept_response_goes_on_without_more_input(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        second = await client.responses.create(model="gpt-4o", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        assert texts(mock) == [("user", "How far?"), ("assistant", "384,400 km")]
        with pytest.raises(openai.BadRequestError, match="'input'"):
            await client.responses.create(model="gpt-4o")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("holds", [True, False])
async def test_an_upstream_that_keeps_responses_too_is_told_the_conversation_once(
    streamed: bool, holds: bool
) -> None:
    """By its own id where it has stored the response, else in full."""
    tool = {"type": "function", "name": "far", "parameters": {"type": "object"}, "strict": False}
    script = Script(tool_calls=(ToolCall("far", {"to": "moon"}),), text="")
    keys = ("sk-upstream-secret",) if holds else ("sk-upstream-secret", "sk-upstream-other")
    async with MockUpstream("openai", script, models=["gpt-4o"]) as mock:
        how = make_settings(providers={"plain": upstream(mock, api_key=keys)}, responses=KEEPING)
        async with (
            serving(how) as node,
            openai.AsyncOpenAI(base_url=f"{node.url}/v1", api_key=KEY, max_retries=0) as client,
        ):
            first = await client.responses.create(model="gpt-4o", input="How far?", tools=[tool])  # type: ignore[list-item]
            call = next(item for item in first.output if item.type == "function_call")
            mock.script = Script(text="Far.")
            result = {"type": "function_call_output", "call_id": call.call_id, "output": "384400"}
            asked: Any = {"model": "gpt-4o", "input": [result], "previous_response_id": first.id}
            if streamed:
                async with client.responses.stream(**asked) as stream:
                    second = await stream.get_final_response()
            else:
                second = await client.responses.create(**asked)
            assert second.output_text == "Far."
        assert mock.calls[-1].path == "/v1/responses"
        sent = mock.calls[-1].json
        kinds = [item["type"] for item in sent["input"]]
        if holds:
            assert (sent["previous_response_id"], kinds) == (first.id, ["function_call_output"])
        else:
            assert kinds == ["message", "function_call", "function_call_output"]
            assert "previous_response_id" not in sent


async def test_what_a_client_has_to_answer_is_kept_with_what_it_needs() -> None:
    calls: list[dict[str, Any]] = [
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "*** Begin"},
        {"type": "shell_call", "call_id": "c2", "action": {"commands": ["ls"]}, "status": "completed"},
    ]
    search = {"type": "web_search_call", "status": "completed", "action": {"type": "search"}}
    output = [{"id": f"it_{at}", **item} for at, item in enumerate([*calls, search])]
    scripted = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-4o",
        "output": output,
    }
    async with MockUpstream("openai", Script(body=scripted), models=["gpt-4o"]) as mock:
        how = make_settings(providers={"plain": upstream(mock)}, responses=KEEPING)
        async with serving(how) as node:
            for more in ({}, {"previous_response_id": "resp_1"}):
                body = {"model": "gpt-4o", "input": "Mend it"} | more
                assert (await node.ask(post(body, BEARER, path="/v1/responses"))).status == 200
        again = mock.calls[-1].json["input"][1:-1]
    assert again == calls


@pytest.mark.parametrize("summary", [None, "auto"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_thought_in_plain_words_goes_back_with_its_call(streamed: bool, summary: str | None) -> None:
    tool = {"type": "function", "name": "far", "parameters": {"type": "object"}, "strict": False}
    script = Script(thinking="The moon, then.", tool_calls=(ToolCall("far"),), text="")
    async with MockUpstream("openrouter", script, models=["gpt-4o"]) as mock:
        how = make_settings(providers={"plain": upstream(mock, speaks=())}, responses=KEEPING)
        async with serving(how) as node:
            asked: Any = {"model": "plain/gpt-4o", "input": "How far?", "tools": [tool], "stream": streamed}
            asked["reasoning"] = {"summary": summary}
            first = (await node.ask(post(asked, BEARER, path="/v1/responses"))).body
            number = re.search(rb'"id":"(resp_\w+)"', first)
            call = re.search(rb'"call_id":"(\w+)"', first)
            assert number is not None
            assert call is not None
            result = {"type": "function_call_output", "call_id": call[1].decode(), "output": "384400"}
            more = {"previous_response_id": number[1].decode(), "input": [result]}
            mock.script = Script(text="Far.")
            assert (await node.ask(post(asked | more, BEARER, path="/v1/responses"))).status == 200
    message = mock.calls[-1].json["messages"][1]
    assert (message["role"], message["reasoning"]) == ("assistant", "The moon, then.")
    assert message["tool_calls"][0]["id"] == call[1].decode()


@pytest.mark.parametrize(
    ("thought", "sent"),
    [
        ({"id": "rs_up", "summary": [], "encrypted_content": "x"}, {"summary": [], "encrypted_content": "x"}),
        (
            {"id": "rs_up", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
            {"id": "rs_up", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]},
        ),
        ({"id": "rs_100", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm"}]}, None),
        ({"id": "rs_up", "summary": [{"type": "summary_text", "text": "Hm"}]}, None),
        ({"id": "rs_up", "summary": []}, None),
    ],
)
async def test_an_upstream_with_this_api_is_sent_its_own_thoughts_only(
    thought: dict[str, Any], sent: dict[str, Any] | None
) -> None:
    scripted = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o"}
    scripted["output"] = [{"type": "reasoning", **thought}]  # type: ignore[assignment]
    async with MockUpstream("openai", Script(body=scripted), models=["gpt-4o"]) as mock:
        how = make_settings(providers={"plain": upstream(mock)}, responses=KEEPING)
        async with serving(how) as node:
            for more in ({}, {"previous_response_id": "resp_1"}):
                body = {"model": "gpt-4o", "input": "Mend it"} | more
                assert (await node.ask(post(body, BEARER, path="/v1/responses"))).status == 200
        again = mock.calls[-1].json["input"][1:-1]
    assert again == ([] if sent is None else [{"type": "reasoning", **sent}])


@pytest.mark.parametrize("shape", ["vllm", "openai"])
@pytest.mark.parametrize("typed", [{"type": "item_reference"}, {}])
async def test_a_reference_to_an_item_kept_here_is_that_item(shape: str, typed: dict[str, str]) -> None:
    script = Script(thinking="Hm", text="384,400 km")
    async with (
        MockUpstream(shape, script, models=["gpt-4o"]) as mock,
        MockUpstream("vllm", script, models=["mock-model"]) as other,
    ):
        told = {"plain": upstream(mock), "other": upstream(other, models=("mock-model",))}
        async with (
            serving(make_settings(providers=told, responses=KEEPING)) as node,
            openai.AsyncOpenAI(base_url=f"{node.url}/v1", api_key=KEY, max_retries=0) as client,
        ):
            ask = client.responses.create
            first = await ask(model="mock-model", input="How far?")
            items: Any = [{"id": item.id, **typed} for item in first.output]
            second = await ask(model="gpt-4o", input=[*items, {"role": "user", "content": "In miles?"}])
            await ask(model="mock-model", input="Sure?", previous_response_id=second.id)
    if shape == "vllm":
        assert texts(mock) == [("assistant", "384,400 km"), ("user", "In miles?")]
    else:
        sent = [item["content"] for item in mock.calls[-1].json["input"]]
        assert (sent[0][0]["text"], sent[1:]) == ("384,400 km", ["In miles?"])
    assert texts(other)[:2] == [("assistant", "384,400 km"), ("user", "In miles?")]


async def test_a_reference_to_another_keys_item_is_refused(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, other):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        item: Any = {"type": "item_reference", "id": first.output[0].id}
        with pytest.raises(openai.BadRequestError, match=f"'{item['id']}' not found"):
            await other.responses.create(model="gpt-4o", input=[item])
    assert len(mock.calls) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [{"type": "item_reference", "id": "msg_abc"}]},
        {"input": [{"id": "rs_abc"}]},
        {"input": "And?", "previous_response_id": "resp_abc"},
        {"input": "And?", "conversation": {"id": "conv_abc"}},
    ],
)
async def test_what_is_not_this_keys_is_not_asked_for_upstream(fields: dict[str, Any]) -> None:
    """All keys share the account there: it may be another key's."""
    async with MockUpstream("openai", Script(text="Hi"), models=["gpt-4o"]) as mock:
        async with serving(make_settings(providers={"plain": upstream(mock)})) as node:
            answer = await node.ask(post({"model": "gpt-4o"} | fields, BEARER, path="/v1/responses"))
        assert (answer.status, "not found" in answer.error["message"]) in ((400, True), (404, True))
        assert mock.calls == []


async def test_it_is_its_keys_alone(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, other):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        with pytest.raises(openai.NotFoundError):
            await other.responses.retrieve(first.id)
        with pytest.raises(openai.NotFoundError):
            await other.responses.delete(first.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            await other.responses.create(model="gpt-4o", input="And?", previous_response_id=first.id)
    assert len(mock.calls) == 1


async def test_it_is_not_kept_if_it_is_not_to_be_or_deleted(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, _):
        silent = await client.responses.create(model="gpt-4o", input="How far?", store=False)
        kept = await client.responses.create(model="gpt-4o", input="How far?")
        await client.responses.delete(kept.id)
        for number in (silent.id, kept.id, "resp_nobody"):
            with pytest.raises(openai.NotFoundError, match="not found"):
                await client.responses.retrieve(number)


async def test_what_a_kept_response_was_asked_is_listed(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, other):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        asked: Any = [{"role": "user", "content": [{"type": "input_text", "text": "In miles?"}]}]
        second = await client.responses.create(model="gpt-4o", input=asked, previous_response_id=first.id)
        listed = client.responses.input_items.list
        every: Any = await listed(second.id, order="asc")
        assert [_said(item) for item in every.data] == ["How far?", "384,400 km", "In miles?"]
        first_and_last = (every.first_id, every.last_id)
        assert (every.has_more, first_and_last) == (False, (every.data[0].id, every.data[-1].id))
        last = await listed(second.id, limit=1)
        assert ([_said(item) for item in last.data], last.has_more) == (["In miles?"], True)
        assert [_said(item) async for item in listed(second.id, limit=2)] == [
            "In miles?",
            "384,400 km",
            "How far?",
        ]
        for wrong in ({"order": "up"}, {"limit": 0}, {"after": "msg_nobody"}):
            with pytest.raises(openai.BadRequestError, match=f"'{next(iter(wrong))}'"):
                await listed(second.id, **wrong)
        for who, number in ((other, second.id), (client, "resp_nobody")):
            with pytest.raises(openai.NotFoundError, match="not found"):
                await who.responses.input_items.list(number)


def _said(item: Any) -> str:
    text: str = item.content[0].text
    return text


@pytest.mark.parametrize(
    ("fields", "keeping"),
    [
        ({"prompt": {"id": "pmpt_1", "variables": {"to": "moon"}}}, KEEPING),
        ({"prompt": {"id": "pmpt_1", "variables": {"to": "moon"}}}, FORGETTING),
        ({"conversation": "conv_1", "input": "How far?"}, FORGETTING),
        ({"previous_response_id": "resp_1", "input": "How far?"}, FORGETTING),
        ({"background": True, "stream": True, "input": "How far?"}, KEEPING),
    ],
)
async def test_what_the_upstream_keeps_passes_through_to_it(
    fields: dict[str, Any], keeping: ResponsesRule
) -> None:
    scripted = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o", "output": []}
    async with (
        MockUpstream("openai", Script(body=scripted), models=["gpt-4o"]) as mock,
        MockUpstream("vllm", models=["mock-model"]) as other,
    ):
        told = {"plain": upstream(mock), "other": upstream(other, models=("mock-model",))}
        async with serving(make_settings(providers=told, responses=keeping)) as node:
            await node.ask(post({"model": "gpt-4o"} | fields, BEARER, path="/v1/responses"))
            assert mock.calls[-1].json == {"model": "gpt-4o"} | fields
            refused = await node.ask(post({"model": "mock-model"} | fields, BEARER, path="/v1/responses"))
            assert (refused.status, refused.error["param"]) == (400, next(iter(fields)))
            assert other.calls == []


@pytest.mark.parametrize(("name", "value"), [("prompt", {"id": "pmpt_1"})])
async def test_what_only_the_upstream_could_tell_again_is_not_kept(name: str, value: Any) -> None:
    scripted = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-4o", "output": []}
    async with MockUpstream("openai", Script(body=scripted), models=["gpt-4o"]) as mock:
        how = make_settings(providers={"plain": upstream(mock)}, responses=KEEPING)
        async with serving(how) as node:
            asked = {"model": "gpt-4o", "input": "How far?", name: value}
            assert (await node.ask(post(asked, BEARER, path="/v1/responses"))).status == 200
            more = {"model": "gpt-4o", "input": "And?", "previous_response_id": "resp_1"}
            refused = await node.ask(post(more, BEARER, path="/v1/responses"))
    assert (refused.status, refused.error["code"]) == (400, "previous_response_not_found")


async def test_what_is_not_there_says_so(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        with pytest.raises(openai.BadRequestError, match="not in the background"):
            await client.responses.cancel(first.id)
        with pytest.raises(openai.NotFoundError, match="not found"):
            await client.responses.cancel("resp_nobody")
        with pytest.raises(openai.NotFoundError, match="counts no input tokens"):
            await client.responses.input_tokens.count(model="gpt-4o", input="How far?")
        with pytest.raises(openai.NotFoundError, match="compacts no conversations"):
            await client.responses.compact(model="gpt-4o", input="How far?")
    async with clients(mock, responses=FORGETTING) as (client, _):
        for ask in (client.responses.cancel, client.responses.input_items.list):
            with pytest.raises(openai.NotFoundError, match="keeps no responses"):
                await ask("resp_1")


async def test_a_kept_response_is_not_told_again_as_a_stream(mock: MockUpstream) -> None:
    async with clients(mock, responses=KEEPING) as (client, _):
        first = await client.responses.create(model="gpt-4o", input="How far?")
        with pytest.raises(openai.BadRequestError, match="cannot be streamed"):
            await client.responses.retrieve(first.id, stream=True)


async def test_a_bad_request_is_refused_as_ever(mock: MockUpstream) -> None:
    how = make_settings(providers={"plain": upstream(mock)}, responses=KEEPING)
    async with serving(how) as node:
        answer = await node.ask(post(b"{", BEARER, path="/v1/responses"))
        assert answer.status == 400
        assert answer.error["type"] == "invalid_request_error"
