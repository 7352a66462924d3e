"""What DATABASE_URL means: which file, which driver. Pure text work, without SQLAlchemy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, TypeAlias

Why: TypeAlias = Literal["away", "missing", "taken", "wrong"]


class StoreError(Exception):
    """The store cannot do what was asked; the text says why, without the address's password."""

    def __init__(self, message: str, why: Why = "away") -> None:
        """``why``: the database fails; what is named is not there, or is already; it makes no sense."""
        super().__init__(message)
        self.why = why


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
