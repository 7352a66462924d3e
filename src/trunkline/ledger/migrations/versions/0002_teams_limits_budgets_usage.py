"""Tables for teams, limits, budgets, usage and the audit log, and further columns of keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

ROWID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the new tables, and add columns to the table of keys."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "actor",
            sa.String(length=200),
            nullable=False,
            comment="id of the key, or who it was at the command line",
        ),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("details", sa.Text(), nullable=True, comment="JSON"),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)

    op.create_table(
        "budgets",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column(
            "subject",
            sa.String(length=200),
            nullable=False,
            comment="id of a key or team, or a provider's name",
        ),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="tokens, or millionths of a US dollar"),
        sa.Column("per", sa.String(length=8), nullable=False),
        sa.Column("hard", sa.Boolean(), nullable=False),
        sa.Column("warn_at", sa.Double(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=True),
        sa.CheckConstraint("per IN ('day', 'week', 'month', 'total')", name=op.f("ck_budgets_per")),
        sa.CheckConstraint("scope IN ('key', 'team', 'provider', 'all')", name=op.f("ck_budgets_scope")),
        sa.CheckConstraint("unit IN ('usd', 'tokens')", name=op.f("ck_budgets_unit")),
        sa.PrimaryKeyConstraint("id", name="pk_budgets"),
        sa.UniqueConstraint("scope", "subject", "unit", "per", name="uq_budgets_scope"),
    )
    op.create_table(
        "limits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column(
            "subject",
            sa.String(length=200),
            nullable=False,
            comment="id of a key or team, or a pattern of models",
        ),
        sa.Column("requests_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("requests_per_day", sa.BigInteger(), nullable=True),
        sa.Column("tokens_per_minute", sa.BigInteger(), nullable=True),
        sa.Column("tokens_per_day", sa.BigInteger(), nullable=True),
        sa.Column("concurrent", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("scope IN ('key', 'team', 'model', 'all')", name=op.f("ck_limits_scope")),
        sa.PrimaryKeyConstraint("id", name="pk_limits"),
        sa.UniqueConstraint("scope", "subject", name="uq_limits_scope"),
    )
    op.create_table(
        "prompts",
        sa.Column("usage_id", ROWID, autoincrement=False, nullable=False, comment="of usage.id"),
        sa.Column("body", sa.Text(), nullable=False, comment="the request's body, as it came"),
        sa.PrimaryKeyConstraint("usage_id", name="pk_prompts"),
    )
    op.create_table(
        "revision",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "number",
            sa.BigInteger(),
            nullable=False,
            comment="raised by every change of keys, teams, limits, budgets",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_revision"),
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("models", sa.Text(), nullable=True, comment="JSON array of patterns; null: all models"),
        sa.Column("providers", sa.Text(), nullable=True, comment="JSON array of names; null: all providers"),
        sa.Column("local_only", sa.Boolean(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
        sa.UniqueConstraint("name", name="uq_teams_name"),
    )
    op.create_table(
        "usage",
        sa.Column("id", ROWID, autoincrement=False, nullable=False, comment="in the order of time"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when it ended: Unix time in milliseconds"),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False, comment="from 1; 0: no upstream was asked"),
        sa.Column(
            "last",
            sa.Boolean(),
            nullable=False,
            comment="what the request came to; false: another one followed",
        ),
        sa.Column("key_id", sa.String(length=32), nullable=False, comment="empty: no key"),
        sa.Column("team_id", sa.String(length=32), nullable=False, comment="empty: none"),
        sa.Column("end_user", sa.String(length=200), nullable=True),
        sa.Column("route", sa.String(length=200), nullable=True),
        sa.Column("provider", sa.String(length=64), nullable=False, comment="empty: none was asked"),
        sa.Column("upstream", sa.String(length=200), nullable=True),
        sa.Column("asked", sa.String(length=200), nullable=True, comment="the model as the client named it"),
        sa.Column(
            "model", sa.String(length=200), nullable=False, comment="the model as the upstream names it"
        ),
        sa.Column("dialect", sa.String(length=16), nullable=False),
        sa.Column("operation", sa.String(length=16), nullable=False),
        sa.Column("streamed", sa.Boolean(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column(
            "estimated",
            sa.Boolean(),
            nullable=False,
            comment="the upstream did not say its tokens: we counted",
        ),
        sa.Column(
            "cost_micros", sa.BigInteger(), nullable=True, comment="millionths of a US dollar; null: unknown"
        ),
        sa.Column("cost_source", sa.String(length=16), nullable=True),
        sa.Column("ttft_ms", sa.Double(), nullable=True, comment="to the first byte of the answer"),
        sa.Column(
            "duration_ms", sa.Double(), nullable=False, comment="of the whole request, or of the attempt"
        ),
        sa.Column(
            "upstream_ms", sa.Double(), nullable=False, comment="for which an upstream was busy with it"
        ),
        sa.Column("queued_ms", sa.Double(), nullable=False),
        sa.Column("retries", sa.SmallInteger(), nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False, comment="answered from the cache of answers"),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
    )
    op.create_table(
        "usage_daily",
        sa.Column(
            "day", sa.BigInteger(), autoincrement=False, nullable=False, comment="its beginning, Unix time"
        ),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("upstream_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("day", "key_id", "team_id", "provider", "model", name="pk_usage_daily"),
    )
    op.create_table(
        "usage_hourly",
        sa.Column(
            "hour", sa.BigInteger(), autoincrement=False, nullable=False, comment="its beginning, Unix time"
        ),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("cached", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Double(), nullable=False),
        sa.Column("upstream_ms", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "key_id", "team_id", "provider", "model", name="pk_usage_hourly"),
    )
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_keys_role"), type_="check")
        batch_op.create_check_constraint(
            batch_op.f("ck_keys_role"), "role IN ('admin', 'member', 'read-only')"
        )
        batch_op.add_column(sa.Column("owner", sa.String(length=200), nullable=True))
        batch_op.add_column(sa.Column("team_id", sa.String(length=32), nullable=True, comment="of teams.id"))
        batch_op.add_column(
            sa.Column("tags", sa.Text(), nullable=True, comment="JSON array of strings, or null")
        )
        batch_op.add_column(
            sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True, comment="null: never")
        )
        batch_op.add_column(
            sa.Column("models", sa.Text(), nullable=True, comment="JSON array of patterns; null: all models")
        )
        batch_op.add_column(
            sa.Column(
                "providers", sa.Text(), nullable=True, comment="JSON array of names; null: all providers"
            )
        )
        batch_op.add_column(sa.Column("local_only", sa.Boolean(), server_default="0", nullable=False))
        batch_op.add_column(
            sa.Column("priority", sa.String(length=8), server_default="normal", nullable=False)
        )
        batch_op.add_column(
            sa.Column(
                "data_collection",
                sa.String(length=8),
                nullable=True,
                comment="OpenRouter's: allow, deny or null",
            )
        )
        batch_op.add_column(
            sa.Column("zdr", sa.Boolean(), nullable=True, comment="OpenRouter's: zero data retention")
        )
        batch_op.add_column(
            sa.Column("old_hash", sa.String(length=64), nullable=True, comment="the key before its rotation")
        )
        batch_op.add_column(
            sa.Column(
                "old_hash_until",
                sa.DateTime(timezone=True),
                nullable=True,
                comment="until when that one may still come in",
            )
        )
        batch_op.add_column(sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Drop all tables but the one of keys. What was recorded is lost."""
    op.execute("UPDATE keys SET role = 'member' WHERE role = 'read-only'")
    with op.batch_alter_table("keys", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_keys_role"), type_="check")
        batch_op.create_check_constraint(batch_op.f("ck_keys_role"), "role IN ('admin', 'member')")
        batch_op.drop_column("last_used_at")
        batch_op.drop_column("old_hash_until")
        batch_op.drop_column("old_hash")
        batch_op.drop_column("zdr")
        batch_op.drop_column("data_collection")
        batch_op.drop_column("priority")
        batch_op.drop_column("local_only")
        batch_op.drop_column("providers")
        batch_op.drop_column("models")
        batch_op.drop_column("expires_at")
        batch_op.drop_column("tags")
        batch_op.drop_column("team_id")
        batch_op.drop_column("owner")

    op.drop_table("usage_hourly")
    op.drop_table("usage_daily")
    op.drop_table("usage")
    op.drop_table("teams")
    op.drop_table("revision")
    op.drop_table("prompts")
    op.drop_table("limits")
    op.drop_table("budgets")
    op.drop_index("ix_audit_at", table_name="audit")

    op.drop_table("audit")
