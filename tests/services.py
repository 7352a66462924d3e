"""PostgreSQL and Redis for tests: started on free ports in temporary folders, one of each a test process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

START_S = 60.0
OUTSIDE = dict(os.environ)
"""The environment that the tests were started in, for package managers: proxies and authorities are in it."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens on ``port``."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the server did not start")


class Redis:
    """A Redis server that can be stopped and started again, empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "no", "--dir", str(self.folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    """Redis, until the block is left; skips the test where it is not installed."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = Redis(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Postgres:
    """A PostgreSQL cluster that can be stopped and started again."""

    def __init__(self, folder: Path, programs: Path, account: tuple[int, int] | None) -> None:
        """Prepare a cluster in ``folder`` that a user and a group run; None is those of this process."""
        self.folder = folder
        self.port = free_port()
        self._programs = programs
        self._as: dict[str, Any] = {}
        """Arguments of ``subprocess``."""
        if account is not None:
            user, group = account
            self._as = {"user": user, "group": group, "extra_groups": []}
            os.chown(folder, user, group)
            for parent in folder.parents[:-2]:
                parent.chmod(parent.stat().st_mode | 0o011)
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._emptied: list[str] = []

    def make(self) -> None:
        """Make the cluster's files."""
        command = [str(self._programs / "initdb"), "-D", f"{self.folder}/d", "-A", "trust"]
        command += ["-U", "tests", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._as)

    def start(self) -> None:
        command = [str(self._programs / "postgres"), "-D", f"{self.folder}/d"]
        for option in (f"port={self.port}", "listen_addresses=127.0.0.1", "fsync=off", "max_connections=50"):
            command += ["-c", option]
        command += ["-c", f"unix_socket_directories={self.folder}"]
        self._process = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self._as
        )
        wait_for(self.port, self._process)
        end = time.monotonic() + START_S
        while subprocess.run(
            [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            assert time.monotonic() < end
            time.sleep(0.02)

    def stop(self) -> None:
        """At once, as a crash would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
            self._process = None

    def database(self) -> str:
        """The address of an empty database that nobody else uses."""
        if self._emptied:
            return self._emptied.pop()
        self._count += 1
        name = f"t{os.getpid()}_{self._count}"
        self._execute("postgres", f"CREATE DATABASE {name}")
        return f"postgresql://tests@127.0.0.1:{self.port}/{name}"

    def empty(self, url: str) -> None:
        """Take a database back, for ``database`` to give again: making one takes 0.2 s of processor time.

        Connections that are left are ended, or they could hold what is to be dropped.
        """
        name = url.rpartition("/")[2]
        self._execute(
            name,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid();"
            " SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        )
        self._emptied.append(url)

    def _execute(self, database: str, statements: str) -> None:
        command = [str(self._programs / "psql"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tests"]
        command += ["-d", database, "-v", "ON_ERROR_STOP=1", "-c", statements]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def dump(self, url: str) -> bytes:
        """Everything in one database, as text."""
        command = [str(self._programs / "pg_dump"), "--inserts", url]
        return subprocess.run(command, check=True, capture_output=True).stdout


def _account() -> tuple[int, int] | None:
    """The user and group to run PostgreSQL as, which refuses root; None is those of this process."""
    import pwd  # not on Windows

    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user named postgres")
    return found.pw_uid, found.pw_gid


@contextmanager
def postgres_server(folder: Path) -> Iterator[Postgres]:
    """PostgreSQL, until the block is left; skips the test where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(path) for path in (shutil.which("initdb"),) if path
    ]
    if not found:
        pytest.skip("PostgreSQL is not installed")
    server = Postgres(folder, found[-1].parent, _account())
    server.make()
    server.start()
    try:
        yield server
    finally:
        server.stop()
