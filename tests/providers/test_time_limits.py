"""The timeouts of attempts, from the limits of a provider, its models and a route."""

from __future__ import annotations

from tests.transport.in_flight import Owner, make_request
from trunkline.providers.time_limits import TimeLimitRules
from trunkline.settings.time_limits import DEFAULT_LIMITS, TimeLimit, TimeLimits
from trunkline.transport import LimitNames, Timeouts
from trunkline.transport.in_flight import expired_timeout
from trunkline.transport.states import SENT


def test_the_defaults_are_those_of_the_transport_but_for_whole_answers() -> None:
    names = LimitNames(
        "CONNECT_TIMEOUT_S", "FIRST_BYTE_TIMEOUT_S", "STREAM_IDLE_TIMEOUT_S", "", "QUEUE_TIMEOUT_S"
    )
    stream, whole = TimeLimitRules().timeouts("m")
    assert stream == Timeouts(names=names)
    assert whole == Timeouts(first_byte=600, names=names._replace(first_byte="ANSWER_TIMEOUT_S"))


def test_a_route_wins_over_models_and_these_over_the_provider() -> None:
    rules = TimeLimitRules(
        TimeLimits(first_byte=TimeLimit(1, "provider"), idle=TimeLimit(1, "provider")).over(DEFAULT_LIMITS),
        [
            ("big*", TimeLimits(first_byte=TimeLimit(2, "models"), idle=TimeLimit(2, "models"))),
            ("bigger", TimeLimits(idle=TimeLimit(3, "more models"))),
        ],
    )
    route = TimeLimits(first_byte=TimeLimit(4, "route"))
    found = {
        (model, limits is route): rules.timeouts(model, limits).stream
        for model in ("small", "Big", "bigger")
        for limits in (TimeLimits(), route)
    }
    assert {place: (each.first_byte, each.names.first_byte) for place, each in found.items()} == {
        ("small", False): (1, "provider"),
        ("Big", False): (2, "models"),
        ("bigger", False): (2, "models"),
        ("small", True): (4, "route"),
        ("Big", True): (4, "route"),
        ("bigger", True): (4, "route"),
    }
    assert {model: each.names.idle for (model, routed), each in found.items() if not routed} == {
        "small": "provider",
        "Big": "models",
        "bigger": "more models",
    }


def test_a_lookup_is_never_more_patient_than_a_request() -> None:
    assert (TimeLimitRules().lookup.first_byte, TimeLimitRules().lookup.idle) == (30, 30)
    impatient = TimeLimitRules(TimeLimits(first_byte=TimeLimit(1, "x")).over(DEFAULT_LIMITS))
    assert (impatient.lookup.first_byte, impatient.lookup.names.first_byte) == (1, "x")
    assert impatient.lookup.idle == 30


def test_slow_answers_are_let_be_by_default() -> None:
    """A whole answer after 35 s, 100 s before the first token of a stream, and 60 s within it."""
    timeouts = TimeLimitRules().timeouts("m")
    whole, _ = make_request(Owner(), timeouts.whole)
    whole.state = SENT
    assert expired_timeout(whole, 35) is None
    assert expired_timeout(whole, 599) is None
    expired = expired_timeout(whole, 600)
    assert expired is not None
    assert expired.detail == "600 s (ANSWER_TIMEOUT_S)"
    stream, sink = make_request(Owner(), timeouts.stream)
    stream.state = SENT
    assert expired_timeout(stream, 100) is None
    sink.progress += 1
    assert expired_timeout(stream, 100.1) is None
    assert expired_timeout(stream, 160) is None
    expired = expired_timeout(stream, 221)
    assert expired is not None
    assert expired.detail == "120 s (STREAM_IDLE_TIMEOUT_S)"
