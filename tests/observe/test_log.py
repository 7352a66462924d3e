"""The request log."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trunkline.observe.log import AccessLog, RequestLine
from trunkline.observe.sink import Sink


class Timers:
    """A fake event loop that has only timers, which the test fires."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], object]] = []

    def call_later(self, _delay: float, call: Callable[[], object]) -> "Timers":
        self.pending.append(call)
        return self

    def cancel(self) -> None:
        self.pending.clear()

    def fire(self) -> None:
        (call,) = self.pending
        call()


def line(**fields: Any) -> RequestLine:
    return RequestLine(**{"path": "/x", "request_id": "r", "status": 200, "latency_ms": 1.5, **fields})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def sink(file: Path) -> Iterator[Sink]:
    with file.open("ab") as opened:
        yield Sink(opened.fileno())


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]


def start(log: AccessLog) -> Timers:
    timers = Timers()
    log.start(timers)  # type: ignore[arg-type]
    return timers


def test_a_line_has_all_fields_that_are_set(sink: Sink, file: Path) -> None:
    log = AccessLog(sink=sink)
    log.emit(
        line(
            timestamp=1795213096.25,
            method="POST",
            dialect="openai",
            operation="chat",
            key="id1",
            client="127.0.0.1",
            provider="ollama",
            upstream="http://h",
            model="m",
            prompt_tokens=0,
            completion_tokens=2,
            ttft_ms=0.5,
            attempts=1,
            streamed=False,
        )
    )
    log.emit(line(status=502, code="upstream_timeout"))
    log.close()
    first, second = read_lines(file)
    assert first == {
        "event": "request",
        "timestamp": "2026-11-20T22:18:16.250Z",
        "level": "info",
        "request_id": "r",
        "method": "POST",
        "path": "/x",
        "dialect": "openai",
        "operation": "chat",
        "key": "id1",
        "client": "127.0.0.1",
        "provider": "ollama",
        "upstream": "http://h",
        "model": "m",
        "status": 200,
        "prompt_tokens": 0,
        "completion_tokens": 2,
        "latency_ms": 1.5,
        "ttft_ms": 0.5,
        "attempts": 1,
        "streamed": False,
    }
    assert second.keys() == {
        "event",
        "timestamp",
        "level",
        "request_id",
        "path",
        "status",
        "code",
        "latency_ms",
    }
    assert second["level"] == "error"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", second["timestamp"])


@pytest.mark.parametrize(
    ("level", "statuses"),
    [
        ("DEBUG", [200, 404, 502]),
        ("INFO", [200, 404, 502]),
        ("WARNING", [404, 502]),
        ("ERROR", [502]),
        ("CRITICAL", []),
    ],
)
def test_the_level_decides_which_requests_are_logged(
    sink: Sink, file: Path, level: str, statuses: list[int]
) -> None:
    log = AccessLog(level=level, sink=sink)
    for status in (200, 404, 502):
        log.emit(line(status=status))
    log.close()
    assert [entry["status"] for entry in read_lines(file)] == statuses


@pytest.mark.parametrize(
    ("level", "kept"),
    [("INFO", ["error", "warning"]), ("WARNING", ["error", "warning"]), ("ERROR", ["error"])],
)
def test_a_stream_that_broke_off_has_the_level_of_its_error(
    sink: Sink, file: Path, level: str, kept: list[str]
) -> None:
    log = AccessLog(level=level, sink=sink)
    log.emit(line(status=200, severity=502, outcome="upstream"))
    log.emit(line(status=200, severity=429, outcome="upstream"))
    log.close()
    found = read_lines(file)
    assert [entry["level"] for entry in found] == kept
    assert all((entry["status"], entry["outcome"]) == (200, "upstream") for entry in found)
    assert all("severity" not in entry for entry in found)


def test_a_timer_runs_only_while_lines_are_pending(sink: Sink, file: Path) -> None:
    log = AccessLog(sink=sink)
    timers = start(log)
    assert timers.pending == []
    log.emit(line())
    log.emit(line())
    assert len(timers.pending) == 1
    assert read_lines(file) == []
    timers.fire()
    assert len(read_lines(file)) == 2
    assert timers.pending == []


def test_lines_before_the_start_are_written_after_it(sink: Sink, file: Path) -> None:
    log = AccessLog(sink=sink)
    log.emit(line())
    start(log).fire()
    assert len(read_lines(file)) == 1


async def test_lines_are_written_on_a_real_event_loop() -> None:
    reader, writer = os.pipe()
    log = AccessLog(sink=Sink(writer), delay_s=0.001)
    loop = asyncio.get_running_loop()
    log.start(loop)
    log.emit(line())
    readable = asyncio.Event()
    loop.add_reader(reader, readable.set)
    async with asyncio.timeout(30):
        await readable.wait()
    loop.remove_reader(reader)
    assert json.loads(os.read(reader, 1 << 16))["event"] == "request"
    log.close()
    os.close(reader)
    os.close(writer)


def test_lines_are_dropped_and_counted_if_the_reader_does_not_keep_up() -> None:
    reader, writer = os.pipe()
    log = AccessLog(sink=Sink(writer), capacity=2000)
    timers = start(log)
    for _ in range(2000):
        log.emit(line(path="/" + "p" * 200))
    timers.fire()  # fills the pipe; the rest waits
    assert len(timers.pending) == 1
    for _ in range(2003):
        log.emit(line(path="/second"))
    timers.fire()
    assert log.dropped == 3
    data = b""
    while timers.pending:  # it is rescheduled as long as the pipe is full
        data += os.read(reader, 1 << 16)
        timers.fire()
    os.close(writer)
    while more := os.read(reader, 1 << 16):
        data += more
    os.close(reader)
    entries = [json.loads(text) for text in data.splitlines()]
    notices = [entry for entry in entries if entry["event"] != "request"]
    assert [(notice["level"], notice["lines"]) for notice in notices] == [("error", 3)]
    assert len(entries) == 4001


def test_closing_does_not_wait_for_a_reader_for_ever() -> None:
    reader, writer = os.pipe()
    log = AccessLog(sink=Sink(writer))
    for _ in range(2000):
        log.emit(line(path="/" + "p" * 200))
    log.close(wait_s=0.001)
    os.close(writer)
    os.close(reader)


def test_a_lone_surrogate_is_escaped(sink: Sink, file: Path) -> None:
    log = AccessLog(sink=sink)
    log.emit(line(path="/a"))
    log.emit(line(path="/\ud800"))
    log.close()
    assert [entry["path"] for entry in read_lines(file)] == ["/a", "/\\ud800"]


def test_lines_for_the_console(sink: Sink, file: Path) -> None:
    log = AccessLog(sink=sink, log_format="console")
    log.emit(line(timestamp=1795213096.25, method="GET", path="/a\x1b[1mb\n", model="m"))
    log.close()
    text = file.read_text(encoding="utf-8")
    assert text == (
        "2026-11-20T22:18:16.250Z info GET /a\\x1b[1mb\\xa 200 request_id=r model=m latency_ms=1.5\n"
    )


def test_lines_go_to_standard_error_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog()
    log.emit(line())
    log.close()
    assert json.loads(capfd.readouterr().err)["path"] == "/x"
