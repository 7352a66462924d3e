"""The calls that Ollama's clients make when they start, replayed: what each must find in the answers.

Each client is a function from a model's name to a table of steps. Every table is played for a model of an
Ollama server and for a rented one, which must look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from tests.e2e import natives
from tests.e2e.chats import HELLO, WEATHER
from tests.e2e.conftest import SECRET, World, gateway
from tests.e2e.natives import calling, failure_of, lines_of
from trunkline.ledger.keys import KeyStore
from trunkline_mock import MockUpstream, ToolCall

LOCAL, CLOUD, UNKNOWN = "llama3.2", "openai/gpt-4o", "house-llm"
"""Models of an Ollama server, of a vendor who says what they can do, and of a server that lists ids only."""
PROVIDER = {LOCAL: "ollama", CLOUD: "openrouter", UNKNOWN: "house"}
SUFFIX = "qwen2.5-coder:latest"
"""A model that fills in."""

models = pytest.mark.parametrize("model", [LOCAL, CLOUD, UNKNOWN], ids=["local", "cloud", "unknown"])


class House(NamedTuple):
    """A gateway, and a key of an admin's."""

    world: World
    admin: str


CONFIG = """
preferred_provider: ollama
allow_key_in_path: true
ollama_base_url: {ollama}
openrouter_api_key: {secret}
openrouter_base_url: {openrouter}
providers:
  house: {{type: openai-compatible, url: "{house}"}}
models:
  "house/set-*": {{capabilities: [completion, thinking], context_length: 4096}}
"""


def config_for(mocks: dict[str, MockUpstream]) -> str:
    return CONFIG.format(secret=SECRET, **{name: mock.base_url for name, mock in mocks.items()})


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "asgi"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("startup")
    with KeyStore(f"sqlite:///{folder}/trunkline.db") as store:
        admin = store.create("root", "admin")[1]
    with ExitStack() as stack:
        mocks = {
            name: stack.enter_context(MockUpstream.in_thread(name, require_key=key))
            for name, key in (("ollama", None), ("openrouter", SECRET))
        }
        listed = [UNKNOWN, "gpt-4o-mini", "gpt-3.5-turbo", "text-embedding-3-small", "set-by-hand"]
        mocks["house"] = stack.enter_context(MockUpstream.in_thread("generic", models=listed))
        world = stack.enter_context(gateway(folder, config_for(mocks), mocks, FAST_HTTP=request.param))
        yield House(world, admin)


class Step(NamedTuple):
    """One call, and how its answer is read: as one object, as lines, or (None) not at all."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    one: type[Any] | None = None
    each: type[Any] | None = None
    status: int = 200


def play(client: httpx.Client, steps: list[Step]) -> list[Any]:
    """What the steps found, decoded strictly: an object, a list of lines, or None."""
    found: list[Any] = []
    for step in steps:
        answer = client.request(step.method, step.path, json=step.body)
        assert answer.status_code == step.status, (step, answer.text)
        if step.one is not None:
            assert answer.headers["content-type"].startswith("application/json")
            found.append(msgspec.json.decode(answer.content, type=step.one))
        elif step.each is not None:
            found.append([msgspec.json.decode(line, type=step.each) for line in lines_of(answer)])
        else:
            assert not answer.content or step.method != "HEAD"
            found.append(None)
    return found


def chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **more}


def check_chat_lines(lines: list[natives.Chat]) -> str:
    """A streamed answer's text; only its last line says ``done``."""
    assert [line.done for line in lines] == [False] * (len(lines) - 1) + [True]
    last = lines[-1]
    assert last.done_reason == "stop"
    assert last.total_duration > 0
    assert last.eval_count > 0
    assert last.prompt_eval_count > 0
    return "".join(line.message.content for line in lines)


# The ollama command, whose Go types are strict, with its key in the address


@models
def test_ollama_run(house: House, model: str) -> None:
    with calling(house.world, in_path=True) as client:
        _, shown = play(
            client,
            [
                Step("HEAD", "/"),
                Step("POST", "/api/show", {"model": model}, one=natives.Shown),
            ],
        )
        assert (shown.remote_host is not None) == (model != LOCAL)
        if shown.remote_host is None:  # only then does the command have the model loaded
            load = {"model": model, "keep_alive": None, "options": None, "think": None}
            (loaded,) = play(client, [Step("POST", "/api/generate", load, one=natives.Generate)])
            assert (loaded.done, loaded.done_reason, loaded.response) == (True, "load", "")
        body = chat(model, format="", options={}, keep_alive="5m", think=None)
        (lines,) = play(client, [Step("POST", "/api/chat", body, each=natives.Chat)])
        assert check_chat_lines(lines).endswith("heard: Hello there friend")
        seen = house.world.mocks[PROVIDER[model]].calls[-1].json
        assert seen["model"] == model
        assert ("keep_alive" in seen) == (model == LOCAL)


