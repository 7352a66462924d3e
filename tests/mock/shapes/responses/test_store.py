"""Conversations that continue a stored response."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from trunkline_mock import Script, ToolCall
from trunkline_mock.shapes import VendorError
from trunkline_mock.shapes.responses.store import ResponseStore

from ..http_client import mock_client


async def create(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/responses", json={"model": "gpt-4o", "input": "more of it"} | fields)


async def test_a_response_continues_another_one() -> None:
    async with mock_client("openai") as client:
        first = (await create(client, input="one two three")).json()
        assert first["usage"]["input_tokens"] == 3
        second = (await create(client, previous_response_id=first["id"])).json()
        assert second["previous_response_id"] == first["id"]
        output_tokens = first["usage"]["output_tokens"]
        assert second["usage"]["input_tokens"] == 3 + output_tokens + 3
        third = (await create(client, previous_response_id=second["id"])).json()
        assert third["usage"]["input_tokens"] == 3 + output_tokens + 3 + second["usage"]["output_tokens"] + 3


async def test_a_request_with_only_a_tool_result() -> None:
    script = Script(tool_calls=(ToolCall("f", {}),))
    async with mock_client("openai", scripts=[script]) as client:
        first = (await create(client)).json()
        result = {
            "type": "function_call_output",
            "call_id": first["output"][0]["call_id"],
            "output": "42",
        }
        answer = await create(client, input=[result], previous_response_id=first["id"])
        assert answer.json()["output"][0]["content"][0]["text"] == "gpt-4o heard: more of it"
        without_result = await create(client, previous_response_id=first["id"])
    assert without_result.status_code == 400
    assert "No tool output found for function call call_" in without_result.json()["error"]["message"]


@pytest.mark.parametrize(
    ("first_request", "stored"),
    [({}, True), ({"stream": True}, True), ({"store": False}, False), (None, False)],
)
async def test_only_stored_responses_can_be_continued(
    first_request: dict[str, Any] | None, stored: bool
) -> None:
    async with mock_client("openai") as client:
        response_id = "resp_never"
        if first_request is not None:
            first = await create(client, **first_request)
            response_id = first.text.partition('"id":"')[2].partition('"')[0]
            assert response_id.startswith("resp_")
        answer = await create(client, previous_response_id=response_id)
        if stored:
            assert answer.status_code == 200
            return
    assert answer.status_code == 404
    assert answer.json()["error"] == {
        "message": f"Previous response with id '{response_id}' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": "previous_response_not_found",
    }


async def test_a_failed_response_is_not_stored() -> None:
    async with mock_client("openai", scripts=[Script(finish_reason="error")]) as client:
        failed = (await create(client)).json()
        assert failed["status"] == "failed"
        assert (await create(client, previous_response_id=failed["id"])).status_code == 404


async def test_a_stored_item_can_be_referred_to() -> None:
    async with mock_client("openai") as client:
        first = (await create(client, input="one two three")).json()
        reference = {"type": "item_reference", "id": first["output"][0]["id"]}
        body: list[Any] = [reference, {"role": "user", "content": "and"}]
        answer = (await create(client, input=body)).json()
        assert answer["usage"]["input_tokens"] == first["usage"]["output_tokens"] + 1
        missing = await create(client, input=[reference | {"id": "msg_never"}])
        assert (missing.status_code, missing.json()["error"]["param"]) == (404, "input")


async def test_a_request_that_refers_to_a_stored_response_is_not_cached() -> None:
    async with mock_client("openai") as client:
        first = (await create(client)).json()["id"]
    async with mock_client("openai") as client:
        assert (await create(client, previous_response_id=first)).status_code == 404
        assert (await create(client)).json()["id"] == first, "an id depends only on the request"
        assert (await create(client, previous_response_id=first)).status_code == 200


def test_the_oldest_responses_are_dropped() -> None:
    store = ResponseStore()
    for number in range(1025):
        store.save(f"resp_{number}", ())
    store.save("resp_1", ())
    store.save("resp_new", ())
    stored = [f"resp_{number}" for number in range(1025) if _is_stored(store, f"resp_{number}")]
    assert stored == ["resp_1", *(f"resp_{number}" for number in range(3, 1025))]


def _is_stored(store: ResponseStore, id: str) -> bool:
    try:
        store.conversation({"input": "x", "previous_response_id": id})
    except VendorError:
        return False
    return True
