"""The check for an admin's key, the store that the routes work on, and the one shape of all errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from trunkline.errors import CONFLICT, INVALID_REQUEST, NOT_FOUND, STORE_AWAY, CallerError, GatewayError
from trunkline.ledger.locate import StoreError, StoreErrorReason

if TYPE_CHECKING:
    from trunkline.errors import Kind
    from trunkline.ledger.store import Store
    from trunkline.policy.guard import Guard
    from trunkline.routing.router import Router
    from trunkline.server.http.admission import Admission
    from trunkline.server.http.routes import Routes
    from trunkline.settings import Settings

T = TypeVar("T")


class KeyCheck(Protocol):
    """What the check of a key needs of the gateway."""

    admission: Admission


class ConfigReloader(Protocol):
    """Takes over a changed configuration."""

    async def reload(self) -> tuple[list[str], list[str]]:
        """Take it over; returns the settings that have changed, and those that change at the next start."""


class AdminServices(KeyCheck, Protocol):
    """What the admin API needs of the gateway."""

    version: str
    settings: Settings
    router: Router
    routes: Routes
    guard: Guard

    @property
    def reloader(self) -> ConfigReloader | None: ...
    def store(self) -> Store: ...
    async def refresh_policies(self) -> None: ...


class ErrorText(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorText


ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in {
        400: "The request makes no sense.",
        401: "No key, or one that is unknown.",
        403: "The key is no admin's.",
        404: "What was named is not there.",
        409: "It is there already, or still in use.",
        422: "A field is missing or wrong.",
        503: "The database is away.",
    }.items()
}
"""Responses that every route may give."""

_KINDS: Final[dict[StoreErrorReason, Kind]] = {
    "unavailable": STORE_AWAY,
    "not_found": NOT_FOUND,
    "conflict": CONFLICT,
    "invalid": INVALID_REQUEST,
}


class Admin:
    """What the routes are given of an admin's request."""

    def __init__(self, services: AdminServices, actor: str) -> None:
        self.services = services
        self.actor = actor
        """For the audit log."""

    async def read(self, work: Callable[[Store], T]) -> T:
        """The result of ``work`` on the store, in a thread.

        Raises:
            GatewayError: the store refuses, or is away.
        """
        try:
            return await asyncio.to_thread(lambda: work(self.services.store()))
        except StoreError as error:
            raise _gateway_error(error) from None

    async def change(self, work: Callable[[Store], T]) -> T:
        """Like :meth:`read`, for work that changes policies: this gateway applies them at once."""
        result = await self.read(work)
        try:
            await self.services.refresh_policies()
        except StoreError as error:
            raise _gateway_error(error) from None
        return result


def _gateway_error(error: StoreError) -> GatewayError:
    kind = _KINDS[error.reason]
    make = GatewayError if kind is STORE_AWAY else CallerError
    return make(str(error), kind)


_BEARER: Final = HTTPBearer(auto_error=False, scheme_name="key", description="A key of role admin.")
"""Puts into the OpenAPI document that a key is needed, so that its pages ask for one. It checks nothing."""


async def admin(request: Request, _: Annotated[object, Depends(_BEARER)]) -> Admin:
    """FastAPI dependency: the caller, who must be an admin.

    Raises:
        CallerError: 401 or 403.
    """
    services: AdminServices = request.app.state.gateway
    key = services.admission.check_key(request.scope["headers"])
    services.admission.check_admin(key)
    return Admin(services, "this machine" if key is None else key.id)


AsAdmin = Annotated[Admin, Depends(admin)]
