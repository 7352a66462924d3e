"""Who is asked how often, after which pauses, and what the client gets: one table, in simulated time.

A schedule is written as it happens: a letter is an attempt at that upstream, a number is a pause in seconds.
Jitter always draws the longest pause.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
import pytest
from structlog.testing import capture_logs

from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Attempt, Client, Upstreams
from tests.simulation import SimulatedLoop, served, simulate
from trunkline.errors import (
    FORBIDDEN,
    INVALID_REQUEST,
    KINDS,
    MODEL_NOT_FOUND,
    UPSTREAM_AUTH,
    UPSTREAM_BUSY,
    UPSTREAM_CREDIT,
    UPSTREAM_ERROR,
    UPSTREAM_MODEL_ERROR,
    UPSTREAM_PROTOCOL,
    UPSTREAM_RATE_LIMIT,
    UPSTREAM_RESET,
    UPSTREAM_TIMEOUT,
    UPSTREAM_TLS,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
    UPSTREAM_UNREACHABLE,
    Kind,
    ProviderError,
)
from trunkline.exchange import Exchange
from trunkline.pipeline.pipeline import Pipeline, PipelineSettings
from trunkline.providers.base import AnswerReceiver, InFlight, Upstream
from trunkline.providers.time_limits import AttemptTimeouts
from trunkline.routing.breaker import CircuitBreaker
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import RouteRule, RouteTarget, RoutingRules
from trunkline.routing.router import Router

BODY = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": "x"}]})


class Failing(Upstreams):
    """An upstream whose attempts fail, all in the same way; after ``failures`` of them it answers."""

    def __init__(
        self,
        name: str,
        kind: Kind = UPSTREAM_ERROR,
        max_retries: int = 0,
        *,
        lasts: float = 0.0,
        retry_after: float | None = None,
        failures: int = 1000,
        local: bool = False,
    ) -> None:
        super().__init__(name)
        self.local = local
        self.max_retries = max_retries
        self.status: int | None = None
        """The status of the failures, and their code, where these are not those of their kind."""
        self.code: str | None = None
        self._failure_kind = kind
        self._lasts = lasts
        self._retry_after = retry_after
        self._failures = failures

    def open(
        self,
        exchange: Exchange,
        upstream: Upstream,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts | None = None,
    ) -> InFlight:
        loop = asyncio.get_running_loop()
        if len(self.attempts) < self._failures:
            failure = ProviderError(
                "no", self._failure_kind, status=self.status, code=self.code, retry_after=self._retry_after
            )
            loop.call_later(self._lasts, receiver.fail, failure)
        else:
            loop.call_later(self._lasts, receiver.done, b"{}")
        return super().open(exchange, upstream, receiver, timeouts)


class LongestPause(random.Random):
    """Draws the end of every range."""

    def random(self) -> float:
        return 1.0


class Seen(NamedTuple):
    """What came of one request."""

    schedule: str
    status: int
    lasted: float
    """Seconds from its arrival to its end."""


async def make_pipeline(
    upstreams: Sequence[Failing],
    *,
    deadline: float = 60.0,
    threshold: int = 0,
    recovery: float = 10.0,
    **rules: Any,
) -> Pipeline:
    providers: Any = {each.name: each for each in upstreams}
    catalog = Catalog(providers)
    breaker = partial(CircuitBreaker, threshold, recovery)
    router = Router(providers, catalog, RoutingRules(preferred=upstreams[0].name, **rules), breaker)
    await catalog.refresh()
    pipeline = Pipeline(router, settings=PipelineSettings(retry_deadline_s=deadline))
    pipeline._rng = LongestPause()
    return pipeline


async def ask(pipeline: Pipeline, loop: SimulatedLoop) -> Seen:
    """What comes of one request that arrives now."""
    client, arrived = Client(), loop.time()
    active = make_active(client, BODY, received_at=arrived)
    await served(pipeline, active)
    schedule, ended = [], arrived
    for attempt in active.attempts:
        assert attempt.sent_at is not None
        assert attempt.ended_at is not None
        if attempt.sent_at > ended:
            schedule.append(f"{attempt.sent_at - ended:g}")
        schedule.append(attempt.candidate.provider.name)
        ended = attempt.ended_at
    ((_, status, _),) = client.told
    return Seen(" ".join(schedule), status, loop.time() - arrived)


def try_once(monkeypatch: pytest.MonkeyPatch, *upstreams: Failing, **arguments: Any) -> Seen:
    """What comes of the first request to these upstreams."""

    async def main(loop: SimulatedLoop) -> Seen:
        return await ask(await make_pipeline(upstreams, **arguments), loop)

    return simulate(monkeypatch, main)


AGAIN = (UPSTREAM_ERROR, UPSTREAM_RATE_LIMIT)
ONCE_AGAIN = (UPSTREAM_UNREACHABLE, UPSTREAM_RESET)
ELSEWHERE = (
    MODEL_NOT_FOUND,
    UPSTREAM_AUTH,
    UPSTREAM_BUSY,
    UPSTREAM_CREDIT,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TIMEOUT,
    UPSTREAM_TLS,
    UPSTREAM_TOO_LARGE,
    UPSTREAM_TRUNCATED,
)
WHERE_IT_IS_FREE = (UPSTREAM_MODEL_ERROR,)
NOWHERE = (INVALID_REQUEST, FORBIDDEN)

ROWS = [
    # kinds of failure, number of candidates, retries, deadline, schedule
    (AGAIN, 1, 0, 60.0, "a"),
    (AGAIN, 1, 1, 60.0, "a 0.25 a"),
    (AGAIN, 1, 2, 60.0, "a 0.25 a 0.5 a"),
    (AGAIN, 1, 3, 60.0, "a 0.25 a 0.5 a 1 a"),
    (AGAIN, 1, 8, 60.0, "a 0.25 a 0.5 a 1 a 2 a 4 a 8 a 8 a 8 a"),
    (AGAIN, 1, 8, 23.75, "a 0.25 a 0.5 a 1 a 2 a 4 a 8 a 8 a"),
    (AGAIN, 1, 8, 23.7, "a 0.25 a 0.5 a 1 a 2 a 4 a 8 a"),
    (AGAIN, 1, 8, 0.75, "a 0.25 a 0.5 a"),
    (AGAIN, 1, 8, 0.7, "a 0.25 a"),
    (AGAIN, 1, 8, 0.2, "a"),
    (AGAIN, 2, 0, 60.0, "a b"),
    (AGAIN, 2, 1, 60.0, "a b 0.25 a b"),
    (AGAIN, 2, 2, 60.0, "a b 0.25 a b 0.5 a b"),
    (AGAIN, 2, 2, 0.7, "a b 0.25 a b"),
    (AGAIN, 2, 2, 0.2, "a b"),
    (AGAIN, 3, 0, 60.0, "a b c"),
    (AGAIN, 3, 1, 60.0, "a b c 0.25 a b c"),
    (AGAIN, 3, 1, 0.2, "a b c"),
    (ONCE_AGAIN, 1, 0, 60.0, "a"),
    (ONCE_AGAIN, 1, 1, 60.0, "a 0.25 a"),
    (ONCE_AGAIN, 1, 8, 60.0, "a 0.25 a"),
    (ONCE_AGAIN, 1, 8, 0.2, "a"),
    (ONCE_AGAIN, 2, 0, 60.0, "a b"),
    (ONCE_AGAIN, 2, 8, 60.0, "a b 0.25 a b"),
    (ONCE_AGAIN, 2, 8, 0.2, "a b"),
    (ONCE_AGAIN, 3, 8, 60.0, "a b c 0.25 a b c"),
    (ELSEWHERE, 1, 8, 60.0, "a"),
    (ELSEWHERE, 2, 0, 60.0, "a b"),
    (ELSEWHERE, 2, 8, 60.0, "a b"),
    (ELSEWHERE, 2, 8, 0.2, "a b"),
    (ELSEWHERE, 3, 8, 60.0, "a b c"),
    (WHERE_IT_IS_FREE, 1, 8, 60.0, "a"),
    (WHERE_IT_IS_FREE, 2, 8, 60.0, "a"),
    (WHERE_IT_IS_FREE, 3, 8, 60.0, "a"),
    (NOWHERE, 1, 8, 60.0, "a"),
    (NOWHERE, 2, 8, 60.0, "a"),
    (NOWHERE, 3, 8, 60.0, "a"),
]


def test_every_kind_of_failure_that_counts_against_an_upstream_is_in_the_table() -> None:
    in_table = {kind for kinds, *_ in ROWS for kind in kinds}
    counting = [kind for kind in KINDS.values() if kind.retry or kind.scope != "request"]
    assert [kind.code for kind in counting if kind not in in_table] == []


@pytest.mark.parametrize(
    ("kind", "candidates", "retries", "deadline", "schedule"),
    [(kind, *rest) for kinds, *rest in ROWS for kind in kinds],
    ids=[
        f"{kind.code}-{candidates}-{retries}-{deadline:g}s"
        for kinds, candidates, retries, deadline, _ in ROWS
        for kind in kinds
    ],
)
def test_attempts_pauses_and_status(
    kind: Kind,
    candidates: int,
    retries: int,
    deadline: float,
    schedule: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upstreams = [Failing(name, kind, retries) for name in "abc"[:candidates]]
    seen = try_once(monkeypatch, *upstreams, deadline=deadline)
    assert (seen.schedule, seen.status) == (schedule, kind.status)
    assert seen.lasted == sum(float(each) for each in schedule.split() if not each.isalpha())


@pytest.mark.parametrize(
    ("upstreams", "deadline", "schedule", "status"),
    [
        # the failure passes
        ([{"failures": 1, "max_retries": 1}], 60.0, "a 0.25 a", 200),
        ([{"failures": 2, "max_retries": 2}], 60.0, "a 0.25 a 0.5 a", 200),
        ([{"failures": 2, "max_retries": 1}], 60.0, "a 0.25 a", 502),
        ([{}, {"failures": 0}], 60.0, "a b", 200),
        ([{"max_retries": 1}, {"failures": 1, "max_retries": 1}], 60.0, "a b 0.25 a b", 200),
        # attempts take time as well
        ([{"lasts": 10.0, "max_retries": 8}], 30.0, "a 0.25 a 0.5 a", 502),
        ([{"lasts": 29.75, "max_retries": 8}], 30.0, "a 0.25 a", 502),
        ([{"lasts": 30.0, "max_retries": 8}], 30.0, "a", 502),
        # the deadline is one of retries: another upstream is asked at any time
        ([{"lasts": 300.0}, {"failures": 0}], 30.0, "a b", 200),
        # an upstream's Retry-After is the pause, if that is no longer than the longest backoff
        ([{"retry_after": 5.0, "max_retries": 2}], 60.0, "a 5 a 5 a", 502),
        ([{"retry_after": 8.0, "max_retries": 2}], 15.0, "a 8 a", 502),
        ([{"retry_after": 8.5, "max_retries": 2}], 60.0, "a", 502),
        ([{"retry_after": 20.0, "max_retries": 2, "kind": UPSTREAM_RATE_LIMIT}], 60.0, "a", 429),
        ([{"retry_after": 20.0, "max_retries": 2}, {"max_retries": 1}], 60.0, "a b 0.25 b", 502),
        ([{"retry_after": 5.0, "max_retries": 2}, {"max_retries": 1}], 60.0, "a b 0.25 b 5 a", 502),
        # each provider has its own number of retries, and each failure its own rule
        ([{"max_retries": 2}, {}], 60.0, "a b 0.25 a 0.5 a", 502),
        (
            [{"kind": UPSTREAM_UNREACHABLE, "max_retries": 2}, {"max_retries": 2}],
            60.0,
            "a b 0.25 a b 0.5 b",
            502,
        ),
        ([{"kind": UPSTREAM_AUTH, "max_retries": 2}, {"max_retries": 1}], 60.0, "a b 0.25 b", 502),
        # the last failure is told
        ([{}, {"kind": UPSTREAM_RATE_LIMIT}], 60.0, "a b", 429),
        ([{"kind": UPSTREAM_RATE_LIMIT}, {}], 60.0, "a b", 502),
        # an Ollama server's own error: another one of ours is asked, and none that costs money
        (
            [{"kind": UPSTREAM_MODEL_ERROR, "local": True}, {}, {"local": True, "failures": 0}],
            60.0,
            "a c",
            200,
        ),
        ([{"kind": UPSTREAM_MODEL_ERROR, "local": True}, {"failures": 0}], 60.0, "a", 502),
    ],
)
def test_mixed_failures(
    upstreams: list[dict[str, Any]],
    deadline: float,
    schedule: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = [Failing(name, **fields) for name, fields in zip("abc", upstreams, strict=False)]
    seen = try_once(monkeypatch, *failing, deadline=deadline)
    assert (seen.schedule, seen.status) == (schedule, status)


def test_a_route_names_what_is_asked_after_an_ollama_servers_own_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    route = RouteRule([RouteTarget("a", "m"), RouteTarget("b", "m", priority=1)])
    upstreams = [Failing("a", UPSTREAM_MODEL_ERROR, local=True), Failing("b", failures=0)]
    seen = try_once(monkeypatch, *upstreams, routes={"m": route})
    assert (seen.schedule, seen.status) == ("a b", 200)


@pytest.mark.parametrize(
    ("kind", "threshold", "recovery", "schedule"),
    [
        (UPSTREAM_ERROR, 1, 10.0, "a"),
        (UPSTREAM_ERROR, 3, 10.0, "a 0.25 a 0.5 a"),
        (UPSTREAM_UNREACHABLE, 1, 10.0, "a"),
        (UPSTREAM_RATE_LIMIT, 2, 10.0, "a 0.25 a"),
        (UPSTREAM_ERROR, 3, 1.0, "a 0.25 a 0.5 a 1 a 2 a 4 a"),  # it rests for no longer than the backoff
        (UPSTREAM_ERROR, 0, 10.0, "a 0.25 a 0.5 a 1 a 2 a 4 a"),
    ],
)
def test_a_circuit_breaker_is_not_waited_for(
    kind: Kind, threshold: int, recovery: float, schedule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = try_once(monkeypatch, Failing("a", kind, 5), threshold=threshold, recovery=recovery)
    assert (seen.schedule, seen.status) == (schedule, kind.status)


def test_the_next_request_finds_what_the_last_one_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: SimulatedLoop) -> list[Seen]:
        pipeline = await make_pipeline([Failing("a", max_retries=1, failures=3)], threshold=2)
        seen = [await ask(pipeline, loop), await ask(pipeline, loop)]
        await asyncio.sleep(9.9)
        seen.append(await ask(pipeline, loop))
        await asyncio.sleep(0.1)
        seen.append(await ask(pipeline, loop))  # the probe, which fails
        await asyncio.sleep(10.0)
        seen += [await ask(pipeline, loop), await ask(pipeline, loop)]
        return seen

    found = [(each.schedule, each.status) for each in simulate(monkeypatch, main)]
    assert found == [("a 0.25 a", 502), ("", 502), ("", 502), ("a", 502), ("a", 200), ("a", 200)]


@pytest.mark.parametrize(("sent", "status"), [(True, 200), (False, 502)])
def test_an_address_is_open_to_all_as_soon_as_a_probe_could_be_sent(
    sent: bool, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attempt, "sent", sent)

    async def main(loop: SimulatedLoop) -> list[int]:
        upstream = Failing("a", UPSTREAM_UNREACHABLE, failures=1, lasts=5.0)
        pipeline = await make_pipeline([upstream], threshold=1, recovery=10.0)
        seen = [await ask(pipeline, loop)]
        await asyncio.sleep(10.0)
        probe = asyncio.ensure_future(ask(pipeline, loop))
        await asyncio.sleep(1.0)
        seen += [await ask(pipeline, loop), await probe]
        return [each.status for each in seen]

    assert simulate(monkeypatch, main) == [502, status, 200]


def test_retries_have_a_budget_over_all_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten, and a fifth of the requests of the last ten seconds."""

    async def main(loop: SimulatedLoop) -> list[int]:
        pipeline = await make_pipeline([Failing("a", max_retries=1)])
        rounds = []
        for _ in range(2):
            seen = await asyncio.gather(*(ask(pipeline, loop) for _ in range(50)))
            rounds.append(sum(each.schedule == "a 0.25 a" for each in seen))
            assert {each.status for each in seen} == {502}
            await asyncio.sleep(10.5)
        return rounds

    assert simulate(monkeypatch, main) == [20, 20]


