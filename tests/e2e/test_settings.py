"""Settings that change what happens to a request, in a gateway that was started with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.e2e.chats import HELLO, WEATHER, calls_of, picture, reasons_of, text_of
from tests.e2e.conftest import KEY, World, gateway
from trunkline_mock import Fault, MockUpstream

CHAT = "/v1/chat/completions"
FILTER = """
# what may be used
*
!gemma*
!gpt-4o-mini
"""


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast", "asgi"])
def changed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway with settings unlike the defaults."""
    folder = tmp_path_factory.mktemp("settings")
    (folder / "filter.txt").write_text(FILTER)
    with (
        MockUpstream.in_thread("ollama", models=["llama3.2", "llama2", "gemma3:4b", "gpt-4o"]) as ollama,
        MockUpstream.in_thread("openai") as cloud,
    ):
        config = f"""
preferred_provider: ollama
ollama_base_url: {ollama.base_url}
ollama_streaming: false
ollama_timeout: 1
ollama_load_timeout: 1
ollama_temperature: 0.25
ollama_max_tokens: 64
openai_api_key: sk-some-upstream-secret
openai_base_url: {cloud.base_url}
enable_fallback: false
fetch_image_urls: true
allow_key_in_path: true
models_filter: filter.txt
models:
  "ollama/llama3*": {{options: {{num_ctx: 16384}}, keep_alive: 30m}}
"""
        mocks = {"ollama": ollama, "openai": cloud}
        with gateway(folder, config, mocks, FAST_HTTP=request.param) as world:
            yield world


def test_what_settings_fill_in(changed: World) -> None:
    chat = changed.client().chat.completions
    chat.create(model="llama3.2", messages=HELLO)
    sent = changed.mocks["ollama"].calls[-1].json
    assert sent["options"] == {"temperature": 0.25, "num_predict": 64, "num_ctx": 16384}
    assert sent["keep_alive"] == "30m"
    chat.create(model="llama2", messages=HELLO, temperature=1, max_tokens=5)
    sent = changed.mocks["ollama"].calls[-1].json
    assert sent["options"] == {"temperature": 1, "num_predict": 5}
    assert "keep_alive" not in sent


def test_a_stream_that_is_fetched_whole(changed: World) -> None:
    create = changed.client().chat.completions.create
    chunks = list(
        create(model="llama3.2", messages=HELLO, stream=True, stream_options={"include_usage": True})
    )
    assert changed.mocks["ollama"].calls[-1].json["stream"] is False
    assert "Hello there friend" in text_of(chunks)
    assert sum(bool(text_of([chunk])) for chunk in chunks) == 1
    assert reasons_of(chunks) == ["stop"]
    assert chunks[-1].usage is not None
    with changed.saying("ollama", call_tools=2):
        called = list(create(model="llama3.2", messages=HELLO, tools=[WEATHER, WEATHER], stream=True))
    assert len(calls_of(called)) == 2
    assert reasons_of(called) == ["tool_calls"]


def test_the_default_model_where_ollama_is_preferred(changed: World) -> None:
    answer = httpx.post(
        changed.url + CHAT, json={"messages": HELLO}, headers={"authorization": f"Bearer {KEY}"}
    )
    assert answer.headers["x-trunkline-provider"] == "ollama"
    assert changed.mocks["ollama"].calls[-1].model == "llama2"


def test_no_fallback(changed: World) -> None:
    before = len(changed.mocks["openai"].calls)
    with (
        changed.saying("ollama", fault=Fault("status", status=500)),
        pytest.raises(openai.InternalServerError) as raised,
    ):
        changed.client().chat.completions.create(model="gpt-4o", messages=HELLO)
    assert raised.value.response.headers["x-trunkline-provider"] == "ollama"
    assert len(changed.mocks["openai"].calls) == before


@pytest.mark.parametrize(
    ("kind", "stream"), [("stall_before", True), ("stall_before", False), ("stall_after", False)]
)
def test_silence_ends(changed: World, kind: Any, stream: bool) -> None:
    with changed.saying("ollama", fault=Fault(kind)), pytest.raises(openai.APIError) as raised:
        changed.client().chat.completions.create(model="llama3.2", messages=HELLO, stream=stream)
    assert raised.value.code == "upstream_timeout"


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1/cat.png", "http://[::1]:80/cat.png", "http://169.254.169.254/latest"]
)
def test_images_are_not_fetched_from_inside(changed: World, address: str) -> None:
    before = len(changed.mocks["ollama"].calls)
    with pytest.raises(openai.BadRequestError, match="not at a public address") as raised:
        changed.client().chat.completions.create(model="llama3.2", messages=picture(address))
    assert raised.value.param == "messages[0].content[1].image_url.url"
    assert len(changed.mocks["ollama"].calls) == before


@pytest.mark.parametrize("path", ["/v1/models", "/ollama/v1/models"])
def test_a_key_in_the_path(changed: World, path: str) -> None:
    answer = httpx.get(f"{changed.url}/key/{KEY}{path}", headers={"x-request-id": f"path-{path}"})
    assert answer.status_code == 200
    assert httpx.get(f"{changed.url}/key/wrong{path}").status_code == 401
    assert KEY not in str(changed.line(f"path-{path}"))
    client = changed.client(f"/key/{KEY}{path.removesuffix('/models')}", key="unused")
    assert client.chat.completions.create(model="llama3.2", messages=HELLO).choices
    assert KEY not in changed.output()


@pytest.mark.parametrize("model", ["gemma3:4b", "ollama/gemma3:4b", "openai/gpt-4o-mini", "gpt-4o-mini"])
def test_what_the_filter_excludes(changed: World, model: str) -> None:
    listed = {found.id for found in changed.client().models.list()}
    assert model not in listed
    with pytest.raises(openai.NotFoundError):
        changed.client().chat.completions.create(model=model, messages=HELLO)


def test_the_built_in_model(changed: World) -> None:
    create = changed.client().chat.completions.create
    first, second = (create(model="custom", messages=HELLO) for _ in range(2))
    assert first.choices == second.choices
    assert first.id != second.id
    chunks = list(create(model="custom", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    assert text_of(chunks) == first.choices[0].message.content
    assert reasons_of(chunks) == ["stop"]
    assert chunks[-1].usage is not None
