"""The fair queue: fair, bounded, and every request leaves it."""

from __future__ import annotations

import heapq
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.routing.fakes import make_candidates, start_cooldown
from trunkline.routing.candidates import Candidate
from trunkline.routing.queue import FairQueue, Waiter
from trunkline.routing.upstream_state import ConcurrencyGate


def acquire(candidate: Candidate) -> None:
    candidate.state.gate.in_flight += 1


def make_full(count: int = 1) -> list[Candidate]:
    made = make_candidates(count, threshold=5)
    for candidate in made:
        candidate.state.gate = ConcurrencyGate(1)
        acquire(candidate)
    return made


def result(waiter: Waiter) -> Any:
    """The candidate that the waiter was given; ``...`` while it waits."""
    return waiter.candidate._result if waiter.candidate.settled else ...


def join(queue: FairQueue, made: list[Candidate], key: str, priority: str = "normal") -> Waiter:
    waiter = queue.join(made, key, priority)
    assert waiter is not None
    return waiter


def free(queue: FairQueue, candidate: Candidate) -> None:
    candidate.state.gate.in_flight -= 1
    queue.serve(0.0)


def test_keys_share_whatever_the_order_of_arrival() -> None:
    made = make_full()
    queue = FairQueue(acquire)
    flood = [join(queue, made, "flood") for _ in range(5)]
    late = join(queue, made, "late")
    free(queue, made[0])
    assert result(flood[0]) is made[0]
    free(queue, made[0])
    assert result(late) is made[0]  # before the four that came before it
    assert [result(each) for each in flood[1:]] == [...] * 4
    assert queue.depth == 4


def test_who_waits_only_for_what_rests_leaves() -> None:
    made = make_full(2)
    queue = FairQueue(acquire)
    both, one, low = join(queue, made, "a"), join(queue, made[:1], "a"), join(queue, made[:1], "b", "low")
    queue.dismiss_resting(0.0)
    assert queue.depth == 3
    start_cooldown(made[0], 60.0, 0.0)
    queue.dismiss_resting(0.0)
    assert [result(each) for each in (both, one, low)] == [..., None, None]
    assert [each.in_vain for each in (both, one, low)] == [False, True, True]
    assert queue.depth == 1
    start_cooldown(made[1], 60.0, 0.0)
    queue.dismiss_resting(59.0)
    assert (both.in_vain, queue.depth) == (True, 0)


def test_higher_priorities_are_served_first() -> None:
    made = make_full()
    queue = FairQueue(acquire)
    low, normal, high = (join(queue, made, "a", priority) for priority in ("low", "normal", "high"))
    order = []
    for _ in range(3):
        free(queue, made[0])
        order.append(
            [
                name
                for name, each in (("high", high), ("normal", normal), ("low", low))
                if each.candidate.settled
            ]
        )
    assert order == [["high"], ["high", "normal"], ["high", "normal", "low"]]


def test_only_a_request_whose_candidate_has_room_is_served() -> None:
    one, two = make_full(2)
    queue = FairQueue(acquire)
    first, second = join(queue, [one], "a"), join(queue, [one, two], "a")
    free(queue, two)
    assert (result(first), result(second)) == (..., two)
    start_cooldown(one, 5.0, 0.0)
    free(queue, one)
    assert result(first) is ...  # it has room, but is in cooldown
    queue.serve(5.0)
    assert result(first) is one


def test_the_queue_is_bounded_and_can_be_left() -> None:
    made = make_full()
    queue = FairQueue(acquire, limit=2)
    first, second = join(queue, made, "a"), join(queue, made, "a")
    assert queue.join(made, "b") is None
    first.give_up()
    assert result(first) is None
    queue.leave(first)  # a second time does nothing
    assert queue.depth == 1
    free(queue, made[0])
    assert result(second) is made[0]
    assert queue.depth == 0


@pytest.mark.parametrize("flood", [1, 10, 100])
def test_a_flood_delays_another_key_by_one_service_time_at_most(flood: int) -> None:
    """Simulated time: one upstream serves one request a second, and one key always has ``flood`` requests
    in the queue."""
    service = 1.0
    made = make_candidates(1)
    made[0].state.gate = ConcurrencyGate(1)
    queue = FairQueue(acquire)
    arrivals = [(0.0, "flood")] * flood + [(0.37 + 3.1 * number, "other") for number in range(40)]
    events: list[tuple[float, int, str, Any]] = []
    for number, (when, key) in enumerate(arrivals):
        heapq.heappush(events, (when, number, "arrive", key))
    count, waits = len(arrivals), []
    waiting: list[tuple[Waiter, str, float]] = []

    def collect(now: float) -> None:
        nonlocal count
        for entry in list(waiting):
            waiter, key, since = entry
            if waiter.candidate.settled:
                waiting.remove(entry)
                if key == "other":
                    waits.append(now - since)
                count += 1
                heapq.heappush(events, (now + service, count, "end", key))

    while events and len(waits) < 40:
        now, _, what, key = heapq.heappop(events)
        if what == "arrive":
            waiting.append((join(queue, made, key), key, now))
            queue.serve(now)
        else:
            made[0].state.gate.in_flight -= 1
            if key == "flood":  # it never stops
                waiting.append((join(queue, made, key), key, now))
            queue.serve(now)
        collect(now)
    assert sorted(waits)[int(0.95 * len(waits))] <= service + 1e-9  # alone it would not wait at all


moves = st.lists(
    st.tuples(st.sampled_from(["join", "free", "leave"]), st.integers(0, 2), st.integers(0, 3)), max_size=80
)


@given(moves)
def test_no_request_is_lost_and_no_limit_is_exceeded(story: list[tuple[str, int, int]]) -> None:
    made = make_full(3)
    queue = FairQueue(acquire, limit=5)
    waiters: list[Waiter] = []
    left: list[Waiter] = []
    for what, which, key in story:
        if what == "join":
            waiter = queue.join(made[which:], f"key-{key}", ("high", "normal", "low")[key % 3])
            if waiter is not None:
                waiters.append(waiter)
                queue.serve(0.0)
        elif what == "free" and made[which].state.gate.in_flight:
            free(queue, made[which])
        elif what == "leave":
            waiting = [waiter for waiter in waiters if not waiter.candidate.settled]
            if waiting:
                waiting[key % len(waiting)].give_up()
                left.append(waiting[key % len(waiting)])
        assert all(candidate.state.gate.in_flight <= 1 for candidate in made)
        assert queue.depth == sum(not waiter.candidate.settled for waiter in waiters) <= 5
        assert all(result(waiter) is None for waiter in left)
        for waiter in waiters:  # every request that could be served was served
            if not waiter.candidate.settled:
                assert not any(candidate.has_room for candidate in waiter.candidates)
