"""Conversations whose turns stand in another order than vendors take, and items that only one vendor has.

Each client sends what its own library or its own vendor let it have; the upstream must get a request that its
vendor takes, with nothing lost.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.gateways import BEARER, Answer, Running, events, make_settings, post, serving, upstream
from trunkline_mock import MockUpstream, Script, ToolCall

PATCH = '*** Begin Patch\n+ "é" \\ 😀\n*** End Patch'
PDF = "data:application/pdf;base64,JVBERi0="
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
APPLY = {"type": "custom", "name": "apply_patch", "description": "Edits files"}
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "ollama": "/api/chat",
}


@asynccontextmanager
async def asking(shape: str, script: Script | None = None, **more: Any) -> AsyncIterator[Any]:
    """A gateway before one upstream, which is asked by translated requests only."""
    async with MockUpstream(shape, script or Script(text="OK"), models=["gpt-4o"], any_model=True) as mock:
        how = make_settings(
            providers={"plain": upstream(mock, speaks=()) if shape != "ollama" else upstream(mock)}
        )
        async with serving(how) as node:
            yield mock, node


async def ask(node: Running, front: str, body: dict[str, Any]) -> Answer:
    body = {"model": "plain/gpt-4o"} | ({"max_tokens": 99} if front == "messages" else {}) | body
    return await node.ask(post({"stream": False} | body, BEARER, path=PATHS[front]))


def calls_of(message: dict[str, Any]) -> list[Any]:
    """The arguments of an upstream message's calls, in the forms of OpenAI and Ollama."""
    found = [call["function"]["arguments"] for call in message.get("tool_calls") or ()]
    return [json.loads(each) if isinstance(each, str) else each for each in found]


def call(arguments: str) -> list[dict[str, Any]]:
    return [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]


RESULT = {"role": "tool", "tool_call_id": "c1", "content": "4"}
USER, NOTE = {"role": "user", "content": "go"}, {"role": "user", "content": "(note)"}
BETWEEN: dict[str, dict[str, Any]] = {
    "chat": {"messages": [USER, {"role": "assistant", "tool_calls": call("{}")}, NOTE, RESULT]},
    "messages": {
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": {}}]},
            NOTE,
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "4"}]},
        ]
    },
    "responses": {
        "input": [
            USER,
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            NOTE,
            {"type": "function_call_output", "call_id": "c1", "output": "4"},
        ]
    },
    "ollama": {
        "messages": [
            USER,
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            NOTE,
            {"role": "tool", "tool_name": "f", "content": "4"},
        ]
    },
}


TRANSLATED = [
    (front, shape)
    for front in BETWEEN
    for shape in ("generic", "ollama", "anthropic")
    if front != shape and (front, shape) not in (("chat", "generic"), ("messages", "anthropic"))
]


@pytest.mark.parametrize(("front", "shape"), TRANSLATED)
async def test_a_note_between_a_call_and_its_result_comes_after_both(front: str, shape: str) -> None:
    async with asking(shape) as (mock, node):
        answer = await ask(node, front, BETWEEN[front])
        assert answer.status == 200, answer.body
        sent = mock.calls[-1].json["messages"]
    if shape == "anthropic":
        assert [message["role"] for message in sent] == ["user", "assistant", "user"]
        assert [block["type"] for block in sent[2]["content"]] == ["tool_result", "text"]
    else:
        assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
        assert sent[3]["content"] == "(note)"


async def test_system_texts_become_one_in_front() -> None:
    body = {"instructions": "Be brief.", "input": [USER, {"role": "developer", "content": "Be kind."}]}
    async with asking("generic") as (mock, node):
        assert (await ask(node, "responses", body)).status == 200
        assert mock.calls[-1].json["messages"] == [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "go"},
        ]


def _value(arguments: str) -> Any:
    """Arguments as clients send them whose dialect has a value there and no text."""
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments


