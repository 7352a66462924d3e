"""What Anthropic's clients ask besides messages: models in their shape, and how long a prompt is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.errors import MODEL_NOT_FOUND, CallerError, redact
from trunkline.policy.estimates import AVERAGE_BYTES_PER_TOKEN, estimate_prompt_tokens
from trunkline.providers.http import HttpProvider
from trunkline.server.endpoints import pages
from trunkline.server.endpoints.ollama.pages import fields_of
from trunkline.server.endpoints.pages import Headers, Page, models_for

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.app.gateway import Gateway
    from trunkline.server.http.async_handler import RequestContext

VERSION: Final = b"anthropic-version"
"""The header by which Anthropic's clients are known."""
_COUNT: Final = "/count_tokens"


def list_models(
    gateway: Gateway, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """The list of models, in the shape of whoever asks."""
    if not _is_theirs(headers):
        return pages.list_models(gateway, headers, only, key)
    data = [
        _object(pages.model_object(gateway, provider, model, pinned=only is not None))
        for provider, model in models_for(gateway, key, only)
    ]
    ends = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
    return Page(msgspec.json.encode({"data": data, "has_more": False, **ends}))


def show_model(
    gateway: Gateway, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, in the shape of whoever asks."""
    page = pages.show_model(gateway, headers, model, only, key)
    if not _is_theirs(headers):
        return page
    return Page(msgspec.json.encode(_object(msgspec.json.decode(page.body))))


def _is_theirs(headers: Headers) -> bool:
    return any(name == VERSION for name, _ in headers)


def _object(model: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's object (ModelInfo in its SDK) of a model that has OpenAI's; unknown ages are the epoch."""
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


async def count_tokens(context: RequestContext, only: str | None = None) -> Page:
    """``POST /v1/messages/count_tokens``: the upstream's own count where it has one, else an estimate from
    the size of the request.

    Raises:
        CallerError: the request is none, or nobody has its model.
        ProviderError: the upstream could not say.
    """
    whole = msgspec.json.encode(
        {"max_tokens": 1, **fields_of(context.body)}
    )  # the one thing that it may lack
    summary = MESSAGES.summarize(whole)
    model = summary.model or context.gateway.router.default_model(only)
    candidates = await context.gateway.find(model, only)
    if context.key is not None:
        candidates = [
            each
            for each in candidates
            if context.key.allows_provider(each.provider.name)
            and context.key.allows_model((model, each.model, f"{each.provider.name}/{each.model}"))
        ]
    if not candidates:
        text = f"Model '{redact(model)}' is not there for this key"
        raise CallerError(text, MODEL_NOT_FOUND, param="model")
    candidate = candidates[0]
    provider = candidate.provider
    if not (isinstance(provider, HttpProvider) and provider.speaks(MESSAGES.dialect)):
        MESSAGES.parse(whole)
    if isinstance(provider, HttpProvider) and isinstance(provider.back, AnthropicBack):
        body = provider.back.rewrite(context.body, summary, candidate.model, NO_DEFAULTS)
        path = provider.back.target("chat", None) or ""
        said = [pair for pair in context.headers if pair[0] in MESSAGES.conventions.passes]
        answer = await provider.get_json(candidate.upstream, path + _COUNT, body, said)
        return Page(msgspec.json.encode(answer))
    return Page(
        msgspec.json.encode({"input_tokens": estimate_prompt_tokens(context.body, AVERAGE_BYTES_PER_TOKEN)})
    )
