"""Options and arguments that several commands have, each with one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file. Default: trunkline.yaml, if it is there."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Role = Annotated[
    Literal["admin", "member", "read-only"] | None,
    typer.Option(help="What it may do. A new key is a member's; the first key is always an admin's."),
]
Owner = Annotated[str | None, typer.Option(help="Whose it is.")]
TeamName = Annotated[str | None, typer.Option("--team", help="Its team, by name or id.")]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A word to find it by; may be repeated.")]
Expires = Annotated[
    str | None,
    typer.Option(help="When it ends: 2027-01-31, or 30d from now. A new key does not, by default."),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="Pattern of models it may use; may be repeated. Without it, all."),
]
Providers = Annotated[
    list[str] | None,
    typer.Option("--provider", help="A provider it may use; may be repeated. Without it, all."),
]
LocalOnly = Annotated[
    bool | None, typer.Option("--local-only/--not-local-only", help="Never use a provider that is not local.")
]
Priority = Annotated[
    Literal["high", "normal", "low"] | None,
    typer.Option(help="Who goes first when requests must wait. A new key's is normal."),
]
Rpm = Annotated[int | None, typer.Option("--rpm", min=1, help="Requests per minute.")]
Rpd = Annotated[int | None, typer.Option("--rpd", min=1, help="Requests per day.")]
Tpm = Annotated[int | None, typer.Option("--tpm", min=1, help="Tokens per minute.")]
Tpd = Annotated[int | None, typer.Option("--tpd", min=1, help="Tokens per day.")]
Concurrent = Annotated[int | None, typer.Option(min=1, help="Requests under way at once.")]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget", help="Hard budget: 10/month, 2.5/day, 500000tokens/week, 100/total; may be repeated."
    ),
]
ShowAllRules = Annotated[
    bool, typer.Option("--all", help="Show those of revoked keys and removed teams too.")
]
KeyReference = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, name or prefix.")]
LimitSubject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="key:NAME or team:NAME (* is each by itself), model:PATTERN; or all."
    ),
]
RuleId = Annotated[str, typer.Argument(metavar="ID", help="Its id, as `list` shows it.")]
BudgetSubject = Annotated[
    str,
    typer.Argument(
        metavar="SUBJECT", help="key:NAME or team:NAME (* is each by itself), provider:NAME; or all."
    ),
]
GatewayUrl = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="TRUNKLINE_URL",
        help="Address of the running gateway. Default: this machine, with the port of the settings.",
    ),
]
AdminKey = Annotated[
    str | None,
    typer.Option("--key", envvar="TRUNKLINE_KEY", help="An admin's key (better: TRUNKLINE_KEY)."),
]
