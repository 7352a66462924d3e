"""pydantic-ai with its models for chat completions, Responses, Anthropic and Ollama."""

import asyncio
from typing import Any

from anthropic import AsyncAnthropic
from common import KEY, QUESTIONS, URL, run, sky
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.ollama import OllamaProvider
from pydantic_ai.providers.openai import OpenAIProvider


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


OUTPUTS: dict[str, Any] = {
    "tool": ToolOutput(Trip, name="Trip"),
    "native": NativeOutput(Trip),
    "prompted": PromptedOutput(Trip),
}


async def converse(model: str, way: str) -> Any:
    """The last text of each turn, or an object."""
    api, _, how = way.partition("-")
    async with (
        AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0) as client,
        AsyncAnthropic(base_url=URL, api_key=KEY, max_retries=0) as other,
    ):
        settings: Any = None
        if api == "anthropic":
            made: Any = AnthropicModel(model, provider=AnthropicProvider(anthropic_client=other))
            settings = {
                "max_tokens": 2048,
                "anthropic_thinking": {"type": "enabled", "budget_tokens": 1024},
            }
        elif api == "responses":
            made = OpenAIResponsesModel(model, provider=OpenAIProvider(openai_client=client))
            settings = {"openai_reasoning_effort": "low"}
        else:
            provider = OpenAIProvider if api == "chat" else OllamaProvider
            made = OpenAIChatModel(model, provider=provider(openai_client=client))
            settings = {"openai_reasoning_effort": "low"} if api == "chat" else None
        if how in OUTPUTS:
            settings = {"max_tokens": 500} if api == "anthropic" else None
            asked: Any = Agent(made, output_type=OUTPUTS[how], model_settings=settings)
            return (await asked.run("Three days in Rome, please.")).output.model_dump()
        agent = Agent(made, instructions="Be brief.", model_settings=settings)

        @agent.tool_plain
        def weather(city: str) -> str:
            """The weather in a city."""
            return sky(city)

        texts = []
        history: Any = None
        for question in QUESTIONS:
            if how == "stream":
                async with agent.run_stream(question, message_history=history) as result:
                    texts.append(await result.get_output())
                    history = result.all_messages()
            else:
                done = await agent.run(question, message_history=history)
                texts.append(done.output)
                history = done.all_messages()
        return texts


run(lambda model, way: asyncio.run(converse(model, way)))
