"""What Anthropic's clients ask besides messages: models in their shape, and the length of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from trunkline.dialects.anthropic import MESSAGES, AnthropicBack, error_body
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.dialects.field_names import decode_fields
from trunkline.errors import MODEL_NOT_ALLOWED, MODEL_NOT_FOUND, CallerError, redact
from trunkline.policy.estimates import AVERAGE_BYTES_PER_TOKEN, estimate_prompt_tokens
from trunkline.providers.http import HttpProvider
from trunkline.server.endpoints import models
from trunkline.server.endpoints.models import ModelCatalog
from trunkline.server.endpoints.request_body import json_object
from trunkline.server.http.page import Headers, Page

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.http.async_handler import RequestContext

VERSION: Final = b"anthropic-version"
"""The header by which Anthropic's clients are known."""
_COUNT: Final = "/count_tokens"
_MAX_LIMIT: Final = 1000
"""The maximum number of models on one page of Anthropic's list."""
_NO_QUERY: Final[Mapping[str, str]] = MappingProxyType({})
_Model: TypeAlias = dict[str, Any]


def list_models(
    services: ModelCatalog,
    headers: Headers,
    only: str | None = None,
    key: ApiKey | None = None,
    query: Mapping[str, str] = _NO_QUERY,
) -> Page:
    """The list of models, in the shape of the client's dialect.

    Anthropic's has pages (``limit``, ``after_id``, ``before_id``). Without a limit it is whole.
    """
    if not _is_anthropic_client(headers):
        return models.list_models(services, headers, only, key)
    listed = [
        _anthropic_object(models.model_object(each)) for each in models.listed_models(services, key, only)
    ]
    try:
        data, has_more = _page_of(listed, query)
    except CallerError as error:
        return _anthropic_error(error)
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return Page(msgspec.json.encode({"data": data, "has_more": has_more, **ends}))


def _page_of(listed: Sequence[_Model], query: Mapping[str, str]) -> tuple[Sequence[_Model], bool]:
    """The part of a list that a query asks for, and whether there is more in its direction.

    Raises:
        CallerError: 400, the limit is no number from 1 to 1000, or a model that should end the part is not in
            the list.
    """
    after, before = query.get("after_id"), query.get("before_id")
    text = query.get("limit", str(_MAX_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_LIMIT)) else 0
    if not 1 <= limit <= _MAX_LIMIT:
        raise CallerError(f"limit: must be a number from 1 to {_MAX_LIMIT}", param="limit")
    if "limit" not in query:
        limit = len(listed)
    ids = [model["id"] for model in listed]
    begin, end = 0, len(listed)
    for name, value in ("after_id", after), ("before_id", before):
        if value is not None and value not in ids:
            raise CallerError(f"{name}: the list has no model '{redact(value)}'", param=name)
    if after is not None:
        begin = ids.index(after) + 1
    if before is not None:
        end = ids.index(before)
    found = listed[begin:end]
    if before is not None and after is None:
        return found[max(0, len(found) - limit) :], len(found) > limit
    return found[:limit], len(found) > limit


def show_model(
    services: ModelCatalog, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, in the shape of the client's dialect.

    Raises:
        CallerError: as :func:`.models.show_model`. Anthropic's clients are sent it in their own shape.
    """
    if not _is_anthropic_client(headers):
        return models.show_model(services, headers, model, only, key)
    try:
        found = models.find_model(services, model, only, key)
    except CallerError as error:
        return _anthropic_error(error)
    return Page(msgspec.json.encode(_anthropic_object(models.model_object(found))))


def _anthropic_error(error: CallerError) -> Page:
    return Page(error_body(error), status=error.status)


def _is_anthropic_client(headers: Headers) -> bool:
    return any(name == VERSION for name, _ in headers)


def _anthropic_object(model: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's object (ModelInfo in its SDK) of a model that has OpenAI's. Unknown ages are the epoch."""
    created = datetime.fromtimestamp(model["created"], UTC)
    return {
        "type": "model",
        "id": model["id"],
        "display_name": model["id"],
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": model.get("context_length"),
        "max_tokens": model.get("max_output_tokens"),
    }


async def count_tokens(context: RequestContext[ModelCatalog], only: str | None = None) -> Page:
    """``POST /v1/messages/count_tokens``: the upstream's own count where it has one, else an estimate from
    the size of the request.

    Raises:
        CallerError: the request is not valid, or no provider has its model.
        ProviderError: the upstream did not count.
    """
    # A request to count may lack ``max_tokens``, which a message must have.
    message = msgspec.json.encode({"max_tokens": 1, **json_object(context.body)})
    summary = MESSAGES.summarize(message)
    counted = msgspec.json.encode(decode_fields(context.body))  # one field of each name
    model = summary.model or context.services.router.default_model(only)
    try:
        candidates = await models.find_candidates(context.services, model, only, context.key)
    except CallerError as error:
        if error.kind is MODEL_NOT_FOUND and context.key is not None and context.key.restricted:
            text = f"This key may not use model '{redact(model)}'"
            raise CallerError(text, MODEL_NOT_ALLOWED, param="model") from None
        raise
    candidate = candidates[0]
    provider = candidate.provider
    if not (isinstance(provider, HttpProvider) and provider.speaks(MESSAGES.dialect)):
        MESSAGES.parse(message)
    if isinstance(provider, HttpProvider) and isinstance(provider.back, AnthropicBack):
        body = provider.back.patch(counted, summary, candidate.model, NO_DEFAULTS)
        path = provider.back.target("chat", None) or ""
        headers = [pair for pair in context.headers if pair[0] in MESSAGES.conventions.forwarded_headers]
        answer = await provider.get_json(candidate.upstream, path + _COUNT, body, headers)
        return Page(msgspec.json.encode(answer))
    return Page(
        msgspec.json.encode({"input_tokens": estimate_prompt_tokens(context.body, AVERAGE_BYTES_PER_TOKEN)})
    )
