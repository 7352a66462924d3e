"""Heads that a connection remembers: what is taken without the parser, and what is not."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from tests.gateways import BEARER, Running, chat, post
from trunkline.server.http.dispatcher import KnownHead

FAST = pytest.mark.parametrize("fast", [True], ids=["fast"])


class Counts(NamedTuple):
    """How often a head was read, and how often it was known."""

    read: list[str]
    known: list[int]


@pytest.fixture
def counts(running: Running, monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Counts what ``running`` does with heads."""
    counts = Counts([], [])
    dispatcher = running.gateway.dispatcher
    read_head, find = dispatcher.read_head, KnownHead.find

    def count_read(method: str, path: str, *rest: Any) -> Any:
        counts.read.append(path)
        return read_head(method, path, *rest)

    def count_known(self: KnownHead, data: bytes, *rest: Any) -> Any:
        found = find(self, data, *rest)
        if found is not None:
            counts.known.append(found[1])
        return found

    monkeypatch.setattr(dispatcher, "read_head", count_read)
    monkeypatch.setattr(KnownHead, "find", count_known)
    return counts


@FAST
async def test_a_head_that_comes_again_is_not_read_again(running: Running, counts: Counts) -> None:
    wire = await running.connect()
    ids = set()
    for length in 1, 500, 3:
        wire.send(post(chat(text="x" * length), BEARER))
        answer = await wire.answer()
        assert (answer.status, answer.whole) == (200, True)
        ids.add(answer.headers["x-request-id"])
    assert len(counts.read) == 1
    assert len(counts.known) == 2
    assert len(ids) == 3
    await wire.close()


@FAST
@pytest.mark.parametrize("size", [1, 7, 61])
async def test_a_known_head_in_pieces(running: Running, counts: Counts, size: int) -> None:
    """A head that comes in pieces is read by the parser; a body may come in pieces after a known head."""
    request = post(chat(text="x" * 100), BEARER)
    body_at = request.index(b"\r\n\r\n") + 4
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    feed(running, [request[:body_at], *split(request[body_at:], size)])
    assert (await wire.answer()).status == 200
    assert (len(counts.read), len(counts.known)) == (1, 1)
    feed(running, split(request, size))
    assert (await wire.answer()).status == 200
    assert (len(counts.read), len(counts.known)) == (2, 1)
    wire.send(request)
    assert (await wire.answer()).status == 200
    await wire.close()


def split(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def feed(running: Running, pieces: list[bytes]) -> None:
    """Each piece is a read of its own at the server's end of the only connection."""
    connection: Any = next(iter(running.server.server_state.connections))
    for piece in pieces:
        connection.data_received(piece)


NOT_REMEMBERED = {
    "chunked": b"Transfer-Encoding: chunked\r\n",
    "its own id": b"X-Request-Id: mine\r\n",
    "a trace": b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n",
    "closing": b"Connection: close\r\n",
}


@FAST
@pytest.mark.parametrize("line", NOT_REMEMBERED.values(), ids=NOT_REMEMBERED)
async def test_heads_that_are_not_remembered(running: Running, counts: Counts, line: bytes) -> None:
    request = post(chat(), BEARER, line)
    if b"chunked" in line:
        head, body = request.split(b"\r\n\r\n")
        lines = [each for each in head.split(b"\r\n") if not each.startswith(b"Content-Length")]
        request = b"\r\n".join(lines) + b"\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    if b"close" not in line:
        wire.send(request)
        assert (await wire.answer()).status == 200
    assert not counts.known
    await wire.close()


@FAST
async def test_requests_without_a_model_are_not_remembered(running: Running, counts: Counts) -> None:
    wire = await running.connect()
    for _ in range(2):
        wire.send(post(b"{}", BEARER, path="/v1/nothing"))
        assert (await wire.answer()).status == 404
    assert (len(counts.read), len(counts.known)) == (2, 0)
    await wire.close()


@FAST
async def test_a_body_that_looks_like_the_head_stays_a_body(running: Running, counts: Counts) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    other = post(b" " * 3 + request, BEARER, b"X: y\r\n")
    feed(running, [other[: -len(request)], request])
    assert (await wire.answer()).status == 400
    assert not counts.known
    wire.send(request)
    assert (await wire.answer()).status == 200
    await wire.close()


@FAST
async def test_two_requests_with_a_known_head_in_one_read(running: Running, counts: Counts) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    feed(running, [request * 2])
    assert [(await wire.answer()).status for _ in range(2)] == [200, 200]
    feed(running, [request[:-5], request[-5:] + request, request])
    assert [(await wire.answer()).status for _ in range(3)] == [200] * 3
    await wire.close()


@FAST
@pytest.mark.parametrize("digits", [b"-5", b"+5", b"0x5", b"", b"5 5", b"9" * 16, b"5\r\nContent-Length: 6"])
async def test_lengths_that_are_none(running: Running, counts: Counts, digits: bytes) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    length = request[: request.index(b"\r\n\r\n")].partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
    wire.send(request.replace(b"Length: " + length, b"Length: " + digits, 1))
    assert (await wire.answer()).status >= 400
    assert not counts.known
    await wire.close()


@FAST
async def test_a_body_that_is_too_large_after_a_known_head(running: Running, counts: Counts) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    head = post(b"x" * (running.gateway.admission.max_body + 1), BEARER)
    wire.send(head[: head.index(b"\r\n\r\n") + 4])
    assert (await wire.answer()).status == 413
    assert not counts.known
    await wire.close()


@FAST
async def test_a_key_that_is_revoked_is_refused_although_its_head_is_known(
    running: Running, counts: Counts
) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    running.gateway.key_ring.reconfigure([], [], {})
    wire.send(request)
    assert (await wire.answer()).status == 401
    assert not counts.known
    await wire.close()


@FAST
async def test_other_settings_forget_the_head(running: Running, counts: Counts) -> None:
    request = post(chat(), BEARER)
    wire = await running.connect()
    wire.send(request)
    assert (await wire.answer()).status == 200
    running.gateway.dispatcher.reconfigure()
    wire.send(request)
    assert (await wire.answer()).status == 200
    assert (len(counts.read), len(counts.known)) == (2, 0)
    await wire.close()


@FAST
async def test_a_key_that_has_expired_since(running: Running, counts: Counts) -> None:
    wire = await running.connect()
    wire.send(post(chat(), BEARER))
    assert (await wire.answer()).status == 200
    connection: Any = next(iter(running.server.server_state.connections))
    key = msgspec.structs.replace(connection._known.head.key, expires_at=1.0)
    head = msgspec.structs.replace(connection._known.head, key=key)
    connection._known = msgspec.structs.replace(connection._known, head=head)
    wire.send(post(chat(), BEARER))
    assert (await wire.answer()).status == 200
    assert (len(counts.read), len(counts.known)) == (2, 0)
    await wire.close()
