"""One request under way, while nobody is asked."""

from __future__ import annotations

import pytest

from tests.gateways import until
from tests.pipeline.test_pipeline import attempt_of, make_table
from trunkline.errors import UPSTREAM_RATE_LIMIT, UPSTREAM_TIMEOUT, GatewayError, ProviderError


async def test_a_client_that_leaves_during_a_pause_is_not_waited_for() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    busy = ProviderError(
        "busy", UPSTREAM_RATE_LIMIT, retry_after=table.pipeline.settings.retry_deadline_s - 1
    )
    attempt_of(upstream).receiver.fail(busy)
    assert table.pipeline.active == {asked.active}
    asked.active.disconnected()
    assert not table.pipeline.active
    await asked.end()
    assert len(upstream.attempts) == 1
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.active.response.client_gone) == (499, True)


async def test_a_pause_ends_by_itself() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=0.01))
    await until(lambda: len(upstream.attempts) == 2)
    upstream.attempts[1].receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]


async def test_a_gateway_that_stops_tells_a_client_that_waits() -> None:
    table = await make_table()
    (upstream,) = table.upstreams
    upstream.max_retries = 1
    asked = await table.ask()
    attempt_of(upstream).receiver.fail(ProviderError("busy", UPSTREAM_RATE_LIMIT, retry_after=20))
    asked.active.stop()
    await asked.end()
    assert [told[:2] for told in asked.client.told] == [("send", 503)]
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.label) == (503, "gateway")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("sent", "of_upstream", "charged"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["a silent upstream", "no connection", "the upstream's own 504"],
)
async def test_only_an_attempt_that_ran_into_a_limit_of_ours_may_be_billed(
    stream: bool, sent: bool, of_upstream: bool, charged: bool
) -> None:
    table = await make_table()
    asked = await table.ask(stream=stream)
    attempt = attempt_of(table.upstreams[0])
    error: GatewayError = ProviderError("too late", UPSTREAM_TIMEOUT)
    attempt.sent, attempt.exchange.usage = sent, None
    attempt.exchange.error = error if of_upstream else None
    attempt.receiver.fail(error)
    await asked.end()
    (outcome,) = table.outcomes
    assert (outcome.status, outcome.label) == (502, "upstream")
    assert outcome.active.attempts[0].abandoned == charged
