"""The states of an in-flight request, the events that change them, and the table of all transitions.

The model is h11's ``_state.py``. The table has a row for each event: for each state in which the event is
possible, the state that follows. Only ``in_flight.py`` uses it; everybody else calls a method of the request.

A plain request goes from QUEUED to SENT and CLOSED, by way of CONNECTING if no idle connection is free. An
upload (a request whose body comes in pieces) is in SENDING between its head and the last of its body. A
request whose sink has seen enough is DRAINING until its response ends.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

State: TypeAlias = Literal["queued", "connecting", "sending", "sent", "draining", "closed"]

QUEUED: Final = "queued"
"""No connection is idle and all slots of the host pool are taken: the request waits for either."""
CONNECTING: Final = "connecting"
"""A connection is being opened for it."""
SENDING: Final = "sending"
"""The head was written; the body is written piece by piece."""
SENT: Final = "sent"
"""All of the request was written; the response is outstanding or being read."""
DRAINING: Final = "draining"
"""The sink is not called any more. The rest of the response is read so that the connection can be kept."""
CLOSED: Final = "closed"
"""The request is over, and no connection carries it."""

STATES: Final[tuple[State, ...]] = (QUEUED, CONNECTING, SENDING, SENT, DRAINING, CLOSED)

Event: TypeAlias = Literal[
    "connect", "send_request", "send_head", "send_end", "release", "receive_end", "abort"
]

CONNECT: Final = "connect"
"""A new connection is opened: a slot is free, or the kept connection that was written to had been closed."""
SEND_REQUEST: Final = "send_request"
"""Head and body are written."""
SEND_HEAD: Final = "send_head"
"""The head is written; the body follows."""
SEND_END: Final = "send_end"
"""The last piece of the body has been written."""
RELEASE: Final = "release"
"""The sink needs no more of the response."""
RECEIVE_END: Final = "receive_end"
"""The response is complete."""
ABORT: Final = "abort"
"""The request was cancelled or has failed."""

TRANSITIONS: Final[dict[Event, dict[State, State]]] = {
    CONNECT: {QUEUED: CONNECTING, SENT: CONNECTING},
    SEND_REQUEST: {QUEUED: SENT, CONNECTING: SENT},
    SEND_HEAD: {QUEUED: SENDING, CONNECTING: SENDING},
    SEND_END: {SENDING: SENT},
    RELEASE: {SENT: DRAINING},
    RECEIVE_END: {SENDING: CLOSED, SENT: CLOSED, DRAINING: CLOSED},
    ABORT: {QUEUED: CLOSED, CONNECTING: CLOSED, SENDING: CLOSED, SENT: CLOSED, DRAINING: CLOSED},
}
"""Event → state → the state that follows.

``TRANSITIONS[event][state]`` raises KeyError for an event that is not possible in a state: a bug in the
transport. The rows are plain dicts because that is the cheapest look-up there is, and each request pays for
two or three of them.
"""
