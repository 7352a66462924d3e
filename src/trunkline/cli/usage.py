"""``trunkline usage``: totals and single requests, as a table, JSON or CSV."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import open_store, print_note, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.ledger import export
from trunkline.ledger.locate import StoreError
from trunkline.settings import BUILT_IN_PROVIDERS
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore
    from trunkline.settings import Settings

_TOTALS_COLUMNS = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "failures", "unpriced")
_NOTHING_USED = "nothing was used"
_REQUEST_COLUMNS = (
    "at",
    "key_id",
    "provider",
    "model",
    "status",
    "prompt_tokens",
    "completion_tokens",
    "cost_micros",
)


def show(
    config: Path | None,
    by: Sequence[str],
    since: str | None,
    until: str | None,
    filters: dict[str, str | None],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print totals of usage.

    Args:
        config: The configuration file.
        by: The groups.
        since: When the time begins, as people write it.
        until: When the time ends.
        filters: The key, team, provider or model to count, by names or ids.
        as_json: Print JSON.
        as_csv: Print CSV.
    """
    from trunkline.ledger.usage import GROUPS, parse_time, sum_usage

    groups = [group for group in GROUPS if group in by]
    unknown = [each for each in by if each not in GROUPS]
    if unknown:
        raise StoreError(
            f"usage cannot be grouped by {unknown[0]!r}; there are: {', '.join(GROUPS)}", "invalid"
        )
    if as_json and as_csv:
        raise StoreError("--json and --csv go not together; choose one of them", "invalid")
    begin, end = (None if text is None else parse_time(text) for text in (since, until))
    if begin is not None and end is not None and begin >= end:
        raise StoreError(f"--until {until} is not after --since {since}", "invalid")
    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = sum_usage(keys.store, by=groups, since=begin, until=end, **_resolve_ids(keys, filters))
        if not rows:
            _check_names(settings, keys, filters)
    empty = _NOTHING_USED if since is None else f"{_NOTHING_USED} (--since {since})"
    if as_json:
        show_json(rows)
    elif as_csv:
        sys.stdout.write(export.as_csv(rows))
    else:
        for row in rows:  # keys of ALLOWED_API_KEYS and removed teams have no name
            row |= {group: row[f"{group}_name"] or row[group] for group in groups if group in ("key", "team")}
        show_rows(
            (*groups, *_TOTALS_COLUMNS),
            [[_format_cell(row[name]) for name in (*groups, *_TOTALS_COLUMNS)] for row in rows],
            fold=("model", "key", "team"),
            keep=len(groups) + 1,
        )
    if not rows:
        print_note(empty)


def show_requests(
    config: Path | None, since: str | None, key: str | None, limit: int, *, as_json: bool
) -> None:
    """Print single requests."""
    from trunkline.ledger.usage import list_usage_rows, parse_time

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = list_usage_rows(
            keys.store,
            since=None if since is None else parse_time(since),
            key=_resolve_ids(keys, {"key": key})["key"],
            limit=limit,
        )
        if not rows:
            _check_names(settings, keys, {"key": key})
            print_note(_NOTHING_USED if since is None else f"{_NOTHING_USED} (--since {since})")
        names = {record.id: record.name for record in keys.list()}
    if as_json:
        show_json(rows)
        return
    for row in rows:
        row["at"] = datetime.fromtimestamp(row["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        if row["cost_micros"] is not None:
            row["cost_micros"] /= 1_000_000
        row["key_id"] = names.get(row["key_id"], row["key_id"])
    titles = {"key_id": "key", "cost_micros": "cost_usd"}
    show_rows(
        [titles.get(name, name) for name in _REQUEST_COLUMNS],
        [[_format_cell(row[name]) for name in _REQUEST_COLUMNS] for row in rows],
        fold=("at", "key", "model"),
        keep=5,
    )


def _resolve_ids(keys: KeyStore, filters: dict[str, str | None]) -> dict[str, str | None]:
    """Replace the names of keys, including revoked ones, and of teams by their ids."""
    from trunkline.ledger.teams import TeamStore

    resolved = dict(filters)
    if (key := resolved.get("key")) is not None:
        ids = [record.id for record in keys.list() if key in (record.id, record.name)]
        resolved["key"] = ids[-1] if ids else key  # keys of ALLOWED_API_KEYS are not in the store
    if (team := resolved.get("team")) is not None:
        resolved["team"] = TeamStore(keys.store).find(team).id
    return resolved


def _check_names(settings: Settings, keys: KeyStore, filters: dict[str, str | None]) -> None:
    """Check the names of a key and a provider for which no usage was found.

    Raises:
        StoreError: The name does not exist. The error has the most similar one.
    """
    records = [(record.id, record.name) for record in keys.list()]
    names = {
        "key": {name for _, name in records} | {f"env-{n + 1}" for n in range(len(settings.api_keys))},
        "provider": {*BUILT_IN_PROVIDERS, *settings.providers},
    }
    ids = {key_id for key_id, _ in records}
    for kind, known in names.items():
        name = filters.get(kind)
        if name is not None and name not in known | ids:
            hint = suggest(name, known, "there are") if known else "there is none yet"
            raise StoreError(f"there is no {kind} {name!r}; {hint}", "not_found")


def _format_cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
