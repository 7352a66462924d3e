from __future__ import annotations

from unittest.mock import Mock

import pytest

from trunkline.transport import InFlightRequest, Limits, Origin, Timeouts, UpstreamRequest
from trunkline.transport import failures as f
from trunkline.transport.failures import Fault
from trunkline.transport.host_pool import HostPool
from trunkline.transport.in_flight import CONNECTING, OVER, RELEASED, SENT, WAITING, overdue
from trunkline.transport.route import make_route

from .upstream import Recorder

ORIGIN = Origin("http", "h", 80)
TIMEOUTS = Timeouts(connect=1.0, first_byte=2.0, idle=3.0, total=100.0)


class InFlightOwner:
    def __init__(self) -> None:
        self.now = 0.0
        self.dropped: list[InFlightRequest] = []

    def time(self) -> float:
        return self.now

    def drop(self, in_flight: InFlightRequest) -> None:
        in_flight.state = OVER
        self.dropped.append(in_flight)


def in_flight(keeper: InFlightOwner, timeouts: Timeouts = TIMEOUTS) -> tuple[InFlightRequest, Recorder]:
    sink = Recorder()
    request = UpstreamRequest(ORIGIN, b"GET", b"/", timeouts=timeouts)
    return InFlightRequest(
        keeper, HostPool(make_route(ORIGIN, None), Limits()), request, b"", sink, keeper.now
    ), sink


@pytest.mark.parametrize(
    ("state", "started", "late"),
    [
        (WAITING, False, (f.BUSY, 1.0)),
        (CONNECTING, False, (f.CONNECT_TIMEOUT, 1.0)),
        (SENT, False, (f.FIRST_BYTE_TIMEOUT, 2.0)),
        (SENT, True, (f.IDLE_TIMEOUT, 3.0)),
        (RELEASED, True, (f.IDLE_TIMEOUT, 1.0)),
    ],
)
def test_each_phase_has_its_time(state: int, started: bool, late: tuple[Fault, float]) -> None:
    one, _ = in_flight(InFlightOwner())
    one.state, one.started, one.since = state, started, 10.0
    assert overdue(one, 10.0 + late[1] - 0.01) is None
    assert overdue(one, 10.0 + late[1]) == late


def test_progress_starts_the_idle_time_anew() -> None:
    one, sink = in_flight(InFlightOwner())
    one.state = SENT
    assert overdue(one, 1.9) is None
    sink.progress += 1
    assert overdue(one, 4.9) is None  # the first byte was there in time; when exactly, nobody noted
    sink.progress += 1
    assert overdue(one, 7.0) is None
    assert overdue(one, 9.9) is None
    assert overdue(one, 10.0) == (f.IDLE_TIMEOUT, 3.0)


def test_a_sink_that_was_used_before_has_made_no_progress_yet() -> None:
    one, sink = in_flight(InFlightOwner())
    one.state = SENT
    one.seen = sink.progress = 7
    assert overdue(one, 2.0) == (f.FIRST_BYTE_TIMEOUT, 2.0)


def test_a_large_request_that_is_being_taken_is_no_silence() -> None:
    one, _ = in_flight(InFlightOwner())
    connection = Mock(spec=["transport"])
    size = connection.transport.get_write_buffer_size
    one.state, one.connection = SENT, connection
    for now, size.return_value in ((1.0, 900), (2.9, 800), (4.8, 100)):
        assert overdue(one, now) is None
    assert overdue(one, 6.8) == (f.FIRST_BYTE_TIMEOUT, 2.0)  # stuck
    size.return_value = 0
    assert overdue(one, 6.8) is None
    assert overdue(one, 8.7) is None
    assert overdue(one, 8.8) == (f.FIRST_BYTE_TIMEOUT, 2.0)


@pytest.mark.parametrize("state", [WAITING, CONNECTING, SENT])
def test_the_total_time_never_stops(state: int) -> None:
    one, sink = in_flight(InFlightOwner())
    one.state, one.since, one.paused = state, 99.9, True
    sink.progress = 1
    assert overdue(one, 100.0) == (f.TOTAL_TIMEOUT, 100.0)


def test_without_a_total_time_there_is_no_end() -> None:
    one, _ = in_flight(InFlightOwner(), Timeouts())
    assert one.deadline is None


def test_a_paused_flight_is_not_idle() -> None:
    keeper = InFlightOwner()
    one, _ = in_flight(keeper)
    one.state, one.started = SENT, True
    one.pause()
    assert overdue(one, 50.0) is None
    keeper.now = 51.0
    one.resume()
    assert overdue(one, 52.9) is None
    assert overdue(one, 53.1) == (f.IDLE_TIMEOUT, 3.0)


def test_a_flight_is_cancelled_once() -> None:
    keeper = InFlightOwner()
    one, _ = in_flight(keeper)
    one.cancel()
    one.cancel()
    assert keeper.dropped == [one]


@pytest.mark.parametrize("state", [WAITING, CONNECTING])
def test_release_before_anything_was_sent_is_a_cancel(state: int) -> None:
    keeper = InFlightOwner()
    one, _ = in_flight(keeper)
    one.state = state
    one.release()
    assert keeper.dropped == [one]


def test_a_released_flight_is_not_paused_again() -> None:
    keeper = InFlightOwner()
    one, sink = in_flight(keeper)
    one.state = SENT
    one.pause()
    one.release()
    one.pause()
    one.release()
    assert (one.state, one.paused) == (RELEASED, False)
    assert one.sink is not sink
    assert keeper.dropped == []
