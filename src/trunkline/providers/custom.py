"""The embedded provider: deterministic, no network, and the example of a Python provider.

It makes a fresh install answer something true about itself. It is never a silent fallback: only the model
``custom``, or ``PREFERRED_PROVIDER=custom``, leads here.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from typing import Final

from trunkline.providers.schemas import (
    ChatCompletionChunk,
    ChatCompletionRequest,
    ChatCompletionResponse,
    ChatMessage,
    Choice,
    ChoiceDelta,
    Usage,
)

ANSWER: Final = (
    "This is Trunkline's built-in model. Your request arrived, was authenticated and was answered without "
    "any network. Set OLLAMA_BASE_URL or OPENROUTER_API_KEY to reach real models through the same address."
)


class CustomProcessingProvider:
    """Answers every chat request with the same text, under the model name that was asked for."""

    answers_any_name = True

    async def chat_completions(self, req: ChatCompletionRequest) -> ChatCompletionResponse:
        """The answer, whole. Usage is zero: no model ran."""
        return ChatCompletionResponse(
            id=f"chatcmpl-{uuid.uuid4()}",
            created=int(time.time()),
            model=req.model,
            choices=[Choice(message=ChatMessage(role="assistant", content=ANSWER), finish_reason="stop")],
            usage=Usage(),
        )

    async def stream_chat_completions(self, req: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]:
        """The answer, word by word."""
        name, created = f"chatcmpl-{uuid.uuid4()}", int(time.time())

        def chunk(delta: dict[str, str], finish_reason: str | None = None) -> ChatCompletionChunk:
            choice = ChoiceDelta(delta=delta, finish_reason=finish_reason)
            return ChatCompletionChunk(id=name, created=created, model=req.model, choices=[choice])

        for index, word in enumerate(ANSWER.split(" ")):
            yield chunk({"content": word if index == 0 else f" {word}"})
        last = chunk({}, "stop")
        last.usage = Usage()
        yield last

    def list_models(self) -> list[str]:
        """Its only model."""
        return ["custom"]
