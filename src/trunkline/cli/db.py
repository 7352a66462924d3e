"""``trunkline db``: it upgrades and describes the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.cli.common import print_notice, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.errors import redact

if TYPE_CHECKING:
    from pathlib import Path


def upgrade(config: Path | None) -> None:
    """Upgrade the database to the latest schema."""
    from trunkline.ledger import migrate
    from trunkline.ledger.store import Store

    settings, _ = read_settings(config)
    with Store(settings.database_url.get_secret_value(), migrate=False) as store:
        before = store.upgrade()
    if before == migrate.HEAD:
        print_notice(f"the database is up to date ({migrate.HEAD})")
    else:
        print_notice(f"the database went from {before or 'nothing'} to {migrate.HEAD}")


def status(config: Path | None, *, as_json: bool) -> None:
    """Print the database's address, the version of its tables and how many rows they have."""
    from sqlalchemy import func, select

    from trunkline.ledger import migrate, tables
    from trunkline.ledger.store import Store

    settings, _ = read_settings(config)
    url = settings.database_url.get_secret_value()
    with Store(url, migrate=False) as store, store.begin() as connection:
        version = migrate.current_revision(connection)
        facts: dict[str, str | int] = {"database": redact(url), "tables": version or "none"}
        if version == migrate.HEAD:
            for table in (tables.keys, tables.teams, tables.limits, tables.budgets, tables.usage):
                count = connection.execute(select(func.count()).select_from(table)).scalar_one()
                facts[table.name] = count
    if as_json:
        show_json(facts)
    else:
        show_rows(("what", "value"), ((name, str(value)) for name, value in facts.items()))
    if version != migrate.HEAD:
        print_notice(f"`trunkline db upgrade` brings its tables to {migrate.HEAD}; `serve` does so by itself")
