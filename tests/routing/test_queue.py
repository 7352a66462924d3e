"""The line: fair, bounded, and nobody is lost in it."""

from __future__ import annotations

import heapq
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.test_candidates import candidates
from trunkline.routing.candidates import Candidate
from trunkline.routing.queue import FairQueue, Waiter
from trunkline.routing.upstream_state import ConcurrencyGate


def enter(candidate: Candidate) -> None:
    candidate.state.gate.in_flight += 1


def full(count: int = 1) -> list[Candidate]:
    made = candidates(count)
    for candidate in made:
        candidate.state.gate = ConcurrencyGate(1)
        enter(candidate)
    return made


def settled(waiter: Waiter) -> Any:
    """What the waiter was given; ``...`` while it waits."""
    return waiter.turn._result if waiter.turn.settled else ...


def join(queue: FairQueue, made: list[Candidate], key: str, klass: str = "normal") -> Waiter:
    waiter = queue.join(made, key, klass)
    assert waiter is not None
    return waiter


def free(queue: FairQueue, candidate: Candidate) -> None:
    candidate.state.gate.in_flight -= 1
    queue.freed(0.0)


def test_keys_take_turns_whoever_came_first() -> None:
    made = full()
    queue = FairQueue(enter)
    flood = [join(queue, made, "flood") for _ in range(5)]
    late = join(queue, made, "late")
    free(queue, made[0])
    assert settled(flood[0]) is made[0]
    free(queue, made[0])
    assert settled(late) is made[0]  # before the four that came before it
    assert [settled(each) for each in flood[1:]] == [...] * 4
    assert queue.depth == 4


def test_classes_go_one_after_another() -> None:
    made = full()
    queue = FairQueue(enter)
    low, normal, high = (join(queue, made, "a", klass) for klass in ("low", "normal", "high"))
    order = []
    for _ in range(3):
        free(queue, made[0])
        order.append(
            [name for name, each in (("high", high), ("normal", normal), ("low", low)) if each.turn.settled]
        )
    assert order == [["high"], ["high", "normal"], ["high", "normal", "low"]]


def test_only_who_can_go_goes() -> None:
    one, two = full(2)
    queue = FairQueue(enter)
    first, second = join(queue, [one], "a"), join(queue, [one, two], "a")
    free(queue, two)
    assert (settled(first), settled(second)) == (..., two)
    one.state.pause(5.0, 0.0)
    free(queue, one)
    assert settled(first) is ...  # room, but left alone
    queue.freed(5.0)
    assert settled(first) is one


def test_the_line_is_bounded_and_can_be_left() -> None:
    made = full()
    queue = FairQueue(enter, limit=2)
    first, second = join(queue, made, "a"), join(queue, made, "a")
    assert queue.join(made, "b") is None
    first.give_up()
    assert settled(first) is None
    queue.leave(first)  # once more does nothing
    assert queue.depth == 1
    free(queue, made[0])
    assert settled(second) is made[0]
    assert queue.depth == 0


@pytest.mark.parametrize("flood", [1, 10, 100])
def test_a_flood_delays_another_key_by_one_service_at_most(flood: int) -> None:
    """In virtual time: one upstream with one slot, a service of one second, one key that always has so many
    requests in the line."""
    service = 1.0
    made = candidates(1)
    made[0].state.gate = ConcurrencyGate(1)
    queue = FairQueue(enter)
    arrivals = [(0.0, "flood")] * flood + [(0.37 + 3.1 * at, "other") for at in range(40)]
    events: list[tuple[float, int, str, Any]] = []
    for at, (when, key) in enumerate(arrivals):
        heapq.heappush(events, (when, at, "arrive", key))
    count, waits = len(arrivals), []
    waiting: list[tuple[Waiter, str, float]] = []

    def look(now: float) -> None:
        nonlocal count
        for entry in list(waiting):
            waiter, key, since = entry
            if waiter.turn.settled:
                waiting.remove(entry)
                if key == "other":
                    waits.append(now - since)
                count += 1
                heapq.heappush(events, (now + service, count, "end", key))

    while events and len(waits) < 40:
        now, _, what, key = heapq.heappop(events)
        if what == "arrive":
            waiting.append((join(queue, made, key), key, now))
            queue.freed(now)
        else:
            made[0].state.gate.in_flight -= 1
            if key == "flood":  # it never stops
                waiting.append((join(queue, made, key), key, now))
            queue.freed(now)
        look(now)
    assert sorted(waits)[int(0.95 * len(waits))] <= service + 1e-9  # alone it would not wait at all


moves = st.lists(
    st.tuples(st.sampled_from(["join", "free", "leave"]), st.integers(0, 2), st.integers(0, 3)), max_size=80
)


@given(moves)
def test_nobody_is_lost_and_no_limit_is_broken(story: list[tuple[str, int, int]]) -> None:
    made = full(3)
    queue = FairQueue(enter, limit=5)
    waiters: list[Waiter] = []
    left: list[Waiter] = []
    for what, which, key in story:
        if what == "join":
            waiter = queue.join(made[which:], f"key-{key}", ("high", "normal", "low")[key % 3])
            if waiter is not None:
                waiters.append(waiter)
                queue.freed(0.0)
        elif what == "free" and made[which].state.gate.in_flight:
            free(queue, made[which])
        elif what == "leave":
            waiting = [waiter for waiter in waiters if not waiter.turn.settled]
            if waiting:
                waiting[key % len(waiting)].give_up()
                left.append(waiting[key % len(waiting)])
        assert all(candidate.state.gate.in_flight <= 1 for candidate in made)
        assert queue.depth == sum(not waiter.turn.settled for waiter in waiters) <= 5
        assert all(settled(waiter) is None for waiter in left)
        for waiter in waiters:  # who could go has gone
            if not waiter.turn.settled:
                assert not any(candidate.has_room for candidate in waiter.candidates)
