"""What the gateway tells by itself, without asking an upstream: models, health, metrics, its name.

Pure functions of the gateway's state; each returns a :class:`Page`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from trunkline.errors import MODEL_NOT_FOUND, CallerError, redact
from trunkline.providers.base import ModelInfo

if TYPE_CHECKING:
    from trunkline.policy.auth import ApiKey
    from trunkline.server.app.gateway import Gateway

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"


class Page(NamedTuple):
    """A small whole answer."""

    body: bytes
    content_type: bytes = JSON
    status: int = 200


Headers = Sequence[tuple[bytes, bytes]]


def json_page(value: Any, status: int = 200) -> Page:
    """``value`` as JSON."""
    return Page(msgspec.json.encode(value), JSON, status)


def root(gateway: Gateway, headers: Headers) -> Page:
    """What stands here; Ollama's clients look for its very words."""
    return Page(b"Ollama is running", TEXT)


def health(gateway: Gateway, headers: Headers) -> Page:
    """Alive: this process answers. Says nothing about upstreams, so that their trouble restarts nobody."""
    return json_page({"status": "ok", "version": gateway.version})


def ready(gateway: Gateway, headers: Headers) -> Page:
    """Ready for traffic: not before the first look at the providers, and not while shutting down."""
    if gateway.stopping or not gateway.catalog.discovered:
        return json_page({"status": "stopping" if gateway.stopping else "starting"}, 503)
    return json_page({"status": "ok", "providers": list(gateway.providers)})


def metrics(gateway: Gateway, headers: Headers) -> Page:
    """Prometheus text, or JSON where ``Accept`` asks for it."""
    gateway.recorder.flush()
    accept = next((value for name, value in headers if name == b"accept"), b"")
    if b"application/json" in accept:
        return json_page(gateway.metrics.as_json())
    return Page(gateway.metrics.as_text(), b"text/plain; version=0.0.4; charset=utf-8")


def list_models(
    gateway: Gateway, headers: Headers, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """OpenAI's list of models: of all providers, or of one; of those that the key may use."""
    data = [
        model_object(gateway, provider, model, pinned=only is not None)
        for provider, model in models_for(gateway, key, only)
    ]
    return json_page({"object": "list", "data": data})


def models_for(
    gateway: Gateway, key: ApiKey | None, only: str | None = None
) -> Iterator[tuple[str, ModelInfo]]:
    """The models that a key may use, each with its provider's name."""
    for provider in [only] if only else list(gateway.catalog.listings):
        if key is not None and not key.allows_provider(provider):
            continue
        for model in gateway.catalog.listings[provider].models.values():
            if key is None or key.allows_model((model.id, f"{provider}/{model.id}")):
                yield provider, model


def show_model(
    gateway: Gateway, headers: Headers, model: str, only: str | None = None, key: ApiKey | None = None
) -> Page:
    """One model, under any of the names that a request may call it by."""
    target = gateway.router.resolver.resolve(model, only)[0]
    found = gateway.catalog.listings[target.provider.name].find(target.model)
    known = found is not None
    if found is not None and key is not None:
        place = target.provider.name
        known = key.allows_provider(place) and key.allows_model((model, found.id, f"{place}/{found.id}"))
    if found is None or not known:
        raise CallerError(f"Model '{redact(model)}' is not in any catalog", MODEL_NOT_FOUND, param="model")
    return json_page(model_object(gateway, target.provider.name, found, pinned=only is not None))


def model_object(gateway: Gateway, provider: str, model: ModelInfo, *, pinned: bool) -> dict[str, Any]:
    """OpenAI's model object, with what discovery knows beyond it.

    The id is one that leads back here: the model's own where the router takes that to this provider (so
    that a request keeps its fallbacks), else with the provider's prefix.
    """
    found: dict[str, Any] = {
        "id": model.id if pinned else gateway.router.public_id(provider, model.id),
        "object": "model",
        "created": model.created or 0,
        "owned_by": model.owner or provider,
        "provider": provider,
    }
    extras = {
        "context_length": model.context_length,
        "max_output_tokens": model.max_output,
        "capabilities": list(model.capabilities) or None,
        "pricing": model.prices,
    }
    return found | {name: value for name, value in extras.items() if value is not None}
