"""One request under way, while nobody is asked."""

from __future__ import annotations

from tests.gateways import until
from tests.pipeline.test_pipeline import attempt_of, make_table
from trunkline.errors import UPSTREAM_RATE_LIMIT, ProviderError


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
