"""``trunkline usage``: what was used, as a table, JSON or CSV."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trunkline.cli.common import note, open_store, read_settings
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

_SHOWN = ("requests", "prompt_tokens", "completion_tokens", "cost_usd", "failures", "unpriced")
_NO_CHARGE = "nothing was used"
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
    if as_json and as_csv:
        raise StoreError("--json and --csv go not together; choose one of them", "wrong")
    first, end = (None if text is None else moment(text) for text in (since, until))
    if first is not None and end is not None and first >= end:
        raise StoreError(f"--until {until} is not after --since {since}", "wrong")
    settings, _ = read_settings(config)
    with open_store(settings) as keys:
        rows = sums(keys.store, by=groups, since=first, until=end, **_by_id(keys, wanted))
        if not rows:
            _check_names(settings, keys, wanted)
    empty = _NO_CHARGE if since is None else f"{_NO_CHARGE} (--since {since})"
    if as_json:
        show_json(rows)
    elif as_csv:
        sys.stdout.write(export.as_csv(rows))
    else:
        for row in rows:  # one of ALLOWED_API_KEYS, or a team that is gone, has no name
            row |= {group: row[f"{group}_name"] or row[group] for group in groups if group in ("key", "team")}
        show_rows(
            (*groups, *_SHOWN),
            [[_cell(row[name]) for name in (*groups, *_SHOWN)] for row in rows],
            fold=("model", "key", "team"),
            keep=len(groups) + 1,
        )
    if not rows:
        note(empty)


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
        if not rows:
            _check_names(settings, keys, {"key": key})
            note(_NO_CHARGE if since is None else f"{_NO_CHARGE} (--since {since})")
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
        [titles.get(name, name) for name in _COLUMNS],
        [[_cell(row[name]) for name in _COLUMNS] for row in rows],
        fold=("at", "key", "model"),
        keep=5,
    )


def _by_id(keys: KeyStore, wanted: dict[str, str | None]) -> dict[str, str | None]:
    """Keys and teams by id, however they were named; revoked keys too."""
    from trunkline.ledger.teams import TeamStore

    found = dict(wanted)
    if (key := found.get("key")) is not None:
        known = [record.id for record in keys.list() if key in (record.id, record.name)]
        found["key"] = known[-1] if known else key  # one of ALLOWED_API_KEYS is in no store
    if (team := found.get("team")) is not None:
        found["team"] = TeamStore(keys.store).find(team).id
    return found


def _check_names(settings: Settings, keys: KeyStore, wanted: dict[str, str | None]) -> None:
    """That nothing was used may be for the name of a key or provider that there is not.

    Raises:
        StoreError: naming the nearest that there is.
    """
    records = [(record.id, record.name) for record in keys.list()]
    there = {
        "key": {name for _, name in records} | {f"env-{n + 1}" for n in range(len(settings.api_keys))},
        "provider": {*BUILT_IN_PROVIDERS, *settings.providers},
    }
    ids = {number for number, _ in records}
    for sort, known in there.items():
        name = wanted.get(sort)
        if name is not None and name not in known | ids:
            hint = suggest(name, known, "there are") if known else "there is none yet"
            raise StoreError(f"there is no {sort} {name!r}; {hint}", "missing")


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
