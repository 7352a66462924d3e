from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from unittest.mock import Mock

import pytest

from trunkline.transport import Timeouts
from trunkline.transport import failures as f
from trunkline.transport.failures import Fault
from trunkline.transport.in_flight import ExpiredTimeout, expired_timeout
from trunkline.transport.states import CLOSED, CONNECTING, DRAINING, QUEUED, SENDING, SENT, State

from .in_flight import Owner, make_request, make_upload

# Timeouts


@pytest.mark.parametrize(
    ("state", "has_progressed", "expired"),
    [
        (QUEUED, False, (f.BUSY, 4.0, "QUEUE_S")),
        (CONNECTING, False, (f.CONNECT_TIMEOUT, 1.0, "CONNECT_S")),
        (SENT, False, (f.FIRST_BYTE_TIMEOUT, 2.0, "FIRST_BYTE_S")),
        (SENT, True, (f.IDLE_TIMEOUT, 3.0, "IDLE_S")),
        (DRAINING, True, (f.IDLE_TIMEOUT, 1.0, "")),
    ],
)
def test_each_state_has_its_timeout(
    state: State, has_progressed: bool, expired: tuple[Fault, float, str]
) -> None:
    in_flight, _ = make_request(Owner())
    in_flight.state, in_flight.has_progressed, in_flight.silent_since = state, has_progressed, 10.0
    assert expired_timeout(in_flight, 10.0 + expired[1] - 0.01) is None
    assert expired_timeout(in_flight, 10.0 + expired[1]) == expired


def test_a_timeout_is_told_with_its_name_if_it_has_one() -> None:
    assert ExpiredTimeout(f.IDLE_TIMEOUT, 0.5, "IDLE_S").detail == "0.5 s (IDLE_S)"
    assert ExpiredTimeout(f.IDLE_TIMEOUT, 120.0, "").detail == "120 s"


def test_progress_starts_the_idle_time_anew() -> None:
    in_flight, sink = make_request(Owner())
    in_flight.state = SENT
    assert expired_timeout(in_flight, 1.9) is None
    sink.progress += 1
    assert expired_timeout(in_flight, 4.9) is None  # the first byte came in time; exactly when is not known
    sink.progress += 1
    assert expired_timeout(in_flight, 7.0) is None
    assert expired_timeout(in_flight, 9.9) is None
    assert expired_timeout(in_flight, 10.0) == (f.IDLE_TIMEOUT, 3.0, "IDLE_S")


def test_the_progress_of_a_sink_before_its_request_does_not_count() -> None:
    in_flight, sink = make_request(Owner())
    in_flight.state = SENT
    in_flight.last_progress = sink.progress = 7
    assert expired_timeout(in_flight, 2.0) == (f.FIRST_BYTE_TIMEOUT, 2.0, "FIRST_BYTE_S")


def test_an_upstream_that_takes_a_large_request_is_not_silent() -> None:
    in_flight, _ = make_request(Owner())
    connection = Mock(spec=["transport"])
    size = connection.transport.get_write_buffer_size
    in_flight.state, in_flight.connection = SENT, connection
    for now, size.return_value in ((1.0, 900), (2.9, 800), (4.8, 100)):
        assert expired_timeout(in_flight, now) is None
    assert expired_timeout(in_flight, 6.8) == (f.FIRST_BYTE_TIMEOUT, 2.0, "FIRST_BYTE_S")  # it takes no more
    size.return_value = 0
    assert expired_timeout(in_flight, 6.8) is None
    assert expired_timeout(in_flight, 8.7) is None
    assert expired_timeout(in_flight, 8.8) == (f.FIRST_BYTE_TIMEOUT, 2.0, "FIRST_BYTE_S")


