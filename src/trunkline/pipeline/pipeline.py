"""What happens to a request, from its bytes to its last answer byte: the sentence that the house reads as.

bytes in → the front dialect peeks → the pool of the model → room at one upstream → one attempt after
another, until one has begun to answer → bytes out → what it came to is recorded.

Which failure allows what is said by its kind (``errors``); how often and how soon, by :class:`Patience`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Final, NamedTuple

import structlog

from trunkline.dialects.base import RequestSummary
from trunkline.errors import (
    CLIENT_GONE,
    MODEL_NOT_FOUND,
    UPSTREAM_BUSY,
    CallerError,
    GatewayError,
    ProviderError,
)
from trunkline.model import Usage
from trunkline.pipeline.cache import AnswerCache
from trunkline.pipeline.call import GONE, Attempt, Call, Outcome
from trunkline.policy.estimates import AVERAGE_BYTES_PER_TOKEN, estimate_usage
from trunkline.policy.guard import Guard, GuardedRequest, PendingRefill
from trunkline.policy.prices import FREE, usd_to_micros
from trunkline.policy.reservations import NO_CHARGE, Charge, Reservation
from trunkline.routing.candidates import Candidate
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.queue import FairQueue, Waiter
from trunkline.routing.retries import RetryBudget, backoff
from trunkline.routing.router import Router
from trunkline.routing.sessions import find_session
from trunkline.routing.strategies import SelectionContext, StrategyMemory, in_order

log: Final = structlog.stdlib.get_logger(__name__)
FIRST_LOOK_S: Final = 3.0
"""Seconds that the first requests after a start wait for the providers to say what they have."""
_TICK_S: Final = 0.2
"""Seconds between two looks whether an upstream has recovered that requests wait for."""
_now: Final = time.perf_counter
_NOBODY: Final[frozenset[str]] = frozenset()
_FREE: Final = Charge(Usage(), False, 0, FREE.source)


class PipelineSettings(NamedTuple):
    """How long and how often a request tries."""

    retry_deadline_s: float = 30.0
    """Seconds from a request's arrival after which no attempt is begun, except the first."""
    queue_limit: int = 1000
    """Requests that may wait for room at an upstream."""
    queue_timeout_s: float = 30.0
    """Seconds that each of them may wait."""


class _Tries:
    """What a request has tried so far."""

    __slots__ = ("again", "barred", "failure", "repeats")

    def __init__(self) -> None:
        self.failure: GatewayError | None = None
        """The last failure."""
        self.barred: set[str] = set()
        """Choices that are not to be asked (again)."""
        self.again: set[str] = set()
        """Those among the barred that may be asked again after a pause."""
        self.repeats = 0
        """How many pauses there were."""


