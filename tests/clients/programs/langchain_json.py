"""LangChain's ways to ask for an object, by its classes for OpenAI and for Ollama."""

from typing import Any

from common import KEY, URL, run
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Trip(BaseModel):
    """A trip."""

    city: str
    days: int


def ask(model: str, way: str) -> Any:
    """The object."""
    vendor, _, method = way.partition("-")
    chat: Any
    if vendor == "ollama":
        chat = ChatOllama(
            model=model, base_url=URL, client_kwargs={"headers": {"Authorization": f"Bearer {KEY}"}}
        )
    else:
        chat = ChatOpenAI(
            model=model,
            base_url=f"{URL}/v1",
            api_key=KEY,
            max_retries=0,
            use_responses_api=vendor == "responses",
        )
    trip = chat.with_structured_output(Trip, method=method).invoke(
        "Three days in Rome, please. Answer as JSON with city and days."
    )
    return trip.model_dump()


run(ask)
