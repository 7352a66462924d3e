"""The mock as a server: starting, stopping, waiting and threads."""

from __future__ import annotations

import asyncio
import socket
import sys

import httpx
import pytest

from trunkline_mock import MockUpstream, Scenario, Script, Tokens
from trunkline_mock.upstream import new_event_loop

from .wire import MESSAGES, connect, encode_chat_request, encode_request, exchange


async def test_a_stopped_mock_refuses_connections_and_a_restart_keeps_the_port() -> None:
    mock = MockUpstream("openai")
    await mock.start()
    port = mock.port
    await mock.stop()
    await mock.stop()
    with pytest.raises(ConnectionRefusedError):
        await exchange(mock, b"")
    await mock.start()
    assert mock.port == port
    got, _ = await exchange(mock, encode_request("/v1/models", method="GET"))
    assert got.startswith(b"HTTP/1.1 200 OK")
    await mock.stop()


async def test_stopping_closes_open_connections() -> None:
    async with MockUpstream("openai", Script(delay_first_s=60)) as mock, connect(mock) as peer:
        peer.writer.write(encode_chat_request(mock, stream=True))
        await mock.until(lambda: bool(mock.calls))
        await mock.stop()
        assert mock.connections == 0
        assert mock.calls[0].aborted


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with MockUpstream("openai") as mock:
        with pytest.raises(OSError, match="address"):
            await MockUpstream("openai", port=mock.port).start()
        with (
            pytest.raises(OSError, match="address"),
            MockUpstream.in_thread("openai", port=mock.port),
        ):
            pass


@pytest.mark.parametrize(
    ("shape", "path"),
    [("ollama", ""), ("openai", "/v1"), ("openrouter", "/api/v1"), ("cerebras", "/v1")],
)
def test_addresses(shape: str, path: str) -> None:
    mock = MockUpstream(shape, port=1234)
    assert mock.url == "http://127.0.0.1:1234"
    assert mock.base_url == mock.url + path
    assert MockUpstream(shape, host="::1", port=1).url == "http://[::1]:1"


@pytest.mark.parametrize(
    ("shape", "quirks", "message"),
    [
        ("azure", {}, "unknown shape 'azure'"),
        ("openai", {"usagge": "never"}, "usagge"),
        ("openai", {"usage": "sometimes"}, "sometimes"),
        ("ollama", {"usage": "never"}, "no quirks"),
    ],
)
def test_an_unknown_shape_or_quirk_is_an_error(shape: str, quirks: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MockUpstream(shape, quirks=quirks)


async def test_waiting_times_out() -> None:
    async with MockUpstream("openai") as mock, connect(mock):
        await mock.until(lambda: mock.connections == 1)
        with pytest.raises(TimeoutError):
            await mock.closed(timeout_s=0.01)


def test_waiting_for_a_mock_that_was_not_started_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        MockUpstream("openai").wait_until(lambda: True)


def test_a_mock_in_a_thread() -> None:
    with MockUpstream.in_thread("openai", Script(text="from a thread")) as mock:
        body = {"model": "gpt-4o", "messages": MESSAGES}
        answer = httpx.post(f"{mock.base_url}/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["content"] == "from a thread"
        mock.script = Script(text="something else")
        answer = httpx.post(f"{mock.base_url}/chat/completions", json=body).json()
        assert answer["choices"][0]["message"]["content"] == "something else"
        mock.wait_until(lambda: mock.connections == 0)
        assert mock.tokens == [Tokens("gpt-4o", 4, 3), Tokens("gpt-4o", 4, 2)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((mock.host, mock.port))


async def test_waiting_from_another_event_loop() -> None:
    with MockUpstream.in_thread("openai") as mock:
        async with connect(mock):
            await mock.until(lambda: mock.connections == 1)
        await mock.closed()


async def test_the_number_of_recorded_requests_can_be_bounded() -> None:
    async with MockUpstream("openai", record=2) as mock:
        for number in range(3):
            await exchange(mock, encode_request(f"/v1/models/{number}", method="GET"))
        assert [recorded.path for recorded in mock.requests] == ["/v1/models/1", "/v1/models/2"]


async def test_requests_are_recorded() -> None:
    async with MockUpstream("openai", Script(text="a b c")) as mock:
        await exchange(mock, encode_request("/v1/models?limit=1&a=", method="GET", headers={"X-Thing": "1"}))
        await exchange(mock, encode_chat_request(mock, stream=True))
        await exchange(mock, encode_request("/v1/chat/completions", b"[1]"))
        await exchange(mock, encode_request("/v1/chat/completions", b"{"))
        await mock.closed()
        listing, chat, array, broken = mock.requests
        assert (listing.method, listing.path, listing.query) == (
            "GET",
            "/v1/models",
            {"limit": ["1"], "a": [""]},
        )
        assert listing.headers["x-thing"] == "1"
        assert (listing.inference, listing.model, listing.closed) == (False, None, True)
        assert (chat.model, chat.status, chat.chunks, chat.completion_tokens) == ("gpt-4o", 200, 3, 3)
        assert (array.status, array.model, broken.model) == (400, None, None)
        assert mock.calls == [chat]


def test_a_scenario_configures_a_mock() -> None:
    scenario = Scenario(models=("m",), require_key="k", scripts=(Script(text="x"),))
    mock = MockUpstream.from_scenario("cerebras", scenario, port=5, record=1)
    assert [model.name for model in mock.shape.catalog.all()] == ["m"]
    assert (mock.require_key, mock.port, mock.requests.maxlen, len(mock.scripts)) == ("k", 5, 1, 1)


def test_without_uvloop_the_standard_event_loop_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    loop = new_event_loop()
    loop.close()
    assert isinstance(loop, asyncio.BaseEventLoop)
