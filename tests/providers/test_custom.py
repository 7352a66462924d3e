from __future__ import annotations

import re
import time

import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat import ChatCompletionChunk as OpenAIChunk

from trunkline.providers.custom import ANSWER, CustomProcessingProvider
from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatMessage,
    Usage,
)

ID = re.compile(r"chatcmpl-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _ask(model: str = "custom", content: str = "Hi", **fields: object) -> ChatCompletionRequest:
    messages = [ChatMessage(role="user", content=content)]
    return ChatCompletionRequest.model_validate({"model": model, "messages": messages, **fields})


async def _stream(request: ChatCompletionRequest) -> list[ChatCompletionChunk]:
    return [chunk async for chunk in CustomProcessingProvider().stream_chat_completions(request)]


async def test_the_answers_form() -> None:
    before = int(time.time())
    answer = await CustomProcessingProvider().chat_completions(_ask())
    assert isinstance(answer, ChatCompletionResponse)
    assert ID.fullmatch(answer.id)
    assert answer.object == "chat.completion"
    assert type(answer.created) is int
    assert before <= answer.created <= time.time()
    assert answer.usage == Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
    (choice,) = answer.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert (choice.message.role, choice.message.content) == ("assistant", ANSWER)
    ChatCompletion.model_validate_json(answer.model_dump_json(exclude_none=True), strict=False)


@pytest.mark.parametrize("model", ["custom", "gpt-4o", "ollama:llama2:7b"])
async def test_the_model_is_the_one_that_was_asked_for(model: str) -> None:
    assert (await CustomProcessingProvider().chat_completions(_ask(model))).model == model
    assert {chunk.model for chunk in await _stream(_ask(model))} == {model}


async def test_it_is_deterministic() -> None:
    provider = CustomProcessingProvider()
    one = await provider.chat_completions(_ask())
    two = await provider.chat_completions(_ask(content="Something else", temperature=1.9, seed=7))
    assert one.choices == two.choices
    assert one.id != two.id
    assert [chunk.choices for chunk in await _stream(_ask())] == [
        chunk.choices for chunk in await _stream(_ask(content="Else"))
    ]


async def test_the_stream_is_the_answer_in_pieces() -> None:
    chunks = await _stream(_ask(stream=True))
    assert len(chunks) == len(ANSWER.split()) + 1
    assert "".join(chunk.choices[0].delta.get("content", "") for chunk in chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert len({(chunk.id, chunk.created, chunk.object) for chunk in chunks}) == 1
    assert ID.fullmatch(chunks[0].id)
    assert (chunks[0].object, chunks[-1].usage) == ("chat.completion.chunk", Usage())
    for chunk in chunks:
        OpenAIChunk.model_validate_json(chunk.model_dump_json(), strict=True)


def test_it_names_its_model() -> None:
    assert CustomProcessingProvider().list_models() == ["custom"]


def test_a_messages_text_is_that_of_its_text_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert [ChatMessage(role="user", content=each).text for each in ("a", parts, None)] == ["a", "ab", ""]
