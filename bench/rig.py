"""The processes that take part: mock upstreams, nginx and the gateway, each as a user would start it.

They run in a temporary folder, on free loopback ports, on the cores that they are given, and are gone when
the rig is left. What is asked of them, and what is measured, is not known here.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple, Self

import trunkline
from bench.machine import BenchError, Cores, family, find_program, on_core

READY_S: Final = 60.0
_STOP_S: Final = 10.0
_TEMPLATE: Final = Path(__file__).with_name("nginx.conf.in")
SOURCES: Final = Path(trunkline.__file__).parents[1]
_ROOT: Final = Path(__file__).parents[1]
NGINX: Final = "nginx"
NGINX_LOG: Final = "nginx + log"
LOGGED: Final = "logged"
"""Name of nginx's server that forwards to the first mock and keeps an access log."""


class Mock(NamedTuple):
    """One mock upstream, which gives every request the same answer."""

    name: str
    """The gateway's provider of that name leads here."""
    shape: str
    chunk: str
    chunks: int
    delay_s: float = 0.0
    """Pause between two chunks."""
    rules: int = 0
    """Rules that never apply: the mock makes each answer anew and looks through them first, which makes it
    slow in CPU time, without the timers that would let answers come in bunches."""

    @property
    def provider(self) -> dict[str, str]:
        """The gateway's configuration of it, without its address."""
        return {"type": "ollama" if self.shape == "ollama" else "openai-compatible"}

    @property
    def root(self) -> str:
        """The path of the address that the gateway is given."""
        return "" if self.shape == "ollama" else "/v1"


class Setup(NamedTuple):
    """One gateway's settings: it is started from its own folder, with its own store and its own key."""

    name: str
    sections: Mapping[str, Any] = {}
    """What its file has beside the address and the providers."""
    env: Mapping[str, str] = {}


PLAIN: Final = Setup("gateway", env={"LOG_LEVEL": "WARNING"})
"""A key from the store, metrics and the ledger: all as it is by default, but no log line per request."""

GOVERNED: Final = Setup(
    "gateway-limits",
    {
        "limits": [
            {"key": "*", "requests_per_minute": 10**9, "tokens_per_minute": 10**12, "concurrent": 10_000}
        ],
        "budgets": [{"key": "*", "usd": 10**6, "per": "month"}],
        "prices": {"*": {"input": 1, "output": 2}},
    },
    {"LOG_LEVEL": "INFO"},
)
"""Besides: three limits, a hard budget, prices, and a log line per request. Nothing is ever refused."""


