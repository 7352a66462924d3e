"""The table of states and transitions, whole; and the methods of a request that make each transition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import product
from typing import get_args
from unittest.mock import Mock

import pytest

from trunkline.transport.in_flight import InFlightRequest, InFlightUpload
from trunkline.transport.states import (
    ABORT,
    CLOSED,
    CONNECT,
    CONNECTING,
    DRAINING,
    QUEUED,
    RECEIVE_END,
    RELEASE,
    SEND_END,
    SEND_HEAD,
    SEND_REQUEST,
    SENDING,
    SENT,
    STATES,
    TRANSITIONS,
    Event,
    State,
)

from .in_flight import Owner, make_request, make_upload

EXPECTED: dict[tuple[State, Event], State] = {
    (QUEUED, CONNECT): CONNECTING,
    (QUEUED, SEND_REQUEST): SENT,
    (QUEUED, SEND_HEAD): SENDING,
    (QUEUED, ABORT): CLOSED,
    (CONNECTING, SEND_REQUEST): SENT,
    (CONNECTING, SEND_HEAD): SENDING,
    (CONNECTING, ABORT): CLOSED,
    (SENDING, SEND_END): SENT,
    (SENDING, RECEIVE_END): CLOSED,
    (SENDING, ABORT): CLOSED,
    (SENT, CONNECT): CONNECTING,
    (SENT, RELEASE): DRAINING,
    (SENT, RECEIVE_END): CLOSED,
    (SENT, ABORT): CLOSED,
    (DRAINING, RECEIVE_END): CLOSED,
    (DRAINING, ABORT): CLOSED,
}

CELLS = list(product(STATES, TRANSITIONS))


def test_the_table_knows_all_states_and_events() -> None:
    assert get_args(State) == STATES
    assert tuple(TRANSITIONS) == get_args(Event)
    assert {state for row in TRANSITIONS.values() for state in (*row, *row.values())} == set(STATES)


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_transitions(state: State, event: Event) -> None:
    if (state, event) in EXPECTED:
        assert TRANSITIONS[event][state] == EXPECTED[state, event]
    else:
        with pytest.raises(KeyError):
            TRANSITIONS[event][state]


Act = Callable[[InFlightRequest], object]


def _send(in_flight: InFlightRequest) -> None:
    in_flight.send(Mock(), 1.0)


def _send_end(in_flight: InFlightRequest) -> None:
    assert isinstance(in_flight, InFlightUpload)
    in_flight.connection = Mock()
    in_flight._write_end()


ACTS: dict[Event, Act] = {
    CONNECT: lambda in_flight: in_flight.connect(Mock(spec=asyncio.Task), 1.0),
    SEND_REQUEST: _send,
    SEND_HEAD: _send,
    SEND_END: _send_end,
    RELEASE: lambda in_flight: in_flight.release(),
    RECEIVE_END: lambda in_flight: in_flight.complete(),
    ABORT: lambda in_flight: in_flight.abort(),
}


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_requests_make_transitions_by_the_table(state: State, event: Event) -> None:
    owner = Owner()
    in_flight: InFlightRequest
    if event in (SEND_HEAD, SEND_END):
        in_flight = make_upload(owner)
    else:
        in_flight, _ = make_request(owner)
    in_flight.state = state
    if event == RELEASE and state != SENT:  # the methods that callers use are never an error
        ACTS[event](in_flight)
        assert in_flight.state == (state if state in (DRAINING, CLOSED) else CLOSED)
    elif (state, event) in EXPECTED:
        ACTS[event](in_flight)
        assert in_flight.state == EXPECTED[state, event]
    else:
        with pytest.raises(KeyError):
            ACTS[event](in_flight)
        assert in_flight.state == state