@models
def test_ollama_list_and_ps_and_stop(house: House, model: str) -> None:
    with calling(house.world, in_path=True) as client:
        load = {"model": model, "keep_alive": "10m"}
        found = play(
            client,
            [
                Step("HEAD", "/"),
                Step("GET", "/api/tags", one=natives.Tags),
                Step("POST", "/api/generate", load, one=natives.Generate),
                Step("GET", "/api/ps", one=natives.Running),
                Step("POST", "/api/generate", load | {"keep_alive": "0s"}, one=natives.Generate),
                Step("GET", "/api/ps", one=natives.Running),
            ],
        )
    _, tags, loaded, before, unloaded, after = found
    (entry,) = [tag for tag in tags.models if tag.name == f"{model}:latest"]
    assert entry.name == entry.model
    assert (entry.remote_model, entry.size == 0) == ((None, False) if model == LOCAL else (model, True))
    digests = [tag.digest for tag in tags.models]
    assert len({digest[:12] for digest in digests}) == len(digests)
    assert (loaded.done_reason, unloaded.done_reason) == ("load", "unload")
    found_then, found_now = ({each.name: each.digest for each in ps.models} for ps in (before, after))
    assert found_then.get(entry.name) == (entry.digest if model == LOCAL else None)
    assert entry.name not in found_now


@models
def test_ollama_show(house: House, model: str) -> None:
    with calling(house.world, in_path=True) as client:
        old = {"name": model, "model": "", "system": "", "template": "", "verbose": False, "options": None}
        named, shown = play(
            client,
            [
                Step("POST", "/api/show", old, one=natives.Shown),
                Step("POST", "/api/show", {"model": model, "verbose": True}, one=natives.Shown),
            ],
        )
    assert named.model_info == shown.model_info
    assert named.capabilities == shown.capabilities
    assert f"FROM {model}" in shown.modelfile


def test_ollama_pull_and_rm(house: House) -> None:
    """A 404 of show makes the command pull, by ``name``."""
    old = {"name": "brand-new:1b", "model": ""}
    shows, pulls = Step("POST", "/api/show", old, one=natives.Shown), {**old, "insecure": False}
    missing = shows._replace(one=natives.Failure, status=404)
    with calling(house.world, house.admin, in_path=True) as client:
        found = play(
            client,
            [
                missing,
                Step("HEAD", "/"),
                Step("POST", "/api/pull", pulls, each=natives.Progress),
                shows,
                Step("POST", "/api/chat", chat("brand-new:1b"), each=natives.Chat),
                Step("DELETE", "/api/delete", old),
                missing,
            ],
        )
        assert found[2][0].status == "pulling manifest"
        assert [line.status for line in found[2]].count("success") == 1
        assert found[2][-1].status == "success"
        totals = [line for line in found[2] if line.total]
        assert totals[-1].completed == totals[-1].total > 0
        assert "brand-new:1b" not in client.get("/api/tags").text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/pull", {"name": CLOUD, "model": ""}),
        ("DELETE", "/api/delete", {"name": CLOUD, "model": ""}),
        ("POST", "/api/copy", {"source": CLOUD, "destination": "mine"}),
    ],
)
def test_a_rented_model_is_not_managed(house: House, method: str, path: str, body: dict[str, Any]) -> None:
    with calling(house.world, house.admin, in_path=True) as client:
        answer = client.request(method, path, json=body)
    assert answer.status_code == 400
    assert CLOUD in failure_of(answer)


@models
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_tool_calls_are_objects(house: House, model: str, stream: bool) -> None:
    body = chat(model, tools=[WEATHER], stream=stream)
    one, each = (None, natives.Chat) if stream else (natives.Chat, None)
    step = Step("POST", "/api/chat", body, one, each)
    calls = (ToolCall("get_weather", {"city": "Rome", "days": 2}),) * 2
    with house.world.saying(PROVIDER[model], tool_calls=calls), calling(house.world) as client:
        (found,) = play(client, [step])
    answers = found if stream else [found]
    made = [call for answer in answers for call in answer.message.tool_calls]
    assert [call.function.arguments for call in made] == [{"city": "Rome", "days": 2}] * 2
    assert [call.function.index for call in made] == [0, 1]
    assert len({call.id for call in made}) == 2
    assert answers[-1].done_reason == "stop"


