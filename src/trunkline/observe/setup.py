"""Configures structured logging for a process: structlog, into which the standard library's loggers lead.

The command line calls this once, before it imports the server. structlog imports rich for coloured tracebacks
if it can, which takes 0.1 s and 10 MB; a server has no use for it.
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
    """Configure logging for this process.

    Args:
        level: The lowest level that is logged.
        log_format: ``json`` for lines of JSON, ``console`` for people.
        stream: Where logs are written to. None is standard error.
    """
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
    # The gateway logs by itself that it starts and stops, so uvicorn's messages about that are left out.
    # Alembic's messages about its plugins, when it upgrades a database, mean nothing to readers of this log.
    for name in ("uvicorn", "alembic"):
        logging.getLogger(name).setLevel(level if level in ("DEBUG", "ERROR", "CRITICAL") else "WARNING")
    # The gateway has its own request log: without a handler, uvicorn writes none.
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False


def _import_structlog() -> Any:
    if "rich" in sys.modules or "structlog" in sys.modules:
        import structlog

        return structlog
    sys.modules["rich"] = None  # type: ignore[assignment]  # makes the import fail, which structlog handles
    try:
        import structlog
    finally:
        del sys.modules["rich"]
    return structlog


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact what looks like a key in every text. Also drop uvicorn's coloured copy of its message."""
    event.pop("color_message", None)
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = redact(value, limit=20_000)
    return event


def _serialize(event: Any, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()
