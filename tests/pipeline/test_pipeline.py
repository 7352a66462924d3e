"""The way of a request: from its bytes to its last answer byte, with upstreams that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any

import msgspec
import pytest

from tests.gateways import GUARD, until
from tests.pipeline.requests import make_active
from tests.routing.fakes import Fake
from trunkline import immediate
from trunkline.dialects import ollama, openai
from trunkline.dialects.base import Fitted, Front, RequestSummary
from trunkline.errors import (
    INVALID_API_KEY,
    UPSTREAM_ERROR,
    UPSTREAM_RATE_LIMIT,
    CallerError,
    GatewayError,
    ProviderError,
)
from trunkline.exchange import Exchange
from trunkline.model import Usage
from trunkline.pipeline.active import ActiveRequest, Outcome
from trunkline.pipeline.pipeline import Pipeline
from trunkline.pipeline.responder import error_lines
from trunkline.policy.auth import ApiKey
from trunkline.providers.base import AnswerReceiver, InFlight, Upstream
from trunkline.providers.time_limits import AttemptTimeouts
from trunkline.routing.catalog import Catalog
from trunkline.routing.resolve import RoutingRules
from trunkline.routing.router import Router


class Played:
    """An exchange that passes on what it is given."""

    content_type = b"application/json"
    error: GatewayError | None = None
    complete = False
    progress = 0
    pieces = 0
    not_shown: Sequence[str] = ()
    headers: Sequence[tuple[bytes, bytes]] = ()
    method = b"POST"
    owner = ""
    left_out: Sequence[str] = ()
    holds: frozenset[str] = frozenset()
    usage: Usage | None = Usage(prompt_tokens=3, completion_tokens=5)
    model: str | None = None

    def __init__(self, body: bytes, model: str, streaming: bool) -> None:
        self.body = body
        self.upstream_model = model
        self.streaming = streaming

    path = ""
    needs_head = False
    fitted: Fitted | None = None

    def head(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        raise NotImplementedError

    def feed(self, data: bytes) -> bytes:
        raise NotImplementedError

    def finish(self) -> bytes:
        raise NotImplementedError

    def fail(self, error: GatewayError) -> bytes:
        return openai.CHAT.stream_error(error)

    def forward_head(self, headers: Sequence[tuple[bytes, bytes]], query: bytes) -> None:
        self.headers = headers


class Attempt:
    """An opened exchange, played by the test; also its flight."""

    sent = True

    def __init__(self, exchange: Any, receiver: AnswerReceiver) -> None:
        self.exchange = exchange
        self.receiver = receiver
        self.told: list[str] = []

    def cancel(self) -> None:
        self.told.append("cancel")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Upstreams(Fake):
    """A provider whose attempts the test plays."""

    fetches_images = True

    def __init__(self, name: str, models: Sequence[str] = ("m",)) -> None:
        super().__init__(name, models)
        self.attempts: list[Attempt] = []
        self.prepared: Awaitable[bytes] | None = None
        self.to_prepare = b""
        """The body that was to be prepared last."""
        self.problem: Exception | None = None

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        self.to_prepare = body
        return self.prepared

    def exchange(self, front: Front, body: bytes, summary: RequestSummary, model: str) -> Exchange:
        if self.problem is not None:
            raise self.problem
        return Played(body, model, summary.stream)

    def open(
        self,
        exchange: Exchange,
        upstream: Upstream,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts | None = None,
    ) -> InFlight:
        self.attempts.append(Attempt(exchange, receiver))
        return self.attempts[-1]

    async def aclose(self) -> None:
        pass


class Client:
    """The server's end, played by the test."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def send(self, status: int, lines: bytes, body: bytes) -> None:
        self.told.append(("send", status, body))
        self.lines = lines

    def start(self, status: int, lines: bytes) -> None:
        self.told.append(("start", status))
        self.lines = lines

    def write(self, data: bytes) -> None:
        self.told.append(("write", data))

    def finish(self) -> None:
        self.told.append(("finish",))

    @property
    def headers(self) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.lines.decode().split("\r\n") if line)


