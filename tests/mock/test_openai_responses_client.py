"""OpenAI's own Python client works with the mock's Responses API."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from trunkline_mock import Fault, MockUpstream, Script, ToolCall

from .test_vendor_clients import City, openai_client

_TOOLS: list[Any] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, "strict": False}
    for name in ("first", "second")
]
_MODELS = [("openai", "gpt-4o"), ("generic", "mock-model")]


@pytest.mark.parametrize(("shape", "model"), _MODELS)
async def test_a_whole_response(shape: str, model: str) -> None:
    async with MockUpstream(shape, Script(thinking="hm"), require_key="k") as mock:
        async with openai_client(mock) as client:
            answer = await client.responses.create(model=model, input="hello there")
            assert answer.output_text == f"{model} heard: hello there"
            assert answer.usage is not None
            assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 5)
            assert answer.usage.output_tokens_details.reasoning_tokens == 1
            assert [item.type for item in answer.output] == ["reasoning", "message"]
            parsed = await client.responses.parse(model=model, input="x", text_format=City)
            assert parsed.output_parsed == City(name="mock", people=0)
        (call, _) = mock.calls
        assert (call.path, call.model, call.completion_tokens) == ("/v1/responses", model, 5)


@pytest.mark.parametrize(("shape", "model"), _MODELS)
async def test_a_streamed_response(shape: str, model: str) -> None:
    async with MockUpstream(shape, Script(thinking="hm")) as mock, openai_client(mock) as client:
        async with client.responses.stream(
            model=model, input="hello there", reasoning={"summary": "auto"}
        ) as stream:
            events = [event async for event in stream]
            final = await stream.get_final_response()
        assert [event.sequence_number for event in events] == list(range(len(events)))
        assert final.output_text == f"{model} heard: hello there"
        words = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert words == [f"{model} ", "heard: ", "hello ", "there"]
        whole = await client.responses.create(model=model, input="hello there", reasoning={"summary": "auto"})
        assert final.usage == whole.usage
        assert mock.calls[0].chunks == 5
        assert mock.calls[0].completion_tokens == mock.calls[1].completion_tokens == 5


@pytest.mark.parametrize(("shape", "model"), _MODELS)
async def test_a_conversation_with_tools(shape: str, model: str) -> None:
    script = Script(text="Wait.", tool_calls=(ToolCall("first", {"a": [1]}),))
    async with MockUpstream(shape, scripts=[script]) as mock, openai_client(mock) as client:
        async with client.responses.stream(model=model, input="do it", tools=_TOOLS) as stream:
            final = await stream.get_final_response()
        called = final.output[-1]
        assert called.type == "function_call"
        assert (called.name, called.arguments) == ("first", '{"a":[1]}')
        answer = await client.responses.create(
            model=model,
            input=[{"type": "function_call_output", "call_id": called.call_id, "output": "42"}],
            tools=_TOOLS,
            previous_response_id=final.id,
        )
        assert answer.output_text == f"{model} heard: do it"
        both = await client.responses.create(model="mock-tools-2", input="x", tools=_TOOLS)
        assert [item.type == "function_call" and item.name for item in both.output] == ["first", "second"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_incomplete_response(reason: Any) -> None:
    async with (
        MockUpstream("openai", Script(text="a b", finish_reason=reason)) as mock,
        openai_client(mock) as client,
    ):
        async with client.responses.stream(model="gpt-4o", input="x") as stream:
            last = [event async for event in stream][-1]
        assert last.type == "response.incomplete"
        assert last.response.incomplete_details is not None
        whole = await client.responses.create(model="gpt-4o", input="x")
        assert whole.incomplete_details == last.response.incomplete_details


async def test_a_failed_response() -> None:
    async with (
        MockUpstream("openai", Script(text="a", finish_reason="error")) as mock,
        openai_client(mock) as client,
    ):
        stream = await client.responses.create(model="gpt-4o", input="x", stream=True)
        last = [event async for event in stream][-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "server_error"


async def test_errors() -> None:
    async with (
        MockUpstream("openai", Script(fault=Fault("error_midstream", message="boom"))) as mock,
        openai_client(mock) as client,
    ):
        async with client.responses.stream(model="gpt-4o", input="x") as stream:
            with pytest.raises(openai.APIError, match="boom"):
                await stream.until_done()
        with pytest.raises(openai.NotFoundError, match="'resp_never' not found"):
            await client.responses.create(model="gpt-4o", input="x", previous_response_id="resp_never")
        with pytest.raises(openai.BadRequestError, match="has moved to 'input'"):
            await client.responses.create(model="gpt-4o", extra_body={"messages": []}, input="x")
        with pytest.raises(openai.RateLimitError):
            await client.responses.create(model="mock-status-429", input="x")
        with pytest.raises(openai.NotFoundError, match="does not exist"):
            await client.responses.create(model="absent", input="x")


async def test_an_error_event_in_the_documented_form() -> None:
    """OpenAI's client raises an error for the form that OpenAI sends, and returns the documented one."""
    async with (
        MockUpstream("generic", Script(fault=Fault("error_midstream", message="boom"))) as mock,
        openai_client(mock) as client,
    ):
        stream = await client.responses.create(model="mock-model", input="x", stream=True)
        last = [event async for event in stream][-1]
    assert last.type == "error"
    assert (last.message, last.sequence_number) == ("boom", 5)
