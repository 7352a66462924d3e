"""Conversations that go on from a response which the mock keeps."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from trunkline_mock import Script, ToolCall
from trunkline_mock.shapes import RefusalError
from trunkline_mock.shapes.responses_asks import Memory

from .asking import playing


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/responses", json={"model": "gpt-4o", "input": "more of it"} | fields)


async def test_a_response_goes_on_from_another() -> None:
    async with playing("openai") as client:
        first = (await ask(client, input="one two three")).json()
        assert first["usage"]["input_tokens"] == 3
        second = (await ask(client, previous_response_id=first["id"])).json()
        assert second["previous_response_id"] == first["id"]
        said = first["usage"]["output_tokens"]
        assert second["usage"]["input_tokens"] == 3 + said + 3
        third = (await ask(client, previous_response_id=second["id"])).json()
        assert third["usage"]["input_tokens"] == 3 + said + 3 + second["usage"]["output_tokens"] + 3


async def test_a_tools_result_alone() -> None:
    script = Script(tool_calls=(ToolCall("f", {}),))
    async with playing("openai", scripts=[script]) as client:
        first = (await ask(client)).json()
        result = {
            "type": "function_call_output",
            "call_id": first["output"][0]["call_id"],
            "output": "42",
        }
        answer = await ask(client, input=[result], previous_response_id=first["id"])
        assert answer.json()["output"][0]["content"][0]["text"] == "gpt-4o heard: more of it"
        unanswered = await ask(client, previous_response_id=first["id"])
    assert unanswered.status_code == 400
    assert "No tool output found for function call call_" in unanswered.json()["error"]["message"]


@pytest.mark.parametrize(
    ("before", "known"),
    [({}, True), ({"stream": True}, True), ({"store": False}, False), (None, False)],
)
async def test_only_what_is_kept_is_known(before: dict[str, Any] | None, known: bool) -> None:
    async with playing("openai") as client:
        name = "resp_never"
        if before is not None:
            first = await ask(client, **before)
            name = first.text.partition('"id":"')[2].partition('"')[0]
            assert name.startswith("resp_")
        answer = await ask(client, previous_response_id=name)
        if known:
            assert answer.status_code == 200
            return
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"Previous response with id '{name}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


async def test_a_response_that_failed_is_not_kept() -> None:
    async with playing("openai", scripts=[Script(finish_reason="error")]) as client:
        failed = (await ask(client)).json()
        assert failed["status"] == "failed"
        assert (await ask(client, previous_response_id=failed["id"])).status_code == 404


async def test_an_item_may_be_referred_to() -> None:
    async with playing("openai") as client:
        first = (await ask(client, input="one two three")).json()
        reference = {"type": "item_reference", "id": first["output"][0]["id"]}
        body: list[Any] = [reference, {"role": "user", "content": "and"}]
        answer = (await ask(client, input=body)).json()
        assert answer["usage"]["input_tokens"] == first["usage"]["output_tokens"] + 1
        missing = await ask(client, input=[reference | {"id": "msg_never"}])
        assert (missing.status_code, missing.json()["error"]["param"]) == (404, "input")


async def test_the_same_request_is_answered_anew_where_it_refers_to_something() -> None:
    async with playing("openai") as client:
        first = (await ask(client)).json()["id"]
    async with playing("openai") as client:
        assert (await ask(client, previous_response_id=first)).status_code == 404
        assert (await ask(client)).json()["id"] == first, "an id is a matter of the request alone"
        assert (await ask(client, previous_response_id=first)).status_code == 200


def test_the_oldest_are_forgotten() -> None:
    memory = Memory()
    for number in range(1025):
        memory.keep(f"resp_{number}", ())
    memory.keep("resp_1", ())
    memory.keep("resp_new", ())
    kept = [f"resp_{number}" for number in range(1025) if _is_known(memory, f"resp_{number}")]
    assert kept == ["resp_1", *(f"resp_{number}" for number in range(3, 1025))]


def _is_known(memory: Memory, id: str) -> bool:
    try:
        memory.conversation({"input": "x", "previous_response_id": id})
    except RefusalError:
        return False
    return True
