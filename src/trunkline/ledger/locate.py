"""Interprets DATABASE_URL: which file, which driver. Works on text only, without SQLAlchemy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias

StoreErrorReason: TypeAlias = Literal["unavailable", "not_found", "conflict", "invalid"]
"""Why a store failed: the database fails, what was named does not exist, it exists already or is in use, or
the request makes no sense."""


class StoreError(Exception):
    """The store cannot do what was requested. The text explains it, without the database's password."""

    def __init__(self, message: str, reason: StoreErrorReason = "unavailable") -> None:
        super().__init__(message)
        self.reason = reason


def sqlite_file(url: str) -> Path | None:
    """Return the file that a SQLite URL names (``sqlite:///relative``, ``sqlite:////absolute``).

    Returns:
        The path, or None for another database, for one in memory, and for SQLite's own ``file:`` URIs.
    """
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///(?P<path>[^?]+)(?:\?.*)?", url)
    if match is None or match["path"].startswith((":memory:", "file:")):
        return None
    return Path(match["path"])


def driver_url(url: str) -> str:
    """Return ``url`` with psycopg as the driver of a PostgreSQL URL that names no driver."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
