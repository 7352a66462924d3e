"""The commands that work on the store: keys, teams, limits, budgets, usage, db.

The implementation of a command is imported when it is called. The docstrings of the commands are help texts.
"""

from __future__ import annotations

from typing import Annotated

import typer

from trunkline.cli.options import (
    Budgets,
    BudgetSubject,
    Concurrent,
    Config,
    Expires,
    Json,
    KeyReference,
    LimitSubject,
    LocalOnly,
    Models,
    Owner,
    Priority,
    Providers,
    Role,
    Rpd,
    Rpm,
    RuleId,
    ShowAllRules,
    Tags,
    TeamName,
    Tpd,
    Tpm,
)


def _group(help_text: str) -> typer.Typer:
    """A group of commands that prints its help if no command is named."""
    group = typer.Typer(help=help_text, rich_markup_mode=None)

    @group.callback(invoke_without_command=True)
    def _help(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return group


keys_app = _group("Make, list, change, rotate and revoke keys.")
teams_app = _group("Make, list and remove teams.")
limits_app = _group("Set, list and remove limits.")
budgets_app = _group("Set, list and remove budgets.")
usage_app = _group("See what was used, and export it.")
db_app = _group("Look after the database.")
STORE_APPS = {
    "keys": keys_app,
    "teams": teams_app,
    "limits": limits_app,
    "budgets": budgets_app,
    "usage": usage_app,
    "db": db_app,
}


@keys_app.command("create")
def _create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What the key is for; unique among the active keys.")
    ],
    role: Role = None,
    owner: Owner = None,
    team: TeamName = None,
    tag: Tags = None,
    expires: Expires = None,
    model: Models = None,
    provider: Providers = None,
    local_only: LocalOnly = None,
    priority: Priority = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    tpd: Tpd = None,
    concurrent: Concurrent = None,
    budget: Budgets = None,
    config: Config = None,
) -> None:
    """Make a key, and print it this once. A running gateway takes it within 2 seconds.

    The key alone goes to standard output.

    \b
    Examples:
      trunkline keys create laptop
      trunkline keys create ci --team research --rpm 60 --budget 10/month --model 'ollama/*'
      KEY=$(trunkline keys create bot --expires 30d)
    """
    from trunkline.cli.keys import create

    fields = _fields(
        owner=owner,
        team=team,
        tags=tag,
        expires=expires,
        models=model,
        providers=provider,
        local_only=local_only,
        priority=priority,
    )
    amounts = _amounts(rpm, rpd, tpm, tpd, concurrent)
    create(config, name, role, fields, amounts=amounts, budgets=budget or [])


