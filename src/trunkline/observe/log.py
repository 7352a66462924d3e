"""The request log: one line for each request, written outside the path of requests.

While a request is served, its line is only appended to a list. A timer, which runs only while lines are
pending, encodes the whole batch and writes it with one call. The list is bounded. When the reader of the log
does not keep up, lines are dropped and counted, and their number is logged as an error as soon as there is
room. Nothing here blocks. No line may contain a key: callers pass paths with keys redacted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from trunkline.observe.sink import Sink

if TYPE_CHECKING:
    import asyncio

_STDERR: Final = 2
_MIN_STATUS: Final = {"DEBUG": 0, "INFO": 0, "WARNING": 400, "ERROR": 500, "CRITICAL": 1000}
"""The lowest HTTP status that is logged at each LOG_LEVEL."""


class RequestLine(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event", tag="request"
):
    """The log line of one request. Fields that are None are left out."""

    timestamp: float | str = msgspec.field(default_factory=time.time)
    """Unix time; ISO 8601 once the line is encoded."""
    level: str = ""
    """Derived from ``severity`` when the line is encoded."""
    request_id: str
    method: str | None = None
    path: str
    """The path, with keys redacted."""
    dialect: str | None = None
    operation: str | None = None
    key: str | None = None
    """The id of the key, never the key itself."""
    client: str | None = None
    """The client's address."""
    provider: str | None = None
    upstream: str | None = None
    asked: str | None = None
    """The model, as the client named it."""
    model: str | None = None
    status: int
    """The HTTP status that the client was sent."""
    severity: int = 0
    """The HTTP status that decides on the level, if it is higher: that of the error which ended a streamed
    answer. It is not written."""
    outcome: str | None = None
    """Whether the answer is complete, and if not, who broke it off."""
    code: str | None = None
    """The code of the error."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float
    ttft_ms: float | None = None
    """The milliseconds until the first byte of the answer."""
    queued_ms: float | None = None
    """The milliseconds that the request waited for a free place at an upstream."""
    attempts: int | None = None
    streamed: bool | None = None
    not_shown: tuple[str, ...] | None = None
    """What of the answer the client's API has no field for."""


class AccessLog:
    """A bounded list of lines, and the timer that writes them.

    Args:
        level: LOG_LEVEL.
        log_format: LOG_FORMAT.
        sink: Where lines are written to. None is standard error.
        capacity: The maximum number of pending lines.
        delay_s: The seconds for which lines are gathered.
    """

    def __init__(
        self,
        *,
        level: str = "INFO",
        log_format: Literal["json", "console"] = "json",
        sink: Sink | None = None,
        capacity: int = 20_000,
        delay_s: float = 0.05,
    ) -> None:
        self._encode = _encode_json if log_format == "json" else _encode_console
        self._sink = sink or Sink(_STDERR)
        self.min_status = _MIN_STATUS[level]
        """The lowest status that is logged. Callers need not build lines for lower ones."""
        self._capacity = capacity
        self._delay_s = delay_s
        self._pending: list[RequestLine] = []
        self._rejected = 0
        self._reported = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def dropped(self) -> int:
        """The number of lines that were lost since the start."""
        return self._rejected + self._sink.lost

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write lines with timers of ``loop`` from now on. Before that, lines wait for :meth:`flush`."""
        self._loop = loop
        if self._pending:
            self._start_timer()

    def emit(self, line: RequestLine) -> None:
        """Add the line of one request."""
        if max(line.status, line.severity) < self.min_status:
            return
        if len(self._pending) >= self._capacity:
            self._rejected += 1
            return
        self._pending.append(line)
        if self._timer is None:
            self._start_timer()

    def flush(self) -> None:
        """Encode and write the pending lines, unless the reader has not taken the previous ones yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink.drain():
            self._sink.write(self._encode_pending())
        if self._pending or not self._sink.is_empty:
            self._start_timer()

    def close(self, wait_s: float = 1.0) -> None:
        """Stop the timer and write the pending lines, for about ``wait_s`` seconds at most."""
        self._loop = None
        self.flush()
        if not self._sink.drain(wait_s):
            return
        self._sink.write(self._encode_pending())
        self._sink.drain(wait_s)

    def _start_timer(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._delay_s, self.flush)

    def _encode_pending(self) -> bytes:
        lines, self._pending = self._pending, []
        lost = self.dropped - self._reported
        if not lost:
            return self._encode(lines) if lines else b""
        self._reported += lost
        notice = {
            "event": "request log lines dropped",
            "timestamp": _format_time(time.time()) + "Z",
            "level": "error",
            "lines": lost,
        }
        return msgspec.json.encode(notice) + b"\n" + self._encode(lines)


_encoder: Final = msgspec.json.Encoder()


def _encode_json(lines: list[RequestLine]) -> bytes:
    _fill_in(lines)
    try:
        return _encoder.encode_lines(lines)
    except UnicodeEncodeError:  # a lone surrogate, which only a malformed request has
        return b"".join(_encoder.encode(_escape_surrogates(line)) + b"\n" for line in lines)


def _encode_console(lines: list[RequestLine]) -> bytes:
    _fill_in(lines)
    return "".join(map(_console_line, lines)).encode("utf-8", "backslashreplace")


def _console_line(line: RequestLine) -> str:
    fields: dict[str, Any] = msgspec.structs.asdict(line)
    head = [fields.pop(name) for name in ("timestamp", "level", "method", "path", "status")]
    del fields["severity"]
    tail = [f"{name}={value}" for name, value in fields.items() if value is not None]
    text = " ".join(str(part) for part in (*head, *tail) if part is not None)
    return "".join(c if c.isprintable() else "\\" + hex(ord(c))[1:] for c in text) + "\n"


def _fill_in(lines: list[RequestLine]) -> None:
    """Fill in the fields that are derived from others.

    Formatting a date costs more than everything else here, so it is done once for each second.
    """
    second, date = -1, ""
    for line in lines:
        if isinstance(line.timestamp, float):
            if int(line.timestamp) != second:
                second = int(line.timestamp)
                date = _format_time(second)
            line.timestamp = f"{date}.{int((line.timestamp - second) * 1000):03d}Z"
        severity, line.severity = max(line.status, line.severity), 0
        line.level = "info" if severity < 400 else "warning" if severity < 500 else "error"


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _escape_surrogates(line: RequestLine) -> RequestLine:
    texts = {k: v for k, v in msgspec.structs.asdict(line).items() if isinstance(v, str)}
    clean = {k: v.encode("utf-8", "backslashreplace").decode() for k, v in texts.items()}
    return msgspec.structs.replace(line, **clean)
