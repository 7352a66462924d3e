"""The upstreams: which of them rest and why, and how to end the rest of one."""

from __future__ import annotations

from typing import Final

import structlog
from fastapi import APIRouter

from trunkline.errors import NOT_FOUND, CallerError
from trunkline.routing.provider_status import describe_upstreams, reset_upstreams
from trunkline.server.admin.access import ERRORS, AsAdmin
from trunkline.server.admin.schemas import Rows

router = APIRouter(prefix="/admin/v1", responses=ERRORS, tags=["gateway"])

log: Final = structlog.stdlib.get_logger(__name__)


@router.get("/upstreams")
async def upstreams(admin: AsAdmin) -> Rows:
    """The upstreams of all providers: their breakers, what rests there, and after which failure."""
    return Rows(data=describe_upstreams(admin.services.router))


@router.post("/upstreams/{which:path}/reset")
async def reset(admin: AsAdmin, which: str) -> Rows:
    """Forget the failures of an upstream (`provider/name`), or of all of a provider: it is asked again at
    once. It holds for the process that answers."""
    found = reset_upstreams(admin.services.router, which)
    if not found:
        raise CallerError(f"There is no upstream '{which}'; GET /admin/v1/upstreams lists them", NOT_FOUND)
    log.info("upstreams_reset", upstreams=[row["id"] for row in found], by=admin.actor)
    return Rows(data=found)
