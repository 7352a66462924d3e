"""OpenAI's agents SDK: its default, Responses, and chat completions; the history by four ways."""

import asyncio
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from common import KEY, QUESTIONS, URL, run, sky
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

set_tracing_disabled(True)


@function_tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return sky(city)


async def converse(model: str, way: str) -> list[str]:
    """The last text of each turn."""
    async with AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0) as client:
        kind = OpenAIChatCompletionsModel if way.startswith("chat") else OpenAIResponsesModel
        agent: Any = Agent(
            name="Weatherman",
            instructions="Be brief.",
            tools=[weather],
            model=kind(model=model, openai_client=client),
            model_settings=ModelSettings(reasoning=Reasoning(effort="low")),
        )
        texts = []
        history: list[Any] = []
        more: dict[str, Any] = {"session": SQLiteSession("s")} if "session" in way else {}
        for question in QUESTIONS:
            asked: Any = question if "list" not in way else [*history, {"role": "user", "content": question}]
            if "stream" in way:
                result: Any = Runner.run_streamed(agent, asked, **more)
                async for _ in result.stream_events():
                    pass
            else:
                result = await Runner.run(agent, asked, **more)
            if "previous" in way:
                more = {"previous_response_id": result.last_response_id}
            history = result.to_input_list()
            texts.append(str(result.final_output))
        return texts


run(lambda model, way: asyncio.run(converse(model, way)))
