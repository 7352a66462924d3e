"""The mock upstream itself: a server in this process that plays a vendor, does as told, and takes notes.

It ties a shape, scripts and connections together. Use it in a running loop (``async with``), in a thread
of its own (:meth:`MockUpstream.in_thread`), or as a process (:mod:`trunkline_mock.command`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Self

from trunkline_mock.connection import Connection
from trunkline_mock.player import Player
from trunkline_mock.recorded import Recorded
from trunkline_mock.script import PLAIN, MockModel, Rule, Scenario, Script
from trunkline_mock.shapes import make_shape


class MockUpstream(Player):
    """A server that plays a vendor.

    Args:
        shape: One of :data:`trunkline_mock.SHAPES`.
        script: What is answered, unless something more particular applies.
        scripts: Answers of the first requests to models, one each.
        models: What it has; plain names can do everything. ``None``: the shape's own.
        any_model: Serve names that are not listed.
        list_magic: List the magic names, too.
        require_key: The only key accepted, as a bearer or in the vendor's own header.
        quirks: Fields of the vendor's row to replace (OpenAI-like shapes).
        host, port: Where to listen; port 0 takes a free one, and keeps it across restarts.
        record: How many requests to remember; ``None``: all.

    Raises:
        ValueError: no such shape, quirk or port.
    """

    def __init__(
        self,
        shape: str = "openai",
        script: Script = PLAIN,
        *,
        scripts: Sequence[Script] = (),
        rules: Sequence[Rule] = (),
        models: Sequence[str | MockModel] | None = None,
        any_model: bool = False,
        list_magic: bool = False,
        require_key: str | None = None,
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
            quirks=quirks or {},
        )
        super().__init__(make_shape(shape, scenario), script, scripts, rules, require_key, record)
        self.host = host
        self.port = port
        self.accepted = 0
        """Connections taken so far."""
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
        """A mock that does what a script file says."""
        return cls(
            shape,
            scenario.script,
            scripts=scenario.scripts,
            rules=scenario.rules,
            models=scenario.models,
            any_model=scenario.any_model,
            list_magic=scenario.list_magic,
            require_key=scenario.require_key,
            quirks=scenario.quirks,
            host=host,
            port=port,
            record=record,
        )

    # Life.

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        loop = asyncio.get_running_loop()
        self._loop = loop

        def connect() -> Connection:
            self.accepted += 1
            return Connection(self, self.accepted, loop)

        self._server = await loop.create_server(connect, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close every connection: from now on the port refuses. ``start`` undoes it."""
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
    def in_thread(cls, shape: str = "openai", script: Script = PLAIN, **options: Any) -> Iterator[Self]:
        """Run a mock in a thread with a loop of its own, for code that has none; same arguments."""
        mock = cls(shape, script, **options)
        started: Future[asyncio.Event] = Future()

        async def live() -> None:
            over = asyncio.Event()
            async with mock:
                started.set_result(over)
                await over.wait()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=new_loop) as runner:
                    runner.run(live())
            except BaseException as error:
                if started.done():
                    raise
                started.set_exception(error)

        thread = threading.Thread(target=run, name=f"mock-{shape}", daemon=True)
        thread.start()
        over = started.result()
        try:
            yield mock
        finally:
            assert mock._loop is not None
            mock._loop.call_soon_threadsafe(over.set)
            thread.join()

    # What a test says and sees.

    @property
    def url(self) -> str:
        """``http://host:port``."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def base_url(self) -> str:
        """The address that clients of the vendor are configured with (``…/v1``)."""
        return self.url + self.shape.base_path

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    @property
    def throttled(self) -> int:
        """Connections whose answer waits for a peer that reads too slowly."""
        return sum(connection.paused for connection in self._connections)

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until ``condition`` holds; it is looked at whenever something happens to the mock.

        Works from any loop.

        Raises:
            TimeoutError: it did not come to hold in time.
        """
        if self._loop is asyncio.get_running_loop():
            await self._until(condition, timeout_s)
        else:
            await asyncio.wrap_future(self._elsewhere(condition, timeout_s))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Like :meth:`until`, for a thread that is not the mock's."""
        self._elsewhere(condition, timeout_s).result()

    async def closed(self, request: Recorded | None = None, timeout_s: float = 10.0) -> None:
        """Wait until the connection of ``request``, or every connection, is closed.

        Raises:
            TimeoutError: it was not closed in time.
        """
        await self.until(lambda: request.closed if request else not self._connections, timeout_s)

    def _elsewhere(self, condition: Callable[[], bool], timeout_s: float) -> Future[None]:
        if self._loop is None:
            raise RuntimeError("the mock was not started")
        return asyncio.run_coroutine_threadsafe(self._until(condition, timeout_s), self._loop)

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
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

    # What connections ask (the Brain).

    def changed(self) -> None:
        """Look at the conditions that somebody waits for."""
        for condition, future in self._waiters:
            if not future.done() and condition():
                future.set_result(None)

    def opened(self, connection: Connection) -> bool:
        """Note a connection; ``False`` when the next script refuses it."""
        self._connections.add(connection)
        self.changed()
        return not self.refuses()

    def closed_connection(self, connection: Connection) -> None:
        """Note that a connection is gone."""
        self._connections.discard(connection)
        self.changed()


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop: uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
