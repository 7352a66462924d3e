"""Fields of chats and completions without a canonical place: which are state fields, which are harmless.

Sources: the references of OpenAI, OpenRouter, vLLM, llama.cpp and LM Studio, and what their clients send.
"""

from __future__ import annotations

from typing import Any, Final

from trunkline.dialects.field_names import models_within, named_models
from trunkline.errors import UNSUPPORTED, CallerError

STATE_FIELDS: Final = frozenset({"models", "plugins", "preset"})
"""OpenRouter's: other models that may answer, tools that its server runs, and settings that it stores."""

HARMLESS: Final = frozenset(
    {
        # OpenAI's own: billing, caching, storing, speed, and knobs
        "audio",
        "logit_bias",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "verbosity",
        # OpenRouter's
        "cache_control",
        "debug",
        "include_reasoning",
        "provider",
        "route",
        "session_id",
        "top_a",
        "trace",
        "transforms",
        "usage",
        # knobs of servers
        "add_generation_prompt",
        "add_special_tokens",
        "cache_prompt",
        "chat_template_kwargs",
        "clear_thinking",
        "dry_multiplier",
        "dynatemp_range",
        "enable_thinking",
        "id_slot",
        "ignore_eos",
        "include_stop_str_in_output",
        "keep_alive",
        "length_penalty",
        "min_tokens",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "n_keep",
        "n_predict",
        "num_ctx",
        "num_predict",
        "options",
        "parse_tool_calls",
        "priority",
        "reasoning_format",
        "reasoning_split",
        "repeat_last_n",
        "repeat_penalty",
        "return_progress",
        "return_token_ids",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "tfs_z",
        "think",
        "thinking",
        "thinking_budget",
        "thinking_budget_tokens",
        "timings_per_token",
        "top_n_sigma",
        "truncate",
        "truncate_prompt_tokens",
        "ttl",
        "typical_p",
        "xtc_probability",
        "xtc_threshold",
        # what clients note for themselves
        "allowed_openai_params",
        "chat_id",
        "extra_body",
        "extra_headers",
        "features",
        "id",
        "max_retries",
        "message_id",
        "num_retries",
        "request_id",
        "tags",
        "timeout",
        "title",
        "trace_id",
        "user_id",
        "variables",
    }
)
"""Fields without which an answer is still right."""

_STATE: Final = {
    "models": "other models to fall back on are OpenRouter's; a route of this gateway can name some",
    "plugins": "plugins run on OpenRouter's servers",
    "preset": "presets are stored at OpenRouter",
}


def unrecognized(name: str) -> CallerError:
    """The error for a field that the model's provider does not have, in OpenAI's words."""
    why = _STATE.get(name, "this model's provider has nothing like it")
    return CallerError(f"Unrecognized request argument supplied: {name} ({why})", UNSUPPORTED, param=name)


def state_fields(request: Any) -> tuple[str, ...]:
    """The state fields that ``request`` has, by name."""
    return tuple(sorted(name for name in STATE_FIELDS if getattr(request, name)))


def models_named_in(request: Any) -> tuple[str, ...]:
    """The models that ``request``, a summary, lets its upstream use besides its own. A preset may name any:
    it counts as one under its own name."""
    preset = (f"@preset/{request.preset}",) if request.preset else ()
    others = (*named_models(request.models), *named_models(request.fallbacks))
    return (*others, *models_within(request.plugins), *preset)
