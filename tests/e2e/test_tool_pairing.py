"""Tool conversations whose ids were lost between two turns: what upstreams are sent must be paired again.

A first turn is really played: the mock's model calls the tools, and the client keeps of the calls what its
library keeps. Every call is about a city of its own and every result speaks of that city, so that a wrong
pair shows in what the upstream received.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.e2e import natives
from tests.e2e.chats import HELLO, name
from tests.e2e.conftest import World
from tests.e2e.natives import calling, lines_of
from trunkline_mock import ToolCall

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": tool, "parameters": {"type": "object", "properties": {}}}}
    for tool in ("weather", "clock")
]

OPENAI_LIKE = ("openai", "openrouter", "cerebras", "plain")


class Kept(NamedTuple):
    """What a client's library keeps between two turns."""

    call_ids: bool = False
    result_ids: bool = False
    names: bool = False


class Case(NamedTuple):
    """Calls as (tool, city), and the order in which their results are sent."""

    calls: Sequence[tuple[str, str]]
    order: Sequence[int]


ONE = Case([("weather", "Rome")], [0])
SAME = Case([("weather", "Rome"), ("weather", "Oslo")], [0, 1])
TWO = Case([("weather", "Rome"), ("clock", "Oslo")], [0, 1])
TURNED = TWO._replace(order=[1, 0])
MIXED = Case([("weather", "Rome"), ("clock", "Oslo"), ("weather", "Bern")], [1, 0, 2])
SAME_TURNED = SAME._replace(order=[1, 0])

NOTHING, NAMES = Kept(), Kept(names=True)
PYTHON = NAMES
"""The ``ollama`` package has no field for either id, but one for the tool's name."""
ALL, IDS = Kept(call_ids=True, result_ids=True, names=True), Kept(call_ids=True, result_ids=True)


def first_turn(world: World, shape: str, calls: Sequence[tuple[str, str]]) -> list[natives.ToolCall]:
    """The calls that an Ollama client is told of, streamed."""
    script = tuple(ToolCall(tool, {"city": city}) for tool, city in calls)
    body = {"model": name(shape), "messages": HELLO, "tools": TOOLS}
    with world.saying(shape, tool_calls=script), calling(world) as client:
        lines = lines_of(client.post("/api/chat", json=body))
    answers = [msgspec.json.decode(line, type=natives.Chat) for line in lines]
    assert answers[-1].done
    made = [call for answer in answers for call in answer.message.tool_calls]
    told = [(call.function.name, call.function.arguments) for call in made]
    assert told == [(tool, {"city": city}) for tool, city in calls]
    assert len({call.id for call in made}) == len(made)
    return made


def turn(made: Sequence[natives.ToolCall], order: Sequence[int], kept: Kept) -> list[dict[str, Any]]:
    """The assistant's message and the results, as the client sends them back."""
    calls = [
        {"function": {"name": call.function.name, "arguments": call.function.arguments}}
        | ({"id": call.id} if kept.call_ids else {})
        for call in made
    ]
    results = [
        {"role": "tool", "content": f"It is about {made[at].function.arguments['city']}"}
        | ({"tool_name": made[at].function.name} if kept.names else {})
        | ({"tool_call_id": made[at].id} if kept.result_ids else {})
        for at in order
    ]
    return [{"role": "assistant", "content": "", "tool_calls": calls}, *results]


