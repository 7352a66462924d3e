"""The vendors and servers with OpenAI's API as rows of data: how they differ from OpenAI, and their errors.

Sources: the vendors' published API references.
"""

from __future__ import annotations

from typing import Final

from trunkline_mock.script import MockModel
from trunkline_mock.shapes.openai.hosted import HOSTED
from trunkline_mock.shapes.openai.vendor import DefaultError, Vendor

_OLLAMA_FIELDS: Final = ("options", "keep_alive", "think", "format", "num_ctx", "num_predict")

_CHAT: Final = ("completion", "tools", "vision", "thinking")
_EMBED: Final = ("embedding",)

_OPENAI_ERRORS: Final = {
    400: DefaultError("invalid_request_error", None, "The request is not valid."),
    401: DefaultError(
        "invalid_request_error", "invalid_api_key", "Incorrect API key provided: sk-mock-********cret."
    ),
    403: DefaultError("invalid_request_error", "permission_denied", "You are not allowed to use this model."),
    404: DefaultError(
        "invalid_request_error",
        "model_not_found",
        "The model does not exist or you do not have access to it.",
    ),
    408: DefaultError("server_error", "request_timeout", "Request timed out."),
    413: DefaultError("invalid_request_error", "request_too_large", "The request is too large."),
    422: DefaultError("invalid_request_error", None, "The request could not be processed."),
    429: DefaultError(
        "rate_limit_error", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."
    ),
    500: DefaultError(
        "server_error", None, "The server had an error while processing your request. Sorry about that!"
    ),
    502: DefaultError("server_error", None, "Bad gateway."),
    503: DefaultError(
        "server_error", "server_is_overloaded", "The engine is currently overloaded, please try again later."
    ),
}

_OPENROUTER_ERRORS: Final = {
    400: DefaultError("", None, "Invalid request parameters"),
    401: DefaultError("", None, "No auth credentials found"),
    402: DefaultError(
        "", None, "Insufficient credits. Add more using https://openrouter.ai/settings/credits"
    ),
    403: DefaultError("", None, "The model requires moderation and your input was flagged"),
    404: DefaultError("", None, "No endpoints found for this model."),
    408: DefaultError("", None, "Request timed out"),
    429: DefaultError("", None, "Rate limit exceeded"),
    502: DefaultError("", None, "Provider returned error"),
    503: DefaultError("", None, "No available model provider meets your routing requirements"),
    529: DefaultError("", None, "Provider is overloaded"),
}

_CEREBRAS_ERRORS: Final = {
    400: DefaultError("invalid_request_error", "wrong_api_format", "The request is not valid."),
    401: DefaultError("invalid_request_error", "wrong_api_key", "Wrong API Key"),
    402: DefaultError("payment_required_error", "payment_required", "Payment is required."),
    404: DefaultError(
        "not_found_error", "model_not_found", "Model does not exist or you do not have access to it."
    ),
    422: DefaultError("invalid_request_error", "unprocessable", "The request could not be processed."),
    429: DefaultError(
        "too_many_requests_error",
        "request_quota_exceeded",
        "Requests per minute limit exceeded - too many requests sent.",
    ),
    500: DefaultError("server_error", "", "Encountered a server error, please try again."),
    503: DefaultError(
        "too_many_requests_error",
        "queue_exceeded",
        "We're experiencing high traffic right now! Please try again soon.",
    ),
}

_OWN_MODELS: Final = (
    MockModel("mock-model", context_length=32768),
    MockModel("mock-embed", _EMBED, context_length=2048),
)

