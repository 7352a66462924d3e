"""The ladder of servers: that each rung answers, and that what it adds is told rightly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from bench.budget import HEADER, PLAIN, RUNGS, Ladder, make_ask, markdown, room_rows, rows, stages
from bench.cases import BRIEF
from bench.client import streams
from bench.machine import Spent
from bench.runs import Sample
from bench.session import check

from bench import frames
from tests.bench.servers import CORE, mock_upstream
from trunkline.settings import Settings

BY_NAME = {rung.name: rung for rung in RUNGS}


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladder]:
    folder = tmp_path_factory.mktemp("ladder")
    with mock_upstream(BRIEF, folder) as port:
        yield Ladder(folder, port, CORE)


@pytest.mark.parametrize("name", ["loop", "http", "forward", "gateway", PLAIN, RUNGS[-1].name])
def test_every_kind_of_rung_gives_the_mocks_answer(ladder: Ladder, name: str) -> None:
    process = ladder.start(BY_NAME[name], f"rung-{name}")
    try:
        process.wait_ready(60)
        ask = make_ask(process.port, BY_NAME[name])
        check(ask, BRIEF, whole=True)
        assert len(streams(ask, connections=3, each=4).latencies) == 12
    finally:
        process.stop()


def test_each_gateway_of_the_ladder_does_more_than_the_one_before(ladder: Ladder, tmp_path: Path) -> None:
    gateways = [rung for rung in RUNGS if rung.settings is not None]
    seen = []
    for rung in gateways:
        settings = ladder.settings(rung, 8000, tmp_path)
        Settings.model_validate(settings)
        seen.append({**settings, "ledger": rung.ledger})
    assert all(now != then for then, now in pairwise(seen))
    last = seen[-1]
    assert (last["require_auth"], last["ledger"], last["log_level"]) == (True, True, "INFO")
    assert {"requests_per_minute", "tokens_per_minute", "concurrent"} <= set(last["limits"][0])
    assert Settings.model_validate(ladder.settings(RUNGS[-1], 8000, tmp_path)).budgets[0].hard


def test_a_stage_costs_what_its_rung_takes_more_than_the_one_before_in_the_same_round() -> None:
    rungs = RUNGS[:3]
    rounds = [cpu(10, 30, 35), cpu(100, 121, 160), cpu(12, 31, 37)]
    found = stages(rungs, rounds, {"loop": 1000.0, "http": 4000.0, "forward": 4500.0})
    assert [stage.added_us for stage in found] == [12, 20, 6]
    assert [stage.cpu_us for stage in found] == [12, 31, 37]
    assert [stage.added_thousands for stage in found] == [1.0, 3.0, 0.5]
    assert rows(found)[1] == ["HTTP parsed and written (`http`)", "20.0", "54%", "31.0", "3.0", "4.0"]


def test_what_was_not_counted_is_left_open() -> None:
    table = rows(stages(RUNGS[:2], [cpu(10, 30)], {}))
    assert [line[-2:] for line in table] == [["–", "–"], ["–", "–"]]
    text = markdown({"date": "today"}, [("Stages", HEADER, table)])
    assert "- Date: today" in text
    assert f"| {' | '.join(table[1])} |" in text


def test_rooms_stand_in_the_order_of_their_work_with_a_sum() -> None:
    plain = {"pipeline": frames.Work(2, 50), "ledger": frames.Work(1, 5)}
    whole = {"pipeline": frames.Work(2, 60), "policy": frames.Work(3, 70)}
    assert room_rows(plain, whole) == [
        ["policy", "0.0", "0.0", "3.0", "70.0"],
        ["pipeline", "2.0", "50.0", "2.0", "60.0"],
        ["ledger", "1.0", "5.0", "0.0", "0.0"],
        ["all", "3.0", "55.0", "5.0", "130.0"],
    ]


def cpu(*microseconds: int) -> dict[str, Sample]:
    return {
        rung.name: Sample(1, 1.0, Spent(each * 1000, 0, 0, 0), 0.0)
        for rung, each in zip(RUNGS, microseconds, strict=False)
    }


def test_the_frames_of_a_request_are_counted_by_room(ladder: Ladder) -> None:
    found = frames.measure(
        lambda module: ladder.start(BY_NAME["gateway"], "traced", module=module),
        lambda port: make_ask(port, BY_NAME["gateway"]),
        each=2,
        slowdown=1,
    )
    for name in ("server/http", "pipeline", "exchange.py", "transport", "dialects/openai"):
        assert found[name].frames >= 1, name
        assert found[name].bytecodes > found[name].frames, name
