"""The mock upstream: a server in this process that plays a vendor, follows scripts and records requests.

It can run in the current event loop (``async with``), in a thread of its own
(:meth:`MockUpstream.in_thread`), or as a process (:mod:`trunkline_mock.cli`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

from trunkline_mock.connection import Connection
from trunkline_mock.recording import RecordedRequest
from trunkline_mock.script import DEFAULT_SCRIPT, MockModel, Rule, Scenario, Script
from trunkline_mock.shapes import make_shape
from trunkline_mock.simulator import Simulator


class MockUpstream(Simulator):
    """A server that plays a vendor.

    Args:
        shape: One of :data:`trunkline_mock.SHAPES`.
        script: The script of every request for which there is no more specific one.
        scripts: Scripts of the first requests to models, one each.
        rules: Scripts for requests that match a condition; the first rule that matches is used.
        models: The models that it has. A plain name is a model with the default capabilities.
            ``None``: the shape's own models.
        any_model: Serve model names that are not listed.
        list_magic: Also list the scripted model names.
        require_key: The only API key that is accepted, as a bearer token or in the vendor's own header.
        strict: Refuse what the vendor is known to refuse beyond its API's reference.
        quirks: Fields of the vendor's row to replace (shapes that are compatible with OpenAI).
        host: The address to listen on.
        port: The port to listen on. Port 0 takes a free one, and a restart keeps it.
        record: How many requests to remember; ``None``: all.

    Raises:
        ValueError: There is no such shape, quirk or port.
    """

    def __init__(
        self,
        shape: str = "openai",
        script: Script = DEFAULT_SCRIPT,
        *,
        scripts: Sequence[Script] = (),
        rules: Sequence[Rule] = (),
        models: Sequence[str | MockModel] | None = None,
        any_model: bool = False,
        list_magic: bool = False,
        require_key: str | None = None,
        strict: bool = False,
        quirks: dict[str, Any] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        record: int | None = None,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port {port} is not between 0 and 65535")
        scenario = Scenario(
            models=None if models is None else tuple(models),
            any_model=any_model,
            list_magic=list_magic,
            strict=strict,
            quirks=quirks or {},
        )
        super().__init__(
            make_shape(shape, scenario),
            script,
            scripts=scripts,
            rules=rules,
            require_key=require_key,
            max_requests=record,
        )
        self.host = host
        self.port = port
        self.accepted = 0
        """The number of connections that were accepted so far."""
        self._connections: set[Connection] = set()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Server | None = None

    @classmethod
    def from_scenario(
        cls,
        shape: str,
        scenario: Scenario,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        record: int | None = None,
    ) -> Self:
        """A mock that is configured by a scenario.

        Args:
            shape: One of :data:`trunkline_mock.SHAPES`.
            scenario: The content of a script file.
            host: The address to listen on.
            port: The port to listen on; 0 takes a free one.
            record: How many requests to remember; ``None``: all.

        Raises:
            ValueError: There is no such shape, quirk or port.
        """
        return cls(
            shape,
            scenario.script,
            scripts=scenario.scripts,
            rules=scenario.rules,
            models=scenario.models,
            any_model=scenario.any_model,
            list_magic=scenario.list_magic,
            require_key=scenario.require_key,
            strict=scenario.strict,
            quirks=scenario.quirks,
            host=host,
            port=port,
            record=record,
        )

    # Starting and stopping.

    async def start(self) -> None:
        """Start to listen.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        self._loop = loop

        def connect() -> Connection:
            self.accepted += 1
            return Connection(self, self.accepted, loop)

        self._server = await loop.create_server(connect, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and stop listening, so that the port refuses connections until ``start``."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._connections):
            connection.abort()
        await self.until(lambda: not self._connections)
        await server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    @classmethod
    @contextmanager
    def in_thread(
        cls, shape: str = "openai", script: Script = DEFAULT_SCRIPT, **options: Any
    ) -> Iterator[Self]:
        """Run a mock in a thread with its own event loop, for code that has none.

        Args:
            shape: As for the class, as are all other arguments.
            script: The script of every request for which there is no more specific one.
            **options: The other arguments of the class.

        Raises:
            OSError: The port is taken.
            ValueError: There is no such shape, quirk or port.
        """
        mock = cls(shape, script, **options)
        started: Future[asyncio.Event] = Future()

        async def serve() -> None:
            stopped = asyncio.Event()
            async with mock:
                started.set_result(stopped)
                await stopped.wait()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=new_event_loop) as runner:
                    runner.run(serve())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name=f"mock-{shape}", daemon=True)
        thread.start()
        stopped = started.result()
        try:
            yield mock
        finally:
            assert mock._loop is not None
            mock._loop.call_soon_threadsafe(stopped.set)
            thread.join()

    # What tests use.

    @property
    def url(self) -> str:
        """``http://host:port``."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The address with which the vendor's clients are configured (``…/v1``)."""
        return self.url + self.shape.base_path

    @property
    def connections(self) -> int:
        """The number of connections that are open now."""
        return len(self._connections)

    @property
    def throttled(self) -> int:
        """The number of connections whose response waits because the peer reads too slowly."""
        return sum(connection.paused for connection in self._connections)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until ``condition`` is true. It may be called from any event loop.

        Args:
            condition: A function that is called whenever the state of the mock changes.
            timeout_s: How many seconds to wait at most.

        Raises:
            TimeoutError: The condition did not become true in time.
            RuntimeError: The mock was not started.
        """
        if self._loop is asyncio.get_running_loop():
            await self._wait_in_loop(condition, timeout_s)
        else:
            await asyncio.wrap_future(self._wait_from_elsewhere(condition, timeout_s))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Like :meth:`until`, for threads other than the mock's."""
        self._wait_from_elsewhere(condition, timeout_s).result()

    async def closed(self, request: RecordedRequest | None = None, timeout_s: float = 10.0) -> None:
        """Wait until a connection is closed.

        Args:
            request: A request on the connection; ``None`` waits for every connection.
            timeout_s: How many seconds to wait at most.

        Raises:
            TimeoutError: It was not closed in time.
        """
        await self.until(lambda: request.closed if request else not self._connections, timeout_s)

    def _wait_from_elsewhere(self, condition: Callable[[], bool], timeout_s: float) -> Future[None]:
        if self._loop is None:
            raise RuntimeError("the mock was not started")
        return asyncio.run_coroutine_threadsafe(self._wait_in_loop(condition, timeout_s), self._loop)

    async def _wait_in_loop(self, condition: Callable[[], bool], timeout_s: float) -> None:
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (condition, future)
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await future
        finally:
            self._waiters.remove(waiter)

    # What connections use: the methods of ConnectionDelegate, besides ``respond``.

    def state_changed(self) -> None:
        """Check the conditions that tests are waiting for."""
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def connection_opened(self, connection: Connection) -> bool:
        """Register a connection; ``False`` if the next script refuses it."""
        self._connections.add(connection)
        self.state_changed()
        return not self.take_refusal()

    def connection_closed(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self._connections.discard(connection)
        self.state_changed()


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new event loop, of uvloop if that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
