"""Structured logging of a process."""

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from trunkline.observe.setup import configure_logging


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    names = ("", "uvicorn", "uvicorn.error", "uvicorn.asgi", "uvicorn.access", "alembic")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    show = warnings.showwarning
    yield
    logging.captureWarnings(False)
    warnings.showwarning = show
    structlog.reset_defaults()
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(text) for text in stream.getvalue().splitlines()]


def test_structlog_and_the_standard_library_write_the_same_json() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.stdlib.get_logger("a").info("hello", count=1, thing=object)
    logging.getLogger("uvicorn.error").warning("from %s", "uvicorn", extra={"color_message": "x"})
    structlog.stdlib.get_logger("a").debug("not shown")
    first, second = entries(stream)
    assert (first["event"], first["count"], first["level"], first["logger"]) == ("hello", 1, "info", "a")
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"], second["logger"]) == (
        "from uvicorn",
        "warning",
        "uvicorn.error",
    )
    assert "color_message" not in second


def test_secrets_are_redacted_in_texts_and_tracebacks() -> None:
    stream = io.StringIO()
    configure_logging("debug".upper(), stream=stream)
    key = "gw_" + "k" * 43
    structlog.stdlib.get_logger("a").debug("sent", header=f"Bearer {key}")
    try:
        raise ValueError(key)
    except ValueError:
        logging.getLogger("b").exception("failed with %s", key)
    assert len(entries(stream)) == 2
    assert "ValueError" in entries(stream)[1]["exception"]
    assert key not in stream.getvalue()


def test_logs_for_the_console() -> None:
    stream = io.StringIO()
    configure_logging(log_format="console", stream=stream)
    structlog.stdlib.get_logger("a").warning("hello", count=1)
    assert "hello" in stream.getvalue()
    assert "count=1" in stream.getvalue()


def test_uvicorn_writes_no_access_log() -> None:
    configure_logging(stream=io.StringIO())
    assert not logging.getLogger("uvicorn.access").hasHandlers()
    assert logging.getLogger("uvicorn.error").hasHandlers()


@pytest.mark.parametrize(("level", "logged"), [("INFO", False), ("DEBUG", True)])
def test_alembics_messages_are_logged_only_at_debug(level: str, logged: bool) -> None:
    stream = io.StringIO()
    configure_logging(level, stream=stream)
    logging.getLogger("alembic.runtime.plugins").info("setup plugin")
    logging.getLogger("alembic.runtime.plugins").warning("a warning")
    assert [entry["event"] for entry in entries(stream)] == ["setup plugin"] * logged + ["a warning"]


@pytest.mark.parametrize("before", ["", "import rich.console;"])
def test_logging_does_not_import_rich(before: str) -> None:
    code = (
        f"import sys; {before} from trunkline.observe.setup import configure_logging; configure_logging();"
        "import structlog; structlog.get_logger().info('x');"
        "sys.exit(2 if 'rich.console' in sys.modules else 3)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, capture_output=True)
    assert (done.returncode, json.loads(done.stderr)["event"]) == (2 if before else 3, "x")
