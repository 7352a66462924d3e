"""Who may come in, the store that the routes work on, and errors in the one shape that all of them have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from trunkline.errors import CONFLICT, INVALID_REQUEST, NOT_FOUND, STORE_AWAY, CallerError, GatewayError
from trunkline.ledger.locate import StoreError, StoreErrorReason

if TYPE_CHECKING:
    from trunkline.errors import Kind
    from trunkline.ledger.store import Store
    from trunkline.server.app.gateway import Gateway

T = TypeVar("T")


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
    """One admin's request: the gateway, the store, and who asks."""

    def __init__(self, gateway: Gateway, actor: str) -> None:
        self.gateway = gateway
        self.actor = actor
        """For the audit log."""

    async def read(self, work: Callable[[Store], T]) -> T:
        """The result of ``work`` on the store, in a thread.

        Raises:
            GatewayError: the store says no.
        """
        try:
            return await asyncio.to_thread(lambda: work(self.gateway.store()))
        except StoreError as error:
            kind = _KINDS[error.reason]
            make = GatewayError if kind is STORE_AWAY else CallerError
            raise make(str(error), kind) from None

    async def change(self, work: Callable[[Store], T]) -> T:
        """Like :meth:`read`, for work that changes policies: this gateway knows of them at once."""
        result = await self.read(work)
        await self.gateway.look_at_policies()
        return result


_BEARER: Final = HTTPBearer(auto_error=False, scheme_name="key", description="A key of role admin.")
"""Tells the API's description that a key is needed, so that its pages ask for one; it checks nothing."""


async def admin(request: Request, _: Annotated[object, Depends(_BEARER)]) -> Admin:
    """FastAPI dependency: the caller, who must be an admin.

    Raises:
        CallerError: 401 or 403.
    """
    gateway: Gateway = request.app.state.gateway
    key = gateway.admission.check_key(request.scope["headers"])
    gateway.admission.check_admin(key)
    return Admin(gateway, "this machine" if key is None else key.id)


AsAdmin = Annotated[Admin, Depends(admin)]
