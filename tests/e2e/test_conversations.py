"""Conversations of the Responses API, as OpenAI's own client uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from pydantic import SecretStr

from tests.gateways import GUARD, KEY, make_settings, serving, upstream
from trunkline_mock import MockUpstream, Script

OTHER = "gw_" + "o" * 43


@pytest.fixture
async def mock() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("generic", Script(text="384,400 km"), models=["gpt-4o"]) as running:
        yield running


@pytest.fixture
async def clients(mock: MockUpstream) -> AsyncIterator[list[openai.AsyncOpenAI]]:
    """Of two keys."""
    keys = (SecretStr(KEY), SecretStr(OTHER))
    async with serving(make_settings(allowed_api_keys=keys, providers={"plain": upstream(mock)})) as node:
        made = [
            openai.AsyncOpenAI(base_url=f"{node.url}/v1", api_key=key, max_retries=0, timeout=GUARD)
            for key in (KEY, OTHER)
        ]
        yield made
        for each in made:
            await each.close()


async def test_responses_go_on_in_a_conversation(
    mock: MockUpstream, clients: list[openai.AsyncOpenAI]
) -> None:
    client, _ = clients
    hello: Any = {"type": "message", "role": "user", "content": "I am Ann."}
    conversation = await client.conversations.create(items=[hello], metadata={"topic": "moon"})
    first = await client.responses.create(model="gpt-4o", input="How far?", conversation=conversation.id)
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    async with client.responses.stream(
        model="gpt-4o", input="In miles?", conversation={"id": conversation.id}
    ) as stream:
        await stream.get_final_response()
    sent = [(each["role"], each["content"]) for each in mock.calls[-1].json["messages"]]
    assert sent == [
        ("user", "I am Ann."),
        ("user", "How far?"),
        ("assistant", "384,400 km"),
        ("user", "In miles?"),
    ]
    items = await client.conversations.items.list(conversation.id, order="asc", limit=100)
    kinds = [(item.type, getattr(item, "role", None)) for item in items.data]
    assert kinds == [("message", role) for role in ("user", "user", "assistant", "user", "assistant")]
    assert len({item.id for item in items.data}) == 5


async def test_items_are_added_read_and_deleted(
    mock: MockUpstream, clients: list[openai.AsyncOpenAI]
) -> None:
    client, _ = clients
    conversation = await client.conversations.create()
    hello: Any = {"type": "message", "role": "user", "content": "I am Ann."}
    added = await client.conversations.items.create(conversation.id, items=[hello, hello])
    one, two = (item.id or "" for item in added.data)
    got: Any = await client.conversations.items.retrieve(one, conversation_id=conversation.id)
    assert got.content[0].text == "I am Ann."
    await client.conversations.items.delete(one, conversation_id=conversation.id)
    with pytest.raises(openai.NotFoundError, match="not found in this conversation"):
        await client.conversations.items.retrieve(one, conversation_id=conversation.id)
    (left,) = (await client.conversations.items.list(conversation.id)).data
    assert left.id == two
    changed = await client.conversations.update(conversation.id, metadata={"a": "b"})
    assert (await client.conversations.retrieve(conversation.id)).metadata == changed.metadata == {"a": "b"}
    assert (await client.conversations.delete(conversation.id)).deleted
    with pytest.raises(openai.NotFoundError, match="not found"):
        await client.conversations.retrieve(conversation.id)


async def test_a_conversation_is_its_keys_alone(
    mock: MockUpstream, clients: list[openai.AsyncOpenAI]
) -> None:
    client, other = clients
    conversation = await client.conversations.create()
    for ask in (other.conversations.retrieve, other.conversations.delete, other.conversations.items.list):
        with pytest.raises(openai.NotFoundError, match=f"'{conversation.id}' not found"):
            await ask(conversation.id)
    with pytest.raises(openai.NotFoundError, match="not found"):
        await other.responses.create(model="gpt-4o", input="And?", conversation=conversation.id)
    assert mock.calls == []


async def test_a_wrong_request_says_what_is_wrong(
    mock: MockUpstream, clients: list[openai.AsyncOpenAI]
) -> None:
    client, _ = clients
    conversation = await client.conversations.create()
    first = await client.responses.create(model="gpt-4o", input="How far?")
    asked: dict[str, Any] = {"model": "gpt-4o", "input": "And?", "conversation": conversation.id}
    with pytest.raises(openai.BadRequestError, match="Mutually exclusive"):
        await client.responses.create(**asked, previous_response_id=first.id)
    with pytest.raises(openai.BadRequestError, match="'conversation'"):
        await client.responses.create(**asked | {"conversation": 7})
    many: Any = [{"role": "user", "content": "x"}] * 21
    wrong: Any = {"a": 1}
    for items in (many, wrong):
        with pytest.raises(openai.BadRequestError, match="'items'"):
            await client.conversations.create(items=items)
    with pytest.raises(openai.APIStatusError) as caught:
        await client.delete(f"/conversations/{conversation.id}/items", cast_to=object)
    assert caught.value.status_code == 405
    with pytest.raises(openai.NotFoundError, match="nothing at this path"):
        await client.get(f"/conversations/{conversation.id}/other", cast_to=object)