@pytest.mark.parametrize("shape", ["anthropic", "ollama"])
@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"city": "Ro', {"arguments": '{"city": "Ro'}),
        ("null", {}),
        ("[]", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
    ],
)
async def test_arguments_that_are_no_object_are_sent_as_one(
    shape: str, arguments: str, sent: dict[str, Any]
) -> None:
    item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": arguments}
    result = {"type": "function_call_output", "call_id": "c1", "output": "4"}
    asked: dict[str, dict[str, Any]] = {
        "chat": {"messages": [USER, {"role": "assistant", "tool_calls": call(arguments)}, RESULT]},
        "responses": {"input": [USER, item, result]},
    }
    if shape == "ollama":
        use = {"type": "tool_use", "id": "c1", "name": "f", "input": _value(arguments)}
        found = {"type": "tool_result", "tool_use_id": "c1", "content": "4"}
        turns = [USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [found]}]
        asked["messages"] = {"messages": turns}
    else:
        made = {"id": "c1", "function": {"name": "f", "arguments": _value(arguments)}}
        asked["ollama"] = {"messages": [USER, {"role": "assistant", "tool_calls": [made]}, RESULT]}
    async with asking(shape) as (mock, node):
        for front, body in asked.items():
            answer = await ask(node, front, body)
            assert answer.status == 200, answer.body
            message = mock.calls[-1].json["messages"][1]
            arrived = message["content"][0]["input"] if shape == "anthropic" else calls_of(message)[0]
            assert arrived == sent


async def test_missing_and_orphaned_results_are_mended() -> None:
    messages = [
        USER,
        {"role": "assistant", "tool_calls": call("{}")},
        NOTE,
        {"role": "assistant", "content": "Fine"},
        {"role": "tool", "tool_call_id": "gone", "content": "42 degrees"},
        {"role": "user", "content": "and?"},
    ]
    async with asking("anthropic") as (mock, node):
        assert (await ask(node, "chat", {"messages": messages})).status == 200
        sent = mock.calls[-1].json["messages"]
    assert sent[2]["content"][0]["type"] == "tool_result"
    assert sent[2]["content"][0]["is_error"]
    assert "42 degrees" in json.dumps(sent[4])


