from __future__ import annotations

from dataclasses import dataclass

import pytest

from trunkline.transport import Limits, Origin
from trunkline.transport.host_pool import HostPool
from trunkline.transport.route import make_route

ROUTE = make_route(Origin("http", "h", 80), None)
LONG = float("inf")


@dataclass(eq=False)
class Connection:
    expires_at: float = 0.0


def make_pool(**limits: float) -> HostPool[Connection, str]:
    return HostPool(ROUTE, Limits(**limits))  # type: ignore[arg-type]


def test_the_most_recent_idle_connection_is_taken_first() -> None:
    pool, one, two = make_pool(), Connection(), Connection()
    assert pool.take_idle(0.0) is None
    assert pool.put(one, 0.0, LONG) is None
    assert pool.put(two, 1.0, LONG) is None
    assert pool.take_idle(2.0) is two
    assert pool.take_idle(2.0) is one
    assert pool.take_idle(2.0) is None


def test_slots_are_limited() -> None:
    pool = make_pool(per_origin=2)
    assert [pool.take_slot() for _ in range(3)] == [True, True, False]
    assert pool.free_slot() is None
    assert pool.open_count == 1


def test_the_request_that_waits_longest_gets_the_connection_or_slot() -> None:
    pool, connection = make_pool(per_origin=1), Connection()
    assert pool.take_slot()
    pool.waiting.extend(["first", "second", "third"])
    pool.stop_waiting("second")
    assert pool.put(connection, 0.0, LONG) == "first"
    assert pool.idle == []
    assert pool.free_slot() == "third"
    assert pool.open_count == 1
    assert pool.free_slot() is None
    assert pool.open_count == 0


@pytest.mark.parametrize(
    ("keep_alive", "expires_at"),
    [(LONG, 160.0), (60.0, 159.0), (5.0, 104.0), (1.0, 0.0), (0.0, 0.0)],
)
def test_how_long_a_connection_is_kept(keep_alive: float, expires_at: float) -> None:
    pool, connection = make_pool(keep_alive=60.0), Connection()
    pool.put(connection, 100.0, keep_alive)
    assert connection.expires_at == expires_at
    assert pool.idle == ([connection] if expires_at else [])


def test_the_number_of_idle_connections_is_limited() -> None:
    pool, one, two = make_pool(idle_per_origin=1), Connection(), Connection()
    pool.put(one, 0.0, LONG)
    pool.put(two, 0.0, LONG)
    assert pool.idle == [one]
    assert two.expires_at == 0.0


def test_expired_connections_are_not_taken() -> None:
    pool, old, short, fresh = make_pool(), Connection(), Connection(), Connection()
    pool.put(old, 0.0, LONG)
    pool.put(fresh, 30.0, LONG)
    pool.put(short, 30.0, 11.0)
    assert pool.take_idle(50.0) is fresh
    assert list(pool.unused_connections()) == [old, short]
    assert pool.take_expired(59.0) == [short]
    assert pool.take_expired(59.0) == []
    assert pool.take_expired(60.0) == [old]
    assert list(pool.unused_connections()) == []


def test_a_closed_connection_is_discarded() -> None:
    pool, idle, expired = make_pool(), Connection(), Connection()
    pool.put(expired, 0.0, LONG)
    pool.take_idle(100.0)
    pool.put(idle, 100.0, LONG)
    for connection in (idle, expired, Connection()):
        pool.discard(connection)
    assert list(pool.unused_connections()) == []


def test_a_pool_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="per_origin"):
        Limits(per_origin=0)
