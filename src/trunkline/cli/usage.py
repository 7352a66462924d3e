"""``trunkline usage``: what was used, as a table, JSON or CSV."""

from __future__ import annotations

import csv
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import note, open_store, read_settings
from trunkline.cli.tables import show_json, show_rows
from trunkline.ledger.locate import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trunkline.ledger.keys import KeyStore

_SHOWN = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "failures", "unpriced")
_COLUMNS = (
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
    wanted: dict[str, str | None],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print sums of usage."""
    from trunkline.ledger.usage import GROUPS, moment, sums

    groups = [group for group in GROUPS if group in by]
    unknown = [each for each in by if each not in GROUPS]
    if unknown:
        raise StoreError(
            f"usage cannot be grouped by {unknown[0]!r}; there are: {', '.join(GROUPS)}", "wrong"
        )
    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = sums(
            keys.store,
            by=groups,
            since=None if since is None else moment(since),
            until=None if until is None else moment(until),
            **_by_id(keys, wanted),
        )
    if as_json:
        show_json(rows)
    elif as_csv:
        if rows:
            writer = csv.DictWriter(sys.stdout, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        names = [f"{group}_name" if group in ("key", "team") else group for group in groups]
        show_rows(
            (*groups, *_SHOWN),
            [[_cell(row[name]) for name in (*names, *_SHOWN)] for row in rows],
            fold=("model", "key", "team"),
            keep=len(groups) + 1,
        )


def show_requests(
    config: Path | None, since: str | None, key: str | None, limit: int, *, as_json: bool
) -> None:
    """Print single requests."""
    from trunkline.ledger.usage import moment, requests

    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = requests(
            keys.store,
            since=None if since is None else moment(since),
            key=_by_id(keys, {"key": key})["key"],
            limit=limit,
        )
    if as_json:
        show_json(rows)
        return
    for row in rows:
        row["at"] = datetime.fromtimestamp(row["at"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        if row["cost_micros"] is not None:
            row["cost_micros"] /= 1_000_000
    names = {"key_id": "key", "cost_micros": "cost_usd"}
    show_rows(
        [names.get(name, name) for name in _COLUMNS],
        [[_cell(row[name]) for name in _COLUMNS] for row in rows],
        fold=("at", "model"),
        keep=5,
    )


def _by_id(keys: KeyStore, wanted: dict[str, str | None]) -> dict[str, str | None]:
    """Keys and teams by id, however they were named; revoked keys too."""
    from trunkline.ledger.teams import TeamStore

    found = dict(wanted)
    if (key := found.get("key")) is not None:
        known = [record.id for record in keys.list() if key in (record.id, record.name)]
        found["key"] = known[-1] if known else key  # one of ALLOWED_API_KEYS is in no store
        if not known:
            note(f"no key in the store has the id or name {key!r}")
    if (team := found.get("team")) is not None:
        found["team"] = TeamStore(keys.store).find(team).id
    return found


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
