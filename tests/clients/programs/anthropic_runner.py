"""Anthropic's tool runner: with a thread that the server holds, and without one; whole and streamed."""

from typing import Any

import anthropic
from anthropic import beta_tool
from common import KEY, QUESTIONS, URL, run, sky

client = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)


@beta_tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return sky(city)


def ask(model: str, way: str) -> list[str]:
    """The last text of each turn."""
    texts = []
    messages: list[Any] = []
    thinking: Any = anthropic.omit
    if "thinking" in way:  # threads take no budget
        bound = {"type": "enabled", "budget_tokens": 1024}
        thinking = {"type": "adaptive"} if "thread" in way else bound
    for question in QUESTIONS:
        messages.append({"role": "user", "content": question})
        runner = client.beta.messages.tool_runner(
            model=model,
            max_tokens=2048,
            system="Be brief.",
            tools=[weather],
            messages=messages,
            thinking=thinking,
            stream="stream" in way,
            **({} if "thread" in way else {"thread": False}),
        )
        for answer in runner:
            message = answer.get_final_message() if "stream" in way else answer
            messages.append({"role": "assistant", "content": message.content})
            results = runner.generate_tool_call_response()
            if results is not None:
                messages.append(results)
        texts.append("".join(block.text for block in message.content if block.type == "text"))
    return texts


run(ask)
