"""The gateways that the bench starts."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from bench.cases import BRIEF
from bench.client import streams
from bench.machine import BenchError, Cores, find_program
from bench.rig import GOVERNED, NGINX, PLAIN, Rig
from bench.runs import GATEWAY, LIMITED, make_ask
from bench.session import check

from trunkline.settings import Settings

CORE = min(os.sched_getaffinity(0))


def test_the_one_with_limits_has_every_kind_and_never_refuses() -> None:
    settings = Settings.model_validate({**GOVERNED.sections, "log_level": GOVERNED.env["LOG_LEVEL"]})
    [limit], [budget] = settings.limits, settings.budgets
    assert min(limit.requests_per_minute or 0, limit.tokens_per_minute or 0) >= 10**9
    assert limit.concurrent is not None
    assert budget.hard
    assert budget.usd == 10**6
    assert (settings.log_level, PLAIN.env["LOG_LEVEL"]) == ("INFO", "WARNING")


def test_both_gateways_and_nginx_give_the_mocks_answer_and_stop() -> None:
    try:
        find_program("nginx", "")
    except BenchError:
        pytest.skip("nginx is not installed")
    with Rig([BRIEF], Cores(CORE, CORE, CORE), setups=(PLAIN, GOVERNED)) as rig:
        for subject in (NGINX, GATEWAY, LIMITED):
            ask = make_ask(rig, subject, BRIEF, "openai", stream=False)
            check(ask, BRIEF, whole=True)
            assert len(streams(ask, connections=2, each=3).latencies) == 6
        pids = [pid for process in rig.processes.values() for pid in process.pids]
        folder = rig.folder
        lines = folder / LIMITED / f"{LIMITED}.log"
        guard = time.monotonic() + 60
        while "chat" not in lines.read_text():  # a line per request, written soon after it
            assert time.monotonic() < guard
        assert "chat" not in (folder / GATEWAY / f"{GATEWAY}.log").read_text()
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert not folder.exists()
