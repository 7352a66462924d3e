"""The tables of the store, as SQLAlchemy Core metadata.

A change here needs a migration in :mod:`trunkline.ledger.migrations`. This module imports SQLAlchemy, which
takes 0.4 s, so it is imported only when a store is opened.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from trunkline.ledger.columns import COUNT_COLUMNS, DURATION_COLUMNS, TOKEN_COLUMNS

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)

ROWID: Final = BigInteger().with_variant(Integer, "sqlite")
"""The type of a row's id. SQLite orders a table by a column of exactly this type, without a separate
index."""

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
    Column("owner", String(200)),
    Column("team_id", String(32), comment="of teams.id"),
    Column("tags", Text, comment="JSON array of strings, or null"),
    Column("expires_at", DateTime(timezone=True), comment="null: never"),
    Column("models", Text, comment="JSON array of patterns; null: all models"),
    Column("providers", Text, comment="JSON array of names; null: all providers"),
    Column("local_only", Boolean, nullable=False, server_default="0"),
    Column("priority", String(8), nullable=False, server_default="normal"),
    Column("data_collection", String(8), comment="OpenRouter's: allow, deny or null"),
    Column("zdr", Boolean, comment="OpenRouter's: zero data retention"),
    Column("old_hash", String(64), comment="the key before its rotation"),
    Column("old_hash_until", DateTime(timezone=True), comment="until when that one may still come in"),
    Column("last_used_at", DateTime(timezone=True)),
    CheckConstraint("role IN ('admin', 'member', 'read-only')", name="role"),
)

teams: Final = Table(
    "teams",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("models", Text, comment="JSON array of patterns; null: all models"),
    Column("providers", Text, comment="JSON array of names; null: all providers"),
    Column("local_only", Boolean, nullable=False, server_default="0"),
)

limits: Final = Table(
    "limits",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("scope", String(8), nullable=False),
    Column("subject", String(200), nullable=False, comment="id of a key or team, or a pattern of models"),
    Column("requests_per_minute", BigInteger),
    Column("requests_per_day", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("tokens_per_day", BigInteger),
    Column("concurrent", BigInteger),
    UniqueConstraint("scope", "subject"),
    CheckConstraint("scope IN ('key', 'team', 'model', 'all')", name="scope"),
)

budgets: Final = Table(
    "budgets",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("scope", String(8), nullable=False),
    Column("subject", String(200), nullable=False, comment="id of a key or team, or a provider's name"),
    Column("unit", String(8), nullable=False),
    Column("amount", BigInteger, nullable=False, comment="tokens, or millionths of a US dollar"),
    Column("per", String(8), nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("warn_at", Double, nullable=False),
    Column("webhook", Text),
    UniqueConstraint("scope", "subject", "unit", "per"),
    CheckConstraint("scope IN ('key', 'team', 'provider', 'all')", name="scope"),
    CheckConstraint("unit IN ('usd', 'tokens')", name="unit"),
    CheckConstraint("per IN ('day', 'week', 'month', 'total')", name="per"),
)

revision: Final = Table(
    "revision",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column(
        "number", BigInteger, nullable=False, comment="raised by every change of keys, teams, limits, budgets"
    ),
)

usage: Final = Table(
    "usage",
    metadata,
    Column("id", ROWID, primary_key=True, autoincrement=False, comment="in the order of time"),
    Column("at", BigInteger, nullable=False, comment="when it ended: Unix time in milliseconds"),
    Column("request_id", String(128), nullable=False),
    Column("attempt", SmallInteger, nullable=False, comment="from 1; 0: no upstream was asked"),
    Column("last", Boolean, nullable=False, comment="what the request came to; false: another one followed"),
    Column("key_id", String(32), nullable=False, comment="empty: no key"),
    Column("team_id", String(32), nullable=False, comment="empty: none"),
    Column("end_user", String(200)),
    Column("route", String(200)),
    Column("provider", String(64), nullable=False, comment="empty: none was asked"),
    Column("upstream", String(200)),
    Column("asked", String(200), comment="the model as the client named it"),
    Column("model", String(200), nullable=False, comment="the model as the upstream names it"),
    Column("dialect", String(16), nullable=False),
    Column("operation", String(16), nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("error", String(64)),
    *(Column(name, BigInteger, nullable=False) for name in TOKEN_COLUMNS),
    Column("estimated", Boolean, nullable=False, comment="the upstream did not say its tokens: we counted"),
    Column("cost_micros", BigInteger, comment="millionths of a US dollar; null: unknown"),
    Column("cost_source", String(16)),
    Column("ttft_ms", Double, comment="to the first byte of the answer"),
    Column("duration_ms", Double, nullable=False, comment="of the whole request, or of the attempt"),
    Column("upstream_ms", Double, nullable=False, comment="for which an upstream was busy with it"),
    Column("queued_ms", Double, nullable=False),
    Column("retries", SmallInteger, nullable=False),
    Column("cached", Boolean, nullable=False, comment="answered from the cache of answers"),
    Column("outcome", String(16), comment="success, or why not; null: of an earlier version"),
)

prompts: Final = Table(
    "prompts",
    metadata,
    Column("usage_id", ROWID, primary_key=True, autoincrement=False, comment="of usage.id"),
    Column("body", Text, nullable=False, comment="the request's body, as it came"),
)


def _roll_up_table(name: str, start: str) -> Table:
    return Table(
        name,
        metadata,
        Column(start, BigInteger, primary_key=True, autoincrement=False, comment="its beginning, Unix time"),
        Column("key_id", String(32), primary_key=True),
        Column("team_id", String(32), primary_key=True),
        Column("provider", String(64), primary_key=True),
        Column("model", String(200), primary_key=True),
        *(Column(each, BigInteger, nullable=False) for each in COUNT_COLUMNS),
        *(Column(each, Double, nullable=False) for each in DURATION_COLUMNS),
        # Rows are stored in the order of the primary key, which is that of time: a query reads adjacent rows.
        sqlite_with_rowid=False,
    )


usage_hourly: Final = _roll_up_table("usage_hourly", "hour")
usage_daily: Final = _roll_up_table("usage_daily", "day")
usage_monthly: Final = _roll_up_table("usage_monthly", "month")

audit: Final = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("actor", String(200), nullable=False, comment="id of the key, or who it was at the command line"),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("details", Text, comment="JSON"),
)

Index(None, audit.c.at)
Index(None, usage.c.request_id)
