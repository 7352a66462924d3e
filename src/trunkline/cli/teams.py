"""``trunkline teams``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.cli.common import hint_at_providers, note, open_store, read_settings
from trunkline.cli.rules import amount_of, set_rules
from trunkline.cli.tables import show_json, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def create(
    config: Path | None,
    name: str,
    fields: dict[str, Any],
    amounts: dict[str, int | None],
    budgets: Sequence[str],
) -> None:
    """Make a team, with its limits and budgets."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    wanted = [amount_of(budget) for budget in budgets]  # a mistake here must not leave half a team behind
    hint_at_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        team = TeamStore(keys.store).create(name, **fields)
        set_rules(keys.store, "team", team.id, amounts, wanted)
    note(f"made the team {team.name!r} ({team.id})")


def show(config: Path | None, *, as_json: bool) -> None:
    """Print the teams and how many keys each has."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        teams = TeamStore(keys.store).list()
        active = keys.active()
    if as_json:
        show_json(teams)
        return
    show_rows(
        ("name", "id", "keys", "models", "providers"),
        [
            (
                team.name,
                team.id,
                str(sum(key.team_id == team.id for key in active)),
                ", ".join(team.models or ()) or "all",
                ", ".join(team.providers or ()) or "all",
            )
            for team in teams
        ],
        fold=("models", "providers"),
        empty="there are no teams; `trunkline teams create NAME` makes one",
    )


def remove(config: Path | None, which: str) -> None:
    """Remove a team."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        team = TeamStore(keys.store).remove(which)
    note(f"removed the team {team.name!r}")