# Editors


@models
def test_copilot(house: House, model: str) -> None:
    with calling(house.world) as client:
        version, tags = play(
            client,
            [
                Step("GET", "/api/version", one=natives.Version),
                Step("GET", "/api/tags", one=natives.Tags),
            ],
        )
        assert tuple(map(int, version.version.split("."))) >= (0, 6, 4)
        found = {tag.model: tag.capabilities for tag in tags.models}
        for tag in tags.models:
            (shown,) = play(client, [Step("POST", "/api/show", {"model": tag.model}, one=natives.Shown)])
            assert shown.capabilities == tag.capabilities
            assert "embedding" in shown.capabilities or type(context_length(shown)) is int
        assert {"tools", "vision"} <= {*found[f"{model}:latest"]} or model == LOCAL
        assert f"{model}:latest" in [tag.model for tag in tags.models]
        answer = client.post("/v1/chat/completions", json=chat(f"{model}:latest"))
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"].endswith("Hello there friend")
        assert answer.headers["x-trunkline-provider"] == PROVIDER[model]


def context_length(shown: natives.Shown) -> Any:
    """Where clients look for it."""
    architecture = shown.model_info["general.architecture"]
    assert isinstance(architecture, str)
    return shown.model_info.get(f"{architecture}.context_length")


@pytest.mark.parametrize(
    ("model", "length"),
    [
        (LOCAL, 131_072),
        (CLOUD, 128_000),
        (SUFFIX, 32_768),
        ("claude-3.5-sonnet", 200_000),
        ("house/gpt-4o-mini", 128_000),
        ("set-by-hand", 4096),
        (UNKNOWN, 32_768),
    ],
)
def test_the_context_length(house: House, model: str, length: int) -> None:
    with calling(house.world) as client:
        (shown,) = play(client, [Step("POST", "/api/show", {"model": model}, one=natives.Shown)])
    assert context_length(shown) == length


@pytest.mark.parametrize(
    ("model", "capabilities"),
    [
        ("gpt-4o-mini", ["completion", "tools", "vision"]),
        ("gpt-3.5-turbo", ["completion", "tools"]),
        ("text-embedding-3-small", ["embedding"]),
        ("set-by-hand", ["completion", "thinking"]),
        (UNKNOWN, ["completion", "tools", "vision"]),
    ],
)
def test_llm_with_its_plugin(house: House, model: str, capabilities: list[str]) -> None:
    """It offers tools and images to models whose capabilities say so, and asks for each of them."""
    with calling(house.world) as client:
        (tags,) = play(client, [Step("GET", "/api/tags", one=natives.Tags)])
        (entry,) = [tag for tag in tags.models if tag.model == f"{model}:latest"]
        (shown,) = play(client, [Step("POST", "/api/show", {"model": entry.model}, one=natives.Shown)])
        listed = client.get(f"/v1/models/{model}").json()
        if "tools" in capabilities:
            answer = client.post("/api/chat", json=chat(entry.model, tools=[WEATHER], stream=False))
            assert answer.status_code == 200
            assert "tools" in house.world.mocks["house"].calls[-1].json
    assert shown.capabilities == entry.capabilities == listed["capabilities"] == capabilities


def test_continue(house: House) -> None:
    """It completes inside a text where the template knows a suffix, so only those may that can."""
    with calling(house.world) as client:
        (tags,) = play(client, [Step("GET", "/api/tags", one=natives.Tags)])
        names = [tag.name for tag in tags.models]
        shown = play(client, [Step("POST", "/api/show", {"name": name}, one=natives.Shown) for name in names])
        able = {name: ".Suffix" in each.template for name, each in zip(names, shown, strict=True)}
        assert able == {name: "insert" in each.capabilities for name, each in zip(names, shown, strict=True)}
        assert [name for name, each in able.items() if each] == [SUFFIX]
        body = {"model": SUFFIX, "prompt": "def f(", "suffix": "return 1", "stream": True, "raw": False}
        (lines,) = play(client, [Step("POST", "/api/generate", body, each=natives.Generate)])
        assert lines[-1].done
        assert {key: house.world.mocks["ollama"].calls[-1].json[key] for key in body} == body


