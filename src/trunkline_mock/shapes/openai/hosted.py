"""Rows of hosted vendors whose servers differ from OpenAI's in what they send and, above all, refuse.

What they refuse is the matter of a strict mock (``shapes/strict/vendors.py``). Sources: the vendors'
published API references and client libraries.
"""

from __future__ import annotations

from typing import Final

from trunkline_mock.script import MockModel
from trunkline_mock.shapes.openai.vendor import DefaultError, Vendor

_CHAT: Final = ("completion", "tools", "vision", "thinking")
_TEXT: Final = ("completion", "tools", "thinking")


def _models(*names: str, vision: bool = True, context: int = 131_072) -> tuple[MockModel, ...]:
    return tuple(MockModel(name, _CHAT if vision else _TEXT, context_length=context) for name in names)


def _errors(**by_status: tuple[str, str | None, str]) -> dict[int, DefaultError]:
    """Errors by their status (``s400``)."""
    return {int(status[1:]): DefaultError(*error) for status, error in by_status.items()}


HOSTED: Final = (
    Vendor(
        name="gemini",
        roots=("/v1beta/openai",),
        models=_models("gemini-3-pro-preview", "gemini-2.5-flash", "gemini-2.5-pro", context=1_048_576),
        tool_index="absent",
        tool_deltas="whole",
        calls_finish="stop",
        signs_calls=True,
        errors=_errors(
            s400=("INVALID_ARGUMENT", None, "Request contains an invalid argument."),
            s401=("UNAUTHENTICATED", None, "Request had invalid authentication credentials."),
            s403=("PERMISSION_DENIED", None, "The caller does not have permission."),
            s404=("NOT_FOUND", None, "Requested entity was not found."),
            s429=("RESOURCE_EXHAUSTED", None, "You exceeded your current quota, please try again later."),
            s500=("INTERNAL", None, "Internal error encountered."),
            s503=("UNAVAILABLE", None, "The model is overloaded. Please try again later."),
        ),
        error_form="list",
        error_code="int",
    ),
    Vendor(
        name="groq",
        roots=("/openai/v1",),
        models=_models("openai/gpt-oss-120b", "qwen/qwen3-32b", "llama-3.3-70b-versatile"),
        reasoning="reasoning",
        tool_deltas="whole",
        usage="always",
        usage_place="last",
        x_groq=True,
        errors=_errors(
            s400=("invalid_request_error", None, "The request is not valid."),
            s401=("invalid_request_error", "invalid_api_key", "Invalid API Key"),
            s404=("invalid_request_error", "model_not_found", "The model does not exist."),
            s413=("tokens", "rate_limit_exceeded", "Request too large for model."),
            s429=("tokens", "rate_limit_exceeded", "Rate limit reached for model. Please try again."),
            s498=("flex", "capacity_exceeded", "Flex tier capacity exceeded."),
            s500=("internal_server_error", None, "Internal Server Error"),
            s503=("internal_server_error", None, "Service Unavailable"),
        ),
        id_header="x-request-id",
    ),
    Vendor(
        name="mistral",
        models=_models("mistral-small-latest", "mistral-large-latest", "magistral-medium-latest"),
        id_prefix="",
        reasoning="content",
        call_id="short",
        tool_deltas="whole",
        usage="always",
        usage_place="last",
        errors=_errors(
            s400=("invalid_request_error", None, "The request is not valid."),
            s401=("invalid_request_error", None, "Unauthorized"),
            s404=("invalid_model", "1500", "Invalid model"),
            s422=("invalid_request_error", None, "The request could not be processed."),
            s429=("rate_limited", "1300", "Rate limit exceeded"),
            s500=("internal_server_error", "3000", "Internal server error"),
            s503=("internal_server_error", "3505", "Service tier capacity exceeded"),
        ),
        error_form="flat",
        unknown_model=400,
    ),
    Vendor(
        name="deepseek",
        roots=("", "/v1"),
        models=_models("deepseek-chat", "deepseek-reasoner", vision=False),
        id_prefix="",
        reasoning="reasoning_content",
        opens_reasoning=True,
        usage="asked",
        usage_place="last",
        comment="keep-alive",
        cache_hit_tokens=True,
        errors=_errors(
            s400=("invalid_request_error", "invalid_request_error", "The request is not valid."),
            s401=("authentication_error", "invalid_request_error", "Authentication Fails"),
            s402=("unknown_error", "invalid_request_error", "Insufficient Balance"),
            s404=("invalid_request_error", "invalid_request_error", "Model Not Exist"),
            s422=("invalid_request_error", "invalid_request_error", "The request has invalid parameters."),
            s429=("rate_limit_error", None, "Rate limit reached"),
            s500=("server_error", None, "Server error"),
            s503=("server_error", None, "The server is overloaded"),
        ),
        unknown_model=400,
        embeddings=False,
    ),
    Vendor(
        name="xai",
        models=_models("grok-4.5", "grok-4.3", "grok-4.20-reasoning"),
        id_prefix="",
        reasoning="reasoning_content",
        tool_deltas="whole",
        usage="always",
        usage_place="last",
        counts_reasoning=False,
        errors=_errors(
            s400=("invalid_request_error", "invalid-argument", "The request is not valid."),
            s401=("", "unauthenticated", "No or invalid authentication credentials"),
            s404=("", "not-found", "The model does not exist or your team does not have access to it."),
            s429=("", "resource-exhausted", "Too many requests for team"),
            s500=("", "internal", "Internal error"),
            s503=("", "unavailable", "Service temporarily unavailable"),
        ),
        error_form="text",
    ),
    Vendor(
        name="moonshot",
        models=_models("kimi-k2.6", "kimi-k3", "kimi-k2-turbo-preview"),
        reasoning="reasoning_content",
        call_id="function",
        usage="always",
        usage_place="choice",
        errors=_errors(
            s400=("invalid_request_error", None, "The request is not valid."),
            s401=("invalid_authentication_error", None, "Invalid Authentication"),
            s403=("exceeded_current_quota_error", None, "Your account is suspended, please check your plan."),
            s404=("resource_not_found_error", None, "Not found the model or Permission denied"),
            s429=("rate_limit_reached_error", None, "Your account reached max request, please try again."),
            s500=("server_error", None, "Internal server error"),
            s503=("engine_overloaded_error", None, "The engine is currently overloaded"),
        ),
        embeddings=False,
    ),
)
"""The rows, in the order of the list of shapes."""
