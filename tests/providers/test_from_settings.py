"""What programs leave out when they make a client or a provider comes from the settings of the process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trunkline import (
    ChatCompletionRequest,
    ChatMessage,
    OllamaClient,
    OllamaProvider,
    OpenRouterClient,
    ProviderError,
)
from trunkline.settings import SettingsError
from trunkline_mock import MockUpstream, Script

HELLO = [{"role": "user", "content": "Hello"}]
REQUEST = ChatCompletionRequest(model="llama3.2", messages=[ChatMessage(role="user", content="Hello")])

Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: Patch) -> Path:
    """The empty working directory of the program."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def ollama() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("ollama", Script(text="Hi!")) as mock:
        yield mock


@pytest.fixture
async def openrouter() -> AsyncIterator[MockUpstream]:
    async with MockUpstream("openrouter", Script(text="Hi!")) as mock:
        yield mock


async def ask_ollama(client: OllamaClient) -> str:
    try:
        answer = await client.chat("llama3.2", HELLO)
    finally:
        await client.aclose()
    return str(answer["message"]["content"])


@pytest.mark.parametrize("variable", ["OLLAMA_HOST", "OLLAMA_API_URL", "OLLAMA_BASE_URL"])
async def test_ollamas_address_is_that_of_the_settings(
    ollama: MockUpstream, monkeypatch: Patch, variable: str
) -> None:
    address = ollama.base_url
    monkeypatch.setenv(variable, address.removeprefix("http://") if variable == "OLLAMA_HOST" else address)
    assert await ask_ollama(OllamaClient()) == "Hi!"
    provider = OllamaProvider()
    assert (await provider.chat_completions(REQUEST)).choices[0].message.content == "Hi!"
    await provider.aclose()
    assert len(ollama.calls) == 2


@pytest.mark.parametrize("other", [{"OLLAMA_ENABLED": "false"}, {"PORT": "11434"}])
async def test_a_program_has_ollama_where_the_gateway_has_none(
    ollama: MockUpstream, monkeypatch: Patch, other: dict[str, str]
) -> None:
    for name, value in (other | {"OLLAMA_HOST": ollama.base_url}).items():
        monkeypatch.setenv(name, value)
    assert await ask_ollama(OllamaClient()) == "Hi!"


def test_ollama_is_on_this_machine_where_no_setting_names_it() -> None:
    assert [upstream.url for upstream in OllamaProvider().upstreams] == ["http://localhost:11434"]


async def test_ollamas_section_gives_its_address_key_and_headers(ollama: MockUpstream, folder: Path) -> None:
    section = f'{{url: "{ollama.base_url}", api_key: sk-theirs, headers: {{x-team: blue}}}}'
    (folder / "trunkline.yaml").write_text(f"providers: {{ollama: {section}}}")
    provider = OllamaProvider()
    await provider.chat_completions(REQUEST)
    await provider.aclose()
    elsewhere = OllamaProvider(ollama.base_url)
    await elsewhere.chat_completions(REQUEST)
    await elsewhere.aclose()
    ours, theirs = ollama.calls
    assert (ours.headers["authorization"], ours.headers["x-team"]) == ("Bearer sk-theirs", "blue")
    assert not {"authorization", "x-team"} & set(theirs.headers)  # they belong to the section's address


async def test_the_first_server_of_a_fleet_is_the_clients(ollama: MockUpstream, monkeypatch: Patch) -> None:
    monkeypatch.setenv("OLLAMA_BASE_URL", f"{ollama.base_url},http://127.0.0.1:1")
    assert await ask_ollama(OllamaClient()) == "Hi!"
    assert len(OllamaProvider().upstreams) == 2


@pytest.mark.parametrize("variable", ["OLLAMA_TIMEOUT", "REQUEST_TIMEOUT_S"])
@pytest.mark.parametrize("address_given", [False, True])
async def test_ollamas_time_limit_is_that_of_the_settings(
    ollama: MockUpstream, monkeypatch: Patch, variable: str, address_given: bool
) -> None:
    ollama.script = Script(delay_first_s=20)
    monkeypatch.setenv("OLLAMA_HOST", ollama.base_url)
    monkeypatch.setenv(variable, "0.3")
    address = ollama.base_url if address_given else None
    with pytest.raises(ProviderError, match="Timed out"):
        await ask_ollama(OllamaClient(address))
    provider = OllamaProvider() if address is None else OllamaProvider(address)
    with pytest.raises(ProviderError, match="Timed out"):
        await provider.chat_completions(REQUEST)
    await provider.aclose()


async def test_an_argument_wins_over_the_settings(ollama: MockUpstream, monkeypatch: Patch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("OLLAMA_TIMEOUT", "600")
    assert await ask_ollama(OllamaClient(ollama.base_url)) == "Hi!"
    ollama.script = Script(delay_first_s=20)
    with pytest.raises(ProviderError, match="Timed out"):
        await ask_ollama(OllamaClient(ollama.base_url, timeout=0.3))


async def test_settings_are_read_only_where_something_is_left_out(ollama: MockUpstream, folder: Path) -> None:
    (folder / "trunkline.yaml").write_text("port: nonsense")
    assert await ask_ollama(OllamaClient(ollama.base_url, timeout=9)) == "Hi!"
    await OpenRouterClient("sk-or-key", base_url=ollama.base_url, timeout=9).aclose()
    for make in OllamaClient, OllamaProvider, OpenRouterClient:
        with pytest.raises(SettingsError, match="port"):
            make()


async def test_openrouters_key_and_address_are_those_of_the_settings(
    openrouter: MockUpstream, monkeypatch: Patch
) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-of-the-settings")
    monkeypatch.setenv("OPENROUTER_BASE_URL", openrouter.base_url)
    for client, key in (
        (OpenRouterClient(), "sk-or-of-the-settings"),
        (OpenRouterClient("sk-or-given"), "sk-or-given"),
        (OpenRouterClient(base_url=openrouter.base_url), "sk-or-of-the-settings"),
    ):
        answer = await client.chat_completion("openai/gpt-4o", HELLO)
        await client.aclose()
        assert answer["choices"][0]["message"]["content"] == "Hi!"
        assert openrouter.calls[-1].headers["authorization"] == f"Bearer {key}"


async def test_openrouters_section_gives_all_of_it(openrouter: MockUpstream, folder: Path) -> None:
    section = f'{{url: "{openrouter.base_url}", api_key: [sk-or-1, sk-or-2], headers: {{x-title: Mine}}}}'
    (folder / "trunkline.yaml").write_text(f"providers: {{openrouter: {section}}}")
    client = OpenRouterClient()
    await client.chat_completion("openai/gpt-4o", HELLO)
    await client.aclose()
    headers = openrouter.calls[0].headers
    assert (headers["authorization"], headers["x-title"]) == ("Bearer sk-or-1", "Mine")


async def test_openrouters_time_limit_is_that_of_the_settings(
    openrouter: MockUpstream, monkeypatch: Patch
) -> None:
    openrouter.script = Script(delay_first_s=20)
    monkeypatch.setenv("REQUEST_TIMEOUT_S", "0.3")
    client = OpenRouterClient("sk-or-key", base_url=openrouter.base_url)
    with pytest.raises(ProviderError, match="Timed out"):
        await client.chat_completion("openai/gpt-4o", HELLO)
    await client.aclose()


def test_openrouter_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="set OPENROUTER_API_KEY, or pass api_key"):
        OpenRouterClient()
