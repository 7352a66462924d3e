"""Keys and teams."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path

from trunkline.ledger.keys import KeyRecord, KeyStore
from trunkline.ledger.store import Store
from trunkline.ledger.teams import Team, TeamStore
from trunkline.server.admin.access import ERRORS, AsAdmin
from trunkline.server.admin.schemas import (
    KeyChange,
    KeyFields,
    KeyOut,
    MadeKey,
    NewKey,
    NewTeam,
    Rotation,
    TeamChange,
    TeamOut,
)

router = APIRouter(prefix="/admin/v1", responses=ERRORS)
Which = Annotated[str, Path(max_length=200, description="Id or name.")]


@router.get("/keys", tags=["keys"])
async def list_keys(admin: AsAdmin, revoked: bool = False) -> list[KeyOut]:
    """All keys that may come in, and with `revoked` the others too."""
    found = await admin.read(lambda store: KeyStore(store).list())
    return [_key(record) for record in found if revoked or record.revoked_at is None]


@router.post("/keys", tags=["keys"], status_code=201)
async def make_key(admin: AsAdmin, body: NewKey) -> MadeKey:
    """Make a key. Its text is in this answer and nowhere else."""

    def work(store: Store) -> tuple[KeyRecord, str]:
        fields = _fields(store, body, exclude={"name", "role"})
        return KeyStore(store, admin.actor).create(body.name, body.role, **fields)

    record, text = await admin.change(work)
    return MadeKey(**_key(record).model_dump(), key=text)


@router.get("/keys/{which}", tags=["keys"])
async def show_key(admin: AsAdmin, which: Which) -> KeyOut:
    """One key."""
    return _key(await admin.read(lambda store: KeyStore(store).find(which)))


@router.patch("/keys/{which}", tags=["keys"])
async def change_key(admin: AsAdmin, which: Which, body: KeyChange) -> KeyOut:
    """Change the settings of a key."""

    def work(store: Store) -> KeyRecord:
        return KeyStore(store, admin.actor).change(which, **_fields(store, body, only_set=True))

    return _key(await admin.change(work))


@router.post("/keys/{which}/rotate", tags=["keys"])
async def rotate_key(admin: AsAdmin, which: Which, body: Rotation | None = None) -> MadeKey:
    """Give a key another text."""
    grace = timedelta(seconds=0 if body is None else body.grace_s)
    record, text = await admin.change(lambda store: KeyStore(store, admin.actor).rotate(which, grace))
    return MadeKey(**_key(record).model_dump(), key=text)


@router.delete("/keys/{which}", tags=["keys"])
async def revoke_key(admin: AsAdmin, which: Which) -> KeyOut:
    """Revoke a key: this gateway refuses it at once, others within two seconds."""
    return _key(await admin.change(lambda store: KeyStore(store, admin.actor).revoke(which)))


@router.get("/teams", tags=["teams"])
async def list_teams(admin: AsAdmin) -> list[TeamOut]:
    """All teams."""
    return [_team(team) for team in await admin.read(lambda store: TeamStore(store).list())]


@router.post("/teams", tags=["teams"], status_code=201)
async def make_team(admin: AsAdmin, body: NewTeam) -> TeamOut:
    """Make a team."""
    fields = _as_tuples(body.model_dump(exclude={"name"}))
    return _team(await admin.change(lambda store: TeamStore(store, admin.actor).create(body.name, **fields)))


@router.get("/teams/{which}", tags=["teams"])
async def show_team(admin: AsAdmin, which: Which) -> TeamOut:
    """One team."""
    return _team(await admin.read(lambda store: TeamStore(store).find(which)))


@router.patch("/teams/{which}", tags=["teams"])
async def change_team(admin: AsAdmin, which: Which, body: TeamChange) -> TeamOut:
    """Change a team."""
    changes = body.model_dump(exclude_unset=True)
    fields = _as_tuples({k: v for k, v in changes.items() if v is not None or k in ("models", "providers")})
    return _team(await admin.change(lambda store: TeamStore(store, admin.actor).change(which, **fields)))


@router.delete("/teams/{which}", tags=["teams"])
async def remove_team(admin: AsAdmin, which: Which) -> TeamOut:
    """Remove a team that has no keys."""
    return _team(await admin.change(lambda store: TeamStore(store, admin.actor).remove(which)))


_NEVER_NULL = ("name", "role", "local_only", "priority", "tags")


def _fields(
    store: Store, body: KeyFields, *, only_set: bool = False, exclude: set[str] | None = None
) -> dict[str, Any]:
    """A key's fields as the store has them.

    Args:
        store: has the teams.
        body: the fields as the request has them.
        only_set: leave out fields that the request leaves out; null then clears a field.
        exclude: fields that are left out too.
    """
    given = body.model_dump(exclude_unset=only_set, exclude=exclude)
    fields = {k: v for k, v in given.items() if v is not None or (only_set and k not in _NEVER_NULL)}
    if "team" in fields:
        team = fields.pop("team")
        fields["team_id"] = None if team is None else TeamStore(store).find(team).id
    expires_at = fields.get("expires_at")
    if expires_at is not None:
        fields["expires_at"] = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
    return _as_tuples(fields)


def _as_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _key(record: KeyRecord) -> KeyOut:
    fields = msgspec.structs.asdict(record)
    return KeyOut(
        old_until=fields.pop("old_hash_until"), **{k: v for k, v in fields.items() if "hash" not in k}
    )


def _team(team: Team) -> TeamOut:
    return TeamOut(**msgspec.structs.asdict(team))
