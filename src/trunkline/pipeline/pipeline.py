"""The way of every model request: from its body to the last byte of its answer.

bytes in → the front has summarized the body → the candidates of the model → limits and budgets reserved → one
attempt after another, until one has begun to answer → bytes out → charges settled, the outcome recorded.

The kind of a failure says what it allows (``errors``); :class:`PipelineSettings` say how often and how soon.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Sequence, Set
from functools import partial
from typing import Final, NamedTuple, Protocol

import structlog

from trunkline.dialects.base import Headers, RequestSummary
from trunkline.errors import (
    CLIENT_GONE,
    MODEL_NOT_FOUND,
    SUCCESS,
    UPSTREAM_BUSY,
    CallerError,
    GatewayError,
    ProviderError,
    redact,
)
from trunkline.pipeline import debug_log
from trunkline.pipeline.active import DISCONNECTED, ActiveRequest, Attempt, Outcome, outcome_of
from trunkline.pipeline.cache import AnswerCache
from trunkline.pipeline.candidates import allowing_others, check_may_name, holders
from trunkline.pipeline.explain import fit_lines, is_asked
from trunkline.pipeline.request import Request
from trunkline.pipeline.tries import Tries, all_resting, max_retries
from trunkline.pipeline.unforeseen import unforeseen
from trunkline.policy.guard import Guard, GuardedRequest, PendingRefill
from trunkline.policy.reservations import Reservation
from trunkline.routing.candidates import Candidate
from trunkline.routing.pools import CandidatePool, Tier
from trunkline.routing.queue import FairQueue
from trunkline.routing.retries import MAX_BACKOFF_S, RetryBudget, backoff
from trunkline.routing.router import Router
from trunkline.routing.sessions import find_session
from trunkline.routing.strategies import SelectionContext, StrategyMemory, in_order

log: Final = structlog.stdlib.get_logger(__name__)
FIRST_LOOK_S: Final = 3.0
"""Seconds that the first requests after a start wait for the providers to list their models."""
_RECHECK_S: Final = 0.2
"""Seconds between two checks whether an upstream has recovered for which requests wait."""
_now: Final = time.perf_counter
_NONE: Final[frozenset[str]] = frozenset()


class ModelPuller(Protocol):
    """Has missing models pulled."""

    def pull(self, provider: str, model: str) -> asyncio.Future[GatewayError | None]:
        """Have a model pulled, or join a pull of it. The result is None, or why it has failed."""


class PipelineSettings(NamedTuple):
    """How long and how often a request tries."""

    retry_deadline_s: float = 30.0
    """Seconds from a request's arrival after which no upstream is asked again. One that was not asked yet
    still is: the time may have gone by at the upstream that failed."""
    queue_limit: int = 1000
    """The maximum number of requests that wait for an upstream to have room."""
    queue_timeout_s: float = 30.0
    """The maximum number of seconds that each of them waits."""


class Pipeline:
    """Answers model requests."""

    def __init__(
        self,
        router: Router,
        observers: Sequence[Callable[[Outcome], None]] = (),
        settings: PipelineSettings = PipelineSettings(),  # noqa: B008 - immutable
        guard: Guard | None = None,
        cache: AnswerCache | None = None,
        puller: ModelPuller | None = None,
    ) -> None:
        """
        Args:
            router: finds the candidates for a model.
            observers: are told the outcome of every request; they must be quick and must not raise.
            settings: of retries and of the queue.
            guard: limits and prices requests; without one nothing is limited, and nothing has a price.
            cache: without one no answer is given again.
            puller: without one no missing model is pulled.
        """
        self._puller = puller
        self.guard = guard
        self.cache = cache
        self.router = router
        self.settings = settings
        self.queue = FairQueue(Candidate.acquire, settings.queue_limit)
        self.retry_budget = RetryBudget()
        self.active: set[ActiveRequest] = set()
        self._observers = tuple(observers)
        self._debug = debug_log.is_enabled()
        self._rng = random.Random()
        self._recheck_timer: asyncio.TimerHandle | None = None
        self._refreshes: set[asyncio.Future[None]] = set()

    def reconfigure(self, router: Router, settings: PipelineSettings) -> None:
        """Use these from the next request on. Requests that wait in the queue stay there."""
        self.router = router
        self.settings = settings
        self.queue.limit = settings.queue_limit

    async def serve(self, active: ActiveRequest) -> None:
        """Answer one request. Raises only when it is cancelled."""
        self.active.add(active)
        try:
            await self._answer(active)
        except GatewayError as error:
            active.response.refuse(error)
        except asyncio.CancelledError:
            active.disconnected()
            raise
        except Exception as error:
            request = active.request
            active.response.refuse(unforeseen(error, request.body, request.request_id))
        finally:
            self.active.discard(active)
            self.settle(active)

    async def _answer(self, active: ActiveRequest) -> None:
        """Find the candidates, reserve what the request needs, and have one candidate answer it."""
        request, response = active.request, active.response
        summary = request.summary
        if summary is None:
            raise request.problem or CallerError("The request cannot be read")
        self.retry_budget.record_request(request.received_at)
        catalog = self.router.catalog
        if not catalog.discovered:
            await asyncio.ensure_future(catalog.wait_until_discovered(FIRST_LOOK_S))
        try:
            pool = self._find_pool(request, summary)
        except CallerError as error:
            if error.kind is not MODEL_NOT_FOUND:
                raise
            check_may_name(self.router, request, summary)
            find = partial(self._find_pool, request, summary)
            pool = await asyncio.ensure_future(self.router.catalog.find_after_look(find))
        if summary.other_models:
            pool = allowing_others(self.router, request, summary, pool)
        if summary.load is not None:
            candidates = await asyncio.ensure_future(self.router.resident_first(list(pool)))
            pool = CandidatePool([Tier(candidates, in_order, StrategyMemory())])
        if summary.state:
            pool = pool.narrowed(holders(pool, request.front, summary.state))
        active.route = pool.route
        if self._debug:
            debug_log.log_resolved(active, pool, _now())
        barred: Set[str] = _NONE
        guard, key = self.guard, request.key
        if guard is not None and (guard.applies_to_all or (key is not None and key.restricted)):
            reservation = guard.admit(
                GuardedRequest(
                    key=key,
                    summary=summary,
                    operation=summary.operation or request.front.operation,
                    model=summary.model or pool.candidates[0].model,
                    body=request.body,
                    candidates=pool.candidates,
                )
            )
            if isinstance(reservation, PendingRefill):
                reservation = await reservation.wait()
            if reservation is not None:
                response.reservation = reservation
                barred = reservation.barred
                if response.client_gone:
                    raise DISCONNECTED
        if pool.missing:
            pool = await self._pull_missing(active, pool, summary)
        cache, name = self.cache, None
        if cache is not None and not (cache.is_off and request.cache_directive is None):
            name = cache.name_of(request, pool.route)
        if cache is None or name is None:
            await self._try_candidates(active, pool, barred)
        elif not await asyncio.ensure_future(cache.answer(response, name)):
            await self._try_candidates(active, pool, barred)
            cache.keep(name, active)

    def _find_pool(self, request: Request, summary: RequestSummary) -> CandidatePool:
        """The candidates for the request's model. Raises CallerError where there are none."""
        local_only = request.key is not None and request.key.local_only
        model = summary.model
        if model is None:
            if request.front.may_name_no_model:
                return self.router.pool_without_model(request.provider, local_only)
            model = self.router.default_model(request.provider or request.front.default_provider)
        operation = summary.operation or request.front.operation
        return self.router.pool(model, operation, request.provider, local_only)

    async def _pull_missing(
        self, active: ActiveRequest, pool: CandidatePool, summary: RequestSummary
    ) -> CandidatePool:
        """Have the request's model pulled, and find the candidates again. Where another candidate has the
        model, that one is asked meanwhile.

        Raises:
            GatewayError: the model could not be pulled.
        """
        puller, failure = self._puller, None
        if puller is None:
            return pool
        for provider, model in pool.missing:
            pull = puller.pull(provider, model)
            if not pool.is_all_missing:
                return pool
            failure = await active.wait_for(pull)
            if failure is None:
                return self._find_pool(active.request, summary)
        assert failure is not None
        raise failure

    async def _try_candidates(self, active: ActiveRequest, pool: CandidatePool, barred: Set[str]) -> None:
        """Make one attempt after another, until one has begun to answer or no candidate is left. Raises the
        last failure."""
        response, guard = active.response, self.guard
        retries: Tries | None = None
        candidate = pool.only
        if candidate is None or barred or not candidate.try_acquire():  # there is a choice, or a wait
            retries = Tries(barred)
            candidate = await self._choose(active, pool, retries)
        while True:
            if response.reservation is not None and guard is not None and guard.rules.has_provider_budgets:
                refusal = await self._reserve_at_provider(active, candidate, guard, response.reservation)
                if refusal is not None:
                    retries = retries or Tries()
                    retries.failure = response.error = refusal
                    retries.barred |= {each.key for each in pool if each.provider is candidate.provider}
                    candidate = await self._choose(active, pool, retries)
                    continue
            failure = response.error = await self._attempt(active, candidate)
            if failure is None:
                return
            if response.started or response.client_gone or failure.failover == "none":
                raise failure
            retries = retries or Tries()
            retries.failure, retries.failed, retries.untold = failure, candidate, failure
            retries.barred |= pool.excluded_after(candidate, failure.failover)
            if failure.kind.retry and failure.scope != "request":
                retries.repeatable[candidate.key] = failure
            candidate = await self._choose(active, pool, retries)
            if guard is not None and active.current is not None:
                active.current.charge = active.current.compute_charge(guard.prices)
            active.current = None

    async def _reserve_at_provider(
        self, active: ActiveRequest, candidate: Candidate, guard: Guard, reservation: Reservation
    ) -> GatewayError | None:
        """Take from the budgets of the candidate's provider. If there is not enough, the candidate's room is
        given back and the refusal returned."""
        refusal: GatewayError | None = DISCONNECTED
        try:
            answer = guard.reserve_at_provider(reservation, candidate.provider, candidate.model)
            refusal = await answer.wait() if isinstance(answer, PendingRefill) else answer
        finally:
            if refusal is not None or active.response.client_gone:
                candidate.release()
        if active.response.client_gone:
            raise DISCONNECTED
        return refusal

    async def _choose(self, active: ActiveRequest, pool: CandidatePool, retries: Tries) -> Candidate:
        """Choose the candidate to ask next and take its room: one that was not tried yet, after a wait in the
        queue if all are at their limit; when all were tried, one that may be tried again, after a pause."""
        session = partial(find_session, active.request.headers, active.request.body)
        while True:
            context = SelectionContext(_now(), retries.failed, session)
            candidate = pool.pick(context, retries.barred)
            full = () if candidate is not None else pool.busy_candidates(context.now, retries.barred)
            best = candidate or (full[0] if full else None)
            if (best is None and retries.failure is None) or (best is not None and best.costs and pool.saves):
                resort = pool.last_resort(context.now, retries.barred, best)
                if resort is not None:
                    candidate = best = resort
            if retries.untold is not None and retries.failed is not None and best is not None:
                self._note_failover(active, retries.failed, retries.untold)
            retries.untold = None
            if candidate is not None:
                candidate.acquire()
                return candidate
            if full:
                candidate = await self._wait_in_queue(active, full)
                if candidate is not None:
                    return candidate
            elif retries.failure is None:
                raise all_resting(pool, context.now, retries.refused)
            else:
                await self._pause(active, pool, retries, retries.failure)

    def _note_failover(self, active: ActiveRequest, candidate: Candidate, failure: GatewayError) -> None:
        """Log that another upstream is asked after a failure. The first failover of a request is free; each
        further one counts as a retry, and raises ``failure`` where the budget of retries is used up."""
        if len(active.attempts) > 1 and not self.retry_budget.take_retry(_now()):
            raise failure
        log.warning(
            "falling back",
            request_id=active.request.request_id,
            provider=candidate.provider.name,
            upstream=candidate.upstream.name,
            model=redact(candidate.model),
            code=failure.code,
        )

    async def _attempt(self, active: ActiveRequest, candidate: Candidate) -> GatewayError | None:
        """Ask one candidate whose room is taken, and give the room back. Returns its failure, or None."""
        request, response, summary = active.request, active.response, active.request.summary
        assert summary is not None
        provider, state, predictor, began = candidate.provider, candidate.state, candidate.predictor, _now()
        state.requests_sent += 1
        is_probe = state.degraded and self._begin_probe(active, candidate, began)
        if self._debug:
            debug_log.log_attempt(active, candidate, is_probe=is_probe)
        prediction = None
        if predictor is not None:
            prediction = predictor.begin(candidate.model, candidate.is_loaded, candidate.size, began)
        attempt: Attempt | None = None
        failure: GatewayError | None = DISCONNECTED
        try:
            body = request.body
            if provider.fetches_images:
                preparation = provider.preparation(request.front, body)
                if preparation is not None:
                    body = await asyncio.ensure_future(preparation)
            if response.reservation is None:
                exchange = provider.exchange(request.front, body, summary, candidate.model)
            else:
                defaults = response.reservation.defaults
                exchange = provider.exchange(request.front, body, summary, candidate.model, defaults)
            if request.key is not None:
                exchange.owner = request.key.id
            attempt = Attempt(candidate, exchange, response, is_probe)
            active.attempts.append(attempt)
            active.current = attempt
            response.times_sent += 1  # as Response.sent_to, without a call for every request
            response.served_by = b"%bx-trunkline-attempts: %d\r\n" % (
                candidate.header_lines,
                response.times_sent,
            )
            if exchange.left_out and _wants_explanation(request.headers):
                names = ", ".join(exchange.left_out).encode("ascii", "replace")
                response.served_by += b"x-trunkline-left-out: %b\r\n" % names
            if not response.client_gone:
                if request.query or request.front.conventions.forwarded_headers:
                    exchange.forward_head(request.headers, request.query)
                if active.trace is not None:
                    attempt.span_id, traceparent = active.trace.attempt_header()
                    exchange.headers = (*exchange.headers, traceparent)
                attempt.sent_at = _now()
                attempt.in_flight = provider.open(exchange, candidate.upstream, attempt, candidate.timeouts)
                if exchange.fitted is not None or response.explained:
                    self._tell_fit(active, attempt)
                failure = attempt.failure = await attempt
        finally:
            ended = _now()
            candidate.release()
            if attempt is not None:
                attempt.ended_at = ended
            if failure is None:
                if state.failing:
                    state.record_success(candidate.model, is_probe)
                if not candidate.is_only:
                    state.latency.add((response.first_byte_at or ended) - began, ended)
            elif failure.kind is CLIENT_GONE:
                state.record_cancelled(candidate.model, is_probe if attempt is None else attempt.is_probe)
            else:
                state.record_failure(failure, candidate.model, is_probe, ended)
            if self._debug:
                debug_log.log_attempt_ended(active, candidate, failure, ended - began)
            if predictor is not None and prediction is not None:
                predictor.end(prediction, failure is None, ended)
                if prediction.cold:  # another model may have been unloaded for this one
                    self._refresh_residents(candidate)
            if self.queue.depth:
                self.queue.serve(ended)
                if failure is not None:
                    self.queue.dismiss_resting(ended)
        return failure

    def _tell_fit(self, active: ActiveRequest, attempt: Attempt) -> None:
        """Say what was changed in the request so that the upstream takes it."""
        fitted = attempt.exchange.fitted
        changes = () if fitted is None else fitted.changes
        if self._debug and changes:
            debug_log.log_fit(active, attempt.candidate, changes)
        asked = changes and is_asked(active.request.headers, b"fit")
        active.response.explained = fit_lines(changes) if asked else b""

    def _begin_probe(self, active: ActiveRequest, candidate: Candidate, now: float) -> bool:
        """Whether the attempt that begins is a probe. It proves by its sending that the address can be
        reached, and other requests need not wait for its answer."""
        number = len(active.attempts)

        def is_sent() -> bool:
            in_flight = active.attempts[number].in_flight if number < len(active.attempts) else None
            return in_flight is not None and in_flight.sent

        return candidate.state.record_request(candidate.model, now, is_sent)

    def settle(self, active: ActiveRequest) -> None:
        """Charge the last attempt, give back what the request has not used of limits and budgets, and tell
        the observers how it ended."""
        response, attempt, guard = active.response, active.current, self.guard
        if guard is not None:
            if attempt is not None:
                attempt.charge = attempt.compute_charge(guard.prices)
            if response.reservation is not None:
                guard.settle(response.reservation, [each.charge for each in active.attempts])
        if response.error is None and response.finished:  # as outcome_of, without a call for every request
            outcome = Outcome(active, response.status, _now(), SUCCESS)
        else:
            outcome = outcome_of(active, _now())
        for observe in self._observers:
            observe(outcome)
        if self._debug:
            debug_log.log_settled(outcome)

    def _refresh_residents(self, candidate: Candidate) -> None:
        """Ask an upstream in the background which models it has loaded now."""
        task = asyncio.ensure_future(candidate.provider.refresh_loaded_models(candidate.upstream))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _wait_in_queue(self, active: ActiveRequest, full: Sequence[Candidate]) -> Candidate | None:
        """Wait until one of the candidates ``full`` has room; it is taken when this returns. None: all of
        them rest by now.

        Raises:
            ProviderError: 503, the queue is full, or the wait was too long.
        """
        request = active.request
        waiter = self.queue.join(full, "" if request.key is None else request.key.id, request.priority)
        if waiter is None:
            raise self._queue_error(full, f"{self.queue.limit} requests wait already (QUEUE_LIMIT)")
        loop = asyncio.get_running_loop()
        timeout = self.settings.queue_timeout_s
        timer = loop.call_later(timeout, self.queue.leave, waiter)
        active.waiter = waiter
        began = _now()
        self._schedule_recheck(loop)
        try:
            candidate = await waiter.candidate
        finally:
            timer.cancel()
            active.waiter = None
            self.queue.leave(waiter)
            active.queued_s += _now() - began
        if candidate is None:
            if active.response.client_gone:
                raise DISCONNECTED
            if waiter.in_vain:
                return None
            raise self._queue_error(full, f"none had room within {timeout:g} s (QUEUE_TIMEOUT_S)")
        return candidate

    def _queue_error(self, full: Sequence[Candidate], why: str) -> ProviderError:
        who = full[0].provider.name
        text = f"All upstreams of provider '{who}' for model '{full[0].model}' are full; {why}"
        wait = max(1.0, self.settings.queue_timeout_s / 2)
        return ProviderError(text, UPSTREAM_BUSY, provider=who, retry_after=wait)

    def _schedule_recheck(self, loop: asyncio.AbstractEventLoop) -> None:
        """While requests wait in the queue, check regularly whether an upstream has recovered."""
        if self._recheck_timer is None:
            self._recheck_timer = loop.call_later(_RECHECK_S, self._recheck, loop)

    def _recheck(self, loop: asyncio.AbstractEventLoop) -> None:
        self._recheck_timer = None
        self.queue.serve(_now())
        if self.queue.depth:
            self._schedule_recheck(loop)

    async def _pause(
        self, active: ActiveRequest, pool: CandidatePool, retries: Tries, failure: GatewayError
    ) -> None:
        """Wait before a candidate that has failed is asked once more, and allow it then.

        The wait is a backoff, or what the upstream has asked for if that is no longer than a backoff may be;
        a circuit breaker is never waited for.
        Raises ``failure`` where another try would be useless, too late or one too many.
        """
        retries.pauses += 1
        now = _now()
        waits: dict[str, float] = {}
        for candidate in pool:
            own = retries.repeatable.get(candidate.key)
            if own is None or retries.pauses > max_retries(candidate, own):
                continue
            wait = backoff(retries.pauses, own.retry_after, self._rng)
            if wait <= MAX_BACKOFF_S and candidate.seconds_until_allowed(now) <= wait:
                waits[candidate.key] = wait
        wait = min(waits.values(), default=math.inf)
        too_late = now + wait - active.request.received_at > self.settings.retry_deadline_s
        if too_late or not self.retry_budget.take_retry(now):
            raise failure
        request_id = active.request.request_id
        log.info("trying again", request_id=request_id, seconds=round(wait, 2), code=failure.code)
        await active.rest(wait)
        if active.response.client_gone:
            raise DISCONNECTED
        again = {key for key, own_wait in waits.items() if own_wait <= wait}
        retries.barred -= again
        for key in again:
            del retries.repeatable[key]

    def close(self) -> None:
        """Stop what runs in the background."""
        for refresh in self._refreshes:
            refresh.cancel()
        if self._recheck_timer is not None:
            self._recheck_timer.cancel()
            self._recheck_timer = None


def _wants_explanation(headers: Headers) -> bool:
    """Whether the client asks to be told what was changed of its request."""
    return any(name == b"x-trunkline-explain" for name, _ in headers)
