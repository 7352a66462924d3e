"""Interprets DATABASE_URL: which file, which driver. Works on text only, without SQLAlchemy."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Literal, TypeAlias

StoreErrorReason: TypeAlias = Literal["unavailable", "not_found", "conflict", "invalid"]
"""Why a store failed: the database fails, what was named does not exist, it exists already or is in use, or
the request makes no sense."""


class StoreError(Exception):
    """The store cannot do what was requested. The text explains it, without the database's password."""

    def __init__(self, message: str, reason: StoreErrorReason = "unavailable") -> None:
        super().__init__(message)
        self.reason = reason


FILE_GONE: Final = "the file is not there any more"
"""Why a SQLite file that was used cannot be used."""


def cannot_use(url: str, reason: str) -> StoreError:
    """The error for a store that cannot be opened, read or written, in the same words wherever it is noticed.

    Args:
        url: the database's URL.
        reason: what is wrong with it, without secrets.
    """
    place = sqlite_file(url) or re.sub(r"(?<=://).*@", "***@", url).partition("?")[0]
    return StoreError(f"DATABASE_URL: the store {place} cannot be used: {reason}")


def file_problem(path: Path) -> str | None:
    """Why a SQLite file can neither be used nor made; None if it can."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return f"{folder} is no folder" if folder.exists() else f"there is no folder {folder}"
    if path.is_dir():
        return "it is a folder and no file"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "the file must be readable and writable, and this user's permissions do not allow that"
    return None


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
