"""A key is never written down, wherever a client puts it: in the log, the ledger, or a trace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tests.gateways import BEARER, KEY, Running, chat, get, make_settings, post, upstream
from tests.server.conftest import Serve
from trunkline.errors import redact_keys
from trunkline.observe.log import RequestLine
from trunkline_mock import MockUpstream

OWN = "correct-horse-battery-staple"
"""A key of the settings in a form of its own."""
KEYS = [
    KEY,
    "gw_" + "aB3_" * 10 + "xyz",
    OWN,
    "sk-proj-" + "a1B2" * 12,
    "sk-ant-api03-" + "x_Y-" * 10,
    "AIza" + "a" * 35,
    "xai-" + "9" * 60,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
]


class Written:
    """What a gateway writes down."""

    def __init__(self, running: Running) -> None:
        self._gateway = running.gateway
        self._lines: list[RequestLine] = []
        self._rows: list[Any] = []
        self._spans: list[Any] = []
        self._gateway.access_log.emit = self._lines.append  # type: ignore[method-assign,assignment]
        self._gateway.recorder._ledger = self  # type: ignore[assignment]
        self._gateway.recorder._tracer = _Spans(self._spans)  # type: ignore[assignment]

    def put(self, rows: Iterable[Any]) -> None:
        self._rows += rows

    def text(self) -> str:
        self._gateway.recorder.flush()
        found = f"{[msgspec.structs.asdict(each) for each in self._lines]}{self._rows}{self._spans}"
        self._gateway.recorder._ledger = None
        self._gateway.recorder._tracer = None
        return found


class _Spans:
    def __init__(self, spans: list[Any]) -> None:
        self._spans = spans

    def put(self, spans: Iterable[Any]) -> None:
        self._spans += spans


@pytest.mark.parametrize("key", KEYS)
async def test_wherever_a_key_arrives(serve: Serve, key: str) -> None:
    async with MockUpstream("openai") as mock:
        given = {"oai": upstream(mock, type="openai-compatible", models=(key,))}
        keys = (SecretStr(KEY), SecretStr(OWN))
        running = await serve(make_settings(providers=given, allowed_api_keys=keys))
        written = Written(running)
        ids = f"x-request-id: {key}\r\n".encode()
        traced = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
        users = f"x-openwebui-user-email: {key}\r\n".encode()
        requests = [
            post(chat(f"oai/{key}"), BEARER, traced),
            post(chat(key), BEARER),
            post(chat(f"oai/{key}", user=key), BEARER, traced),
            post(chat(f"oai/{key}"), BEARER, users),
            post(chat(f"nobody/{key}"), BEARER, traced),
            post(chat(f"oai/{key}"), BEARER, ids),
            post(chat(f"oai/{key}"), BEARER, f"x-request-id: a:{key}\r\n".encode()),
            get(f"/v1/models/{key}", BEARER),
            get(f"/v1/models?key={key}", BEARER),
            get(f"/{key}/v1/models", BEARER),
            get(f"/admin/v1/{key}", BEARER),
            get(f"/key/{key}/v1/models", BEARER),
            get(f"/nothing/{key}", BEARER, ids),
            post({"model": key}, BEARER, path="/api/show"),
        ]
        for request in requests:
            answer = await running.ask(request)
            assert key not in answer.headers.get("x-request-id", "")
        text = written.text()
        assert "***" in text
        assert key not in text
        assert key[4:30] not in text


@pytest.mark.parametrize(
    "name",
    [
        "openai/gpt-4o",
        "hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M",
        "fw-llama-v3p1-405b-instruct-long-name",
        "gw_small",
        "sk-tiny",
        "accounts/fireworks/models/deepseek-r1",
        "ft:gpt-4o-mini-2024-07-18:acme:suffix:7p4lURel",
        "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
    ],
)
def test_names_of_models_stay(name: str) -> None:
    assert redact_keys(name) == name


async def test_ids_of_a_clients_own_stay(serve: Serve) -> None:
    running = await serve()
    answer = await running.ask(get("/v1/models", BEARER, b"x-request-id: 5f0c-trace/7\r\n"))
    assert answer.headers["x-request-id"] == "5f0c-trace/7"
