"""An HTTP client of a running mock, and functions that decode streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from trunkline_mock import MockUpstream


@asynccontextmanager
async def mock_client(shape: str, *args: Any, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running mock, with the vendor's base path and the headers that the vendor requires."""
    headers = {"anthropic-version": "2023-06-01"} if shape == "anthropic" else {}
    async with (
        MockUpstream(shape, *args, **options) as mock,
        httpx.AsyncClient(base_url=mock.base_url, headers=headers) as client,
    ):
        yield client


def sse_events(answer: httpx.Response) -> list[Any]:
    """The payloads of a stream of server-sent events that ends with ``[DONE]``, without that marker."""
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert payloads.pop() == "[DONE]"
    return [msgspec.json.decode(payload) for payload in payloads]


def named_sse_events(answer: httpx.Response) -> list[Any]:
    """The payloads of a stream whose events have the name of their payload's type."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    payloads = []
    for record in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = record.split("\n")
        payloads.append(msgspec.json.decode(data.removeprefix("data: ")))
        assert name == f"event: {payloads[-1]['type']}"
    return payloads


def ndjson_lines(answer: httpx.Response) -> list[Any]:
    """The lines of an NDJSON stream."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]