def test_after_the_first_failover_each_further_one_counts_as_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: SimulatedLoop) -> list[str]:
        pipeline = await make_pipeline([Failing(name) for name in "abc"])
        return [each.schedule for each in await asyncio.gather(*(ask(pipeline, loop) for _ in range(50)))]

    found = simulate(monkeypatch, main)
    assert {each: found.count(each) for each in set(found)} == {"a b c": 20, "a b": 30}


async def test_the_pauses_are_jittered() -> None:
    pipeline = Pipeline(Router({}, Catalog({}), RoutingRules()))
    drawn = {pipeline._rng.random() for _ in range(10)}
    assert len(drawn) == 10


def test_who_comes_later_gets_the_status_of_the_failure_and_none_of_its_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing = Failing("a", UPSTREAM_ERROR)
    failing.status, failing.code = 529, "overloaded"

    async def main(loop: SimulatedLoop) -> tuple[Client, Client]:
        pipeline = await make_pipeline([failing], threshold=1, recovery=7.0)
        clients = Client(), Client()
        for client in clients:
            active = make_active(client, BODY, received_at=loop.time())
            await served(pipeline, active)
            assert active.response.error is not None
            assert active.response.error.provider == (None if client is clients[0] else "a")
        return clients

    first, second = simulate(monkeypatch, main)
    assert (first.told[0][1], second.told[0][1]) == (529, 529)
    error = msgspec.json.decode(second.told[0][2])["error"]
    assert error["code"] == "overloaded"
    assert error["message"] == (
        "Model 'm' of provider 'a' failed with overloaded and is not asked again for 7 s"
    )
    assert second.headers["retry-after"] == "7"
    assert len(failing.attempts) == 1


def test_the_log_tells_each_retry_and_each_failover(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: SimulatedLoop) -> list[Any]:
        upstreams = [Failing("a", max_retries=1, retry_after=1.2345), Failing("b", UPSTREAM_AUTH)]
        pipeline = await make_pipeline(upstreams)
        with capture_logs() as captured:
            await ask(pipeline, loop)
        return captured

    first, second = simulate(monkeypatch, main)
    told = {"provider": "a", "upstream": "a-0", "model": "m", "code": "upstream_error"}
    assert first == {"event": "falling back", "log_level": "warning", "request_id": "req_1"} | told
    again = {"event": "trying again", "log_level": "info", "request_id": "req_1"}
    assert second == again | {"code": "upstream_auth", "seconds": 1.23}


def test_the_latency_of_an_upstream_is_that_of_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(loop: SimulatedLoop) -> list[float]:
        upstreams = [Failing("a", failures=1, lasts=2.0), Failing("b", failures=0, lasts=0.5)]
        pipeline = await make_pipeline(upstreams)
        await ask(pipeline, loop)
        return [each.state.latency.value for each in pipeline.router.pool("m", "chat")]

    assert simulate(monkeypatch, main) == [0.0, 0.5]
