"""The bodies of the admin API's requests and responses, as Pydantic models.

FastAPI makes the OpenAPI document from them: their names and docstrings are part of that document.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_INTEGER = 2**53 - 1
"""The largest whole number that every JSON reader keeps."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be printable")
    return text


Text = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
Amount = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
Role = Literal["admin", "member", "read-only"]
Period = Literal["day", "week", "month", "total"]
NonEmptyList = Annotated[list[Text], Field(min_length=1)]
"""A list that allows something; null allows all."""


class StrictBody(BaseModel):
    """A body without fields that nobody knows."""

    model_config = ConfigDict(extra="forbid")


class KeyFields(StrictBody):
    """The settings of a key that a caller may choose."""

    owner: Text | None = Field(default=None, description="Whose it is.")
    team: Text | None = Field(default=None, description="Id or name of its team.")
    tags: list[Text] = Field(default=[], max_length=50)
    expires_at: datetime | None = Field(default=None, description="When it ends; UTC where no zone is given.")
    models: NonEmptyList | None = Field(default=None, description="Patterns of the models it may use.")
    providers: NonEmptyList | None = Field(default=None, description="Providers it may use.")
    local_only: bool = Field(default=False, description="Never use a provider that is not local.")
    priority: Literal["high", "normal", "low"] = "normal"
    data_collection: Literal["allow", "deny"] | None = Field(default=None, description="OpenRouter's.")
    zdr: bool | None = Field(default=None, description="OpenRouter's zero data retention.")


class NewKey(KeyFields):
    """A key to be made."""

    name: Name
    role: Role = "member"


class KeyChange(KeyFields):
    """Fields to change; those that are left out stay."""

    name: Name | None = None
    role: Role | None = None


class Rotation(StrictBody):
    """How a key is rotated."""

    grace_s: int = Field(
        default=0, ge=0, le=30 * 86400, description="Seconds for which the old text still works."
    )


class KeyOut(BaseModel):
    """A key, without its text."""

    id: str
    name: str
    role: Role
    prefix: str = Field(description="Its first characters.")
    created_at: datetime
    revoked_at: datetime | None
    owner: str | None
    team_id: str | None
    tags: list[str]
    expires_at: datetime | None
    models: list[str] | None
    providers: list[str] | None
    local_only: bool
    priority: str
    data_collection: str | None
    zdr: bool | None
    old_until: datetime | None = Field(description="Until when the text before a rotation works.")
    last_used_at: datetime | None


class MadeKey(KeyOut):
    """A key that was just made."""

    key: str = Field(description="Its text, which is shown this once.")


class NewTeam(StrictBody):
    """A team to be made."""

    name: Name
    models: NonEmptyList | None = Field(default=None, description="Patterns of the models its keys may use.")
    providers: NonEmptyList | None = Field(default=None, description="Providers its keys may use.")
    local_only: bool = False


class TeamChange(StrictBody):
    """Fields to change; those that are left out stay."""

    name: Name | None = None
    models: NonEmptyList | None = None
    providers: NonEmptyList | None = None
    local_only: bool | None = None


class TeamOut(BaseModel):
    """A team."""

    id: str
    name: str
    created_at: datetime
    models: list[str] | None
    providers: list[str] | None
    local_only: bool


class NewLimit(StrictBody):
    """The limit of one subject."""

    scope: Literal["key", "team", "model", "all"]
    subject: Text | None = Field(
        default=None, description="Id or name of a key or team (* is each by itself), or a pattern of models."
    )
    requests_per_minute: Amount | None = None
    requests_per_day: Amount | None = None
    tokens_per_minute: Amount | None = None
    tokens_per_day: Amount | None = None
    concurrent: Amount | None = None


class LimitOut(BaseModel):
    """A limit."""

    id: str
    scope: str
    subject: str
    requests_per_minute: int | None
    requests_per_day: int | None
    tokens_per_minute: int | None
    tokens_per_day: int | None
    concurrent: int | None


class NewBudget(StrictBody):
    """A budget of one subject: either ``usd`` or ``tokens``."""

    scope: Literal["key", "team", "provider", "all"]
    subject: Text | None = Field(
        default=None, description="Id or name of a key or team (* is each by itself), or a provider's name."
    )
    usd: float | None = Field(default=None, gt=0, le=1e9, allow_inf_nan=False)
    tokens: Amount | None = None
    per: Period = "month"
    hard: bool = Field(default=True, description="Refuse what would go beyond it; false only warns.")
    warn_at: float = Field(default=0.8, gt=0, le=1)
    webhook: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,500}$")] | None = None


class BudgetOut(BaseModel):
    """A budget, and what is spent of it."""

    id: str | None = Field(description="Null for those of trunkline.yaml.")
    scope: str
    subject: str
    usd: float | None = None
    tokens: int | None = None
    per: Period
    hard: bool
    warn_at: float
    webhook: bool = Field(description="Whether warnings are posted somewhere.")


class SpendingOut(BaseModel):
    """One budget at work, in its present period."""

    scope: str
    subject: str
    unit: Literal["usd", "tokens"]
    per: Period
    limit: float
    spent: float
    reserved: float


class Rows(BaseModel):
    """Rows of usage."""

    data: list[dict[str, Any]]


class AuditEntry(BaseModel):
    """One change."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]


class Reloaded(BaseModel):
    """What a reload came to."""

    changed: list[str]
    at_next_start: list[str]
