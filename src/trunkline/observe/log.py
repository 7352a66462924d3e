"""One line a request, off the hot path.

While a request is served its line is only put into a list. A timer, armed only while something is pending,
encodes the whole batch and writes it at once. The list is bounded: when the reader of the log does not keep
up, lines are dropped, counted, and the count is logged as an error as soon as there is room. Nothing here
waits, and no line may hold a key: callers give paths with keys redacted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from trunkline.observe.sink import Sink

if TYPE_CHECKING:
    import asyncio

_STDERR: Final = 2
_LEAST_STATUS: Final = {"DEBUG": 0, "INFO": 0, "WARNING": 400, "ERROR": 500, "CRITICAL": 1000}
"""The lowest status that is logged at each LOG_LEVEL."""


class RequestLine(
    msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event", tag="request"
):
    """What a request came to. What is None is left out of the log."""

    timestamp: float | str = msgspec.field(default_factory=time.time)
    """Seconds since the epoch; becomes ISO 8601 when it is written."""
    level: str = ""
    """Follows from ``status`` when it is written."""
    request_id: str
    method: str | None = None
    path: str
    """With keys redacted."""
    dialect: str | None = None
    operation: str | None = None
    key: str | None = None
    """The key's id, never the key."""
    client: str | None = None
    """The peer's address."""
    provider: str | None = None
    upstream: str | None = None
    asked: str | None = None
    """The model as the client wrote it."""
    model: str | None = None
    status: int
    code: str | None = None
    """The error's code."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    latency_ms: float
    ttft_ms: float | None = None
    """Milliseconds to the first byte of the answer."""
    queued_ms: float | None = None
    """Milliseconds that it waited for room."""
    attempts: int | None = None
    streamed: bool | None = None


class AccessLog:
    """A bounded list of lines and the timer that writes them."""

    def __init__(
        self,
        *,
        level: str = "INFO",
        log_format: Literal["json", "console"] = "json",
        sink: Sink | None = None,
        capacity: int = 20_000,
        delay_s: float = 0.05,
    ) -> None:
        """:param level: LOG_LEVEL. :param sink: where lines go; None is standard error."""
        self._encode = _encode_json if log_format == "json" else _encode_console
        self._sink = sink or Sink(_STDERR)
        self.least_status = _LEAST_STATUS[level]
        """The lowest status that is logged: lines for lower ones need not be made."""
        self._capacity = capacity
        self._delay_s = delay_s
        self._pending: list[RequestLine] = []
        self._refused = 0
        self._reported = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def dropped(self) -> int:
        """Lines that are lost for good, since the beginning."""
        return self._refused + self._sink.lost

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write from now on by timers of ``loop``. Until then lines wait for :meth:`flush`."""
        self._loop = loop
        if self._pending:
            self._arm()

    def emit(self, line: RequestLine) -> None:
        """Note one request."""
        if line.status < self.least_status:
            return
        if len(self._pending) >= self._capacity:
            self._refused += 1
            return
        self._pending.append(line)
        if self._timer is None:
            self._arm()

    def flush(self) -> None:
        """Encode and write what is pending, unless the reader still has not taken what came before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sink.drain():
            self._sink.write(self._batch())
        if self._pending or not self._sink.clear:
            self._arm()

    def close(self, wait_s: float = 1.0) -> None:
        """Write the rest, waiting at most about ``wait_s`` for a slow reader, and stop the timer."""
        self._loop = None
        self.flush()
        if not self._sink.drain(wait_s):
            return
        self._sink.write(self._batch())
        self._sink.drain(wait_s)

    def _arm(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._delay_s, self.flush)

    def _batch(self) -> bytes:
        lines, self._pending = self._pending, []
        lost = self.dropped - self._reported
        if not lost:
            return self._encode(lines) if lines else b""
        self._reported += lost
        notice = {
            "event": "request log lines dropped",
            "timestamp": _date(time.time()) + "Z",
            "level": "error",
            "lines": lost,
        }
        return msgspec.json.encode(notice) + b"\n" + self._encode(lines)


_encoder: Final = msgspec.json.Encoder()


def _encode_json(lines: list[RequestLine]) -> bytes:
    _complete(lines)
    try:
        return _encoder.encode_lines(lines)
    except UnicodeEncodeError:  # a lone surrogate, which no well-formed request has
        return b"".join(_encoder.encode(_printable(line)) + b"\n" for line in lines)


def _encode_console(lines: list[RequestLine]) -> bytes:
    _complete(lines)
    return "".join(map(_console_line, lines)).encode("utf-8", "backslashreplace")


def _console_line(line: RequestLine) -> str:
    fields: dict[str, Any] = msgspec.structs.asdict(line)
    head = [fields.pop(name) for name in ("timestamp", "level", "method", "path", "status")]
    tail = [f"{name}={value}" for name, value in fields.items() if value is not None]
    text = " ".join(str(part) for part in (*head, *tail) if part is not None)
    return "".join(c if c.isprintable() else "\\" + hex(ord(c))[1:] for c in text) + "\n"


def _complete(lines: list[RequestLine]) -> None:
    """Fill in what follows from other fields. A date costs more than all the rest, so once a second."""
    second, date = -1, ""
    for line in lines:
        if isinstance(line.timestamp, float):
            if int(line.timestamp) != second:
                second = int(line.timestamp)
                date = _date(second)
            line.timestamp = f"{date}.{int((line.timestamp - second) * 1000):03d}Z"
        line.level = "info" if line.status < 400 else "warning" if line.status < 500 else "error"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _printable(line: RequestLine) -> RequestLine:
    texts = {k: v for k, v in msgspec.structs.asdict(line).items() if isinstance(v, str)}
    clean = {k: v.encode("utf-8", "backslashreplace").decode() for k, v in texts.items()}
    return msgspec.structs.replace(line, **clean)