def client_call(answer: Answer, streamed: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one call of a response, and the stream's events about it."""
    if not streamed:
        return answer.json["output"][-1], []
    seen = events(answer.body)
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    return seen[-1]["response"]["output"][-1], seen


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("tools", [[APPLY], [APPLY, FUNCTION]], ids=["alone", "beside a function"])
@pytest.mark.parametrize("shape", ["generic", "ollama", "anthropic"])
async def test_a_custom_tool_is_called(shape: str, tools: list[Any], streamed: bool) -> None:
    script = Script(tool_calls=(ToolCall("apply_patch", {"input": PATCH}),), text="")
    async with asking(shape, script) as (mock, node):
        body = {"input": "Mend it", "tools": tools, "stream": streamed}
        answer = await ask(node, "responses", body)
        assert answer.status == 200, answer.body
        offered = mock.calls[-1].json["tools"][0]
        schema = offered.get("input_schema") or offered["function"]["parameters"]
        assert list(schema["properties"]) == ["input"]
        made, seen = client_call(answer, streamed)
        assert (made["type"], made["name"], made["input"]) == ("custom_tool_call", "apply_patch", PATCH)
        if streamed:
            kind = "response.custom_tool_call_input"
            deltas = [event["delta"] for event in seen if event["type"] == f"{kind}.delta"]
            assert "".join(deltas) == PATCH
            assert [event["input"] for event in seen if event["type"] == f"{kind}.done"] == [PATCH]
            assert seen[-1]["response"]["tools"][0] == APPLY
        output = {"type": "custom_tool_call_output", "call_id": made["call_id"], "output": "Done!"}
        mock.script = Script(text="Mended")
        answer = await ask(node, "responses", {"input": [USER, made, output], "tools": tools})
        assert answer.status == 200, answer.body
        sent = mock.calls[-1].json["messages"]
    if shape == "anthropic":
        assert sent[1]["content"][0]["input"] == {"input": PATCH}
        assert sent[2]["content"][0]["content"] == "Done!"
    else:
        assert calls_of(sent[1]) == [{"input": PATCH}]
        assert sent[2]["content"] == "Done!"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_custom_tool_of_the_chat_api_is_called(streamed: bool) -> None:
    script = Script(tool_calls=(ToolCall("apply_patch", {"input": PATCH}),), text="")
    tool = {"type": "custom", "custom": {"name": "apply_patch", "format": {"type": "text"}}}
    async with asking("anthropic", script) as (mock, node):
        answer = await ask(node, "chat", {"messages": [USER], "tools": [tool], "stream": streamed})
        assert answer.status == 200, answer.body
        if streamed:
            deltas = [
                delta
                for event in events(answer.body)[:-1]
                for choice in event["choices"]
                for delta in choice["delta"].get("tool_calls", ())
            ]
            assert deltas[0]["type"] == "custom"
            assert "".join(delta["custom"]["input"] for delta in deltas) == PATCH
            made = {
                "id": deltas[0]["id"],
                "type": "custom",
                "custom": {"name": "apply_patch", "input": PATCH},
            }
        else:
            made = answer.json["choices"][0]["message"]["tool_calls"][0]
            assert made["custom"] == {"name": "apply_patch", "input": PATCH}
        result = {"role": "tool", "tool_call_id": made["id"], "content": "Done!"}
        messages = [USER, {"role": "assistant", "tool_calls": [made]}, result]
        assert (await ask(node, "chat", {"messages": messages, "tools": [tool]})).status == 200
        assert mock.calls[-1].json["messages"][1]["content"][0]["input"] == {"input": PATCH}


CLIENT_TOOLS: list[tuple[dict[str, Any], str, dict[str, Any], str, Any]] = [
    (
        {"type": "apply_patch"},
        "apply_patch",
        {"type": "update_file", "path": "a.py", "diff": "+x"},
        "operation",
        {"status": "failed", "output": "No such file"},
    ),
    (
        {"type": "shell", "environment": {"type": "local"}},
        "shell",
        {"commands": ["ls"]},
        "action",
        {"output": [{"stdout": "No such file", "stderr": "", "outcome": {"type": "exit", "exit_code": 2}}]},
    ),
    (
        {"type": "local_shell"},
        "local_shell",
        {"command": ["ls", "-l"]},
        "action",
        {"output": "No such file"},
    ),
]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("case", CLIENT_TOOLS, ids=lambda case: case[1])
async def test_a_built_in_tool_that_the_client_runs(case: Any, streamed: bool) -> None:
    tool, name, arguments, field, output = case
    async with asking("anthropic", Script(tool_calls=(ToolCall(name, arguments),), text="")) as (mock, node):
        body = {"input": "go", "tools": [tool], "tool_choice": {"type": tool["type"]}, "stream": streamed}
        answer = await ask(node, "responses", body)
        assert answer.status == 200, answer.body
        assert mock.calls[-1].json["tool_choice"] == {"type": "tool", "name": name}
        made, seen = client_call(answer, streamed)
        assert made["type"] == f"{name}_call"
        assert arguments.items() <= made[field].items()
        assert all("function_call" not in event["type"] for event in seen)
        result = {"type": f"{name}_call_output", "call_id": made["call_id"]} | output
        assert (await ask(node, "responses", {"input": [USER, made, result], "tools": [tool]})).status == 200
        sent = mock.calls[-1].json["messages"]
    assert sent[1]["content"][0]["input"] == arguments
    assert "No such file" in sent[2]["content"][0]["content"]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("shape", ["anthropic", "generic", "ollama"])
async def test_a_search_for_tools_that_the_client_runs(shape: str, streamed: bool) -> None:
    search = {"type": "tool_search", "execution": "client", "description": "Finds tools"}
    space = {
        "type": "namespace",
        "name": "house",
        "description": "",
        "tools": [{"type": "function", "name": "f"}],
    }
    async with asking(shape, Script(tool_calls=(ToolCall("tool_search", {"query": "x"}),), text="")) as (
        mock,
        node,
    ):
        answer = await ask(node, "responses", {"input": "go", "tools": [search], "stream": streamed})
        assert answer.status == 200, answer.body
        made, _ = client_call(answer, streamed)
        assert (made["type"], made["execution"]) == ("tool_search_call", "client")
        assert made["arguments"] == {"query": "x"}
        found = {
            "type": "tool_search_output",
            "call_id": made["call_id"],
            "execution": "client",
            "tools": [space],
        }
        mock.script = Script(tool_calls=(ToolCall("house__f", {}),), text="")
        asked = {"input": [USER, made, found], "tools": [search], "stream": streamed}
        answer = await ask(node, "responses", asked)
        assert answer.status == 200, answer.body
        made, _ = client_call(answer, streamed)
        assert (made["type"], made["namespace"], made["name"]) == ("function_call", "house", "f")


async def test_tools_of_anthropics_that_the_client_runs_reach_other_models() -> None:
    tools: list[dict[str, Any]] = [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
        {"type": "memory_20250818", "name": "memory"},
        {"type": "computer_20250124", "name": "computer", "display_width_px": 9, "display_height_px": 9},
    ]
    script = Script(tool_calls=(ToolCall("bash", {"command": "ls"}),), text="")
    async with asking("generic", script) as (mock, node):
        answer = await ask(node, "messages", {"messages": [USER], "tools": tools})
        assert answer.status == 200, answer.body
        assert answer.json["content"][0]["input"] == {"command": "ls"}
        sent = [tool["function"]["name"] for tool in mock.calls[-1].json["tools"]]
    assert sent == [tool["name"] for tool in tools]


@pytest.mark.parametrize("shape", ["generic", "ollama", "anthropic"])
async def test_what_servers_found_goes_on_as_text(shape: str) -> None:
    items: list[dict[str, Any]] = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed",
         "action": {"type": "search", "query": "weather in Rome"}},
        {"type": "code_interpreter_call", "id": "ci_1", "code": "print(6 * 7)", "container_id": "c",
         "outputs": [{"type": "logs", "logs": "42"}], "status": "completed"},
        {"type": "mcp_list_tools", "id": "m", "server_label": "s", "tools": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny"}]},
    ]  # fmt: skip
    async with asking(shape) as (mock, node):
        answer = await ask(node, "responses", {"input": [USER, *items, NOTE]})
        assert answer.status == 200, answer.body
        sent = json.dumps(mock.calls[-1].json["messages"])
    for word in ("weather in Rome", "print(6 * 7)", "42", "Sunny"):
        assert word in sent


