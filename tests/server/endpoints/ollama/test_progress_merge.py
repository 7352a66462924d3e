"""Several servers' progress as one."""

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


def story(steps: int) -> list[Line]:
    """What one server says of a pull."""
    lines: list[Line] = [{"status": "pulling manifest"}]
    for digest, total in LAYERS.items():
        lines += [
            {
                "status": f"pulling {digest}",
                "digest": digest,
                "total": total,
                "completed": total * at // steps,
            }
            for at in range(steps + 1)
        ]
    return [*lines, {"status": "verifying sha256 digest"}, {"status": "success"}]


@given(st.lists(st.integers(0, 2), max_size=120), st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_bars_only_grow_and_are_full_when_everybody_is_done(order: list[int], steps: list[int]) -> None:
    servers = [f"s{at}" for at in range(len(steps))]
    stories = {name: story(count) for name, count in zip(servers, steps, strict=True)}
    merged, sent = ProgressMerge(servers), []
    rest = [at for at, lines in enumerate(stories.values()) for _ in lines]
    for which in [*(at % len(servers) for at in order), *rest]:
        name = servers[which]
        if not stories[name]:
            continue
        line = merged.add(name, stories[name].pop(0))
        if line is not None:
            sent.append(line)
        if not stories[name]:
            merged.end(name, succeeded=True)
    statuses = [line["status"] for line in sent if "digest" not in line]
    assert sorted(statuses) == ["pulling manifest", "verifying sha256 digest"]
    for digest, total in LAYERS.items():
        counts = [line.get("completed", 0) for line in sent if line.get("digest") == digest]
        assert counts == sorted(counts)
        assert counts[-1] == total
        assert all(line["total"] == total for line in sent if line.get("digest") == digest)


async def tell(lines: list[Line], failure: Exception | None = None) -> AsyncGenerator[Line, None]:
    for line in lines:
        await asyncio.sleep(0)
        yield line
    if failure is not None:
        raise failure


async def gather(stories: dict[str, Any]) -> tuple[list[Line], Exception | None]:
    """All lines, and what was raised after them."""
    lines: list[Line] = []
    try:
        async for line in merge(list(stories), lambda name: tell(*stories[name])):
            lines.append(line)  # noqa: PERF401 - what came before a failure counts
    except (ProviderError, CallerError) as error:
        return lines, error
    return lines, None


async def test_one_server_is_passed_on_as_it_is() -> None:
    told = [*story(2)[:-1], {"status": "twice"}, {"status": "twice"}]
    assert await gather({"a": (told,)}) == (told, None)
    failure = ProviderError("no")
    assert await gather({"a": (told, failure)}) == (told, failure)


async def test_success_is_left_to_the_caller() -> None:
    lines, failure = await gather({"a": (story(2),), "b": (story(3),)})
    assert failure is None
    assert "success" not in [line["status"] for line in lines]


async def test_who_failed_and_who_did_not() -> None:
    lines, failure = await gather({"a": (story(2),), "b": (story(1)[:2], ProviderError("disk full"))})
    assert str(failure) == "b: disk full. Done at a"
    assert lines[-1]["status"] == "verifying sha256 digest"


async def test_the_same_failure_everywhere_is_told_once() -> None:
    wrong = ProviderError("file does not exist")
    assert (await gather({"a": ([], wrong), "b": ([], ProviderError("file does not exist"))}))[1] is wrong


async def test_leaving_early_ends_the_work() -> None:
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
def test_a_total_that_is_none(total: Any) -> None:
    line = ProgressMerge(["a", "b"]).add("a", {"status": "s", "digest": "d", "total": total})
    assert line == {"status": "s", "digest": "d"}