@keys_app.command("list")
def _list(
    show_all: Annotated[bool, typer.Option("--all", help="Show revoked keys too.")] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List the keys. Times are UTC. Where standard output is no terminal, tab-separated.

    \b
    Examples:
      trunkline keys list --all
      trunkline keys list --json
    """
    from trunkline.cli.keys import show

    show(config, show_all=show_all, as_json=as_json)


@keys_app.command("change")
def _change(
    key: KeyReference,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    role: Role = None,
    owner: Owner = None,
    team: TeamName = None,
    tag: Tags = None,
    expires: Expires = None,
    model: Models = None,
    provider: Providers = None,
    local_only: LocalOnly = None,
    priority: Priority = None,
    config: Config = None,
) -> None:
    """Change the settings of a key; a setting that is not given stays.

    Limits and budgets have commands of their own.

    \b
    Examples:
      trunkline keys change laptop --model 'ollama/*' --model 'openai/gpt-4o*'
      trunkline limits set key:laptop --rpm 60
      trunkline budgets set key:laptop 10/month
    """
    from trunkline.cli.keys import change

    fields = _fields(
        owner=owner,
        team=team,
        tags=tag,
        expires=expires,
        models=model,
        providers=provider,
        local_only=local_only,
        priority=priority,
    )
    fields |= {name: value for name, value in {"name": name, "role": role}.items() if value is not None}
    change(config, key, fields)


@keys_app.command("rotate")
def _rotate(
    key: KeyReference,
    grace: Annotated[str, typer.Option(help="How long the old text still works: 24h, 7d, 0m.")] = "24h",
    config: Config = None,
) -> None:
    """Give a key another text, and print it this once.

    \b
    Example:
      trunkline keys rotate laptop --grace 7d
    """
    from trunkline.cli.keys import rotate

    rotate(config, key, grace)


@keys_app.command("revoke")
def _revoke(key: KeyReference, config: Config = None) -> None:
    """Revoke a key. A running gateway refuses it within 2 seconds.

    \b
    Example:
      trunkline keys revoke laptop
    """
    from trunkline.cli.keys import revoke

    revoke(config, key)


@teams_app.command("create")
def _create_team(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What it is called; no two teams are called the same.")
    ],
    model: Models = None,
    provider: Providers = None,
    local_only: LocalOnly = None,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    tpd: Tpd = None,
    concurrent: Concurrent = None,
    budget: Budgets = None,
    config: Config = None,
) -> None:
    """Make a team. Its limits and budgets hold for all of its keys together.

    \b
    Example:
      trunkline teams create research --tpm 200000 --budget 50/month
    """
    from trunkline.cli.teams import create

    fields = _fields(models=model, providers=provider, local_only=local_only)
    amounts = _amounts(rpm, rpd, tpm, tpd, concurrent)
    create(config, name, fields, amounts=amounts, budgets=budget or [])


@teams_app.command("list")
def _list_teams(as_json: Json = False, config: Config = None) -> None:
    """List the teams, and how many active keys each has.

    \b
    Example:
      trunkline teams list
    """
    from trunkline.cli.teams import show

    show(config, as_json=as_json)


@teams_app.command("remove")
def _remove_team(
    team: Annotated[str, typer.Argument(metavar="TEAM", help="The team's name or id.")],
    config: Config = None,
) -> None:
    """Remove a team that no key is in, with its limits and budgets.

    \b
    Example:
      trunkline teams remove research
    """
    from trunkline.cli.teams import remove

    remove(config, team)


@limits_app.command("set")
def _set_limit(
    subject: LimitSubject,
    rpm: Rpm = None,
    rpd: Rpd = None,
    tpm: Tpm = None,
    tpd: Tpd = None,
    concurrent: Concurrent = None,
    config: Config = None,
) -> None:
    """Set the limit of a subject, in place of the one it has.

    \b
    Examples:
      trunkline limits set key:laptop --rpm 60 --concurrent 4
      trunkline limits set 'model:openai/*' --tpm 1000000
    """
    from trunkline.cli.rules import set_limit

    set_limit(config, subject, _amounts(rpm, rpd, tpm, tpd, concurrent))


@limits_app.command("list")
def _list_limits(show_all: ShowAllRules = False, as_json: Json = False, config: Config = None) -> None:
    """List the limits in the store; trunkline.yaml may hold more.

    \b
    Examples:
      trunkline limits list
      trunkline limits list --all --json
    """
    from trunkline.cli.rules import show_limits

    show_limits(config, show_all=show_all, as_json=as_json)


@limits_app.command("remove")
def _remove_limit(rule_id: RuleId, config: Config = None) -> None:
    """Remove a limit.

    \b
    Example:
      trunkline limits remove 6beea8877c24
    """
    from trunkline.cli.rules import remove

    remove(config, "limit", rule_id)


@budgets_app.command("set")
def _set_budget(
    subject: BudgetSubject,
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="10/month, 2.5/day, 500000tokens/week, 100/total.")
    ],
    soft: Annotated[bool, typer.Option("--soft", help="Only warn; never refuse.")] = False,
    warn_at: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of it at which a warning goes out.")
    ] = 0.8,
    webhook: Annotated[str | None, typer.Option(help="Where warnings are posted to.")] = None,
    config: Config = None,
) -> None:
    """Set a budget, in place of the one that the subject has in this unit and period.

    \b
    Examples:
      trunkline budgets set team:research 50/month
      trunkline budgets set provider:openrouter 20/day --soft --webhook https://chat.example.org/hook
    """
    from trunkline.cli.rules import set_budget

    set_budget(config, subject, amount, hard=not soft, warn_at=warn_at, webhook=webhook)


@budgets_app.command("list")
def _list_budgets(show_all: ShowAllRules = False, as_json: Json = False, config: Config = None) -> None:
    """List the budgets in the store and what is spent of them; trunkline.yaml may hold more.

    \b
    Examples:
      trunkline budgets list
      trunkline budgets list --all --json
    """
    from trunkline.cli.rules import show_budgets

    show_budgets(config, show_all=show_all, as_json=as_json)


@budgets_app.command("remove")
def _remove_budget(rule_id: RuleId, config: Config = None) -> None:
    """Remove a budget.

    \b
    Example:
      trunkline budgets remove a5f2d2b166d6
    """
    from trunkline.cli.rules import remove

    remove(config, "budget", rule_id)


@usage_app.command("show")
def _usage(
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="key, team, provider, model, day or hour; may be repeated. Default: provider and model.",
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when on: 2026-11-01, or 7d ago.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Until when, excluded. Default: now.")] = None,
    key: Annotated[str | None, typer.Option(help="Only this key's, by name or id.")] = None,
    team: Annotated[str | None, typer.Option(help="Only this team's, by name or id.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider's.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model's, as the provider calls it.")] = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    config: Config = None,
) -> None:
    """Sum up usage: requests, tokens, cost.

    \b
    Examples:
      trunkline usage show --by key --by model --since 7d
      trunkline usage show --by day --csv > usage.csv
    """
    from trunkline.cli.usage import show

    filters = {"key": key, "team": team, "provider": provider, "model": model}
    show(config, by or ["provider", "model"], since, until, filters, as_json=as_json, as_csv=as_csv)


@usage_app.command("requests")
def _requests(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 20,
    since: Annotated[
        str | None, typer.Option(help="From when on: 2026-11-01, or 1h ago. Default: all.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Only this key's, by name or id.")] = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """List single requests, the newest first. Times are UTC.

    \b
    Examples:
      trunkline usage requests --key laptop --since 1h
      trunkline usage requests --limit 1000 --json
    """
    from trunkline.cli.usage import show_requests

    show_requests(config, since, key, limit, as_json=as_json)


@db_app.command("upgrade")
def _upgrade(config: Config = None) -> None:
    """Bring the database's tables up to date. `serve` does so by itself; one process at a time does it.

    \b
    Example:
      trunkline db upgrade
    """
    from trunkline.cli.db import upgrade

    upgrade(config)


@db_app.command("status")
def _status(as_json: Json = False, config: Config = None) -> None:
    """Say where the database is, and how much is in it.

    \b
    Example:
      trunkline db status
    """
    from trunkline.cli.db import status

    status(config, as_json=as_json)


def _fields(
    *,
    owner: str | None = None,
    team: str | None = None,
    tags: list[str] | None = None,
    expires: str | None = None,
    models: list[str] | None = None,
    providers: list[str] | None = None,
    local_only: bool | None = None,
    priority: str | None = None,
) -> dict[str, object]:
    """The fields of a key or team that the options set, without those that were not given."""
    options = {
        "owner": owner,
        "team": team,
        "tags": None if not tags else tuple(tags),
        "expires": expires,
        "models": None if not models else tuple(models),
        "providers": None if not providers else tuple(providers),
        "local_only": local_only,
        "priority": priority,
    }
    return {name: value for name, value in options.items() if value is not None}


def _amounts(
    rpm: int | None, rpd: int | None, tpm: int | None, tpd: int | None, concurrent: int | None
) -> dict[str, int | None]:
    """The options of a limit under the names of the limit's fields."""
    return {
        "requests_per_minute": rpm,
        "requests_per_day": rpd,
        "tokens_per_minute": tpm,
        "tokens_per_day": tpd,
        "concurrent": concurrent,
    }
