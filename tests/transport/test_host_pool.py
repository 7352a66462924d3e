from __future__ import annotations

from dataclasses import dataclass

import pytest

from trunkline.transport import Limits, Origin
from trunkline.transport.host_pool import HostPool
from trunkline.transport.route import make_route

ROUTE = make_route(Origin("http", "h", 80), None)
LONG = float("inf")


@dataclass(eq=False)
class Plug:
    expires_at: float = 0.0


def make_pool(**limits: float) -> HostPool[Plug, str]:
    return HostPool(ROUTE, Limits(**limits))  # type: ignore[arg-type]


def test_the_last_in_is_the_first_out() -> None:
    pool, one, two = make_pool(), Plug(), Plug()
    assert pool.take(0.0) is None
    assert pool.put(one, 0.0, LONG) is None
    assert pool.put(two, 1.0, LONG) is None
    assert pool.take(2.0) is two
    assert pool.take(2.0) is one
    assert pool.take(2.0) is None


def test_slots() -> None:
    pool = make_pool(per_origin=2)
    assert [pool.take_slot() for _ in range(3)] == [True, True, False]
    assert pool.free_slot() is None
    assert pool.open == 1


def test_who_waits_longest_inherits() -> None:
    pool, plug = make_pool(per_origin=1), Plug()
    assert pool.take_slot()
    pool.waiting.extend(["first", "second", "third"])
    pool.withdraw("second")
    assert pool.put(plug, 0.0, LONG) == "first"
    assert pool.idle == []
    assert pool.free_slot() == "third"
    assert pool.open == 1
    assert pool.free_slot() is None
    assert pool.open == 0


@pytest.mark.parametrize(
    ("keep_alive", "expires_at"),
    [(LONG, 160.0), (60.0, 159.0), (5.0, 104.0), (1.0, 0.0), (0.0, 0.0)],
)
def test_how_long_a_connection_is_kept(keep_alive: float, expires_at: float) -> None:
    pool, plug = make_pool(keep_alive=60.0), Plug()
    pool.put(plug, 100.0, keep_alive)
    assert plug.expires_at == expires_at
    assert pool.idle == ([plug] if expires_at else [])


def test_no_more_idle_ones_than_allowed() -> None:
    pool, one, two = make_pool(idle_per_origin=1), Plug(), Plug()
    pool.put(one, 0.0, LONG)
    pool.put(two, 0.0, LONG)
    assert pool.idle == [one]
    assert two.expires_at == 0.0


def test_expired_ones_are_not_used() -> None:
    pool, old, short, fresh = make_pool(), Plug(), Plug(), Plug()
    pool.put(old, 0.0, LONG)
    pool.put(fresh, 30.0, LONG)
    pool.put(short, 30.0, 11.0)
    assert pool.take(50.0) is fresh
    assert list(pool.everything()) == [old, short]
    assert pool.expire(59.0) == [short]
    assert pool.expire(59.0) == []
    assert pool.expire(60.0) == [old]
    assert list(pool.everything()) == []


def test_a_closed_one_is_forgotten() -> None:
    pool, idle, expired = make_pool(), Plug(), Plug()
    pool.put(expired, 0.0, LONG)
    pool.take(100.0)
    pool.put(idle, 100.0, LONG)
    for plug in (idle, expired, Plug()):
        pool.lose(plug)
    assert list(pool.everything()) == []


def test_a_pool_without_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="per_origin"):
        Limits(per_origin=0)