class Table:
    """A pipeline, its upstreams and what it was seen to do."""

    def __init__(self, *upstreams: Upstreams) -> None:
        self.upstreams = upstreams
        providers: Any = {each.name: each for each in upstreams}
        self.catalog = Catalog(providers)
        router = Router(providers, self.catalog, RoutingRules(preferred=upstreams[0].name))
        self.outcomes: list[Outcome] = []
        self.pipeline = Pipeline(router, [self.outcomes.append])

    async def ask(
        self, *, stream: bool = False, model: str | None = "m", body: bytes = b"", **fields: Any
    ) -> Asked:
        """A request under way."""
        client = Client()
        given = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "x"}]}
        active = make_active(client, body or msgspec.json.encode(given), client="127.0.0.1", **fields)
        asked = Asked(client, active)
        immediate.run(asked.follow(self.pipeline.serve(active)))
        return asked


class Asked:
    """A request under way, or ended."""

    def __init__(self, client: Client, active: ActiveRequest) -> None:
        self.client = client
        self.active = active
        self._ended = asyncio.Event()

    async def follow(self, serving: Coroutine[Any, Any, None]) -> None:
        try:
            await serving
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Wait until nothing more happens."""
        async with asyncio.timeout(GUARD):
            await self._ended.wait()


async def make_table(*names: str) -> Table:
    table = Table(*(Upstreams(name) for name in names or ("first",)))
    await table.catalog.refresh()
    return table


def attempt_of(upstream: Upstreams) -> Attempt:
    (attempt,) = upstream.attempts
    return attempt


async def test_a_whole_answer() -> None:
    table = await make_table()
    asked = await table.ask()
    attempt = attempt_of(table.upstreams[0])
    assert attempt.exchange.upstream_model == "m"
    assert table.pipeline.active == {asked.active}
    attempt.receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]
    assert asked.client.headers == {
        "content-type": "application/json",
        "x-request-id": "req_1",
        "x-trunkline-provider": "first",
        "x-trunkline-upstream": "first-0",
        "x-trunkline-attempts": "1",
    }
    (outcome,) = table.outcomes
    active = outcome.active
    assert (outcome.status, active.response.error, active.model) == (200, None, "m")
    assert active.attempts[-1].exchange.usage == Played.usage
    assert (active.response.started, active.response.size) == (True, 2)
    assert active.response.first_byte_at is not None
    assert active.request.received_at <= active.response.first_byte_at <= outcome.ended_at
    assert not table.pipeline.active


async def test_a_stream() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.receiver.emit(b"a")
    attempt.receiver.emit(b"b")
    attempt.receiver.done(b"c")
    await asked.end()
    told = [("start", 200), ("write", b"a"), ("write", b"b"), ("write", b"c"), ("finish",)]
    assert asked.client.told == told
    assert asked.client.headers["cache-control"] == "no-cache"
    assert table.outcomes[0].status == 200


@pytest.mark.parametrize(("last", "told"), [(b"all", [("write", b"all")]), (b"", [])])
async def test_a_stream_that_comes_at_once(last: bytes, told: list[tuple[str, bytes]]) -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    attempt_of(table.upstreams[0]).receiver.done(last)
    await asked.end()
    assert asked.client.told == [("start", 200), *told, ("finish",)]


async def test_the_next_is_asked_before_the_first_byte() -> None:
    table = await make_table("first", "second")
    asked = await table.ask()
    first, second = table.upstreams
    attempt_of(first).receiver.fail(ProviderError("broken", UPSTREAM_ERROR))
    attempt_of(second).receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]
    assert asked.client.headers["x-trunkline-provider"] == "second"
    assert asked.client.headers["x-trunkline-attempts"] == "2"
    assert table.outcomes[0].active.response.error is None


async def test_the_last_failure_is_told() -> None:
    table = await make_table("first", "second")
    asked = await table.ask()
    for upstream in table.upstreams:
        error = ProviderError(f"{upstream.name} is busy", UPSTREAM_RATE_LIMIT, retry_after=2.4)
        attempt_of(upstream).receiver.fail(error)
    await asked.end()
    ((_, status, body),) = asked.client.told
    assert (status, msgspec.json.decode(body)["error"]["message"]) == (429, "second is busy")
    assert asked.client.headers["retry-after"] == "3"
    assert asked.client.headers["x-trunkline-attempts"] == "2"
    assert table.outcomes[0].active.response.error is not None


async def test_what_is_the_callers_fault_is_asked_once() -> None:
    table = await make_table("first", "second")
    asked = await table.ask()
    attempt_of(table.upstreams[0]).receiver.fail(CallerError("no such field", param="x"))
    await asked.end()
    assert asked.client.told[0][1] == 400
    assert not table.upstreams[1].attempts


async def test_after_the_first_byte_an_error_event_ends_it() -> None:
    table = await make_table("first", "second")
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    attempt.receiver.emit(b"a")
    error = ProviderError("broke off", UPSTREAM_ERROR)
    attempt.receiver.fail(error)
    await asked.end()
    event = openai.CHAT.stream_error(error)
    assert asked.client.told == [("start", 200), ("write", b"a"), ("write", event), ("finish",)]
    assert not table.upstreams[1].attempts
    assert (table.outcomes[0].status, table.outcomes[0].active.response.error) == (200, error)


async def test_a_client_that_leaves() -> None:
    table = await make_table("first", "second")
    asked = await table.ask(stream=True)
    attempt = attempt_of(table.upstreams[0])
    asked.active.disconnected()
    await asked.end()
    assert attempt.told == ["cancel"]
    assert not asked.client.told
    assert not table.upstreams[1].attempts
    (outcome,) = table.outcomes
    assert outcome.status == 499
    assert outcome.active.response.error is not None
    assert outcome.active.response.error.code == "client_closed_request"


async def test_a_client_that_leaves_after_the_end() -> None:
    table = await make_table()
    asked = await table.ask()
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    asked.active.disconnected()
    await asked.end()
    assert table.outcomes[0].status == 200


async def test_a_server_that_gives_up() -> None:
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    table = await make_table()
    waiting: asyncio.Future[bytes] = loop.create_future()
    table.upstreams[0].prepared = waiting
    asked = await table.ask()
    waiting.cancel()
    await asked.end()
    assert [type(error) for error in seen] == [asyncio.CancelledError]
    assert asked.active.response.client_gone
    assert table.outcomes[0].status == 499
    assert not table.pipeline.active


async def test_a_slow_client_holds_the_upstream_back() -> None:
    table = await make_table()
    asked = await table.ask(stream=True)
    asked.active.pause()
    asked.active.resume()
    attempt = attempt_of(table.upstreams[0])
    assert attempt.told == ["pause", "resume"]
    attempt.receiver.done(b"")
    await asked.end()


def test_before_an_attempt_there_is_nothing_to_hold_back() -> None:
    active = make_active(Client())
    active.pause()
    active.resume()
    active.disconnected()
    assert active.response.client_gone
    assert (active.current, active.model) == (None, None)


async def test_what_must_be_fetched_first() -> None:
    table = await make_table()
    ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    table.upstreams[0].prepared = ready
    asked = await table.ask()
    assert not table.upstreams[0].attempts
    assert table.upstreams[0].to_prepare == asked.active.request.body
    ready.set_result(b"prepared")
    await until(lambda: bool(table.upstreams[0].attempts))
    attempt = attempt_of(table.upstreams[0])
    assert attempt.exchange.body == b"prepared"
    attempt.receiver.done(b"{}")
    await asked.end()


async def test_what_cannot_be_fetched() -> None:
    table = await make_table()
    failed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    failed.set_exception(CallerError("no image", param="messages[0]"))
    table.upstreams[0].prepared = failed
    asked = await table.ask()
    await asked.end()
    assert asked.client.told[0][1] == 400
    assert not table.upstreams[0].attempts


async def test_a_client_that_leaves_before_the_attempt() -> None:
    table = await make_table("first", "second")
    ready: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    table.upstreams[0].prepared = ready
    asked = await table.ask()
    asked.active.disconnected()
    ready.set_result(b"prepared")
    await asked.end()
    assert not table.upstreams[0].attempts
    assert table.outcomes[0].status == 499


async def test_a_bug_is_told_without_its_words() -> None:
    table = await make_table()
    table.upstreams[0].problem = RuntimeError("secret")
    asked = await table.ask()
    await asked.end()
    ((_, status, body),) = asked.client.told
    assert status == 500
    assert b"secret" not in body
    assert msgspec.json.decode(body)["error"]["code"] == "internal_error"


@pytest.mark.parametrize(
    ("body", "status", "model"),
    [(b"{", 400, None), (b'{"model":"none","messages":[{"role":"user","content":"x"}]}', 404, "none")],
)
async def test_what_reaches_nobody(body: bytes, status: int, model: str | None) -> None:
    table = await make_table()
    asked = await table.ask(body=body)
    await asked.end()
    assert asked.client.told[0][1] == status
    assert "x-trunkline-provider" not in asked.client.headers
    assert table.outcomes[0].active.attempts == []
    assert table.outcomes[0].active.model == model


@pytest.mark.parametrize(
    ("models", "providers", "model", "status"),
    [
        ((), (), "none", 404),
        ((("m*",),), (), "none", 403),
        ((("no*",),), (), "none", 404),
        ((("first/*",),), (), "none", 404),
        ((("second/*",),), (), "none", 403),
        ((), (frozenset({"first"}),), "none", 404),
        ((), (frozenset({"second"}),), "none", 403),
        ((("gone",),), (), "fast", 404),  # an alias of a model that is not there
        ((("fast",),), (), "fast", 404),
        ((("m*",),), (), "fast", 403),
    ],
)
async def test_a_key_is_not_told_whether_there_is_a_model_that_it_could_not_use(
    models: tuple[tuple[str, ...], ...], providers: tuple[frozenset[str], ...], model: str, status: int
) -> None:
    table = await make_table()
    given: Any = {each.name: each for each in table.upstreams}
    rules = RoutingRules(preferred="first", aliases={"fast": "gone"})
    table.pipeline.router = Router(given, table.catalog, rules)
    key = ApiKey(id="k", name="k", role="member", prefix="gw_", models=models, providers=providers)
    asked = await table.ask(model=model, key=key)
    await asked.end()
    ((_, told, body),) = asked.client.told
    error = msgspec.json.decode(body)["error"]
    assert (told, error["param"]) == (status, "model")
    if status == 403:
        assert error["message"] == f"This key may not use model '{model}'"


FITTED = Fitted(b"{}", ("messages[0].role", "stop"), {}, lambda record, names: False)


@pytest.mark.parametrize(
    ("fitted", "header", "told"),
    [
        (FITTED, b"fit", "messages[0].role; stop"),
        (FITTED, b"route", None),
        (None, b"fit", None),
        (Fitted(b"{}", (), {}, lambda record, names: False), b"fit", None),
    ],
)
async def test_a_client_that_asks_is_told_what_was_changed(
    fitted: Fitted | None, header: bytes, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Played, "fitted", fitted)
    table = await make_table()
    asked = await table.ask(headers=[(b"x-trunkline-explain", header)])
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    await asked.end()
    assert asked.client.headers.get("x-trunkline-fit") == told


async def test_what_was_changed_for_one_upstream_is_not_told_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Played, "fitted", FITTED)
    table = await make_table("first", "second")
    asked = await table.ask(headers=[(b"x-trunkline-explain", b"fit")])
    monkeypatch.setattr(Played, "fitted", None)
    attempt_of(table.upstreams[0]).receiver.fail(ProviderError("broken", UPSTREAM_ERROR))
    attempt_of(table.upstreams[1]).receiver.done(b"{}")
    await asked.end()
    assert asked.client.headers["x-trunkline-provider"] == "second"
    assert "x-trunkline-fit" not in asked.client.headers


@pytest.mark.parametrize(("asks", "told"), [([(b"x-trunkline-explain", b"1")], "logprobs, seed"), ([], None)])
async def test_a_client_that_asks_is_told_what_was_left_out(
    asks: list[tuple[bytes, bytes]], told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Played, "left_out", ["logprobs", "seed"])
    table = await make_table()
    asked = await table.ask(headers=[(b"x", b"y"), *asks])
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    await asked.end()
    assert asked.client.headers.get("x-trunkline-left-out") == told
    assert asked.client.headers["x-trunkline-provider"] == "first"


async def test_a_client_is_told_what_its_dialect_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "not_shown", ["thinking", "sources"])
    table = await make_table()
    asked = await table.ask()
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    await asked.end()
    told = asked.client.headers
    assert (told["x-trunkline-not-shown"], told["x-trunkline-provider"]) == ("thinking, sources", "first")


@pytest.mark.parametrize(
    ("holds", "asked_first"),
    [
        ([frozenset(), frozenset({"previous_response_id"})], "second"),
        ([frozenset(), frozenset({"conversation"})], "first"),
        ([frozenset({"previous_response_id"}), frozenset({"previous_response_id"})], "first"),
        ([frozenset(), frozenset()], "first"),
    ],
)
async def test_who_holds_the_state_of_a_request_is_asked(
    holds: list[frozenset[str]], asked_first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = await make_table("first", "second")
    for upstream, held in zip(table.upstreams, holds, strict=True):
        by_dialect = {openai.CHAT.dialect: held}
        monkeypatch.setattr(upstream, "holds", by_dialect.__getitem__, raising=False)
    summary = RequestSummary(model="m", stream=False, state=("previous_response_id",))
    asked = await table.ask(summary=summary)
    assert [each.name for each in table.upstreams if each.attempts] == [asked_first]
    asked.active.disconnected()
    await asked.end()


@pytest.mark.parametrize("loaded", [True, False])
async def test_a_server_that_had_to_load_a_model_is_asked_what_it_has_loaded(
    loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model may have been unloaded for this one."""
    fleet = Upstreams("ollama")
    fleet.upstreams = [*fleet.upstreams, msgspec.structs.replace(fleet.upstreams[0], name="ollama-1")]
    fleet.models["ollama-1"] = ["m"]
    fleet.loads_models = True
    refreshed: list[Upstream] = []

    async def refresh_loaded_models(upstream: Upstream) -> None:
        refreshed.append(upstream)

    monkeypatch.setattr(fleet, "refresh_loaded_models", refresh_loaded_models)
    monkeypatch.setattr(fleet, "is_loaded", lambda upstream, model: loaded)
    table = Table(fleet)
    await table.catalog.refresh()
    asked = await table.ask()
    attempt_of(fleet).receiver.done(b"{}")
    await asked.end()
    candidate = asked.active.attempts[0].candidate
    if loaded:
        assert not table.pipeline._refreshes
    else:
        await asyncio.gather(*table.pipeline._refreshes)
    assert refreshed == ([] if loaded else [candidate.upstream])
    await until(lambda: not table.pipeline._refreshes)
    table.pipeline.close()


