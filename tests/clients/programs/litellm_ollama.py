"""LiteLLM's two providers for Ollama, with tools: ``ollama/`` and ``ollama_chat/``."""

import json
import os
from typing import Any

from common import KEY, QUESTIONS, URL, run, sky

os.environ["OLLAMA_API_KEY"] = KEY  # for questions beside those that have it as an argument

import litellm

litellm.suppress_debug_info = True

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


def ask(model: str, way: str) -> list[str]:
    """The last text of each turn."""
    provider, _, how = way.partition("-")
    texts = []
    messages: list[Any] = [{"role": "system", "content": "Be brief."}]
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        while True:
            given: dict[str, Any] = {"model": f"{provider}/{model}", "messages": messages, "tools": [TOOL]}
            answer: Any = litellm.completion(
                api_base=URL, api_key=KEY, num_retries=0, stream=how == "stream", **given
            )
            if how == "stream":
                answer = litellm.stream_chunk_builder(list(answer), messages=messages)
            message = answer.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                city = json.loads(call.function.arguments)["city"]
                messages.append({"role": "tool", "tool_call_id": call.id, "content": sky(city)})
        texts.append(message.content)
    return texts


run(ask)
