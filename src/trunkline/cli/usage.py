"""``trunkline usage``: it prints usage as a table, JSON or CSV."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import open_store, print_notice, read_settings
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

_SUM_COLUMNS = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "failures", "unpriced")
_EMPTY_TEXT = "nothing was used"
_REQUEST_COLUMNS = (
    "at",
    "key_id",
    "provider",
    "model",
    "status",
    "outcome",
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
    """Print sums of usage.

    Args:
        config: the configuration file.
        by: what to group by; see ``GROUPS``.
        since: the start, as a time or a duration before now.
        until: the end, which is excluded; None is now.
        filters: the key, team, provider and model to restrict the sums to, each by name or id.
        as_json: print JSON.
        as_csv: print CSV.

    Raises:
        StoreError: an option is invalid, or nothing was used and a filter names nothing that exists.
    """
    from trunkline.ledger.usage import GROUPS, parse_time, sum_usage

    groups = [group for group in GROUPS if group in by]
    unknown = [each for each in by if each not in GROUPS]
    if unknown:
        raise StoreError(
            f"usage cannot be grouped by {unknown[0]!r}; there are: {', '.join(GROUPS)}", "invalid"
        )
    if as_json and as_csv:
        raise StoreError("--json and --csv cannot be combined; choose one of them", "invalid")
    start, end = (None if text is None else parse_time(text) for text in (since, until))
    if start is not None and end is not None and start >= end:
        raise StoreError(f"--until {until} is not after --since {since}", "invalid")
    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = sum_usage(keys.store, by=groups, since=start, until=end, **_resolve_names(keys, filters))
        if not rows:
            _check_names(settings, keys, filters)
    empty = _EMPTY_TEXT if since is None else f"{_EMPTY_TEXT} (--since {since})"
    if as_json:
        show_json(rows)
    elif as_csv:
        sys.stdout.write(export.as_csv(rows))
    else:
        for row in rows:  # a key of ALLOWED_API_KEYS or a removed team has no name
            row |= {group: row[f"{group}_name"] or row[group] for group in groups if group in ("key", "team")}
        show_rows(
            (*groups, *_SUM_COLUMNS),
            [[_cell(row[name]) for name in (*groups, *_SUM_COLUMNS)] for row in rows],
            fold=("model", "key", "team"),
            keep=len(groups) + 1,
        )
    if not rows:
        print_notice(empty)


def show_requests(
    config: Path | None, since: str | None, key: str | None, limit: int, *, as_json: bool
) -> None:
    """Print single requests, the newest first.

    Args:
        config: the configuration file.
        since: the start, as a time or a duration before now; None is the first request.
        key: the name or id of the key whose requests to print; None prints all.
        limit: the maximum number of requests.
        as_json: print JSON.

    Raises:
        StoreError: an option is invalid, or there is no request and no such key.
    """
    from trunkline.ledger.usage import list_usage_rows, parse_time

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = list_usage_rows(
            keys.store,
            since=None if since is None else parse_time(since),
            key=_resolve_names(keys, {"key": key})["key"],
            limit=limit,
        )
        if not rows:
            _check_names(settings, keys, {"key": key})
            print_notice(_EMPTY_TEXT if since is None else f"{_EMPTY_TEXT} (--since {since})")
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
        [[_cell(row[name]) for name in _REQUEST_COLUMNS] for row in rows],
        fold=("at", "key", "model"),
        keep=5,
    )


def _resolve_names(keys: KeyStore, filters: dict[str, str | None]) -> dict[str, str | None]:
    """Replace the names of a key and a team by their ids. Revoked keys have one, too."""
    from trunkline.ledger.teams import TeamStore

    resolved = dict(filters)
    if (key := resolved.get("key")) is not None:
        ids = [record.id for record in keys.list() if key in (record.id, record.name)]
        resolved["key"] = ids[-1] if ids else key  # a key of ALLOWED_API_KEYS is not in the store
    if (team := resolved.get("team")) is not None:
        resolved["team"] = TeamStore(keys.store).find(team).id
    return resolved


def _check_names(settings: Settings, keys: KeyStore, filters: dict[str, str | None]) -> None:
    """Check whether a result is empty because a filter names a key or provider that does not exist.

    Raises:
        StoreError: there is no such key or provider. The text names the closest one.
    """
    records = [(record.id, record.name) for record in keys.list()]
    known_names = {
        "key": {name for _, name in records} | {f"env-{n + 1}" for n in range(len(settings.api_keys))},
        "provider": {*BUILT_IN_PROVIDERS, *settings.providers},
    }
    ids = {key_id for key_id, _ in records}
    for kind, known in known_names.items():
        name = filters.get(kind)
        if name is not None and name not in known | ids:
            hint = suggest(name, known, "there are") if known else "there is none yet"
            raise StoreError(f"there is no {kind} {name!r}; {hint}", "not_found")


def _cell(value: Any) -> str:
    """The text of a cell."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
