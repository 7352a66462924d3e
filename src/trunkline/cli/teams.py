"""``trunkline teams``: it creates, lists and removes teams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.cli.common import open_store, print_notice, read_settings, warn_of_unknown_providers
from trunkline.cli.rules import parse_budget, set_rules
from trunkline.cli.tables import show_json, show_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def create(
    config: Path | None,
    name: str,
    fields: dict[str, Any],
    *,
    amounts: dict[str, int | None],
    budgets: Sequence[str],
) -> None:
    """Create a team with its limit and budgets.

    Args:
        config: the configuration file.
        name: the team's name.
        fields: the team's other fields.
        amounts: the fields of its limit.
        budgets: its budgets as text, such as ``10/month``.
    """
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    parsed_budgets = [
        parse_budget(budget) for budget in budgets
    ]  # before the team is created, for its errors
    warn_of_unknown_providers(settings, fields.get("providers"))
    with open_store(settings) as keys:
        team = TeamStore(keys.store).create(name, **fields)
        set_rules(keys.store, "team", team.id, amounts, parsed_budgets)
    print_notice(f"made the team {team.name!r} ({team.id})")


def show(config: Path | None, *, as_json: bool) -> None:
    """Print the teams and how many active keys each has."""
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


def remove(config: Path | None, name_or_id: str) -> None:
    """Remove a team."""
    from trunkline.ledger.teams import TeamStore

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        team = TeamStore(keys.store).remove(name_or_id)
    print_notice(f"removed the team {team.name!r}")