def test_zed(house: House) -> None:
    with calling(house.world) as client:
        (tags,) = play(client, [Step("GET", "/api/tags", one=natives.Tags)])
        for tag in tags.models:
            (shown,) = play(client, [Step("POST", "/api/show", {"model": tag.name}, one=natives.Shown)])
            assert (shown.remote_model, shown.remote_host) == (tag.remote_model, tag.remote_host)
            assert shown.details == tag.details
            assert context_length(shown) is not None or "embedding" in shown.capabilities


# Homes and pages


@models
def test_home_assistant(house: House, model: str) -> None:
    """It sends back calls without ids, and results without ids and names."""
    call = {"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}
    messages = [
        {"role": "system", "content": "You are a house."},
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"temperature": 21}'},
    ]
    body = {
        "model": model,
        "messages": messages,
        "tools": [WEATHER],
        "stream": True,
        "keep_alive": "-1s",
        "options": {"num_ctx": 8192},
        "think": False,
    }
    with calling(house.world, in_path=True) as client:
        tags, lines = play(
            client,
            [
                Step("GET", "/api/tags", one=natives.Tags),
                Step("POST", "/api/chat", body, each=natives.Chat),
            ],
        )
        client.post("/api/generate", json={"model": model, "keep_alive": 0})
    assert {f"{model}:latest"} <= {tag.model for tag in tags.models}
    assert check_chat_lines(lines)


@models
def test_open_webui(house: House, model: str) -> None:
    """It finds models by their tagged names, and asks by those."""
    with calling(house.world) as client:
        _, tags = play(
            client,
            [
                Step("GET", "/api/version", one=natives.Version),
                Step("GET", "/api/tags", one=natives.Tags),
            ],
        )
        listed = {tag.model: tag.digest for tag in tags.models}
        assert len(listed) == len(tags.models)
        assert all(":" in name.rpartition("/")[2] for name in listed)
        lines, whole, running = play(
            client,
            [
                Step("POST", "/api/chat", chat(f"{model}:latest", options={}), each=natives.Chat),
                Step("POST", "/api/chat", chat(f"{model}:latest", stream=False), one=natives.Chat),
                Step("GET", "/api/ps", one=natives.Running),
            ],
        )
        assert check_chat_lines(lines) == whole.message.content
        assert whole.done
        assert (f"{model}:latest" in {each.model for each in running.models}) == (model == LOCAL)
        assert all(listed[each.model] == each.digest for each in running.models)
        client.post("/api/generate", json={"model": model, "keep_alive": 0})


@models
def test_langchain(house: House, model: str) -> None:
    """It sends every field it knows, most of them empty."""
    messages = [{**HELLO[0], "images": [], "tool_calls": None, "thinking": None}]
    options = dict.fromkeys(("mirostat", "num_ctx", "num_gpu", "stop", "temperature", "tfs_z", "top_k"))
    body = {"model": model, "messages": messages, "options": options, "format": None, "keep_alive": None}
    with calling(house.world) as client:
        (lines,) = play(client, [Step("POST", "/api/chat", body | {"tools": []}, each=natives.Chat)])
    assert check_chat_lines(lines)


@pytest.mark.parametrize("model", ["nomic-embed-text", "openrouter/openai/text-embedding-3-small"])
def test_embeddings(house: House, model: str) -> None:
    body = {"model": model, "input": ["a b", "c"]}
    with calling(house.world) as client:
        (found,) = play(client, [Step("POST", "/api/embed", body, one=natives.Vectors)])
        assert len(found.embeddings) == 2
        legacy = client.post("/api/embeddings", json={"model": model, "prompt": "a b"}).json()
    assert legacy["embedding"]


# What lasts


def test_digests_are_the_same_after_a_restart(house: House, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = config_for(house.world.mocks)
    with (
        gateway(tmp_path_factory.mktemp("again"), config, house.world.mocks) as again,
        calling(house.world) as first,
        calling(again) as second,
    ):
        (before,), (after,) = (
            play(each, [Step("GET", "/api/tags", one=natives.Tags)]) for each in (first, second)
        )
    assert {tag.name: tag.digest for tag in after.models} == {tag.name: tag.digest for tag in before.models}
    assert {LOCAL, CLOUD} <= {tag.name.removesuffix(":latest") for tag in before.models}
