"""Python's clients, unmodified, each in every way that it has to ask, in front of five strict mocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from tests.clients.house import ONE_CALL, PROMPTED, WEATHER, Talk, house, lost
from trunkline_mock import Script, ToolCall

CONVERSATIONS: Final[Mapping[str, Mapping[str, Talk]]] = {
    "anthropic_runner": dict.fromkeys(
        ("whole-thinking", "stream", "whole-thread", "stream-thread-thinking"), WEATHER
    ),
    "llm_command": dict.fromkeys(("whole", "stream"), WEATHER),
    "litellm_ollama": {
        **dict.fromkeys(("ollama-whole", "ollama-stream"), PROMPTED),
        "ollama_chat-whole": WEATHER,
        "ollama_chat-stream": ONE_CALL,  # it joins calls that come in two lines, as Ollama itself sends them
    },
    "openai_agents": dict.fromkeys(
        (
            *("responses-list", "responses-list-stream", "responses-session", "responses-previous"),
            *("chat-list", "chat-list-stream"),
        ),
        WEATHER,
    ),
    "pydantic_ai_agent": dict.fromkeys(
        (
            *("chat-whole", "chat-stream", "responses-whole", "responses-stream"),
            *("anthropic-whole", "anthropic-stream", "ollama-whole"),
        ),
        WEATHER,
    ),
}
"""Clients with tools over two turns, and the ways in which each asks."""

TRIP: Final = {"city": "Rome", "days": 3}
TEXT: Final = Script(text='{"city": "Rome", "days": 3}')
CALL: Final = Script(tool_calls=(ToolCall("Trip", TRIP),), text="")

OBJECTS: Final = {
    "instructor_json": {
        "openai-TOOLS": CALL,
        "openai-JSON": TEXT,
        "openai-JSON_SCHEMA": TEXT,
        "openai-MD_JSON": Script(text='```json\n{"city": "Rome", "days": 3}\n```'),
        "stream-JSON": TEXT,
        "anthropic-ANTHROPIC_TOOLS": CALL,
        "anthropic-ANTHROPIC_JSON": TEXT,
    },
    "langchain_json": {
        "openai-json_mode": TEXT,
        "openai-json_schema": TEXT,
        "openai-function_calling": CALL,
        "responses-json_mode": TEXT,
        "responses-json_schema": TEXT,
        "ollama-json_mode": TEXT,
        "ollama-json_schema": TEXT,
        "ollama-function_calling": CALL,
    },
    "pydantic_ai_agent": {
        "chat-tool": CALL,
        "chat-native": TEXT,
        "chat-prompted": TEXT,
        "responses-native": TEXT,
        "anthropic-tool": CALL,
        "ollama-native": TEXT,
    },
}
"""Clients that ask for an object, the ways in which each asks, and what the model answers."""


def python_of(client: str) -> str:
    """The set of clients that a program needs."""
    return "instructor" if client.startswith("instructor") else "most"


def unlike(answers: Mapping[str, Mapping[str, Any]], right: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """The answers that are not ``right`` for their way, by shape and way."""
    return {
        (shape, way): said
        for shape, said_by in answers.items()
        for way, said in said_by.items()
        if said != right[way]
    }


@pytest.mark.long
@pytest.mark.parametrize("client", CONVERSATIONS)
async def test_two_turns_with_tools_and_thinking(client: str) -> None:
    talks = CONVERSATIONS[client]
    async with house([script for talk in talks.values() for script in talk.scripts]) as there:
        answers = await there.ask(client, tuple(talks), python_of(client))
        assert unlike(answers, {way: talk.said for way, talk in talks.items()}) == {}
        assert there.refused() == {}
        for shape, mock in there.mocks.items():
            taken = iter(mock.calls)
            for way, talk in talks.items():
                *_, last = (next(taken) for _ in talk.scripts)
                assert lost(last, talk.texts) == [], (shape, way, last.json)
            assert list(taken) == []


@pytest.mark.long
@pytest.mark.parametrize("client", OBJECTS)
async def test_an_object(client: str) -> None:
    ways = OBJECTS[client]
    async with house(tuple(ways.values())) as there:
        answers = await there.ask(client, tuple(ways), python_of(client))
        assert unlike(answers, dict.fromkeys(ways, TRIP)) == {}
        assert there.refused() == {}
        assert {shape: len(mock.calls) for shape, mock in there.mocks.items()} == dict.fromkeys(
            there.mocks, len(ways)
        )