def second_turn(world: World, shape: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that the upstream received."""
    body = {"model": name(shape), "messages": [*HELLO, *messages], "tools": TOOLS, "stream": False}
    with calling(world) as client:
        answer = client.post("/api/chat", json=body)
    assert answer.status_code == 200, answer.text
    assert msgspec.json.decode(answer.content, type=natives.Chat).done_reason == "stop"
    sent: list[dict[str, Any]] = world.mocks[shape].calls[-1].json["messages"]
    return sent


def check_pairs(messages: list[dict[str, Any]]) -> list[str]:
    """The calls' ids; every result stands after its own call, speaks of its city, and no call is left."""
    waiting: dict[str, str] = {}
    ids = []
    for message in messages:
        for call in message.get("tool_calls") or ():
            assert call["type"] == "function"
            assert call["id"] not in ids
            ids.append(call["id"])
            waiting[call["id"]] = json.loads(call["function"]["arguments"])["city"]
        if message["role"] == "tool":
            assert message["content"] == f"It is about {waiting.pop(message['tool_call_id'])}"
    assert not waiting
    return ids


@pytest.mark.parametrize("shape", OPENAI_LIKE)
@pytest.mark.parametrize(
    ("case", "kept"),
    [
        pytest.param(ONE, NOTHING, id="one"),
        pytest.param(ONE, Kept(result_ids=True), id="one, only its result has an id"),
        pytest.param(ONE, Kept(call_ids=True), id="one, only the call has an id"),
        pytest.param(SAME, NOTHING, id="one tool twice, by order"),
        pytest.param(SAME, PYTHON, id="one tool twice, by name and order"),
        pytest.param(TWO, NOTHING, id="two tools, by order"),
        pytest.param(TWO, PYTHON, id="two tools, by name"),
        pytest.param(TURNED, PYTHON, id="two tools, turned round"),
        pytest.param(TURNED, Kept(call_ids=True, names=True), id="two tools, turned round, calls with ids"),
        pytest.param(MIXED, PYTHON, id="two of one and one of another"),
        pytest.param(SAME_TURNED, IDS, id="one tool twice, turned round, by id"),
        pytest.param(MIXED, ALL, id="everything was kept"),
    ],
)
def test_ollama_client_before_openai_upstream(world: World, shape: str, case: Case, kept: Kept) -> None:
    made = first_turn(world, shape, case.calls)
    ids = check_pairs(second_turn(world, shape, turn(made, case.order, kept)))
    assert len(ids) == len(case.calls)
    if kept.call_ids:
        assert ids == [call.id for call in made]


@pytest.mark.parametrize("shape", OPENAI_LIKE)
@pytest.mark.parametrize("kept", [NOTHING, PYTHON], ids=["by order", "by name"])
def test_a_third_turn_pairs_with_the_second(world: World, shape: str, kept: Kept) -> None:
    """The same calls again: new ids, and those of the turn before stay what they were."""
    before = turn(first_turn(world, shape, SAME.calls), SAME.order, kept)
    early = check_pairs(second_turn(world, shape, before))
    cities = [("weather", "Lima"), ("weather", "Cork")]
    after = turn(first_turn(world, shape, cities), [0, 1], kept)
    ids = check_pairs(second_turn(world, shape, [*before, {"role": "user", "content": "more"}, *after]))
    assert ids[:2] == early
    assert len(set(ids)) == 4


def test_ids_that_collide_are_told_apart(world: World) -> None:
    """Some clients make an id of the tool's name."""
    made = [
        natives.ToolCall(natives.Function("weather", {"city": city}), "call_weather")
        for city in ("Rome", "Oslo")
    ]
    ids = check_pairs(second_turn(world, "openai", turn(made, [0, 1], ALL)))
    assert len(set(ids)) == 2


@pytest.mark.parametrize("kept", [NOTHING, PYTHON, IDS, ALL], ids=["nothing", "names", "ids", "all"])
@pytest.mark.parametrize("case", [SAME, TURNED, MIXED], ids=["same", "turned", "mixed"])
def test_ollama_client_before_ollama_upstream(world: World, case: Case, kept: Kept) -> None:
    """Nothing is added: Ollama pairs for itself."""
    messages = turn(first_turn(world, "ollama", case.calls), case.order, kept)
    assert second_turn(world, "ollama", messages) == [*HELLO, *messages]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize(
    "case", [ONE, SAME, SAME_TURNED, TURNED, MIXED], ids=["one", "same", "same turned", "turned", "mixed"]
)
def test_openai_client_before_ollama_upstream(world: World, case: Case, stream: bool) -> None:
    """Ollama is told the tool's name, which OpenAI's clients do not send with a result."""
    calls = [
        {
            "id": f"call_{at}",
            "type": "function",
            "function": {"name": tool, "arguments": json.dumps({"city": city})},
        }
        for at, (tool, city) in enumerate(case.calls)
    ]
    results = [
        {"role": "tool", "tool_call_id": f"call_{at}", "content": f"It is about {case.calls[at][1]}"}
        for at in case.order
    ]
    messages: Any = [*HELLO, {"role": "assistant", "content": None, "tool_calls": calls}, *results]
    tools: Any = TOOLS
    answer: Any = world.client().chat.completions.create(
        model=name("ollama"), messages=messages, tools=tools, stream=stream
    )
    if stream:
        list(answer)
    _, assistant, *sent = world.mocks["ollama"].calls[-1].json["messages"]
    assert [call["id"] for call in assistant["tool_calls"]] == [call["id"] for call in calls]
    functions = [
        (call["function"]["name"], call["function"]["arguments"]) for call in assistant["tool_calls"]
    ]
    assert functions == [(tool, {"city": city}) for tool, city in case.calls]
    assert sent == [
        {
            "role": "tool",
            "content": f"It is about {case.calls[at][1]}",
            "tool_call_id": f"call_{at}",
            "tool_name": case.calls[at][0],
        }
        for at in case.order
    ]
