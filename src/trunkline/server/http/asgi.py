"""The reference end of the data plane: the same routes as a plain ASGI application.

Runs under any ASGI server and can be mounted. What is not on the data plane goes to another application
(FastAPI), which is made when it is first asked for something. Facts: the ASGI specification, HTTP and
lifespan, version 3.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from trunkline.errors import GatewayError
from trunkline.pipe import Pipe
from trunkline.pipeline.responder import Lines
from trunkline.server.http.dispatcher import Cancellable, HttpServices
from trunkline.server.http.request_head import PageObserver, RequestHead

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

HIGH_WATER: Final = 256 * 1024
"""Bytes waiting for the server above which the upstream is paused."""


class AsgiServices(HttpServices, Protocol):
    """What the ASGI end needs of the gateway."""

    @property
    def recorder(self) -> PageObserver: ...
    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


GatewayT = TypeVar("GatewayT", bound=AsgiServices)


class GatewayApp(Generic[GatewayT]):
    """The gateway as an ASGI application; its lifespan starts and ends the gateway."""

    def __init__(self, gateway: GatewayT, make_fallback: Callable[[], Application]) -> None:
        """Serve a gateway.

        Args:
            gateway: answers the requests of the data plane.
            make_fallback: makes the application for all other requests. It is called in a thread.
        """
        self.gateway = gateway
        self._make_fallback = make_fallback
        self._fallback: asyncio.Task[Application] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            query = scope.get("query_string", b"")
            head = self.gateway.dispatcher.read_head(scope["method"], path, scope["headers"], query)
            if head is not None:
                await _AsgiRequest(self, head, scope, receive, send).run()
                return
            head = self.gateway.dispatcher.fastapi_head(scope["method"], path, scope["headers"])
            send = self._observed(head, scope, send)
        fallback = await self._get_fallback()
        await fallback(scope, receive, send)

    async def _get_fallback(self) -> Application:
        """The other application, made in a thread: its import takes so long that every stream would stall."""
        if self._fallback is None:
            self._fallback = asyncio.create_task(asyncio.to_thread(self._make_fallback))
        return await asyncio.shield(self._fallback)

    def connection_lines(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """The header that closes the connection after an answer, once the gateway is about to end: the client
        then goes elsewhere. HTTP/2 has no such header."""
        closes = self.gateway.stopping and scope.get("http_version") in ("1.0", "1.1")
        return [(b"connection", b"close")] if closes else []

    def _observed(self, head: RequestHead, scope: Scope, send: Send) -> Send:
        """A ``send`` that adds the request's id to the answer and writes the log line."""

        async def observed_send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                request_id = (b"x-request-id", head.request_id.encode())
                message["headers"] = [*message["headers"], request_id, *self.connection_lines(scope)]
                self.gateway.recorder.observe_page(head, message["status"], None)
            await send(message)

        return observed_send

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.gateway.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.gateway.aclose()
        await send({"type": "lifespan.shutdown.complete"})


class _AsgiRequest:
    """One request and its answer: a ``Responder`` whose pieces a coroutine sends on."""

    def __init__(
        self, app: GatewayApp[Any], head: RequestHead, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app = app
        self._head = head
        self._scope = scope
        self._receive = receive
        self._send = send
        self._messages: deque[dict[str, Any]] = deque()
        self._waiting = 0
        """Bytes of bodies in the messages."""
        self._changed = asyncio.Event()
        """Set when there is a message to send, or the end was reached."""
        self._under_way: Cancellable | None = None
        self._paused = False
        self._ended = False

    async def run(self) -> None:
        """Read the request, have it answered, and send the answer."""
        gateway = self._app.gateway
        head = self._head
        body = b""
        error = head.error
        if error is None and head.streams:
            await self._run_streaming()
            return
        if error is None:
            try:
                body = await self._read()
            except GatewayError as refusal:
                error = refusal
            except ConnectionError:
                return
        if error is not None:
            gateway.dispatcher.refuse(head, self, error)
        else:
            self._under_way = gateway.dispatcher.dispatch(head, self, body, self._scope.get("client"))
        await self._send_answer(self._wait_for_disconnect())

    async def _send_answer(self, receiving: Coroutine[Any, Any, None]) -> None:
        """Send the answer, while ``receiving`` reads what the client still sends, or waits until it
        disconnects."""
        receiver = asyncio.ensure_future(receiving)
        try:
            await self._send_messages()
        except asyncio.CancelledError:  # the server stops
            if self._under_way is not None and not self._ended:
                self._under_way.stop()
            raise
        finally:
            receiver.cancel()
            if self._under_way is not None and not self._ended:
                self._under_way.disconnected()

    async def _run_streaming(self) -> None:
        """Have the request answered while its body is still received."""
        may_read = asyncio.Event()
        may_read.set()
        pipe = Pipe(may_read.clear, may_read.set)
        self._under_way = self._app.gateway.dispatcher.dispatch_upload(self._head, self, pipe)
        await self._send_answer(self._read_into(pipe, may_read))

    async def _read_into(self, pipe: Pipe, may_read: asyncio.Event) -> None:
        more = True
        while more:
            await may_read.wait()
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnected()
                return
            pipe.feed(message.get("body", b""))
            more = message.get("more_body", False)
        pipe.end()
        await self._wait_for_disconnect()

    async def _read(self) -> bytes:
        pieces, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError
            piece = message.get("body", b"")
            size += len(piece)
            self._app.gateway.admission.check_length(size)
            pieces.append(piece)
            if not message.get("more_body"):
                return b"".join(pieces)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._disconnected()

    def _disconnected(self) -> None:
        if self._under_way is not None and not self._ended:
            self._under_way.disconnected()
        self._ended = True
        self._changed.set()

    async def _send_messages(self) -> None:
        """Send what was written to this responder, until the end."""
        while True:
            while self._messages:
                message = self._messages.popleft()
                self._waiting -= len(message.get("body", b""))
                if self._paused and self._waiting < HIGH_WATER // 2 and self._under_way is not None:
                    self._paused = False
                    self._under_way.resume()
                await self._send(message)
            if self._ended:
                return
            self._changed.clear()
            await self._changed.wait()

    # A ``Responder``

    def send(self, status: int, lines: Lines, body: bytes) -> None:
        """Send a whole answer."""
        self.start(status, b"%bcontent-length: %d\r\n" % (lines, len(body)))
        self._put({"type": "http.response.body", "body": b"" if self._scope["method"] == "HEAD" else body})
        self._ended = True

    def start(self, status: int, lines: Lines) -> None:
        """Send the head of the answer."""
        pairs = (line.split(b": ", 1) for line in (lines + self._head.cors).split(b"\r\n") if line)
        headers = [*((name, value) for name, value in pairs), *self._app.connection_lines(self._scope)]
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> None:
        """Send a piece of the answer."""
        if self._ended:
            return
        self._put({"type": "http.response.body", "body": data, "more_body": True})
        self._waiting += len(data)
        if self._waiting > HIGH_WATER and not self._paused and self._under_way is not None:
            self._paused = True
            self._under_way.pause()

    def finish(self) -> None:
        """End the answer."""
        if not self._ended:
            self._put({"type": "http.response.body", "body": b""})
            self._ended = True

    def _put(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        self._changed.set()
