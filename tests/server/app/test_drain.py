"""Which signal means what, and how long the listening goes on."""

from __future__ import annotations

from signal import SIGINT, SIGTERM

import pytest

from trunkline.server.app.drain import REPEAT_S, Drain

LATER = 10 * REPEAT_S


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("signals", "watched", "steps"),
    [
        ([(SIGTERM, 0)], False, ["begin"]),
        ([(SIGTERM, 0), (SIGTERM, LATER)], False, ["begin", "end"]),
        ([(SIGTERM, 0), (SIGTERM, REPEAT_S / 2)], False, ["begin", "nothing"]),
        ([(SIGTERM, 0), (SIGINT, 0)], False, ["begin", "end"]),
        ([(SIGINT, 0), (SIGINT, LATER)], False, ["begin", "end"]),
        ([(SIGINT, 0), (SIGTERM, LATER)], False, ["begin", "end"]),
        ([(SIGTERM, 0), (SIGTERM, LATER)], True, ["begin", "nothing"]),
        ([(SIGTERM, 0), (SIGTERM, LATER), (SIGINT, LATER)], True, ["begin", "nothing", "end"]),
        ([(SIGINT, 0), (SIGTERM, LATER), (SIGINT, LATER)], True, ["begin", "nothing", "end"]),
    ],
)
def test_signals(signals: list[tuple[int, float]], watched: bool, steps: list[str]) -> None:
    clock = Clock()
    drain = Drain(5, watched=watched, clock=clock)
    taken = []
    for number, after in signals:
        clock.now += after
        taken.append(drain.take(number))
    assert taken == steps


def test_listening_goes_on_for_the_delay() -> None:
    clock = Clock()
    drain = Drain(5, clock=clock)
    assert drain.seconds_left == 0
    drain.take(SIGTERM)
    assert drain.seconds_left == 5
    clock.now += 4
    assert drain.seconds_left == 1
    clock.now += 4
    assert drain.seconds_left == 0


def test_ctrl_c_has_no_delay() -> None:
    drain = Drain(5, clock=Clock())
    drain.take(SIGINT)
    assert drain.seconds_left == 0
