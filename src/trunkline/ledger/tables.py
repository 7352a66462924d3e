"""The tables of the store, as SQLAlchemy Core metadata; the one description of what is in it.

Importing this imports SQLAlchemy (0.4 s): only :mod:`trunkline.ledger.keys` does, when it opens a store.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, DateTime, MetaData, String, Table

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

keys: Final = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("hash", String(64), nullable=False, unique=True, comment="SHA-256 of the key, in hex"),
    Column("prefix", String(16), nullable=False, comment="the key's first characters, to tell keys apart"),
    Column("role", String(16), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("revoked_at", DateTime(timezone=True), comment="null while the key may come in"),
    CheckConstraint("role IN ('admin', 'member')", name="role"),
)
