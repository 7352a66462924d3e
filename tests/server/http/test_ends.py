"""What clients may do with a connection, at both HTTP ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from tests.gateways import BEARER, KEY, Running, chat, events, get, make_settings, post, until, upstream
from tests.server.conftest import Serve
from trunkline.server.http import protocol
from trunkline.server.http.protocol import HEAD_LIMIT
from trunkline_mock import MockUpstream, Script

FAST = pytest.mark.parametrize("fast", [True], ids=["fast"])
"""What plain uvicorn cannot do."""

CHUNKED = b"Transfer-Encoding: chunked\r\n"
ASK = b"POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\n"


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def text_of(body: bytes) -> str:
    chunks = events(body)
    assert chunks.pop() == "[DONE]"
    return "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"])


async def test_one_connection_carries_request_after_request(running: Running) -> None:
    wire = await running.connect()
    ids = set()
    for request in (
        post(chat(), BEARER),
        post(chat(stream=True), BEARER),
        get("/v1/models", BEARER),
        post(chat()),
        get("/health"),
        post(b"{", BEARER),
        get("/v1/nothing", BEARER),
        post(chat(), BEARER),
    ):
        wire.send(request)
        answer = await wire.answer()
        assert answer.whole
        assert "connection" not in answer.headers
        ids.add(answer.headers["x-request-id"])
    assert answer.status == 200
    assert len(ids) == 8
    await wire.close()


async def test_an_answer_and_its_headers(running: Running) -> None:
    answer = await running.ask(post(chat(), BEARER, b"X-Request-Id: mine-1\r\n"))
    assert answer.status == 200
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-trunkline-provider"] == "custom"
    assert answer.headers["x-trunkline-upstream"] == "custom"
    assert answer.headers["x-trunkline-attempts"] == "1"
    assert "server" not in answer.headers
    assert "date" in answer.headers


async def test_a_stream_and_its_headers(running: Running) -> None:
    answer = await running.ask(post(chat(stream=True), BEARER))
    assert answer.status == 200
    assert answer.whole
    assert "built-in model" in text_of(answer.body)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize("sent", ["", "with blank", "x" * 129, "\xe9"])
async def test_request_ids_that_are_unfit_for_a_log_are_replaced(running: Running, sent: str) -> None:
    answer = await running.ask(post(chat(), BEARER, f"X-Request-Id: {sent}\r\n".encode("latin-1")))
    assert answer.headers["x-request-id"].startswith("req_")


async def test_two_requests_in_one_write_are_answered_in_order(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="slow", delay_first_s=0.05)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o"), BEARER) + post(chat(), BEARER) + get("/health"))
        first, second, third = [await wire.answer() for _ in range(3)]
        assert first.json["choices"][0]["message"]["content"] == "slow"
        assert second.json["model"] == "custom"
        assert third.json["status"] == "ok"
        wire.send(get("/health"))
        assert (await wire.answer()).status == 200
        await wire.close()


async def test_a_long_row_of_requests_in_one_write(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="slow", delay_first_s=0.05)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o"), BEARER) + get("/health") * 1000 + get("/docs") + get("/healthz"))
        answers = [await wire.answer() for _ in range(1003)]
        assert {answer.status for answer in answers} == {200}
        assert answers[0].json["choices"][0]["message"]["content"] == "slow"
        assert b"<html" in answers[-2].body
        await wire.close()


@FAST
async def test_disconnecting_with_requests_waiting_stops_the_one_under_way(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="word ", repeat=100_000, delay_chunk_s=0.01)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o", stream=True), BEARER) + post(chat("gpt-4o"), BEARER))
        await wire.head()
        await wire.close()
        await mock.closed()
        await until(lambda: not running.gateway.pipeline.active)
        assert len(mock.calls) == 1


@FAST
async def test_a_client_that_does_not_read_is_not_answered_further(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="hi")) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        many = 6000  # of some kilobytes: more than the sockets hold
        wire.send(get("/metrics", BEARER) * many + post(chat("gpt-4o"), BEARER))
        connection: Any = next(iter(running.server.server_state.connections))
        await until(lambda: connection.flow.write_paused and connection.flow.read_paused)
        assert connection.transport.get_write_buffer_size() < 1_000_000
        assert not mock.calls
        assert {(await wire.answer()).status for _ in range(many)} == {200}
        assert (await wire.answer()).json["choices"][0]["message"]["content"] == "hi"
        await wire.close()


@FAST
async def test_a_client_that_reads_nothing_of_a_stream_is_disconnected(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "SEND_TIMEOUT_S", 0.05)
    async with MockUpstream("openai", Script(text=("x" * 10_000,) * 5_000)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o", stream=True), BEARER))
        connection: Any = next(iter(running.server.server_state.connections))
        await until(lambda: connection.flow.write_paused)
        await mock.closed()
        await until(lambda: not running.gateway.pipeline.active)
        assert connection.transport.is_closing()
        await wire.close()


@FAST
async def test_a_stream_is_not_begun_before_the_answer_ahead_of_it_is_read(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="x" * 20_000_000)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o"), BEARER))
        connection: Any = next(iter(running.server.server_state.connections))
        await until(lambda: connection.flow.write_paused)
        wire.send(post(chat("gpt-4o", stream=True), BEARER))
        await until(lambda: connection.flow.read_paused)
        assert len(mock.calls) == 1
        assert (await wire.answer()).whole
        assert (await wire.answer()).whole
        assert len(mock.calls) == 2
        await wire.close()


UNFINISHED = {
    "nothing": b"",
    "half a head": b"GET /health HTTP/1.1\r\nHost:",
    "half a body": post(chat(), BEARER)[:-5],
    "half a body of unknown length": ASK + BEARER + CHUNKED + b"\r\n5\r\n",
    "blank lines": b"\r\n\r\n",
    "a small body of a refused request": post(chat())[:-5],
}


@FAST
@pytest.mark.parametrize("before", [b"", get("/health")], ids=["first", "second"])
@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED.keys())
async def test_a_client_that_sends_no_more_is_disconnected(
    running: Running, sent: bytes, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.server.config, "timeout_keep_alive", 0.1)
    wire = await running.connect()
    wire.send(before + sent)
    assert (await wire.rest()).count(b"HTTP/1.1 ") == bool(before)


async def test_a_slow_upstream_is_not_a_silent_client(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with MockUpstream("openai", Script(text="slow", delay_first_s=0.2)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        monkeypatch.setattr(running.server.config, "timeout_keep_alive", 0.05)
        assert (await running.ask(post(chat("gpt-4o"), BEARER))).status == 200


async def test_expect_continue(running: Running) -> None:
    wire = await running.connect()
    body = post(chat(), BEARER, b"Expect: 100-continue\r\n")
    head, _, data = body.partition(b"\r\n\r\n")
    wire.send(head + b"\r\n\r\n")
    assert await wire.head() == (100, {})
    wire.send(data)
    assert (await wire.answer()).status == 200
    wire.send(body)  # without waiting for the status 100
    assert await wire.head() == (100, {})
    assert (await wire.answer()).status == 200
    await wire.close()


async def test_expect_continue_refused(running: Running) -> None:
    wire = await running.connect()
    wire.send(ASK + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
    answer = await wire.answer()
    assert answer.status == 401
    assert answer.error["code"] == "invalid_api_key"
    await wire.close()


@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "length"])
async def test_a_large_body_beside_the_data_plane(running: Running, chunked: bool) -> None:
    wire, piece = await running.connect(), b"x" * 65536
    framing = CHUNKED if chunked else b"Content-Length: %d\r\n" % 2**40
    wire.send(b"POST /admin/v1/keys HTTP/1.1\r\nContent-Type: application/json\r\n" + framing + b"\r\n")
    for _ in range(2 * 1024 * 1024 // len(piece)):
        wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
    answer = await wire.answer()  # the end of the body never comes
    assert answer.status == 413
    assert answer.error["code"] == "request_too_large"
    await wire.close()


@pytest.mark.parametrize("pieces", [1, 7, 40])
async def test_a_body_in_chunks(running: Running, pieces: int) -> None:
    data = post(chat(text="x" * 5000)).partition(b"\r\n\r\n")[2]
    step = -(-len(data) // pieces)
    body = chunks(*(data[at : at + step] for at in range(0, len(data), step)))
    wire = await running.connect()
    for _ in range(2):
        wire.send(ASK + BEARER + CHUNKED + b"\r\n" + body)
        assert (await wire.answer()).status == 200
    await wire.close()


async def test_a_request_byte_by_byte(running: Running) -> None:
    wire = await running.connect()
    for byte in post(chat(), BEARER):
        wire.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await wire.answer()).status == 200
    await wire.close()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/health", 200),
        ("/v1/models", 200),
        ("/v1/chat/completions", 405),
        ("/v1/nothing", 404),
        ("/nothing", 404),
    ],
)
async def test_head_has_no_body(running: Running, path: str, status: int) -> None:
    wire = await running.connect()
    whole = await running.ask(get(path, BEARER))
    wire.send(get(path, BEARER, method="HEAD") + get("/health"))
    answer = await wire.answer(head_only=True)
    assert answer.status == whole.status == status
    if path != "/nothing":
        assert abs(int(answer.headers["content-length"]) - int(whole.headers["content-length"])) <= 1
    assert (await wire.answer()).json["status"] == "ok"
    await wire.close()


async def test_http_1_0(running: Running, fast: bool) -> None:
    old = post(chat(), BEARER).replace(b"HTTP/1.1", b"HTTP/1.0")
    wire = await running.connect()
    wire.send(old)
    answer = await wire.answer()
    assert answer.status == 200
    assert await wire.rest() == b""
    if fast:  # uvicorn sends chunks to clients that cannot know them
        wire = await running.connect()
        wire.send(post(chat(stream=True), BEARER).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await wire.answer()
        assert "transfer-encoding" not in answer.headers
        assert "built-in model" in text_of(answer.body)


@pytest.mark.parametrize("stream", [False, True])
async def test_connection_close(running: Running, stream: bool) -> None:
    wire = await running.connect()
    wire.send(post(chat(stream=stream), BEARER, b"Connection: close\r\n"))
    answer = await wire.answer()
    assert answer.whole
    assert answer.headers["connection"] == "close"
    assert await wire.rest() == b""


async def test_a_body_over_the_limit_by_its_length(serve: Serve) -> None:
    running = await serve(make_settings(max_body_bytes=100_000))
    wire = await running.connect()
    wire.send(ASK + BEARER + b"Content-Length: 100001\r\n\r\n")
    answer = await wire.answer()
    assert answer.status == 413
    assert answer.error["code"] == "request_too_large"
    assert "100000 bytes" in answer.error["message"]
    wire.send(b"x" * 100_001)  # it was on its way already
    if answer.headers.get("connection") == "close":
        assert await wire.rest() == b""
    else:
        wire.send(post(chat(), BEARER))
        assert (await wire.answer()).status == 200
    await wire.close()


async def test_a_small_body_over_the_limit_leaves_the_connection(serve: Serve) -> None:
    running = await serve(make_settings(max_body_bytes=100))
    wire = await running.connect()
    for _ in range(2):
        wire.send(post(b"x" * 101, BEARER))
        answer = await wire.answer()
        assert (answer.status, answer.headers.get("connection")) == (413, None)
    wire.send(get("/health"))
    assert (await wire.answer()).status == 200
    await wire.close()


async def test_a_body_over_the_limit_by_chunks(serve: Serve) -> None:
    running = await serve(make_settings(max_body_bytes=100_000))
    wire = await running.connect()
    wire.send(ASK + BEARER + CHUNKED + b"\r\n")
    wire.send(b"fde8\r\n" + b"x" * 65_000 + b"\r\nfde8\r\n" + b"x" * 65_000 + b"\r\n")
    answer = await wire.answer()
    assert answer.status == 413
    wire.send(chunks(b"more"))
    if answer.headers.get("connection") == "close":
        assert await wire.rest() == b""
    else:
        wire.send(post(chat(), BEARER))
        assert (await wire.answer()).status == 200
    await wire.close()


@pytest.mark.parametrize("announced", [CHUNKED, b"Content-Length: 1000000\r\n"])
@pytest.mark.parametrize("key", [b"", b"Authorization: Bearer wrong\r\n", b"Authorization: Basic eA==\r\n"])
async def test_without_a_key_the_answer_does_not_wait_for_the_body(
    running: Running, announced: bytes, key: bytes
) -> None:
    answer = await running.ask(ASK + key + announced + b"\r\n")
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.error["code"] == "invalid_api_key"


GARBAGE = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "words": b"hello there\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a length that is none": ASK + b"Content-Length: many\r\n\r\n",
    "a negative length": ASK + b"Content-Length: -1\r\n\r\n",
    "an endless length": ASK + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "two lengths": ASK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": ASK + b"Content-Length: 1\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "a coding that is none": ASK + BEARER + b"Transfer-Encoding: cow\r\n\r\n",
    "a header without a name": ASK + b": x\r\n\r\n",
    "a blank in a name": ASK + b"X Y: x\r\n\r\n",
    "a NUL in a value": ASK + b"X: a\0b\r\n\r\n",
    "a bad chunk": ASK + BEARER + CHUNKED + b"\r\nzz\r\n",
}


@pytest.mark.parametrize("sent", GARBAGE.values(), ids=GARBAGE.keys())
async def test_what_is_not_http(
    running: Running, fast: bool, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await running.connect()
    wire.send(sent)
    answer = await wire.answer()
    assert answer.status == 400
    assert answer.headers["connection"] == "close"
    if fast:
        assert answer.error["type"] == "invalid_request_error"
        assert answer.headers["x-request-id"]
    assert "Traceback" not in caplog.text
    await wire.close()
    assert (await running.ask(get("/health"))).status == 200


async def test_garbage_while_an_answer_is_sent(serve: Serve, fast: bool) -> None:
    async with MockUpstream("openai", Script(text="word ", repeat=100_000, delay_chunk_s=0.01)) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        wire = await running.connect()
        wire.send(post(chat("gpt-4o", stream=True), BEARER))
        await wire.head()
        wire.send(b"hello there\r\n\r\n")
        rest = b""
        with suppress(ConnectionError):
            rest = await wire.rest()
        assert b"[DONE]" not in rest
        assert not (fast and b"HTTP/1.1" in rest)
        await mock.closed()


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
async def test_an_offer_to_upgrade_is_ignored(running: Running, fast: bool, protocol: bytes) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\nHTTP2-Settings: AAMAAABk\r\n" % protocol
    assert (await running.ask(get("/health", upgrade))).status == 200
    if not fast:
        return  # uvicorn loses the body
    wire = await running.connect()
    for _ in range(2):
        request = post(chat(), BEARER, upgrade)
        for piece in (request[:-20], request[-20:] + get("/docs", upgrade) + get("/health", upgrade)):
            wire.send(piece)
            await asyncio.sleep(0.01)
        assert [(await wire.answer()).status for _ in range(3)] == [200, 200, 200]
    await wire.close()


async def test_the_gateway_is_no_proxy(running: Running) -> None:
    answer = await running.ask(get("example.com:443", method="CONNECT"))
    assert answer.status in (400, 405)


async def test_an_absolute_target(running: Running) -> None:
    assert (await running.ask(get("http://test/v1/models", BEARER))).status == 200


HEADS = {
    "one endless header": (b"X: " + b"x" * HEAD_LIMIT, b"x" * HEAD_LIMIT),
    "one long header": (b"X: " + b"x" * HEAD_LIMIT, b"\r\n\r\n"),
    "many headers": (b"X: xxxxxxx\r\n" * (HEAD_LIMIT // 8), b"\r\n"),
    "a body": (b"Content-Length: 10\r\nX: " + b"x" * HEAD_LIMIT, b"\r\n\r\n0123456789" * 100),
}


@FAST
@pytest.mark.parametrize(("start", "rest"), HEADS.values(), ids=HEADS.keys())
async def test_a_huge_head(serve: Serve, start: bytes, rest: bytes) -> None:
    running = await serve()
    for target in (b"/v1/chat/completions", b"/nothing"):
        wire = await running.connect()
        wire.send(b"POST " + target + b" HTTP/1.1\r\n" + BEARER + start)
        wire.send(rest)
        answer = await wire.answer()
        assert answer.status == 431
        assert answer.error["code"] == "request_head_too_large"
        assert answer.headers["connection"] == "close"
        wire.send(rest)
        await wire.close()


@FAST
async def test_a_huge_target(serve: Serve) -> None:
    running = await serve()
    assert (await running.ask(get("/" + "x" * HEAD_LIMIT, BEARER))).status == 431


@FAST
async def test_endless_trailers(serve: Serve) -> None:
    running = await serve()
    wire = await running.connect()
    wire.send(ASK + BEARER + CHUNKED + b"\r\n2\r\n{}\r\n0\r\n")
    wire.send(b"X: xxxxxxx\r\n" * (HEAD_LIMIT // 2))
    assert (await wire.answer()).status == 431
    await wire.close()


async def test_a_large_head_and_body(running: Running) -> None:
    wire = await running.connect()
    for size in (HEAD_LIMIT // 2, HEAD_LIMIT - 1000):
        wire.send(post(chat(text="y" * 1_000_000), BEARER, b"X: " + b"x" * size + b"\r\n"))
        assert (await wire.answer()).status == 200
    await wire.close()


ORIGIN = b"Origin: https://page.example\r\n"
PREFLIGHT = get(
    "/v1/chat/completions",
    ORIGIN,
    b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, x-odd\r\n",
    method="OPTIONS",
)


async def test_other_origins_get_no_cors_headers(running: Running) -> None:
    for request in (PREFLIGHT, post(chat(), BEARER, ORIGIN), get("/health", ORIGIN)):
        answer = await running.ask(request)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (await running.ask(PREFLIGHT)).status == 401
    with_key = PREFLIGHT.replace(b"\r\n\r\n", b"\r\n" + BEARER + b"\r\n")
    refused = await running.ask(with_key)
    assert (refused.status, refused.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("allowed", ["https://page.example", "*"])
async def test_allowed_origins_get_cors_headers(serve: Serve, allowed: str) -> None:
    running = await serve(make_settings(cors_allowed_origins=(allowed,)))
    answer = await running.ask(PREFLIGHT)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.headers["access-control-allow-headers"] == "authorization, x-odd"
    assert "POST" in answer.headers["access-control-allow-methods"]
    for request, status in ((post(chat(), BEARER, ORIGIN), 200), (post(chat(), ORIGIN), 401)):
        answer = await running.ask(request)
        assert answer.status == status
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        assert answer.headers["vary"] == "Origin"


async def test_an_origin_that_is_not_allowed_gets_no_cors_headers(serve: Serve) -> None:
    running = await serve(make_settings(cors_allowed_origins=("https://other.example",)))
    answer = await running.ask(post(chat(), BEARER, ORIGIN))
    assert "access-control-allow-origin" not in answer.headers


async def test_a_key_in_the_path_is_off(running: Running) -> None:
    answer = await running.ask(post(chat(), path=f"/key/{KEY}/v1/chat/completions"))
    assert answer.status == 404
    assert KEY not in answer.error["message"]


async def test_a_key_in_the_path(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    running = await serve(make_settings(allow_key_in_path=True))
    for path, status in (
        ("/v1/chat/completions", 200),
        ("/v1/models", 200),
        ("/v1/nothing", 404),
        ("/nothing", 404),
        ("/v1/embeddings", 404),
    ):
        request = post(chat() | {"input": "x"}, path=f"/key/{KEY}{path}")
        if path == "/v1/models":
            request = get(f"/key/{KEY}{path}")
        answer = await running.ask(request)
        assert answer.status == (status if path != "/v1/embeddings" else 400)
        assert KEY.encode() not in answer.body
    assert (await running.ask(post(chat(), path="/key/gw_wrong00/v1/chat/completions"))).status == 401
    running.gateway.recorder.flush()
    running.gateway.access_log.flush()
    logged = capfd.readouterr().err
    assert logged.count("/key/***/") >= 6
    assert KEY not in logged
    assert "gw_wrong" not in logged


@pytest.mark.parametrize("trusted", [(), ("127.0.0.1",)])
async def test_the_log_names_the_client_behind_a_trusted_proxy(
    serve: Serve, capfd: pytest.CaptureFixture[str], trusted: tuple[str, ...]
) -> None:
    running = await serve(make_settings(server={"trusted_proxies": trusted}))
    assert (await running.ask(post(chat(), BEARER, b"X-Forwarded-For: 1.2.3.4\r\n"))).status == 200
    running.gateway.recorder.flush()
    running.gateway.access_log.flush()
    client = "1.2.3.4" if trusted else "127.0.0.1"
    assert f'"client":"{client}"' in capfd.readouterr().err


async def test_fastapi_serves_all_other_paths(running: Running, capfd: pytest.CaptureFixture[str]) -> None:
    wire = await running.connect()
    for path, status in (("/docs", 200), ("/openapi.json", 200), ("/nothing/here", 404)):
        wire.send(get(path, b"X-Request-Id: beside\r\n"))
        answer = await wire.answer()
        assert answer.status == status
        assert answer.headers["x-request-id"] == "beside"
    assert answer.error["message"] == "There is nothing at /nothing/here"
    assert answer.error["code"] == "not_found"
    for path, message in (
        ("/x/v1/models", "There is nothing at /x/v1/models; did you mean /v1/models?"),
        (
            f"/key/{KEY}/v1/models",
            "There is nothing at /key/***/v1/models: keys in the path need ALLOW_KEY_IN_PATH=true",
        ),
    ):
        wire.send(get(path))
        assert (await wire.answer()).error["message"] == message
    wire.send(post(chat(), BEARER))
    assert (await wire.answer()).status == 200
    await wire.close()
    running.gateway.recorder.flush()
    running.gateway.access_log.flush()
    logged = capfd.readouterr().err
    assert '"path":"/nothing/here"' in logged


@pytest.mark.parametrize("stream", [True, False])
async def test_a_shutdown_lets_answers_under_way_end(serve: Serve, stream: bool) -> None:
    script = Script(text=("one ", "two ", "three"), delay_first_s=0.05, delay_chunk_s=0.1, early_head=True)
    async with MockUpstream("openai", script) as mock:
        running = await serve(make_settings(providers={"vllm": upstream(mock)}))
        idle = await running.connect()
        wire = await running.connect()
        wire.send(post(chat("gpt-4o", stream=stream), BEARER))
        await mock.until(lambda: bool(mock.calls))
        if stream:
            await wire.head()
        running.server.over.set()
        assert await idle.rest() == b""
        if stream:
            body = b""
            while piece := await wire.piece():
                body += piece
            assert text_of(body) == "one two three"
        else:
            answer = await wire.answer()
            assert answer.json["choices"][0]["message"]["content"] == "one two three"
        assert await wire.rest() == b""
    with pytest.raises(OSError):  # noqa: PT011 - refused
        await running.connect()


async def test_a_shutdown_that_takes_too_long_cancels_the_rest(serve: Serve) -> None:
    async with MockUpstream("openai", Script(text="word ", repeat=100_000, delay_chunk_s=0.01)) as mock:
        settings = make_settings(providers={"vllm": upstream(mock)}, shutdown_timeout_s=1)
        running = await serve(settings)
        wire = await running.connect()
        wire.send(post(chat("gpt-4o", stream=True), BEARER))
        await wire.head()
        running.server.over.set()
        await mock.closed()
        await wire.close()
