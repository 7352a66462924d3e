"""Sets up structured logging for a process: structlog, with the standard library's loggers led into it.

Called once, by the command line, before the server is imported: structlog brings rich (0.1 s and 10 MB) in
for coloured tracebacks if it can import it, and a server has no use for that.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from trunkline.errors import redact

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def configure_logging(level: str = "INFO", log_format: str = "json", stream: TextIO | None = None) -> None:
    """Log to ``stream`` (standard error) from ``level`` up, as JSON lines or for people (``console``)."""
    structlog = _import_structlog()
    target = sys.stderr if stream is None else stream
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact,
    ]
    renderer = (
        structlog.processors.JSONRenderer(serializer=_serialize)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=target.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # What uvicorn says of its own coming and going, the gateway says in its own words; what alembic says of
    # its parts when it makes a new database's tables means nothing to those who read this log.
    for name in ("uvicorn", "alembic"):
        logging.getLogger(name).setLevel(level if level in ("DEBUG", "ERROR", "CRITICAL") else "WARNING")
    # Requests have their own log: without a handler uvicorn writes none.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


def _import_structlog() -> Any:
    if "rich" in sys.modules or "structlog" in sys.modules:
        import structlog

        return structlog
    sys.modules["rich"] = None  # type: ignore[assignment]  # makes its import fail, which structlog expects
    try:
        import structlog
    finally:
        del sys.modules["rich"]
    return structlog


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No text that is logged may hold what looks like a key. uvicorn's second, coloured text goes too."""
    event.pop("color_message", None)
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value, limit=20_000)
    return event


def _serialize(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
