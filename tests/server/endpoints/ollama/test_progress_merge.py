"""The progress of several servers as one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.errors import CallerError, ProviderError
from trunkline.server.endpoints.ollama.progress_merge import Line, ProgressMerge, merge

LAYERS = {"sha256:a": 100, "sha256:b": 7}


def pull_lines(steps: int) -> list[Line]:
    """The lines of one server's pull."""
    lines: list[Line] = [{"status": "pulling manifest"}]
    for digest, total in LAYERS.items():
        lines += [
            {
                "status": f"pulling {digest}",
                "digest": digest,
                "total": total,
                "completed": total * step // steps,
            }
            for step in range(steps + 1)
        ]
    return [*lines, {"status": "verifying sha256 digest"}, {"status": "success"}]


@given(st.lists(st.integers(0, 2), max_size=120), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_bars_only_grow_and_are_full_when_all_servers_are_done(order: list[int], steps: list[int]) -> None:
    servers = [f"s{number}" for number in range(len(steps))]
    progress = {name: pull_lines(count) for name, count in zip(servers, steps, strict=True)}
    merged, sent = ProgressMerge(servers), []
    rest = [index for index, lines in enumerate(progress.values()) for _ in lines]
    for which in [*(number % len(servers) for number in order), *rest]:
        name = servers[which]
        if not progress[name]:
            continue
        line = merged.add(name, progress[name].pop(0))
        if line is not None:
            sent.append(line)
        if not progress[name]:
            merged.end(name, succeeded=True)
    statuses = [line["status"] for line in sent if "digest" not in line]
    assert sorted(statuses) == ["pulling manifest", "verifying sha256 digest"]
    for digest, total in LAYERS.items():
        counts = [line.get("completed", 0) for line in sent if line.get("digest") == digest]
        assert counts == sorted(counts)
        assert counts[-1] == total
        assert all(line["total"] == total for line in sent if line.get("digest") == digest)


async def send(lines: list[Line], failure: Exception | None = None) -> AsyncGenerator[Line, None]:
    for line in lines:
        await asyncio.sleep(0)
        yield line
    if failure is not None:
        raise failure


async def gather(progress: dict[str, Any]) -> tuple[list[Line], Exception | None]:
    """All lines, and what was raised after them."""
    lines: list[Line] = []
    try:
        async for line in merge(list(progress), lambda name: send(*progress[name])):
            lines.append(line)  # noqa: PERF401 - what came before a failure counts
    except (ProviderError, CallerError) as error:
        return lines, error
    return lines, None


async def test_one_server_is_passed_on_as_it_is() -> None:
    lines = [*pull_lines(2)[:-1], {"status": "twice"}, {"status": "twice"}]
    assert await gather({"a": (lines,)}) == (lines, None)
    failure = ProviderError("no")
    assert await gather({"a": (lines, failure)}) == (lines, failure)


async def test_success_is_left_to_the_caller() -> None:
    lines, failure = await gather({"a": (pull_lines(2),), "b": (pull_lines(3),)})
    assert failure is None
    assert "success" not in [line["status"] for line in lines]


async def test_the_error_names_the_servers_that_failed_and_those_that_succeeded() -> None:
    lines, failure = await gather(
        {"a": (pull_lines(2),), "b": (pull_lines(1)[:2], ProviderError("disk full"))}
    )
    assert str(failure) == "b: disk full. Done at a"
    assert lines[-1]["status"] == "verifying sha256 digest"


async def test_the_same_failure_of_all_servers_is_reported_once() -> None:
    failure = ProviderError("file does not exist")
    assert (await gather({"a": ([], failure), "b": ([], ProviderError("file does not exist"))}))[1] is failure


async def test_closing_the_stream_early_ends_the_work() -> None:
    ended: list[str] = []

    async def work(name: str) -> AsyncGenerator[Line, None]:
        try:
            while True:
                await asyncio.sleep(0)
                yield {"status": name, "digest": name, "completed": len(ended)}
        finally:
            ended.append(name)

    merged = merge(["a", "b"], work)
    await anext(merged)
    await merged.aclose()
    assert sorted(ended) == ["a", "b"]


@pytest.mark.parametrize("total", [None, "many", 0])
def test_a_total_that_is_no_number_or_zero(total: Any) -> None:
    line = ProgressMerge(["a", "b"]).add("a", {"status": "s", "digest": "d", "total": total})
    assert line == {"status": "s", "digest": "d"}
