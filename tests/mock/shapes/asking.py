"""Requests to a shape, and what its records say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec

from trunkline_mock import MockUpstream


@asynccontextmanager
async def playing(shape: str, *args: Any, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a running mock, with the vendor's path as its base and the headers that it insists on."""
    headers = {"anthropic-version": "2023-06-01"} if shape == "anthropic" else {}
    async with (
        MockUpstream(shape, *args, **options) as mock,
        httpx.AsyncClient(base_url=mock.base_url, headers=headers) as client,
    ):
        yield client


def events(answer: httpx.Response) -> list[Any]:
    """Payloads of an SSE answer, without the end marker, which must be there."""
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    assert payloads.pop() == "[DONE]"
    return [msgspec.json.decode(payload) for payload in payloads]


def named_events(answer: httpx.Response) -> list[Any]:
    """Payloads of an SSE answer whose events are named, each by its payload's type."""
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    payloads = []
    for record in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = record.split("\n")
        payloads.append(msgspec.json.decode(data.removeprefix("data: ")))
        assert name == f"event: {payloads[-1]['type']}"
    return payloads


def lines(answer: httpx.Response) -> list[Any]:
    """Lines of an NDJSON answer."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [msgspec.json.decode(line) for line in answer.text.splitlines()]
