"""Fields of Responses requests without a canonical place: which are state fields, which are harmless.

Sources: OpenAI's published OpenAPI document and SDKs, and OpenRouter's reference.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.field_names import models_within, named_models
from trunkline.dialects.responses.errors import unsupported
from trunkline.errors import INVALID_REQUEST, CallerError

STATE_FIELDS: Final = (
    "background",
    "conversation",
    "prompt",
    "previous_response_id",
    "multi_agent",
    "access_programs",
    "moderation",
    "models",
    "plugins",
    "preset",
)
"""Fields that refer to what a server holds or does besides answering. The last three are OpenRouter's."""
ITEM_REFERENCE: Final = "item_reference"
"""The type of an item that refers to a stored one. It counts as a state field."""

HARMLESS: Final = frozenset(
    {
        "background_options",
        "chat_template_kwargs",
        "client_metadata",
        "context_management",
        "enable_thinking",
        "extra_body",
        "extra_headers",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "min_p",
        "modalities",
        "presence_penalty",
        "prompt_cache_options",
        "prompt_cache_retention",
        "provider",
        "repetition_penalty",
        "route",
        "seed",
        "service_tier",
        "session_id",
        "thinking",
        "timeout",
        "top_k",
        "trace",
    }
)
"""Fields without which an answer is still right. ``context_management`` is among them: until its threshold is
reached OpenAI does nothing about it either, and a client has to take answers without a compaction."""

STORE_SETTING: Final = "`responses: {store: true}` in the gateway's configuration"
"""The setting that has responses stored, for error texts."""
_TITLES: Final = {
    "background": "A response in the background",
    "conversation": "A stored conversation",
    "prompt": "A stored prompt",
    "previous_response_id": "A previous response",
    "multi_agent": "A team of agents",
    "access_programs": "An access program",
    "moderation": "A moderation policy",
    "models": "A list of models to fall back on",
    "plugins": "A plugin of OpenRouter's",
    "preset": "A preset of OpenRouter's",
}
_STORED: Final = frozenset({"conversation", "previous_response_id"})
"""State fields that the gateway emulates where it stores responses."""


def unknown_parameter(name: str) -> CallerError:
    """The error for a field that the model's provider does not have, in OpenAI's words."""
    text = f"Unknown parameter: '{name}' (this model's provider has nothing like it)"
    return CallerError(text, INVALID_REQUEST, code="unknown_parameter", param=name)


def unsupported_state(name: str) -> CallerError:
    """The error for a state field that can be neither kept nor emulated."""
    if name in _STORED:
        hint = (
            f"this gateway keeps no responses; {STORE_SETTING} would, or send the whole conversation as input"
        )
        return unsupported(_TITLES[name], name, hint)
    return unsupported(_TITLES[name], name)


def state_fields(request: Any) -> tuple[str, ...]:
    """The state fields that ``request`` has, by name."""
    return tuple(name for name in STATE_FIELDS if getattr(request, name))


def models_named_in(request: Any) -> tuple[str, ...]:
    """The models that ``request``, a summary, lets its upstream use besides its own. A preset may name any:
    it counts as one under its own name."""
    preset = (f"@preset/{request.preset}",) if request.preset else ()
    return (*named_models(request.models), *models_within(request.plugins), *preset)