@pytest.mark.parametrize("shape", ["generic", "ollama", "openrouter"])
async def test_anthropics_own_searches_and_results_go_on_as_text(shape: str) -> None:
    searched = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "weather in Rome"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [
            {"type": "web_search_result", "url": "http://x", "title": "Roma", "encrypted_content": "SECRET"},
        ]},
        {"type": "text", "text": "Sunny", "citations": []},
    ]  # fmt: skip
    found = {
        "type": "search_result",
        "source": "http://y",
        "title": "Milano",
        "content": [{"type": "text", "text": "Rain in Milan"}],
    }
    uses = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    messages = [
        USER,
        {"role": "assistant", "content": [*searched, uses]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [found]}, found],
        },
    ]
    async with asking(shape) as (mock, node):
        answer = await ask(node, "messages", {"messages": messages})
        assert answer.status == 200, answer.body
        sent = json.dumps(mock.calls[-1].json["messages"])
    for word in ("weather in Rome", "Roma", "Sunny", "http://y", "Milano"):
        assert word in sent
    assert sent.count("Rain in Milan") == 2
    assert "SECRET" not in sent


async def test_a_pdf_as_a_tools_result_is_kept() -> None:
    item = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    file = {"type": "input_file", "filename": "a.pdf", "file_data": PDF}
    result = {"type": "function_call_output", "call_id": "c1", "output": [file]}
    async with asking("anthropic") as (mock, node):
        assert (await ask(node, "responses", {"input": [USER, item, result]})).status == 200
        block = mock.calls[-1].json["messages"][2]["content"][0]["content"][0]
        assert (block["type"], block["source"]["data"]) == ("document", "JVBERi0=")
    async with asking("generic") as (mock, node):
        assert (await ask(node, "responses", {"input": [USER, item, result]})).status == 200
        sent = mock.calls[-1].json["messages"]
        assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
        assert sent[3]["content"][1]["file"]["file_data"] == PDF
    async with asking("ollama") as (mock, node):
        answer = await ask(node, "responses", {"input": [USER, item, result]})
        assert answer.status == 400
        assert "documents" in answer.error["message"]


