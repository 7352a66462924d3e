"""What DATABASE_URL means: which file, which driver. Pure text work, without SQLAlchemy."""

from __future__ import annotations

import re
from pathlib import Path


class StoreError(Exception):
    """The store cannot do what was asked; the text says why, without the address's password."""


def sqlite_file(url: str) -> Path | None:
    """The file behind a SQLite URL (``sqlite:///relative``, ``sqlite:////absolute``).

    None for another database, one in memory, or SQLite's own ``file:`` URIs.
    """
    match = re.fullmatch(r"sqlite(?:\+pysqlite)?:///(?P<path>[^?]+)(?:\?.*)?", url)
    if match is None or match["path"].startswith((":memory:", "file:")):
        return None
    return Path(match["path"])


def driver_url(url: str) -> str:
    """``url`` with psycopg named as the driver of a PostgreSQL URL that names none."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)