class Process:
    """A child process, with its output in a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        core: int,
        *,
        port: int,
        path: str,
        stop: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        source: Path = SOURCES,
    ) -> None:
        """Start ``command``; ``path`` at ``port`` answers 200 when it is ready. Trunkline's packages are
        imported from ``source``."""
        self.name = name
        self.port = port
        self._path = path
        self._stop = stop
        self.folder = folder
        self._log = folder / f"{name}.log"
        folder.mkdir(exist_ok=True)
        self.started = time.perf_counter()
        with self._log.open("wb") as log, on_core(core):
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=_environment(source) | dict(env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the bench, which then stops its children in order
            )

    def wait_ready(self, limit_s: float = READY_S) -> float:
        """Seconds from its start until it answered.

        Raises:
            BenchError: it ended, or does not answer in time; its last words are in the text.
        """
        while time.perf_counter() - self.started < limit_s:
            if self._process.poll() is not None:
                break
            if answers(self.port, self._path):
                return time.perf_counter() - self.started
            time.sleep(0.002)
        raise BenchError(f"{self.name} did not start {self._words()}")

    @property
    def pids(self) -> list[int]:
        """It and its children.

        Raises:
            BenchError: it has ended.
        """
        if self._process.poll() is not None:
            raise BenchError(f"{self.name} ended {self._words()}")
        return family(self._process.pid)

    def _words(self) -> str:
        return f"(status {self._process.poll()}):\n" + self._log.read_text(errors="replace")[-1500:]

    def stop(self) -> None:
        """End it: first with the signal it knows, after a while by force."""
        if self._process.poll() is None:
            self._process.send_signal(self._stop)
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Rig:
    """All of them, started; a context manager that stops them."""

    def __init__(
        self,
        mocks: Sequence[Mock],
        cores: Cores,
        *,
        setups: Sequence[Setup] = (PLAIN,),
        gateway_env: Mapping[str, str] | None = None,
        profile: Path | None = None,
    ) -> None:
        """``setups`` are the gateways; ``gateway_env`` are settings that all of them get; ``profile`` is
        given cProfile's output about the first."""
        self.cores = cores
        self.mocks: dict[str, int] = {}
        """Ports of the mocks, by name."""
        self.nginx_ports: dict[str, int] = {}
        """Ports of nginx's servers, by the name of the mock behind them, and :data:`LOGGED`."""
        self.processes: dict[str, Process] = {}
        """What may be measured, by subject."""
        self.keys: dict[str, str] = {}
        """The key that each of them takes."""
        self._rows = mocks
        self._setups = setups
        self._env = dict(gateway_env or {})
        self._profile = profile
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(TemporaryDirectory(prefix="trunkline-bench-")))
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        names = [mock.name for mock in self._rows]
        ports = iter(free_ports(2 * len(names) + 1))
        self.mocks = dict(zip(names, ports, strict=False))
        self.nginx_ports = dict(zip([*names, LOGGED], ports, strict=False))
        upstreams = [self._start_mock(mock, stack) for mock in self._rows]
        nginx = self.start_nginx(NGINX, self.nginx_ports)
        stack.callback(nginx.stop)
        for process in (*upstreams, nginx):
            process.wait_ready()
        self.processes = {NGINX: nginx, NGINX_LOG: nginx}
        for number, setup in enumerate(self._setups):
            self.keys[setup.name] = self.configure(setup)
            gateway = self.start_gateway(setup, profile=None if number else self._profile)
            stack.callback(gateway.stop)
            gateway.wait_ready()
            self.processes[setup.name] = gateway

    def _start_mock(self, mock: Mock, stack: ExitStack) -> Process:
        script = {"text": [mock.chunk], "repeat": mock.chunks, "delay_chunk_s": mock.delay_s}
        rules = [{"model": "nobody", "script": {}}] * mock.rules
        path = self.folder / f"{mock.name}.json"
        path.write_text(json.dumps({"models": ["bench", mock.name], "script": script, "rules": rules}))
        port = self.mocks[mock.name]
        mock_command = (sys.executable, "-m", "trunkline_mock")
        process = Process(
            f"mock-{mock.name}",
            (*mock_command, "--shape", mock.shape, "--port", str(port), "--script", str(path)),
            self.folder,
            self.cores.upstream,
            port=port,
            path="/" if mock.shape == "ollama" else "/v1/models",
        )
        stack.callback(process.stop)
        return process

    def start_nginx(
        self, name: str, ports: Mapping[str, int], prefix: Sequence[str] = (), *, alone: bool = False
    ) -> Process:
        """Start an nginx that forwards from ``ports`` to the mocks of the same names. The caller stops it.

        Args:
            name: the process's name.
            ports: by the mocks' names, and by :data:`LOGGED` the one with an access log.
            prefix: what stands before its command.
            alone: it works itself, without a worker process.
        """
        program = find_program("nginx", "Debian: apt install nginx-light")
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        servers = []
        for mock, mock_port in self.mocks.items():
            upstream = f"server 127.0.0.1:{mock_port}; keepalive 128; keepalive_requests 100000000;"
            servers += [f"upstream {mock} {{ {upstream} }}", _server(ports[mock], mock)]
        log = f"access_log {folder}/access.log combined buffer=64k flush=1s;"
        servers.append(_server(ports[LOGGED], self._rows[0].name, log))
        # A root's nginx would let its worker run as somebody else, who may not write to the folder.
        main = ["user root;"] if os.geteuid() == 0 else []
        main += ["master_process off;"] if alone else []
        text = _TEMPLATE.read_text().replace("@FOLDER@", str(folder)).replace("@MAIN@", " ".join(main))
        config = folder / "nginx.conf"
        config.write_text(text.replace("@SERVERS@", "\n".join(f"    {line}" for line in servers)))
        return Process(
            name,
            (*prefix, program, "-p", str(folder), "-c", str(config), "-e", str(folder / "nginx.log")),
            folder,
            self.cores.measured,
            port=ports[LOGGED],
            path="/v1/models",
        )

    def configure(self, setup: Setup, source: Path = SOURCES) -> str:
        """Write a gateway's file and make its key, both as a user would; returns the key."""
        folder = self.folder / setup.name
        folder.mkdir()
        providers = {
            mock.name: {**mock.provider, "url": f"http://127.0.0.1:{self.mocks[mock.name]}{mock.root}"}
            for mock in self._rows
        }
        config = {"host": "127.0.0.1", "ollama_enabled": False, "providers": providers, **setup.sections}
        (folder / "trunkline.yaml").write_text(json.dumps(config))  # JSON is YAML
        done = subprocess.run(
            (sys.executable, "-m", "trunkline", "keys", "create", "bench"),
            cwd=folder,
            env=_environment(source) | _store(folder),
            capture_output=True,
            text=True,
            timeout=READY_S,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"no key could be made:\n{done.stderr}")
        return done.stdout.strip()

    def start_gateway(
        self,
        setup: Setup,
        *,
        name: str = "",
        profile: Path | None = None,
        prefix: Sequence[str] = (),
        module: Sequence[str] = ("trunkline",),
        source: Path = SOURCES,
    ) -> Process:
        """Start a gateway that is configured. The caller stops it.

        Args:
            setup: which one.
            name: the process's name, where it is not the setup's.
            profile: where cProfile writes what it found.
            prefix: what stands before the interpreter.
            module: the module that runs, and its arguments before those of the command.
            source: the folder of Trunkline's packages.
        """
        profiler = ("-m", "cProfile", "-o", str(profile.absolute())) if profile else ()
        port = free_ports(1)[0]
        return Process(
            name or setup.name,
            (*prefix, sys.executable, *profiler, "-m", *module, "serve", "--port", str(port)),
            self.folder / setup.name,
            self.cores.measured,
            port=port,
            path="/health",
            # cProfile writes its file after KeyboardInterrupt, but not when SIGTERM ends the process.
            stop=signal.SIGINT if profile else signal.SIGTERM,
            env={**_store(self.folder / setup.name), **setup.env, **self._env},
            source=source,
        )

    def time_start(self) -> float:
        """Seconds from the start of one more gateway to the first 200 of its ``/health``."""
        process = self.start_gateway(self._setups[0], name="gateway-2")
        try:
            return process.wait_ready()
        finally:
            process.stop()


def _server(port: int, upstream: str, extra: str = "") -> str:
    return f"server {{ listen 127.0.0.1:{port}; {extra} location / {{ proxy_pass http://{upstream}; }} }}"


def _environment(source: Path) -> dict[str, str]:
    """The environment of children: nothing of the user's that could be a setting."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": f"{source}{os.pathsep}{_ROOT}"}


def _store(folder: Path) -> dict[str, str]:
    return {"DATABASE_URL": f"sqlite:///{folder}/trunkline.db"}


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens at."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            listener = stack.enter_context(socket.socket())
            listener.bind(("127.0.0.1", 0))
            found.append(int(listener.getsockname()[1]))
        return found


def answers(port: int, path: str) -> bool:
    """Whether ``path`` at ``port`` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
