"""Usage, the audit log, the state of the gateway, and the reload of its configuration."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from fastapi.responses import Response

from trunkline.errors import NOT_FOUND, CallerError
from trunkline.ledger import audit, usage
from trunkline.ledger.export import as_csv
from trunkline.ledger.store import Store
from trunkline.ledger.usage import Group
from trunkline.routing.provider_status import describe_providers
from trunkline.server.admin.access import ERRORS, AsAdmin
from trunkline.server.admin.schemas import MAX_INTEGER, AuditEntry, Reloaded, Rows
from trunkline.settings import SettingsError

router = APIRouter(prefix="/admin/v1", responses=ERRORS)
Time = Annotated[
    str | None, Query(max_length=40, description="2026-11-20, 2026-11-20T14:00Z, 24h or 7d (so long ago).")
]
Filter = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[int | None, Query(ge=1, le=MAX_INTEGER * 1000, description="Page on: older than this id.")]


@router.get("/usage", tags=["usage"])
async def sums(
    admin: AsAdmin,
    by: Annotated[list[Group], Query(description="What to group by.", max_length=6)] = [],  # noqa: B006
    since: Time = None,
    until: Time = None,
    key: Filter = None,
    team: Filter = None,
    provider: Filter = None,
    model: Filter = None,
) -> Rows:
    """Sums of usage: requests, failures, tokens, cost in dollars, busy times in milliseconds."""

    def work(store: Store) -> list[dict[str, Any]]:
        return usage.sum_usage(
            store,
            by=list(dict.fromkeys(by)),
            since=None if since is None else usage.parse_time(since),
            until=None if until is None else usage.parse_time(until),
            key=key,
            team=team,
            provider=provider,
            model=model,
        )

    return Rows(data=await admin.read(work))


@router.get(
    "/usage.csv", tags=["usage"], response_class=Response, responses={200: {"content": {"text/csv": {}}}}
)
async def sums_as_csv(
    admin: AsAdmin,
    by: Annotated[list[Group], Query(max_length=6)] = [],  # noqa: B006
    since: Time = None,
    until: Time = None,
) -> Response:
    """The same, as a file for spreadsheets."""
    rows = (await sums(admin, by, since, until)).data
    return Response(as_csv(rows), media_type="text/csv")


@router.get("/usage/requests", tags=["usage"])
async def requests(
    admin: AsAdmin,
    since: Time = None,
    until: Time = None,
    key: Filter = None,
    team: Filter = None,
    provider: Filter = None,
    model: Filter = None,
    request_id: Filter = None,
    before: Before = None,
    limit: Limit = 100,
) -> Rows:
    """Single attempts, the newest first."""

    def work(store: Store) -> list[dict[str, Any]]:
        return usage.list_usage_rows(
            store,
            since=None if since is None else usage.parse_time(since),
            until=None if until is None else usage.parse_time(until),
            key=key,
            team=team,
            provider=provider,
            model=model,
            request_id=request_id,
            before=before,
            limit=limit,
        )

    return Rows(data=await admin.read(work))


@router.get("/audit", tags=["audit"])
async def changes(admin: AsAdmin, before: Before = None, limit: Limit = 100) -> list[AuditEntry]:
    """Who changed what, the newest first."""
    found = await admin.read(lambda store: audit.list_entries(store, limit, before))
    return [AuditEntry(**msgspec.structs.asdict(entry)) for entry in found]


@router.get("/providers", tags=["gateway"])
async def providers(admin: AsAdmin) -> Rows:
    """The providers, and how they are."""
    return Rows(data=describe_providers(admin.services.router)["data"])


@router.get("/routes", tags=["gateway"])
async def routes(admin: AsAdmin) -> Rows:
    """The routes of trunkline.yaml."""
    found = admin.services.settings.routes.items()
    return Rows(data=[{"name": name, **route.model_dump(mode="json")} for name, route in found])


@router.post("/reload", tags=["gateway"])
async def reload(admin: AsAdmin) -> Reloaded:
    """Take over a changed configuration; one that is wrong changes nothing."""
    reloader = admin.services.reloader
    if reloader is None:
        raise CallerError("This gateway was not started from a configuration file", NOT_FOUND)
    try:
        changed, at_next_start = await reloader.reload()
    except SettingsError as error:
        raise CallerError(f"The configuration is refused; the old one stays: {error}") from None
    return Reloaded(changed=changed, at_next_start=at_next_start)