async def test_an_upload_is_idle_only_while_it_is_blocked_and_nothing_is_taken() -> None:
    upload = make_upload(Owner())
    connection = Mock()
    size = connection.transport.get_write_buffer_size
    size.return_value = 0
    upload.send(connection, 0.0)
    assert expired_timeout(upload, 50.0) is None  # the next piece is waited for
    connection.writable.clear()
    for now, size.return_value in ((51.0, 900), (53.9, 800), (56.8, 100)):
        assert expired_timeout(upload, now) is None
    assert expired_timeout(upload, 59.7) is None
    assert expired_timeout(upload, 59.8) == (f.IDLE_TIMEOUT, 3.0, "IDLE_S")
    connection.writable.set()
    assert expired_timeout(upload, 99.0) is None
    assert expired_timeout(upload, 100.0) == (f.TOTAL_TIMEOUT, 100.0, "TOTAL_S")


@pytest.mark.parametrize("state", [QUEUED, CONNECTING, SENDING, SENT])
def test_the_total_time_always_runs(state: State) -> None:
    in_flight, sink = make_request(Owner())
    in_flight.state, in_flight.silent_since, in_flight.paused = state, 99.9, True
    sink.progress = 1
    assert expired_timeout(in_flight, 100.0) == (f.TOTAL_TIMEOUT, 100.0, "TOTAL_S")


def test_without_a_total_timeout_there_is_no_deadline() -> None:
    in_flight, _ = make_request(Owner(), Timeouts())
    assert in_flight.deadline is None


def test_a_paused_request_is_not_idle() -> None:
    owner = Owner()
    in_flight, _ = make_request(owner)
    in_flight.state, in_flight.has_progressed = SENT, True
    in_flight.pause()
    assert expired_timeout(in_flight, 50.0) is None
    owner.now = 51.0
    in_flight.resume()
    assert expired_timeout(in_flight, 52.9) is None
    assert expired_timeout(in_flight, 53.1) == (f.IDLE_TIMEOUT, 3.0, "IDLE_S")


# Cancel and release


def test_a_request_is_cancelled_once() -> None:
    owner = Owner()
    in_flight, _ = make_request(owner)
    in_flight.cancel()
    in_flight.cancel()
    assert owner.aborted == [in_flight]
    assert in_flight.state == CLOSED


@pytest.mark.parametrize("state", [QUEUED, CONNECTING, SENDING])
def test_release_before_all_was_sent_is_a_cancel(state: State) -> None:
    owner = Owner()
    in_flight, _ = make_request(owner)
    in_flight.state = state
    in_flight.release()
    assert owner.aborted == [in_flight]


def test_a_released_request_is_not_paused_again() -> None:
    owner = Owner()
    in_flight, sink = make_request(owner)
    in_flight.state = SENT
    in_flight.pause()
    in_flight.release()
    in_flight.pause()
    in_flight.release()
    assert (in_flight.state, in_flight.paused) == (DRAINING, False)
    assert in_flight.sink is not sink
    assert owner.aborted == []


# Uploads


async def test_pieces_are_written_as_chunks_and_only_while_the_connection_takes_more() -> None:
    upload = make_upload(Owner())
    written: list[bytes] = []
    connection = Mock()
    connection.transport.write = written.append
    requested: list[int] = []

    async def pieces() -> AsyncIterator[bytes]:
        for number, piece in enumerate((b"one", b"", b"seventeen bytes..")):
            requested.append(number)
            yield piece

    sending = asyncio.ensure_future(upload.send_body(pieces()))
    await asyncio.sleep(0)
    assert requested == []  # there is no connection yet
    upload.send(connection, 0.0)
    connection.writable.clear()
    for _ in range(5):
        await asyncio.sleep(0)
    assert requested == [0]
    connection.writable.set()
    await sending
    assert written == [b"", b"3\r\none\r\n", b"11\r\nseventeen bytes..\r\n", b"0\r\n\r\n"]
    assert upload.state == SENT


@pytest.mark.parametrize("connected", [False, True])
async def test_sending_a_body_ends_when_the_request_is_closed(connected: bool) -> None:
    upload = make_upload(Owner())
    forever = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        await forever.wait()

    sending = asyncio.ensure_future(upload.send_body(pieces()))
    if connected:
        connection = Mock()
        upload.send(connection, 0.0)
        connection.writable.clear()
        await asyncio.sleep(0)
    upload.abort()
    await sending
    assert upload.state == CLOSED
