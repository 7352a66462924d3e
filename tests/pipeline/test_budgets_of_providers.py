"""Providers with budgets: one whose budget is used up is passed over before it is asked."""

from __future__ import annotations

import msgspec
import pytest

from tests.pipeline.requests import make_active
from tests.pipeline.test_pipeline import Client
from tests.pipeline.test_retry_policy import BODY, Failing, Seen, ask, make_pipeline
from tests.policy.guarding import ANSWER, make_guard, spent
from tests.simulation import SimulatedLoop, served, simulate
from trunkline.dialects.base import Front, RequestDefaults, RequestSummary
from trunkline.errors import LIMITS_AWAY, UPSTREAM_AUTH, GatewayError
from trunkline.exchange import Exchange
from trunkline.pipeline.pipeline import Pipeline
from trunkline.policy.rules import Budget, CounterKey


class Upstream(Failing):
    """One that is told a request's defaults."""

    bills_nothing = False

    def exchange(
        self,
        front: Front,
        body: bytes,
        summary: RequestSummary,
        model: str,
        wanted: RequestDefaults | None = None,
    ) -> Exchange:
        assert model == "m"
        assert wanted is not None
        assert wanted.max_tokens == ANSWER  # no more than was reserved
        exchange = super().exchange(front, body, summary, model)
        if self.bills_nothing:
            exchange.usage = None
        return exchange


def budget(provider: str, tokens: int) -> Budget:
    return Budget("provider", provider, "tokens", tokens, "total")


def try_with(
    monkeypatch: pytest.MonkeyPatch, budgets: dict[str, int], *upstreams: Upstream, requests: int = 1
) -> tuple[Seen, Pipeline]:
    """What comes of the last of so many requests, where these providers have so many tokens."""

    async def main(loop: SimulatedLoop) -> tuple[Seen, Pipeline]:
        pipeline = await make_pipeline(upstreams)
        pipeline.guard = make_guard(*(budget(name, tokens) for name, tokens in budgets.items()))
        seen = [await ask(pipeline, loop) for _ in range(requests)]
        return seen[-1], pipeline

    return simulate(monkeypatch, main)


@pytest.mark.parametrize(
    ("budgets", "schedule", "status"),
    [
        ({"a": 1000, "b": 1000}, "a", 200),
        ({"a": 10, "b": 1000}, "b", 200),
        ({"a": 10}, "b", 200),
        ({"b": 10}, "a", 200),
        ({"a": 10, "b": 10}, "", 429),
    ],
)
def test_a_provider_without_a_budget_left_is_passed_over(
    budgets: dict[str, int], schedule: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstreams = [Upstream(name, failures=0) for name in "ab"]
    seen, pipeline = try_with(monkeypatch, budgets, *upstreams)
    assert (seen.schedule, seen.status) == (schedule, status)
    assert [each.state.gate.in_flight for each in pipeline.router.pool("m", "chat")] == [0, 0]


def test_a_refusal_says_whose_budget_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream("a", failures=0)
    seen, pipeline = try_with(monkeypatch, {"a": 10}, upstream)
    assert (seen.schedule, seen.status) == ("", 429)
    assert upstream.attempts == []
    assert pipeline.guard is not None
    assert list(spent(pipeline.guard)) == [(0, 0)]


def test_what_is_refused_at_one_provider_is_retried_at_no_other_of_its_upstreams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Upstream("a", failures=0)
    first.upstreams = [*first.upstreams, msgspec.structs.replace(first.upstreams[0], name="a-1")]
    first.models["a-1"] = ["m"]
    seen, _ = try_with(monkeypatch, {"a": 10}, first, Upstream("b", failures=0))
    assert (seen.schedule, seen.status) == ("b", 200)
    assert first.attempts == []


def test_an_attempt_that_fails_takes_nothing_of_its_providers_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = [Upstream("a", UPSTREAM_AUTH), Upstream("b", failures=0)]
    upstreams[0].bills_nothing = True
    seen, pipeline = try_with(monkeypatch, {"a": 1000, "b": 1000}, *upstreams, requests=3)
    assert (seen.schedule, seen.status) == ("a b", 200)
    assert pipeline.guard is not None
    assert list(spent(pipeline.guard)) == [(0, 0), (3 * 8, 0)]


def test_a_budget_that_cannot_be_read_holds_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read_spent(key: CounterKey, since: int) -> int:
        raise GatewayError("the ledger is away", LIMITS_AWAY)

    async def main(loop: SimulatedLoop) -> tuple[Seen, Pipeline]:
        pipeline = await make_pipeline([Upstream("a", failures=0)])
        pipeline.guard = make_guard(budget("a", 1000), read_spent=read_spent)
        return await ask(pipeline, loop), pipeline

    seen, pipeline = simulate(monkeypatch, main)
    assert (seen.schedule, seen.status) == ("", LIMITS_AWAY.status)
    assert [each.state.gate.in_flight for each in pipeline.router.pool("m", "chat")] == [0]


def test_a_client_that_leaves_while_a_budget_is_read_holds_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream("a", failures=0)

    async def main(loop: SimulatedLoop) -> tuple[Client, Pipeline]:
        client, pipeline = Client(), await make_pipeline([upstream])
        active = make_active(client, BODY, received_at=loop.time())

        async def read_spent(key: CounterKey, since: int) -> int:
            active.disconnected()
            return 0

        pipeline.guard = make_guard(budget("a", 1000), read_spent=read_spent)
        await served(pipeline, active)
        return client, pipeline

    client, pipeline = simulate(monkeypatch, main)
    assert (client.told, upstream.attempts) == ([], [])
    assert [each.state.gate.in_flight for each in pipeline.router.pool("m", "chat")] == [0]
