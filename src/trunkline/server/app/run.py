"""Listening: uvicorn serves the gateway until a signal ends it."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import structlog
import uvicorn

from trunkline.ledger.reader import PolicyReader
from trunkline.ledger.writer import Ledger
from trunkline.server.app import workers
from trunkline.server.app.asgi import make_asgi_app
from trunkline.server.app.drain import Drain
from trunkline.server.app.gateway import Gateway
from trunkline.server.app.reload import Reloader
from trunkline.server.http.protocol import TESTED, bind, is_tested
from trunkline.settings import Exposure, Settings

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

log: Final = structlog.stdlib.get_logger(__name__)

BACKLOG: Final = 2048
OPEN_FILES: Final = 65_536
COLLECTOR: Final = (10_000, 20, 20)
"""Thresholds of Python's garbage collector while serving (:func:`gc.set_threshold`; its defaults are 700, 10
and 10)."""
_TICK_S: Final = 0.1
"""Seconds between two looks at whether a second signal has come."""


def run(
    settings: Settings,
    exposure: Exposure,
    policy_reader: PolicyReader | None = None,
    ledger: Ledger | None = None,
    *,
    on_ready: Callable[[list[str]], None] | None = None,
    load: Callable[[], Settings] | None = None,
    files: Sequence[Path] = (),
) -> int:
    """Serve until SIGINT or SIGTERM; returns the process's exit code.

    Args:
        settings: all of them.
        exposure: where to listen, and whether keys are required.
        policy_reader: reads the store's keys, teams, limits and budgets.
        ledger: where usage is written down.
        on_ready: called with the URLs once every socket listens.
        load: reads the settings again, for a reload.
        files: the settings are read again when one of these changes.

    Raises:
        SettingsError: the settings cannot be served.
        OSError: an address cannot be bound.
    """
    gateway = Gateway(settings, exposure, policy_reader, ledger=ledger)
    sockets = workers.inherited_sockets() if workers.is_worker() else listen(exposure)
    if load is not None:
        gateway.reloader = Reloader(gateway, load, files)
    server = _Server(make_config(gateway, settings), gateway, on_ready, _urls(settings, sockets))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(server.serve(sockets))
    finally:  # uvicorn raises once more the signal that ended it
        if server.started:
            log.info("stopped")
    return 0 if server.started else 1


def run_workers(
    settings: Settings,
    exposure: Exposure,
    command: Sequence[str],
    on_ready: Callable[[list[str]], None] | None = None,
) -> int:
    """Like :func:`run`, with several processes.

    Args:
        settings: say how many.
        exposure: where to listen.
        command: starts one of them.
        on_ready: called with the URLs once all of them listen.

    Raises:
        OSError: an address cannot be bound.
    """
    sockets = listen(exposure)
    urls = _urls(settings, sockets)

    def ready() -> None:
        log.info("listening", urls=urls, workers=settings.workers)
        if on_ready is not None:
            on_ready(urls)

    try:
        return workers.supervise(command, settings.workers, sockets, ready)
    finally:
        for each in sockets:
            each.close()


def allow_files(wanted: int = OPEN_FILES) -> None:
    """Allow this process and its workers so many open files, as far as the machine permits it: each request
    that is under way takes two, and the usual limit is 1,024."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        if most != resource.RLIM_INFINITY:
            wanted = min(wanted, most)
        if now != resource.RLIM_INFINITY and now < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def listen(exposure: Exposure) -> list[socket.socket]:
    """The sockets that clients connect to.

    Raises:
        OSError: an address cannot be bound.
    """
    allow_files()
    return [_listen(exposure.host, port) for port in exposure.ports]


def make_config(gateway: Gateway, settings: Settings) -> uvicorn.Config:
    """uvicorn's configuration. The fast end is used where the settings and uvicorn's version permit it."""
    fast = settings.fast_http and is_tested(uvicorn.__version__)
    if settings.fast_http and not fast:
        tested = "-".join(".".join(map(str, bound)) for bound in TESTED)
        log.warning("the fast HTTP end steps aside", uvicorn=uvicorn.__version__, tested=tested)
    tls = settings.server.tls
    proxies = settings.server.trusted_proxies
    return uvicorn.Config(
        make_asgi_app(gateway),
        http=bind(gateway) if fast else "httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies) or None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.shutdown_timeout_s),
        ssl_certfile=None if tls is None else str(tls.cert),
        ssl_keyfile=None if tls is None else str(tls.key),
    )


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """uvloop's loop where uvloop runs."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        text = f"cannot listen on {host} port {port} ({reason}); set HOST or PORT to another"
        raise OSError(error.errno, text) from None
    return listener


def _urls(settings: Settings, sockets: list[socket.socket]) -> list[str]:
    scheme = "http" if settings.server.tls is None else "https"
    found = []
    for listener in sockets:
        host, port = listener.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        found.append(f"{scheme}://{host}:{port}")
    return found


class _Server(uvicorn.Server):
    """uvicorn's server, which reports when it listens, and listens for a while after SIGTERM."""

    def __init__(
        self,
        config: uvicorn.Config,
        gateway: Gateway,
        on_ready: Callable[[list[str]], None] | None,
        urls: list[str],
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._drain = Drain(gateway.settings.shutdown_delay_s, watched=workers.is_worker())
        self._announced = False
        self._on_ready = on_ready
        self._urls = urls

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            _tune_garbage_collector()
            reloader = self._gateway.reloader
            if reloader is not None and hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.request)
            if workers.is_worker():
                workers.report_ready(asyncio.get_running_loop())
            else:
                log.info("listening", urls=self._urls)
            if self._on_ready is not None:
                self._on_ready(self._urls)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal. The first one begins the end, a second one ends at once what still runs."""
        step = self._drain.take(sig)
        if step == "begin":
            self._gateway.stopping = True
            super().handle_exit(sig, frame)
        elif step == "end":
            self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether the listening is to end now."""
        ends = await super().on_tick(counter)
        if not ends:
            return False
        if not self._announced:
            self._announced = True
            self._gateway.stopping = True
            log.info("stopping", delay_s=round(self._drain.seconds_left, 1))
        return self.force_exit or not self._drain.seconds_left

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the listening, wait for the requests that still run, and close the gateway. After a second
        signal nothing is waited for; the gateway still writes down what was used."""
        ending = asyncio.ensure_future(super().shutdown(sockets))
        while not (await asyncio.wait([ending], timeout=_TICK_S))[0]:
            if self.force_exit:
                self._break_off()
        ending.result()
        if self.force_exit:  # uvicorn leaves this out then
            self._break_off()
            await self.lifespan.shutdown()

    def _break_off(self) -> None:
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()


def _tune_garbage_collector() -> None:
    """Have the collector run seldom, and without the objects of the start, which stay until the end. It need
    not run often, because a request leaves no reference cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)
