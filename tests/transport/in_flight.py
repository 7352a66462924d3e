"""Requests in flight without a client, for the tests of their states and timeouts."""

from __future__ import annotations

from typing import Any

from trunkline.transport import InFlightRequest, LimitNames, Limits, Origin, Timeouts, UpstreamRequest
from trunkline.transport.host_pool import HostPool
from trunkline.transport.in_flight import InFlightUpload
from trunkline.transport.route import make_route

from .upstream import Recorder

ORIGIN = Origin("http", "h", 80)
NAMES = LimitNames("CONNECT_S", "FIRST_BYTE_S", "IDLE_S", "TOTAL_S", "QUEUE_S")
TIMEOUTS = Timeouts(connect=1.0, first_byte=2.0, idle=3.0, total=100.0, queue=4.0, names=NAMES)


class Owner:
    """The part of the client that requests call, with a clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.aborted: list[InFlightRequest] = []

    def time(self) -> float:
        return self.now

    def abort(self, in_flight: InFlightRequest) -> None:
        in_flight.abort()
        self.aborted.append(in_flight)


def make_request(owner: Owner, timeouts: Timeouts = TIMEOUTS) -> tuple[InFlightRequest, Recorder]:
    """A request, and its sink."""
    sink = Recorder()
    request = UpstreamRequest(ORIGIN, b"GET", b"/", timeouts=timeouts)
    pool: HostPool[Any, InFlightRequest] = HostPool(make_route(ORIGIN, None), Limits())
    return InFlightRequest(owner, pool, request, b"", sink, owner.now), sink


def make_upload(owner: Owner, timeouts: Timeouts = TIMEOUTS) -> InFlightUpload:
    """An upload in chunks."""
    request = UpstreamRequest(ORIGIN, b"POST", b"/", timeouts=timeouts)
    pool: HostPool[Any, InFlightRequest] = HostPool(make_route(ORIGIN, None), Limits())
    return InFlightUpload(owner, pool, request, b"", Recorder(), owner.now, chunked=True)
