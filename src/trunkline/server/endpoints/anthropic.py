"""What Anthropic's clients ask besides messages: models in their shape, and the length of a prompt."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS
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


def list_models(
    services: ModelCatalog, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """The list of models, in the shape of the client's dialect."""
    if not _is_anthropic_client(headers):
        return models.list_models(services, headers, only, key)
    data = [
        _anthropic_object(models.model_object(each)) for each in models.listed_models(services, key, only)
    ]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return Page(msgspec.json.encode({"data": data, "has_more": False, **ends}))


def show_model(
    services: ModelCatalog, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, in the shape of the client's dialect."""
    page = models.show_model(services, headers, model, only, key)
    if not _is_anthropic_client(headers):
        return page
    return Page(msgspec.json.encode(_anthropic_object(msgspec.json.decode(page.body))))


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
    model = summary.model or context.services.router.default_model(only)
    candidates = await models.find_candidates(context.services, model, only, context.key)
    candidate = candidates[0]
    provider = candidate.provider
    if not (isinstance(provider, HttpProvider) and provider.speaks(MESSAGES.dialect)):
        MESSAGES.parse(message)
    if isinstance(provider, HttpProvider) and isinstance(provider.back, AnthropicBack):
        body = provider.back.patch(context.body, summary, candidate.model, NO_DEFAULTS)
        path = provider.back.target("chat", None) or ""
        headers = [pair for pair in context.headers if pair[0] in MESSAGES.conventions.forwarded_headers]
        answer = await provider.get_json(candidate.upstream, path + _COUNT, body, headers)
        return Page(msgspec.json.encode(answer))
    return Page(
        msgspec.json.encode({"input_tokens": estimate_prompt_tokens(context.body, AVERAGE_BYTES_PER_TOKEN)})
    )
