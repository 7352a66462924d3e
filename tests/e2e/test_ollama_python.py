"""PyPI's ``ollama``, both its clients, against a fleet and a cloud behind one gateway."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import ollama
import pytest

from tests.e2e.conftest import GUARD
from tests.e2e.fleet import CLOUD, LOCAL, MODELS, Fleet
from trunkline_mock.script import ToolCall

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HELLO = [{"role": "user", "content": "Hello!"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather at a place.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}

models = pytest.mark.parametrize("model", MODELS, ids=["local", "cloud"])


class Client:
    """Either of the library's clients, asked alike."""

    def __init__(self, kind: str, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        made = ollama.Client if kind == "sync" else ollama.AsyncClient
        self._inner: Any = made(host=url, headers=headers, timeout=GUARD)
        self._loop = asyncio.new_event_loop() if kind == "async" else None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        return lambda *args, **more: self._finish(method(*args, **more))

    def _finish(self, found: Any) -> Any:
        if self._loop is None:
            return found if not inspect.isgenerator(found) else list(found)
        return self._loop.run_until_complete(self._gather(found))

    async def _gather(self, found: Any) -> Any:
        answer = await found
        return [each async for each in answer] if inspect.isasyncgen(answer) else answer

    def close(self) -> None:
        if self._loop is None:
            self._inner._client.close()
        else:
            self._loop.run_until_complete(self._inner._client.aclose())
            self._loop.close()


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(fleet: Fleet, kind: str) -> Iterator[Client]:
    """With an admin's key."""
    made = Client(kind, fleet.url, fleet.admin)
    yield made
    made.close()


@pytest.fixture
def member(fleet: Fleet, kind: str) -> Iterator[Client]:
    """With a member's."""
    made = Client(kind, fleet.url, fleet.member)
    yield made
    made.close()


def held(fleet: Fleet, model: str) -> list[bool]:
    """Which of the servers have the model."""
    wanted = model if ":" in model else f"{model}:latest"
    tags = [httpx.get(f"{server.base_url}/api/tags").json()["models"] for server in fleet.servers]
    return [wanted in {tag["model"] for tag in each} for each in tags]


def test_the_list_has_local_and_cloud_models(client: Client) -> None:
    listed = {model.model: model for model in client.list().models}
    local, cloud = listed[f"{LOCAL}:latest"], listed[f"{CLOUD}:latest"]
    assert local.size > 0
    assert len(local.digest) == len(cloud.digest) == 64
    assert local.modified_at is not None
    assert cloud.modified_at is not None
    assert local.details.family == "llama"
    assert cloud.details.family == "gpt"


@models
def test_show(client: Client, model: str) -> None:
    shown = client.show(model)
    architecture = shown.modelinfo["general.architecture"]
    assert shown.modelinfo[f"{architecture}.context_length"] > 4096
    assert {"completion", "tools"} <= set(shown.capabilities)
    assert shown.template


@models
def test_chat(client: Client, fleet: Fleet, model: str) -> None:
    with fleet.watching(model) as seen:
        answer = client.chat(model, HELLO, options={"num_predict": 7, "num_ctx": 2048, "seed": 3})
    assert answer.message.content.endswith("heard: Hello!")
    assert (answer.done, answer.done_reason) == (True, "stop")
    assert answer.prompt_eval_count > 0
    assert answer.eval_count > 0
    assert answer.total_duration > 0
    (body,) = seen
    if model == LOCAL:
        assert body["options"] == {"num_predict": 7, "num_ctx": 2048, "seed": 3}
    else:
        assert (body["max_tokens"], body["seed"]) == (7, 3)
        assert "num_ctx" not in str(body)


@models
def test_a_streamed_chat(client: Client, fleet: Fleet, model: str) -> None:
    with fleet.saying(text="One two three four."):
        chunks = client.chat(model, HELLO, stream=True)
    assert "".join(chunk.message.content for chunk in chunks) == "One two three four."
    assert [chunk.done for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert len(chunks) > 2
    assert chunks[-1].done_reason == "stop"
    assert chunks[-1].eval_count > 0


@models
def test_generate(client: Client, fleet: Fleet, model: str) -> None:
    with fleet.watching(model) as seen:
        answer = client.generate(
            model, "Hello!", system="Be brief.", images=[PNG] if model == CLOUD else None
        )
    assert "heard: Hello!" in answer.response
    assert answer.done
    (body,) = seen
    if model == LOCAL:
        assert (body["prompt"], body["system"]) == ("Hello!", "Be brief.")
        assert answer.context
    else:
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert body["messages"][1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")


@models
def test_a_streamed_generate(client: Client, model: str) -> None:
    chunks = client.generate(model, "Hello!", stream=True)
    assert "".join(chunk.response for chunk in chunks).endswith("heard: Hello!")
    assert chunks[-1].done


def test_what_only_ollama_knows_survives(client: Client, fleet: Fleet) -> None:
    with fleet.watching(LOCAL) as seen:
        client.generate("qwen2.5-coder", "def f(", suffix="return 1", keep_alive="7m")
        client.generate(LOCAL, "Hi", raw=True)
        client.generate(LOCAL, "Hi", context=[1, 2, 3], keep_alive=90)
    assert ("return 1", "7m") in [(body.get("suffix"), body.get("keep_alive")) for body in seen]
    assert True in [body.get("raw") for body in seen]
    assert ([1, 2, 3], 90) in [(body.get("context"), body.get("keep_alive")) for body in seen]


@models
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_conversation_with_tools(client: Client, fleet: Fleet, model: str, stream: bool) -> None:
    calls = (ToolCall("weather", {"city": "Oslo"}), ToolCall("weather", {"city": "Rome"}))
    messages: list[Any] = list(HELLO)
    with fleet.saying(tool_calls=calls, text=""):
        answer = client.chat(model, messages, tools=[WEATHER], stream=stream)
    answers = answer if stream else [answer]
    told = [call for each in answers for call in each.message.tool_calls or ()]
    assert [call.function.arguments for call in told] == [{"city": "Oslo"}, {"city": "Rome"}]
    messages.append({"role": "assistant", "tool_calls": [call.model_dump() for call in told]})
    messages += [
        {"role": "tool", "tool_name": "weather", "content": f"rain in {call.function.arguments['city']}"}
        for call in told
    ]
    with fleet.watching(model) as seen:
        assert client.chat(model, messages, tools=[WEATHER]).done
    asked, *results = seen[0]["messages"][1:]
    assert [result["content"] for result in results] == ["rain in Oslo", "rain in Rome"]
    if model == CLOUD:
        ids = [call["id"] for call in asked["tool_calls"]]
        assert [result["tool_call_id"] for result in results] == ids
        assert len(set(ids)) == 2


@models
def test_images(client: Client, fleet: Fleet, model: str) -> None:
    model = "gemma3:4b" if model == LOCAL else model
    with fleet.watching(model) as seen:
        client.chat(model, [{"role": "user", "content": "What is it?", "images": [PNG]}])
    (message,) = seen[0]["messages"]
    if model == CLOUD:
        assert message["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    else:
        assert base64.b64decode(message["images"][0]) == PNG


@pytest.mark.parametrize("model", ["qwen3:8b", CLOUD], ids=["local", "cloud"])
def test_thinking(client: Client, fleet: Fleet, model: str) -> None:
    with fleet.saying(thinking="Hm, let me see.", text="Yes."), fleet.watching(model) as seen:
        whole = client.chat(model, HELLO, think=True)
        chunks = client.chat(model, HELLO, think="low", stream=True)
    assert (whole.message.thinking, whole.message.content) == ("Hm, let me see.", "Yes.")
    assert "".join(chunk.message.thinking or "" for chunk in chunks) == "Hm, let me see."
    if model == CLOUD:
        assert "reasoning" in seen[-1]
    else:
        assert "low" in [body["think"] for body in seen]


@models
def test_a_format(client: Client, fleet: Fleet, model: str) -> None:
    with fleet.saying(text='{"age": 7}'), fleet.watching(model) as seen:
        assert client.chat(model, HELLO, format=SCHEMA).message.content == '{"age": 7}'
    (body,) = seen
    told = body["format"] if model == LOCAL else body["response_format"]["json_schema"]["schema"]
    assert told["properties"] == SCHEMA["properties"]


@pytest.mark.parametrize(
    "model", ["nomic-embed-text", "openai/text-embedding-3-small"], ids=["local", "cloud"]
)
def test_embeddings(client: Client, model: str) -> None:
    single, many = client.embed(model, "one"), client.embed(model, ["one", "two"])
    assert len(single.embeddings) == 1
    assert len(many.embeddings) == 2
    assert list(many.embeddings[0]) == list(single.embeddings[0])
    assert list(client.embeddings(model, "one").embedding)
    assert not client.embed(model, []).embeddings


def test_loading_and_unloading(client: Client) -> None:
    assert client.generate("llama2", keep_alive="5m").done_reason == "load"
    running = {model.model: model for model in client.ps().models}
    assert running["llama2:latest"].expires_at is not None
    assert running["llama2:latest"].size_vram > 0
    assert client.generate("llama2", keep_alive=0).done_reason == "unload"
    assert "llama2:latest" not in {model.model for model in client.ps().models}
    assert client.generate(CLOUD, keep_alive="5m").done_reason == "load"
    assert client.generate(CLOUD, keep_alive=0).done_reason == "unload"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_models_come_and_go(client: Client, fleet: Fleet, kind: str, stream: bool) -> None:
    name = f"pulled-{kind}-{stream}".lower()
    told = client.pull(name, stream=stream)
    if stream:
        layers = [line for line in told if line.digest and line.total]
        assert [line.completed or 0 for line in layers] == sorted(line.completed or 0 for line in layers)
        assert layers[-1].completed == layers[-1].total
        assert told[0].status == "pulling manifest"
        told = told[-1]
    assert told.status == "success"
    assert held(fleet, name) == [True, True]
    assert f"{name}:latest" in {model.model for model in client.list().models}
    client.copy(name, f"{name}-copy")
    assert held(fleet, f"{name}-copy") == [True, True]
    assert client.create(f"{name}-made", from_=name, system="Be brief.").status == "success"
    assert held(fleet, f"{name}-made") == [True, True]
    assert client.push(name).status == "success"
    for gone in (name, f"{name}-copy", f"{name}-made"):
        assert client.delete(gone).status == "success"
        assert held(fleet, gone) == [False, False]
    with pytest.raises(ollama.ResponseError, match="not found") as raised:
        client.delete(name)
    assert raised.value.status_code == 404


def test_a_model_from_a_file(client: Client, fleet: Fleet, kind: str, tmp_path: Any) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + kind.encode() * 500_000)
    digest = client.create_blob(str(file))
    for server in fleet.servers:
        assert httpx.head(f"{server.base_url}/api/blobs/{digest}").status_code == 200
    name = f"from-file-{kind}"
    assert client.create(name, files={"model.gguf": digest}).status == "success"
    assert held(fleet, name) == [True, True]
    client.delete(name)


def test_what_cannot_be_pulled(client: Client) -> None:
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        client.pull("missing-one")
    with pytest.raises(ollama.ResponseError, match="file does not exist"):
        client.pull("missing-one", stream=True)


@pytest.mark.parametrize("verb", ["pull", "delete", "push", "copy"])
def test_cloud_models_cannot_be_managed(client: Client, verb: str) -> None:
    more = ("another",) if verb == "copy" else ()
    with pytest.raises(ollama.ResponseError, match="no Ollama server") as raised:
        getattr(client, verb)(CLOUD, *more)
    assert raised.value.status_code == 400


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [("pull", ("a",)), ("push", ("a",)), ("create", ("a",)), ("copy", ("a", "b")), ("delete", ("a",))],
)
def test_members_manage_nothing(member: Client, verb: str, arguments: tuple[str, ...]) -> None:
    more = {"from_": LOCAL} if verb == "create" else {}
    with pytest.raises(ollama.ResponseError, match="role admin") as raised:
        getattr(member, verb)(*arguments, **more)
    assert raised.value.status_code == 403


def test_errors(member: Client) -> None:
    for model in ("nope", "openrouter/nope"):
        with pytest.raises(ollama.ResponseError) as raised:
            member.chat(model, HELLO)
        assert raised.value.status_code in (400, 404)
        assert "nope" in raised.value.error
    with pytest.raises(ollama.ResponseError, match="does not support thinking") as raised:
        member.chat(LOCAL, HELLO, think=True)
    assert raised.value.status_code == 400


def test_a_stream_that_breaks(member: Client, fleet: Fleet) -> None:
    from trunkline_mock import Fault

    for model in MODELS:
        with (
            fleet.saying(text="one two three four", fault=Fault("close_after", after=2)),
            pytest.raises(ollama.ResponseError),
        ):
            member.chat(model, HELLO, stream=True)


def test_a_key_in_the_path(fleet: Fleet) -> None:
    client = ollama.Client(host=f"{fleet.url}/key/{fleet.member}", timeout=GUARD)
    try:
        assert client.chat(CLOUD, HELLO).done
    finally:
        client._client.close()