class Pipeline:
    """The way of every request through the gateway."""

    def __init__(
        self,
        router: Router,
        observers: Sequence[Callable[[Outcome], None]] = (),
        patience: PipelineSettings = PipelineSettings(),  # noqa: B008 - immutable
        guard: Guard | None = None,
        cache: AnswerCache | None = None,
    ) -> None:
        """``observers`` are told what every call came to; they must be quick and must not raise. Without a
        ``guard`` nothing is limited, and nothing has a price; without a ``cache`` all is asked anew."""
        self.guard = guard
        self.cache = cache
        self.router = router
        self.patience = patience
        self.queue = FairQueue(Candidate.acquire, patience.queue_limit)
        self.budget = RetryBudget()
        self.active: set[Call] = set()
        self._observers = tuple(observers)
        self._rng = random.Random()
        self._ticker: asyncio.TimerHandle | None = None
        self._looks: set[asyncio.Future[None]] = set()

    def reconfigure(self, router: Router, patience: PipelineSettings) -> None:
        """Use these from the next request on. Requests that wait in the queue go on waiting there."""
        self.router = router
        self.patience = patience
        self.queue.limit = patience.queue_limit

    async def serve(self, call: Call, body: bytes) -> None:
        """Answer one call whose key was checked and whose body has arrived. Raises only when cancelled."""
        self.active.add(call)
        try:
            await self._answer(call, body)
        except GatewayError as error:
            call.refuse(error)
        except asyncio.CancelledError:
            call.disconnected()
            raise
        except Exception:
            log.exception("a request failed inside the gateway", request_id=call.request_id)
            call.refuse(GatewayError("The gateway failed; its log says more under this request's id"))
        finally:
            self.active.discard(call)
            self._settle_attempt(call, body)
            self.settle(call)

    async def _answer(self, call: Call, body: bytes) -> None:
        summary = call.summary = call.front.summarize(body)
        self.budget.record_request(call.began)
        if not self.router.catalog.discovered:
            await asyncio.ensure_future(self.router.catalog.wait_until_discovered(FIRST_LOOK_S))
        try:
            pool = self._pool(call, summary)
        except CallerError as error:
            if error.kind is not MODEL_NOT_FOUND:
                raise
            if not await asyncio.ensure_future(self.router.catalog.rediscover_local()):
                raise
            pool = self._pool(call, summary)
        if summary.load is not None:
            candidates = await asyncio.ensure_future(self.router.resident_first(list(pool)))
            pool = CandidatePool([Tier(candidates, in_order, StrategyMemory())])
        call.route = pool.route
        barred: Set[str] = _NOBODY
        if self.guard is not None:
            answer = self.guard.admit(
                GuardedRequest(
                    key=call.key,
                    summary=summary,
                    operation=summary.operation or call.front.operation,
                    model=summary.model or pool.candidates[0].model,
                    body=body,
                    candidates=pool.candidates,
                )
            )
            if answer is not None:
                reservation = await answer.wait() if isinstance(answer, PendingRefill) else answer
                if reservation is not None:
                    call.reservation = reservation
                    barred = reservation.barred
                    if call.gone:
                        raise GONE
        cache = self.cache
        if cache is None or (name := cache.name_of(call, body)) is None:
            await self._try(call, body, summary, pool, barred)
        elif not await asyncio.ensure_future(cache.answer(call, name)):
            await self._try(call, body, summary, pool, barred)
            cache.keep(name, call)

    def _pool(self, call: Call, summary: RequestSummary) -> CandidatePool:
        if summary.model is None and call.front.operation == "other":
            return self.router.pool_without_model(call.only, call.key is not None and call.key.local_only)
        model = summary.model or self.router.default_model(call.only or call.front.home)
        local_only = call.key is not None and call.key.local_only
        return self.router.pool(model, summary.operation or call.front.operation, call.only, local_only)

    async def _try(
        self, call: Call, body: bytes, summary: RequestSummary, pool: CandidatePool, barred: Set[str]
    ) -> None:
        """One attempt after another, until one has begun to answer or none is left. Raises the last
        failure."""
        tries: _Tries | None = None
        candidate = pool.only
        if (
            candidate is not None and not barred and candidate.is_available
        ):  # nothing to choose, nothing to wait for
            candidate.acquire()
        else:
            tries = _Tries()
            tries.barred |= barred
            candidate = await self._choose(call, body, pool, tries)
        while True:
            if (
                call.reservation is not None
                and self.guard is not None
                and self.guard.rules.has_provider_budgets
            ):
                refusal = await self._enter_provider(call, candidate, self.guard, call.reservation)
                if refusal is not None:
                    tries = tries or _Tries()
                    tries.failure = call.error = refusal
                    tries.barred |= {each.key for each in pool if each.provider is candidate.provider}
                    candidate = await self._choose(call, body, pool, tries)
                    continue
            failure = call.error = await self._attempt(call, candidate, body, summary)
            if failure is None:
                return
            if call.started or call.gone or not failure.kind.failover:
                raise failure
            tries = tries or _Tries()
            tries.failure = failure
            tries.barred |= pool.excluded_after(candidate)
            if failure.kind.retry:
                tries.again.add(candidate.key)
            if pool.only is None:
                self._note_failover(call, candidate, failure)
            ended = _now()
            following = await self._choose(call, body, pool, tries)
            self._settle_attempt(call, body)
            call.past.append(Attempt(candidate, call.spent, call.sent_at or ended, ended, failure))
            call.spent, call.exchange = NO_CHARGE, None
            candidate = following

    async def _enter_provider(
        self, call: Call, candidate: Candidate, guard: Guard, reservation: Reservation
    ) -> GatewayError | None:
        """Take from the budgets of a choice's provider; if there is not enough, its room is given back."""
        refusal: GatewayError | None = GONE
        try:
            answer = guard.reserve_at_provider(reservation, candidate.provider, candidate.model)
            refusal = await answer.wait() if isinstance(answer, PendingRefill) else answer
        finally:
            if refusal is not None or call.gone:
                candidate.release()
        if call.gone:
            raise GONE
        return refusal

    async def _choose(self, call: Call, body: bytes, pool: CandidatePool, tries: _Tries) -> Candidate:
        """The upstream to ask next, its room taken: one that was not tried yet, in the line if all are
        full; when all were tried, one that it may help to try again, after a pause."""
        session = partial(find_session, call.headers, body)
        while True:
            context = SelectionContext(_now(), tries.failure is not None, session)
            candidate = pool.pick(context, tries.barred)
            if candidate is not None:
                candidate.acquire()
                return candidate
            if full := pool.busy_candidates(context.now, tries.barred):
                return await self._line_up(call, full)
            if tries.failure is None:
                raise _resting(pool, context.now)
            await self._pause(call, pool, tries, tries.failure)
            tries.barred -= tries.again
            tries.again.clear()

    def _note_failover(self, call: Call, candidate: Candidate, failure: GatewayError) -> None:
        """Log that another upstream is asked after a failure. The first failover of a call is free; each
        further one counts as a retry, and raises ``failure`` where the budget of retries is used up."""
        if call.attempts > 1 and not self.budget.take_retry(_now()):
            raise failure
        log.warning(
            "falling back",
            request_id=call.request_id,
            provider=candidate.provider.name,
            upstream=candidate.upstream.name,
            model=candidate.model,
            code=failure.code,
        )

    async def _attempt(
        self, call: Call, candidate: Candidate, body: bytes, summary: RequestSummary
    ) -> GatewayError | None:
        """Put the request to one upstream whose room is taken, and give the room back."""
        provider, state, sent = candidate.provider, candidate.state, _now()
        state.requests_sent += 1
        probe = call.probe = state.degraded and state.breaker.record_request(sent)
        predictor = candidate.predictor
        predicted = None
        if predictor is not None:
            predicted = predictor.begin(candidate.model, candidate.resident, candidate.size, sent)
        failure: GatewayError | None = GONE
        call.sent_at = None
        try:
            preparation = provider.preparation(call.front, body)
            if preparation is not None:
                body = await asyncio.ensure_future(preparation)
            if call.reservation is None:
                exchange = provider.exchange(call.front, body, summary, candidate.model)
            else:
                exchange = provider.exchange(
                    call.front, body, summary, candidate.model, call.reservation.defaults
                )
            failure = await call.attempt(candidate, exchange)
        finally:
            now = call.landed_at = _now()
            candidate.release()
            if failure is None:
                if state.breaker.failures:
                    state.breaker.record_success(probe)
                if not candidate.is_only:
                    state.latency.add((call.first_byte_at or now) - sent, now)
            elif failure.kind is CLIENT_GONE:
                state.breaker.record_cancelled(call.probe)
            elif failure.kind.breaker:
                state.record_failure(failure, candidate.model, probe, now)
            else:
                state.breaker.record_success(probe)
            if predictor is not None and predicted is not None:
                predictor.end(predicted, failure is None, now)
                if predicted.cold:  # something else may have had to go
                    self._look(candidate)
            if self.queue.depth:
                self.queue.serve(now)
        return failure

    def _look(self, candidate: Candidate) -> None:
        """Ask in the background what is loaded at an upstream now."""
        task = asyncio.ensure_future(candidate.provider.look_at_residents(candidate.upstream))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)

    async def _line_up(self, call: Call, full: Sequence[Candidate]) -> Candidate:
        """Wait for room at one of ``full``; it is taken when this returns.

        Raises:
            ProviderError: 503, the line is full, or the wait was too long.
        """
        key = "" if call.key is None else call.key.id
        waiter = self.queue.join(full, key, call.urgency)
        if waiter is None:
            raise self._busy(full, f"{self.queue.limit} requests wait already (QUEUE_LIMIT)")
        loop = asyncio.get_running_loop()
        timeout = self.patience.queue_timeout_s
        timer = loop.call_later(timeout, self.queue.leave, waiter)
        call.waiter = waiter
        began = _now()
        self._tick(loop)
        try:
            candidate = await waiter.candidate
        finally:
            timer.cancel()
            self._leave(call, waiter)
            call.waited += _now() - began
        if candidate is None:
            if call.gone:
                raise GONE
            raise self._busy(full, f"none had room within {timeout:g} s (QUEUE_TIMEOUT_S)")
        return candidate

    def _leave(self, call: Call, waiter: Waiter) -> None:
        call.waiter = None
        self.queue.leave(waiter)

    def _busy(self, full: Sequence[Candidate], why: str) -> ProviderError:
        who = full[0].provider.name
        text = f"All upstreams of provider '{who}' for model '{full[0].model}' are full; {why}"
        wait = max(1.0, self.patience.queue_timeout_s / 2)
        return ProviderError(text, UPSTREAM_BUSY, provider=who, retry_after=wait)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """While anybody waits, look now and then whether an upstream has recovered meanwhile."""
        if self._ticker is None:
            self._ticker = loop.call_later(_TICK_S, self._ticked, loop)

    def _ticked(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticker = None
        self.queue.serve(_now())
        if self.queue.depth:
            self._tick(loop)

    async def _pause(self, call: Call, pool: CandidatePool, tries: _Tries, failure: GatewayError) -> None:
        """Wait before upstreams that have failed are asked once more. Raises ``failure`` where that is of no
        use, too late or too often."""
        tries.repeats += 1
        candidates = [candidate for candidate in pool if candidate.key in tries.again]
        now = _now()
        most = max((candidate.provider.max_retries for candidate in candidates), default=0)
        if tries.repeats > (min(most, 1) if failure.kind.once else most):
            raise failure
        wait = max(
            backoff(tries.repeats, failure.retry_after, self._rng),
            min(candidate.seconds_until_allowed(now) for candidate in candidates),
        )
        if now + wait - call.began > self.patience.retry_deadline_s or not self.budget.take_retry(now):
            raise failure
        log.info("trying again", request_id=call.request_id, seconds=round(wait, 2), code=failure.code)
        await call.rest(wait)
        if call.gone:
            raise GONE

    def _settle_attempt(self, call: Call, body: bytes) -> None:
        """What the attempt that has ended used, and what that costs."""
        exchange, candidate = call.exchange, call.candidate
        if exchange is None or candidate is None or self.guard is None:
            return
        if call.front.operation == "other":  # sounds and pictures: nobody knows what they cost elsewhere
            free = self.guard.prices.request_rates(candidate.provider, candidate.model, countable=False)
            call.spent = Charge(Usage(), False, None, None) if free is None else _FREE
            return
        if exchange.usage is None and call.first_byte_at is None and not call.abandoned:  # it failed
            return
        whole = exchange.complete or not exchange.streaming
        pieces = exchange.pieces if exchange.streaming else call.size // AVERAGE_BYTES_PER_TOKEN
        if call.front.operation == "embeddings":
            pieces = 0
        usage, estimated = estimate_usage(exchange.usage, body, pieces, whole=whole)
        cost, source = None, None
        if usage.cost is not None:
            cost, source = usd_to_micros(usage.cost), "upstream"
        elif (rates := self.guard.prices.rates(candidate.provider, candidate.model)) is not None:
            cost, source = rates.cost(usage), rates.source
        call.spent = Charge(usage, estimated, cost, source, candidate.provider.name)

    def settle(self, call: Call) -> None:
        """Give back what the call has not used of limits and budgets; tell the observers what it came to."""
        if call.reservation is not None and self.guard is not None:
            spent = [call.spent]
            if call.past:
                spent += [each.spent for each in call.past]
            self.guard.settle(call.reservation, spent)
        status = CLIENT_GONE.status if call.gone and not call.answered else call.status
        outcome = Outcome(call, status, _now())
        for observe in self._observers:
            observe(outcome)

    def close(self) -> None:
        """No more looks at the line, or at upstreams."""
        for look in self._looks:
            look.cancel()
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None


def _resting(pool: CandidatePool, now: float) -> GatewayError:
    """Why nobody can be asked now: the last failure of the one that may be asked again soonest."""
    soonest = min(pool, key=lambda candidate: candidate.seconds_until_allowed(now))
    wait = soonest.seconds_until_allowed(now)
    last = soonest.state.last_failure
    who = soonest.provider.name
    if last is None:  # a health check has found it away
        return ProviderError(
            f"Provider '{who}' is left alone for {wait:.0f} s", UPSTREAM_BUSY, retry_after=wait
        )
    text = f"Provider '{who}' is left alone for {max(1.0, wait):.0f} s after it failed: {last.message}"
    return ProviderError(
        text, last.kind, provider=who, status=last.status, code=last.code, retry_after=max(1.0, wait)
    )
