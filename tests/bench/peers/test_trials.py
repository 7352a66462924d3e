"""Trials: the order of the subjects, and what becomes of one that fails or cannot."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from bench.client import Ask
from bench.machine import NOTHING, BenchError
from bench.peers.trials import TRIALS, Cell, Trial, run_trial, wait_well
from bench.rig import Mock
from bench.runs import DIRECT, Sample

from tests.bench.servers import mock_upstream

MOCK = Mock("brief", "openai", "One chunk of text. ", chunks=2)
RIG: Any = None
"""The loads of these tests ask for none."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mock_upstream(MOCK, tmp_path_factory.mktemp("mock")) as found:
        yield found


def ask(port: int, model: str = "bench") -> Ask:
    body = b'{"model": "%b", "messages": [{"role": "user", "content": "Hello"}]}' % model.encode()
    return Ask(port, "/v1/chat/completions", body)


def test_subjects_take_turns_and_begin_in_turn(port: int) -> None:
    order: list[str] = []

    def load(_rig: object, _mock: Mock, subject: str, _ask: Ask, seconds: float) -> Sample:
        order.append(subject)
        return Sample(1, seconds, NOTHING, 0.0)

    trial = Trial("t", "T", MOCK, load, (), longer=3)
    outcome = run_trial(RIG, trial, ["a", "b", "c"], lambda *_: ask(port), rounds=3, seconds=2.0, served={})
    assert order == ["a", "b", "c", "c", "b", "a", "a", "b", "c"]
    assert {
        cell.seconds for cells in outcome.rounds for cell in cells.values() if isinstance(cell, Sample)
    } == {6.0}


def test_one_that_fails_fails_alone(port: int) -> None:
    def load(_rig: object, _mock: Mock, subject: str, _ask: Ask, _seconds: float) -> Sample:
        if subject == "b":
            raise BenchError("it broke")
        if subject == "d":
            return Sample(0, 1.0, NOTHING, 0.0)
        return Sample(1, 1.0, NOTHING, 0.0)

    def make(subject: str, _mock: Mock, _stream: bool) -> Ask:
        return ask(port, "nobody" if subject == "c" else "bench")

    outcome = run_trial(
        RIG, Trial("t", "T", MOCK, load, ()), ["a", "b", "c", "d"], make, rounds=1, seconds=1.0, served={}
    )
    cells = outcome.rounds[0]
    assert isinstance(cells["a"], Sample)
    assert cells["b"] == "failed: it broke"
    assert cells["d"] == "failed: no answer was complete in time"
    assert str(cells["c"]).startswith("failed: 0 of 2 chunks, status 404")


@pytest.mark.parametrize(
    ("served", "asked"), [({"a": 1000.0}, False), ({"a": 1400.0}, True), ({}, True), ({"a": 0.0}, False)]
)
def test_a_rate_is_asked_only_of_one_that_has_served_more(
    served: dict[str, float], asked: bool, port: int
) -> None:
    def load(*_: object) -> Sample:
        return Sample(1, 1.0, NOTHING, 0.0)

    trial = Trial("t", "T", MOCK, load, (), rate=1000)
    outcome = run_trial(RIG, trial, ["a"], lambda *_: ask(port), rounds=1, seconds=1.0, served=served)
    cell: Cell = outcome.rounds[0]["a"]
    assert isinstance(cell, Sample) is asked
    assert asked or cell == "cannot"


def test_the_mock_alone_is_left_out_where_it_says_nothing(port: int) -> None:
    def load(*_: object) -> Sample:
        return Sample(1, 1.0, NOTHING, 0.0)

    trial = Trial("t", "T", MOCK, load, (), direct=False)
    outcome = run_trial(RIG, trial, [DIRECT, "a"], lambda *_: ask(port), rounds=1, seconds=1.0, served={})
    assert set(outcome.rounds[0]) == {"a"}


def test_there_are_whole_answers_and_streams_in_closed_and_open_loops() -> None:
    kinds = {(trial.stream, trial.rate > 0) for trial in TRIALS}
    assert kinds == {(False, False), (False, True), (True, False), (True, True)}
    assert TRIALS[0].name == "json-closed"  # what it serves decides who is given a rate


@pytest.mark.parametrize(("status", "recovers"), [("502 Bad Gateway", True), ("500 Oh", False)])
def test_one_that_takes_the_upstream_for_broken_is_waited_for(status: str, recovers: bool) -> None:
    """A server that errs twice: only what says that its upstream is not reached is waited for."""
    body = f'{{"text": "{MOCK.chunk * MOCK.chunks}"}}'.encode()
    well = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    bad = f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode()
    answers = [bad, bad, well]
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers[: 3 if recovers else 1]:
                connection, _ = listener.accept()
                with connection:
                    while not connection.recv(65536).endswith(b"}"):
                        pass
                    connection.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        trial = Trial("t", "T", MOCK, lambda *_: Sample(1, 1.0, NOTHING, 0.0), ())
        expected = nullcontext() if recovers else pytest.raises(BenchError, match="status 500")
        with expected:
            wait_well(ask(listener.getsockname()[1]), trial)
        server.join()
