"""instructor's ways to ask for an object: tools, JSON mode, a schema, JSON within Markdown."""

from typing import Any

import anthropic
import instructor
import openai
from common import KEY, URL, run
from pydantic import BaseModel

OPENAI = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
ANTHROPIC = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)
MESSAGES: list[Any] = [{"role": "user", "content": "Three days in Rome, please."}]


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


def ask(model: str, way: str) -> Any:
    """The object."""
    vendor, _, mode = way.partition("-")
    if vendor == "anthropic":
        client: Any = instructor.from_anthropic(ANTHROPIC, mode=instructor.Mode[mode])
    else:
        client = instructor.from_openai(OPENAI, mode=instructor.Mode[mode])
    given: dict[str, Any] = {"model": model, "response_model": Trip, "messages": MESSAGES, "max_retries": 0}
    if vendor == "anthropic":
        given["max_tokens"] = 500
    if vendor == "stream":
        *_, trip = client.chat.completions.create_partial(**given)
    else:
        trip = client.chat.completions.create(**given)
    return trip.model_dump()


run(ask)