_ROWS: Final = (
    Vendor(
        name="openai",
        models=(
            MockModel("gpt-4o", _CHAT, context_length=128_000),
            MockModel("gpt-4o-mini", _CHAT, context_length=128_000),
            MockModel("gpt-4", _CHAT, context_length=8192),
            MockModel("o3-mini", _CHAT, context_length=200_000),
            MockModel("gpt-3.5-turbo-instruct", ("completion",), context_length=4096),
            MockModel("text-embedding-3-small", _EMBED, context_length=8191),
        ),
        extra_nulls=True,
        errors=_OPENAI_ERRORS,
        rejects=(*_OLLAMA_FIELDS, "top_k", "min_p", "repeat_penalty", "repetition_penalty"),
        limit_headers="openai",
        id_header="x-request-id",
        responses="nested",
        least_output_tokens=16,
    ),
    Vendor(
        name="openrouter",
        roots=("/api/v1", "/v1"),
        models=(
            MockModel("openai/gpt-4o", _CHAT, context_length=128_000),
            MockModel(
                "openai/gpt-4o-mini",
                _CHAT,
                context_length=128_000,
                price_prompt="0.00000015",
                price_completion="0.0000006",
            ),
            MockModel(
                "anthropic/claude-3.5-sonnet",
                _CHAT,
                context_length=200_000,
                price_prompt="0.000003",
                price_completion="0.000015",
            ),
            MockModel(
                "meta-llama/llama-3.3-70b-instruct",
                _CHAT,
                context_length=131_072,
                price_prompt="0.00000012",
                price_completion="0.0000003",
            ),
            MockModel(
                "deepseek/deepseek-r1",
                _CHAT,
                context_length=163_840,
                price_prompt="0.0000005",
                price_completion="0.00000215",
            ),
            MockModel(
                "openrouter/auto", _CHAT, context_length=2_000_000, price_prompt="-1", price_completion="-1"
            ),
            MockModel(
                "openai/text-embedding-3-small",
                _EMBED,
                context_length=8192,
                price_prompt="0.00000002",
                price_completion="0",
            ),
        ),
        id_prefix="gen-",
        reasoning="reasoning",
        reasoning_details=True,
        details_signers=("google/gemini-*",),
        usage="always",
        comment="OPENROUTER PROCESSING",
        native_finish_reason=True,
        provider="Mock",
        cost=True,
        errors=_OPENROUTER_ERRORS,
        error_code="int",
        midstream="chunk",
        unknown_model=400,
        id_header="x-generation-id",
        responses="flat",
        messages=True,
    ),
    Vendor(
        name="cerebras",
        models=(
            MockModel("llama-3.3-70b", _CHAT, context_length=128_000),
            MockModel("llama3.1-8b", _CHAT, context_length=32_768),
            MockModel("gpt-oss-120b", _CHAT, context_length=131_072),
            MockModel("qwen-3-32b", _CHAT, context_length=131_072),
        ),
        reasoning="reasoning",
        tool_index="absent",
        tool_deltas="whole",
        usage="always",
        usage_place="last",
        time_info=True,
        errors=_CEREBRAS_ERRORS,
        error_form="flat",
        midstream="status_code",
        embeddings=False,
        rejects=_OLLAMA_FIELDS,
        max_temperature=1.5,
        limit_headers="cerebras",
        id_header="x-request-id",
    ),
    Vendor(
        name="generic",
        models=_OWN_MODELS,
        reasoning="reasoning_content",
        errors=_OPENAI_ERRORS,
        health=True,
        responses="flat",
    ),
    Vendor(
        name="vllm",
        models=_OWN_MODELS,
        reasoning="reasoning",
        errors=_OPENAI_ERRORS,
        error_code="int",
        health=True,
    ),
    Vendor(
        name="llamacpp",
        models=_OWN_MODELS,
        reasoning="reasoning_content",
        errors=_OPENAI_ERRORS,
        error_code="int",
        health=True,
    ),
    Vendor(
        name="sglang",
        models=_OWN_MODELS,
        reasoning="reasoning_content",
        errors=_OPENAI_ERRORS,
        error_form="flat",
        error_code="object",
        health=True,
    ),
)

VENDORS: Final[dict[str, Vendor]] = {row.name: row for row in (*_ROWS, *HOSTED)}
"""Every row, by its name."""

OLLAMA_V1: Final = Vendor(name="ollama", reasoning="reasoning", tool_deltas="whole", errors=_OPENAI_ERRORS)
"""The OpenAI-compatible routes of Ollama itself."""
