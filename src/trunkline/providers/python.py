"""A user's Python provider behind the gateway: an upstream that speaks OpenAI's dialect by function call.

The exchange is the ordinary one; only the carrying differs: instead of a socket, a task calls the
provider's methods. Streams come from ``stream_chat_completions`` where the provider has it; where it has
not, the whole answer is written as a stream.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any, Final, TypeVar

import msgspec
import structlog
from pydantic import BaseModel, ValidationError

from trunkline.dialects.base import NO_DEFAULTS, Front, RequestDefaults, RequestSummary
from trunkline.dialects.openai import OpenAIBack, Quirks
from trunkline.errors import UPSTREAM_ERROR, UPSTREAM_TIMEOUT, CallerError, GatewayError, ProviderError
from trunkline.exchange import Exchange, LocalAnswer, PassThrough, Translate
from trunkline.framing import sse
from trunkline.model import Operation
from trunkline.providers.base import (
    AnswerReceiver,
    ChatProvider,
    EmbeddingProvider,
    InFlight,
    ModelInfo,
    StreamingChatProvider,
    Upstream,
)
from trunkline.providers.schemas import ChatCompletionRequest, EmbeddingRequest
from trunkline.providers.time_limits import AttemptTimeouts, TimeLimitRules
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits
from trunkline.transport import Timeouts

_Result = TypeVar("_Result")

log: Final = structlog.stdlib.get_logger(__name__)

_CHAT: Final = "/chat/completions"
_EMBEDDINGS: Final = "/embeddings"


class PythonProvider:
    """Lends a ``ChatProvider`` the gateway's interface; satisfies ``base.Provider``."""

    kind = "python"
    loads_models = False
    fetches_images = False
    has_vendor_ids = False
    max_retries = 0
    """Code that has failed fails again."""

    def __init__(
        self,
        name: str,
        inner: ChatProvider,
        *,
        local: bool = False,
        local_only: bool = False,
        max_concurrent: int | None = None,
        limits: TimeLimitRules | None = None,
    ) -> None:
        self.name = name
        self.inner = inner
        self.answers_any_name = bool(getattr(inner, "answers_any_name", False))
        self.local = local
        self.local_only = local_only
        self.max_concurrent = max_concurrent
        self.limits = limits or TimeLimitRules()
        self.upstreams = [Upstream(name=name, url="")]
        endpoints: dict[Operation, str] = {"chat": _CHAT}
        if isinstance(inner, EmbeddingProvider):
            endpoints["embeddings"] = _EMBEDDINGS
        self._streams = isinstance(inner, StreamingChatProvider)
        self._back = OpenAIBack(
            Quirks(name=f"Provider '{name}'", endpoints=endpoints, usage_on_request=False)
        )

    def supports(self, operation: Operation) -> bool:
        """Chat always; embeddings where the provider has the method."""
        return self._back.target(operation, None) is not None

    def holds(self, dialect: str) -> frozenset[str]:
        """Nothing: it is told of no state fields."""
        return frozenset()

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        """Nothing to fetch."""
        return None

    def exchange(
        self,
        front: Front,
        body: bytes,
        summary: RequestSummary,
        model: str,
        wanted: RequestDefaults = NO_DEFAULTS,
    ) -> Exchange:
        """Whole to whole passes through; everything else is translated."""
        if front.dialect == "openai" and not summary.stream and not summary.state:
            return PassThrough(front, self._back, body, summary, model, wanted, self.name)
        request = front.parse(body)
        if (answer := front.answer_load_request(request, model)) is not None:
            return LocalAnswer(front, self._back, model, answer)
        return Translate(
            front,
            self._back,
            request,
            model,
            wanted,
            self.name,
            stream=summary.stream,
            upstream_stream=summary.stream and self._streams,
            id_prefix="chatcmpl-",
        )

    def timeouts_for(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        """How long attempts at a model may take."""
        return self.limits.timeouts(model, route)

    def open(
        self,
        exchange: Exchange,
        upstream: Upstream,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts | None = None,
    ) -> InFlight:
        """Call the provider in a task of its own."""
        return _Run(self, exchange, receiver, timeouts or self.limits.timeouts(exchange.upstream_model))

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Always: there is nothing to load."""
        return True

    async def refresh_loaded_models(self, upstream: Upstream) -> None:
        """There is nothing to look at."""

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """The models that the provider's ``list_models`` names, if it has one."""
        list_models = getattr(self.inner, "list_models", None)
        names = list_models() if list_models is not None else []
        return [ModelInfo(id=name) for name in (await names if inspect.isawaitable(names) else names)]

    async def aclose(self) -> None:
        """Close the provider, if it can be closed."""
        aclose = getattr(self.inner, "aclose", None)
        if aclose is not None:
            await aclose()


class _Clock:
    """Limits the waits for one answer of a Python provider."""

    def __init__(self, who: str, timeouts: Timeouts) -> None:
        self._who = who
        self._timeouts = timeouts
        self._began = asyncio.get_running_loop().time()
        self.has_begun = False
        """A part of the answer has come."""

    async def limit(self, wait: Awaitable[_Result]) -> _Result:
        """The result of ``wait``.

        Raises:
            ProviderError: it did not come in time.
        """
        timeouts, names = self._timeouts, self._timeouts.names
        if self.has_begun:
            seconds, name, text = timeouts.idle, names.idle, "timed out in its answer: silent for"
        else:
            seconds, name, text = timeouts.first_byte, names.first_byte, "timed out: no answer after"
        shown = seconds
        if timeouts.total is not None:
            left = self._began + timeouts.total - asyncio.get_running_loop().time()
            if left < seconds:
                seconds, shown, name = left, timeouts.total, names.total
                text = "timed out: its answer was not complete after"
        try:
            async with asyncio.timeout(seconds) as timer:
                return await wait
        except TimeoutError:
            if not timer.expired():  # it is the provider's own
                raise
            setting = f" ({name})" if name else ""
            problem = f"Provider '{self._who}' {text} {shown:g} s{setting}"
            raise ProviderError(problem, UPSTREAM_TIMEOUT) from None


class _Run:
    """One call of a Python provider; satisfies ``base.InFlight``."""

    def __init__(
        self,
        provider: PythonProvider,
        exchange: Exchange,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts,
    ) -> None:
        self._provider = provider
        self._exchange = exchange
        self._receiver = receiver
        self._timeouts = timeouts
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self.sent = True
        self._task = asyncio.get_running_loop().create_task(self._run())

    def cancel(self) -> None:
        self._task.cancel()

    def pause(self) -> None:
        """Ask the provider for no further chunk."""
        self._may_go_on.clear()

    def resume(self) -> None:
        self._may_go_on.set()

    async def _run(self) -> None:
        await asyncio.sleep(0)  # a receiver is not called before ``open`` has returned
        try:
            last = await self._answer()
        except GatewayError as error:
            self._fail(error)
        except Exception as error:
            kind = UPSTREAM_TIMEOUT if isinstance(error, TimeoutError) else UPSTREAM_ERROR
            failure = ProviderError(f"Provider '{self._provider.name}' raised {type(error).__name__}", kind)
            failure.__cause__ = error
            log.exception("a Python provider failed", provider=self._provider.name)
            self._fail(failure)
        else:
            self._receiver.done(last)

    def _fail(self, error: GatewayError) -> None:
        error.provider = self._provider.name
        self._receiver.fail(error)

    async def _answer(self) -> bytes:
        """Put the request to the provider and its answer through the exchange; returns the last bytes."""
        inner, exchange, body = self._provider.inner, self._exchange, self._exchange.body
        if exchange.complete:
            return exchange.finish()
        exchange.head(200, ())
        if exchange.path == _EMBEDDINGS:
            assert isinstance(inner, EmbeddingProvider)
            return await self._whole(inner.embeddings(_validate(EmbeddingRequest, body)))
        request = _validate(ChatCompletionRequest, body)
        if request.stream and isinstance(inner, StreamingChatProvider):
            return await self._stream(inner.stream_chat_completions(request))
        return await self._whole(inner.chat_completions(request))

    async def _whole(self, call: Awaitable[Any]) -> bytes:
        answer = await _Clock(self._provider.name, self._timeouts.whole).limit(call)
        self._feed(_encode(answer))
        return self._finish()

    async def _stream(self, chunks: AsyncIterator[Any]) -> bytes:
        clock = _Clock(self._provider.name, self._timeouts.stream)
        try:
            while True:
                await self._may_go_on.wait()
                chunk = await clock.limit(anext(chunks, None))
                if chunk is None:
                    return self._finish()
                self._feed(sse(_encode(chunk)))
                clock.has_begun = True
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    def _feed(self, data: bytes) -> None:
        self._emit(self._exchange.feed(data))

    def _finish(self) -> bytes:
        last = self._exchange.finish()
        if self._exchange.error is not None:
            self._emit(last)
        return last

    def _emit(self, out: bytes) -> None:
        """Pass on what is ready, then whatever went wrong after it."""
        if out:
            self._receiver.emit(out)
        if self._exchange.error is not None:
            raise self._exchange.error


def _encode(answer: BaseModel) -> bytes:
    """JSON without fields that are None, but for a message's ``content``: clients look for that."""
    wire = answer.model_dump(mode="json", exclude_none=True)
    for choice in wire.get("choices", ()):
        if "message" in choice:
            choice["message"].setdefault("content", None)
    return msgspec.json.encode(wire)


def _validate(model: type[Any], body: bytes) -> Any:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = "".join(_step(step) for step in first["loc"]).lstrip(".")
        raise CallerError(f"Invalid '{at}': {first['msg']}", param=at) from None


def _step(step: int | str) -> str:
    """One step of a field's path; the member of a union that Pydantic tried is none."""
    if isinstance(step, int):
        return f"[{step}]"
    return "" if step == "str" or "[" in step else f".{step}"