PLACE = {"city": "Rome", "country": "IT"}
SEARCHES: dict[str, dict[str, Any]] = {
    "chat": {
        "messages": [USER],
        "web_search_options": {"user_location": {"type": "approximate", "approximate": PLACE}},
    },
    "messages": {
        "messages": [USER],
        "tools": [
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "user_location": {"type": "approximate"} | PLACE,
            }
        ],
    },
    "responses": {
        "input": [USER],
        "tools": [{"type": "web_search", "user_location": {"type": "approximate"} | PLACE}],
    },
}


@pytest.mark.parametrize("front", SEARCHES)
async def test_a_search_of_the_web_reaches_vendors_that_have_one(front: str) -> None:
    if front != "messages":
        async with asking("anthropic") as (mock, node):
            answer = await ask(node, front, SEARCHES[front])
            assert answer.status == 200, answer.body
            tool = mock.calls[-1].json["tools"][0]
            assert (tool["type"], tool["name"]) == ("web_search_20250305", "web_search")
            assert tool["user_location"] == {"type": "approximate"} | PLACE
    if front == "chat":
        return  # passes through
    async with asking("openrouter") as (mock, node):
        assert (await ask(node, front, SEARCHES[front])).status == 200
        assert mock.calls[-1].json["plugins"] == [{"id": "web"}]
        assert mock.calls[-1].json["web_search_options"]["user_location"]["approximate"] == PLACE
    async with asking("openai") as (mock, node):
        body = SEARCHES[front] | {"model": "plain/gpt-4o-search-preview"}
        assert (await ask(node, front, body)).status == 200
        assert "user_location" in mock.calls[-1].json["web_search_options"]
        assert "tools" not in mock.calls[-1].json


@pytest.mark.parametrize(
    ("front", "shape", "named"),
    [
        ("chat", "ollama", "web_search_options"),
        ("messages", "generic", "web_search_20250305"),
        ("messages", "openai", "web_search_20250305"),
        ("messages", "ollama", "web_search_20250305"),
        ("responses", "generic", "web_search"),
        ("responses", "ollama", "web_search"),
    ],
)
async def test_a_search_that_nobody_can_make_is_refused_by_name(front: str, shape: str, named: str) -> None:
    async with asking(shape) as (mock, node):
        answer = await ask(node, front, SEARCHES[front])
        assert answer.status == 400
        assert f"'{named}'" in answer.json["error"]["message"]
        assert not mock.calls


async def test_a_search_that_a_responses_client_insists_on() -> None:
    body = SEARCHES["responses"] | {"tool_choice": {"type": "web_search"}}
    body["tools"] = [*body["tools"], FUNCTION]
    async with asking("anthropic") as (mock, node):
        answer = await ask(node, "responses", body)
        assert answer.json["tool_choice"] == {"type": "web_search"}
        assert mock.calls[-1].json["tool_choice"] == {"type": "tool", "name": "web_search"}
    async with asking("ollama") as (mock, node):
        assert (await ask(node, "responses", body)).status == 400


async def test_a_search_beside_other_tools_may_be_left_out_of_a_responses_request() -> None:
    """Codex offers it with every request."""
    body = {"input": "go", "tools": [{"type": "web_search"}, FUNCTION]}
    async with asking("generic") as (mock, node):
        assert (await ask(node, "responses", body)).status == 200
        assert [tool["function"]["name"] for tool in mock.calls[-1].json["tools"]] == ["f"]


@pytest.mark.parametrize(
    ("front", "tool", "named"),
    [
        ("messages", {"type": "mcp_toolset", "mcp_server_name": "x"}, "mcp_toolset"),
        (
            "messages",
            {"type": "code_execution_20250825", "name": "code_execution"},
            "code_execution_20250825",
        ),
        ("responses", {"type": "file_search", "vector_store_ids": ["v"]}, "file_search"),
        ("responses", {"type": "mcp", "server_label": "x"}, "mcp"),
        ("chat", {"type": "tool_of_tomorrow"}, "tool_of_tomorrow"),
    ],
)
async def test_an_unknown_tool_is_refused_by_name(front: str, tool: dict[str, Any], named: str) -> None:
    said = {"input": "go"} if front == "responses" else {"messages": [USER]}
    async with asking("ollama") as (_, node):
        answer = await ask(node, front, said | {"tools": [tool]})
    assert answer.status == 400
    assert f"'{named}'" in answer.json["error"]["message"]
