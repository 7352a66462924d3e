"""Fields of Messages requests without a canonical place: which are state fields, which are harmless.

Source: Anthropic's published schema of the beta API, and the fields of ``error.details`` in its SDKs.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.field_names import models_within, named_models
from trunkline.errors import UNSUPPORTED, CallerError

STATE_FIELDS: Final = (
    "thread",
    "context_management",
    "container",
    "compaction",
    "fallbacks",
    "fallback_credit_token",
    "billing_policy",
    "inference_geo",
    "mcp_servers",
)
"""Fields that refer to what Anthropic's servers hold or do besides answering."""

HARMLESS: Final = frozenset(
    {
        "anthropic_beta",
        "anthropic_version",
        "betas",
        "cache_control",
        "diagnostics",
        "min_p",
        "provider",
        "route",
        "seed",
        "service_tier",
        "session_id",
        "speed",
        "trace",
        "user",
        "user_profile_id",
    }
)
"""Fields without which an answer is still right."""

_STATE: Final = {
    "container": "containers and skills are Anthropic's, and this model's provider has none",
    "compaction": "this model's provider writes no compaction blocks",
    "fallbacks": "a list of fallback models is not supported on this model",
    "fallback_credit_token": "the token can be redeemed at Anthropic only",
    "billing_policy": "this model's provider bills nobody else",
    "inference_geo": "this model's provider does not say where it runs",
}
_EDITS: Final = ("clear_tool_uses_", "clear_thinking_", "compact_")
"""How the types of edits begin that Anthropic has. None need be applied: an answer says which were."""


def not_permitted(name: str) -> CallerError:
    """The error for a field that the model's provider does not have, in Anthropic's words."""
    why = _STATE.get(name, "this model's provider has nothing like it")
    return CallerError(f"{name}: Extra inputs are not permitted ({why})", UNSUPPORTED, param=name)


def thread_unsupported() -> CallerError:
    """The error for a message thread that nobody here can hold. On it, Anthropic's SDKs send the whole
    conversation without a thread, if they were told to (their tool runners are)."""
    error = CallerError(
        "thread: this model's provider holds no message threads, and this gateway does not either, as "
        "`responses: {store: false}` in its configuration says; send the full conversation without `thread`",
        UNSUPPORTED,
        param="thread",
    )
    error.details = {"error_code": "thread_unsupported_request"}
    return error


def state_fields(request: Any) -> tuple[str, ...]:
    """The state fields that ``request`` has, by name. ``fallbacks: "default"`` asks for nothing where a model
    has no fallbacks."""
    return tuple(
        name
        for name in STATE_FIELDS
        if getattr(request, name) and not (name == "fallbacks" and request.fallbacks == "default")
    )


def check_state(request: Any, names: tuple[str, ...]) -> bool:
    """Whether the answer is to tell the edits of the context that were applied: none.

    Args:
        request: A request, as it was decoded.
        names: Its state fields.

    Raises:
        CallerError: A state field can be neither kept nor emulated.
    """
    for name in names:
        if name == "thread":
            raise thread_unsupported()
        if name == "context_management":
            _check_edits(request.context_management)
        elif name != "mcp_servers":  # it has an error of its own
            raise not_permitted(name)
    return "context_management" in names


def _check_edits(context_management: Any) -> None:
    edits = context_management.get("edits") if isinstance(context_management, dict) else None
    if not isinstance(edits, list | None):
        raise CallerError(
            "context_management.edits: Input should be a valid list", param="context_management"
        )
    for index, edit in enumerate(edits or ()):
        kind = edit.get("type") if isinstance(edit, dict) else None
        if not isinstance(kind, str) or not kind.startswith(_EDITS):
            path = f"context_management.edits.{index}"
            raise CallerError(f"{path}: Input should be an edit of a known type", UNSUPPORTED, param=path)


def models_named_in(request: Any) -> tuple[str, ...]:
    """The models that ``request``, a summary, lets its upstream use besides its own: ``fallbacks``, and what
    OpenRouter has besides. A preset may name any: it counts as one under its own name."""
    fallbacks = () if request.fallbacks == "default" else named_models(request.fallbacks)
    preset = (f"@preset/{request.preset}",) if request.preset else ()
    return (*fallbacks, *named_models(request.models), *models_within(request.plugins), *preset)