async def test_a_model_is_unloaded_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    table = await make_table("first", "second")
    first, second = table.upstreams
    first.loads_models = second.loads_models = True
    monkeypatch.setattr(first, "is_loaded", lambda upstream, model: False)
    asked = await table.ask(front=ollama.GENERATE, body=b'{"model":"m","keep_alive":0}')
    await until(lambda: bool(first.attempts or second.attempts))
    attempt_of(second).receiver.done(b"{}")
    await asked.end()
    assert (asked.client.told, first.attempts) == ([("send", 200, b"{}")], [])


async def test_the_first_look_is_waited_for() -> None:
    table = Table(Upstreams("first"))
    table.upstreams[0].gate = asyncio.Event()
    table.catalog.start(60)
    asked = await table.ask()
    assert not table.upstreams[0].attempts
    table.upstreams[0].gate.set()
    await until(lambda: bool(table.upstreams[0].attempts))
    attempt_of(table.upstreams[0]).receiver.done(b"{}")
    await asked.end()
    await table.catalog.aclose()


async def test_a_model_that_was_just_pulled_is_found() -> None:
    table = await make_table("ollama")
    (ollama,) = table.upstreams
    ollama.models = {"ollama-0": ["new"]}
    asked = await table.ask(model="new")
    await until(lambda: bool(ollama.attempts))
    attempt_of(ollama).receiver.done(b"{}")
    await asked.end()
    assert asked.client.told == [("send", 200, b"{}")]
    again = await table.ask(model="newer")
    await again.end()
    assert again.client.told[0][1] == 404


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (CallerError("x"), b""),
        (CallerError("x", INVALID_API_KEY), b"www-authenticate: Bearer\r\n"),
        (ProviderError("x", retry_after=0.2), b"retry-after: 1\r\n"),
        (ProviderError("x", retry_after=90.0), b"retry-after: 90\r\n"),
    ],
)
def test_headers_that_a_status_calls_for(error: GatewayError, lines: bytes) -> None:
    assert error_lines(error) == lines
