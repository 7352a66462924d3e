"""What every test needs: a surrounding that is the same on every machine, and skips that are told apart.

With ``TRUNKLINE_REQUIRE_ALL=1`` (as in ``.ci/run``) a skipped test fails: there, every part must be present.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import hypothesis
import pytest
import trustme

from tests.services import Postgres, Redis, postgres_server, redis_server
from trunkline.settings import Settings

hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")
"""What every run of the tests generates: the same examples, so that a gate does not fail by chance."""
hypothesis.settings.register_profile("full", max_examples=2500, deadline=None)
"""What ``make test-full`` generates for each property."""
hypothesis.settings.register_profile(
    "mutation", max_examples=20, deadline=None, derandomize=True, database=None
)
"""What ``make mutation`` generates for each property, for every change of the code."""

REQUIRE_ALL = os.environ.get("TRUNKLINE_REQUIRE_ALL") == "1"

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture(scope="session", autouse=True)
def neutral_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty working directory, and an environment without settings or proxies.

    A developer's ``.env``, ``trunkline.yaml`` and exported keys must never reach a test, nor the processes
    that it starts. The one authority that TLS clients trust is made here: reading the system's hundred and
    more takes 50 ms of processor time, and hundreds of tests make clients. Started processes keep their
    compiled modules, without which a gateway takes four times as long to start.
    """
    folder = tmp_path_factory.mktemp("authority")
    trustme.CA().cert_pem.write_to_path(str(folder / "ca.pem"))
    ours = {name.upper() for name in Settings.model_fields}
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.upper() in ours or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("SSL_CERT_FILE", str(folder / "ca.pem"))
        patch.setenv("SSL_CERT_DIR", str(folder))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: some tests wait for most of their time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    return cores + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector: what is imported here stays until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the longest tests first, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_skip((yield))


def _refuse_skip(report: Report) -> Report:
    """The report, as a failure if it is a skip and nothing may be skipped. Expected failures may stay."""
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nTRUNKLINE_REQUIRE_ALL is set: nothing may be skipped here."
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server for this test process."""
    # not below pytest's own folder: its mode, which PostgreSQL's user must get past, is every run's to set
    with TemporaryDirectory(prefix="postgres") as folder, postgres_server(Path(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A Redis server for this test process."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database: once of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/trunkline.db"
        return
    server: Postgres = request.getfixturevalue("postgres")
    url = server.database()
    yield url
    server.empty(url)
