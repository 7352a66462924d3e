"""What each vendor refuses in a chat request, as data.

Sources: the vendors' references and client libraries, and error bodies that were quoted in public bug
reports. What a vendor only ignores is no row here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from trunkline_mock.shapes.strict.rules import Allowed, ChatRules, ModelRules, Refusal, SchemaRules

_NAME: Final = r"[a-zA-Z0-9_-]{1,64}"
_CHOICES: Final = frozenset({"auto", "none", "required", "named"})
_FREE_CHOICES: Final = frozenset({"auto", "none"})
_PENALTIES: Final = ("presence_penalty", "frequency_penalty")


def _each(names: Iterable[str], refusal: Refusal) -> dict[str, Refusal]:
    return dict.fromkeys(names, refusal)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _messages(shared: str, **by_role: str) -> Mapping[str, frozenset[str]]:
    """The fields of messages: those of every role, and more by role."""
    roles = ("system", "developer", "user", "assistant", "tool", "function")
    return {role: frozenset(f"role content {shared} {by_role.get(role, '')}".split()) for role in roles}


# OpenAI

_OPENAI_FIELDS: Final = _words(
    "audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens "
    "max_tokens messages metadata modalities model moderation n parallel_tool_calls prediction "
    "presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention "
    "reasoning_effort response_format safety_identifier seed service_tier stop store stream "
    "stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options"
)
_UNRECOGNIZED: Final = Refusal("Unrecognized request argument supplied: {name}")
_USE_OTHER: Final = Refusal(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
    " 'max_completion_tokens' instead.",
    code="unsupported_parameter",
    param="max_tokens",
)
_UNSUPPORTED: Final = Refusal(
    "Unsupported parameter: '{name}' is not supported with this model.",
    code="unsupported_parameter",
    param="{name}",
)
_ONLY_DEFAULT: Final = Refusal(
    "Unsupported value: '{name}' does not support {value} with this model. Only the default (1) value is"
    " supported.",
    code="unsupported_value",
    param="{name}",
)
_BAD_EFFORT: Final = Refusal(
    "Unsupported value: '{name}' does not support '{value}' with this model.",
    code="unsupported_value",
    param="{name}",
)
_NO_TOOLS: Final = Refusal(
    "Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. Please use"
    " /v1/responses instead.",
    param="reasoning_effort",
)
_BAD_OPENAI_SCHEMA: Final = Refusal(
    "Invalid schema for function '{name}': {path}", code="invalid_function_parameters", param="tools"
)


def _thinker(pattern: str, *efforts: str, more: Iterable[str] = (), **rest: Any) -> ModelRules:
    """A thinking model of OpenAI's, with the efforts that it takes."""
    default = rest.pop("thinks", "default")
    return ModelRules(
        pattern=pattern,
        thinks=default,
        refuses={"max_tokens": _USE_OTHER, **_each((*_PENALTIES, *more), _UNSUPPORTED)},
        allowed={"reasoning_effort": Allowed(efforts, _BAD_EFFORT)},
        allowed_thinking=dict.fromkeys(("temperature", "top_p"), Allowed((1,), _ONLY_DEFAULT)),
        **rest,
    )


_LOW: Final = ("low", "medium", "high")

OPENAI: Final = ChatRules(
    fields=_OPENAI_FIELDS,
    unknown_field=_UNRECOGNIZED,
    max_stops=4,
    too_many_stops=Refusal(
        "Invalid 'stop': array too long. Expected an array with maximum length 4.",
        code="array_above_max_length",
        param="stop",
    ),
    max_tools=128,
    too_many_tools=Refusal(
        "Invalid 'tools': array too long. Expected an array with maximum length 128.",
        code="array_above_max_length",
        param="tools",
    ),
    tool_name=_NAME,
    bad_tool_name=Refusal(
        "Invalid '{path}': string does not match pattern. Expected a string that matches the pattern"
        " '^[a-zA-Z0-9_-]+$', with maximum length 64.",
        code="invalid_value",
        param="{path}",
    ),
    nameless_file=Refusal("Missing required parameter: '{path}'.", code="missing_required_parameter"),
    schemas=SchemaRules(
        no_properties=_BAD_OPENAI_SCHEMA._replace(
            message="Invalid schema for function '{name}': In context=(), object schema missing properties."
        ),
        combined_top=_BAD_OPENAI_SCHEMA._replace(
            message="Invalid schema for function '{name}': schema must have type 'object' and not have"
            " 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
        ),
        not_object=_BAD_OPENAI_SCHEMA._replace(
            message="Invalid schema for function '{name}': schema must be a JSON Schema of"
            " 'type: \"object\"'."
        ),
        open_object=_BAD_OPENAI_SCHEMA._replace(
            message="Invalid schema '{name}': In context={path}, 'additionalProperties' is required to be"
            " supplied and to be false."
        ),
        optional_property=_BAD_OPENAI_SCHEMA._replace(
            message="Invalid schema '{name}': In context={path}, 'required' is required to be supplied and to"
            " be an array including every key in properties."
        ),
    ),
    models=(
        _thinker("o1*", *_LOW, more=("parallel_tool_calls",), thinks="always"),
        _thinker("o3-mini*", *_LOW, more=("parallel_tool_calls",), thinks="always"),
        _thinker("o[34]*", *_LOW, more=("stop", "parallel_tool_calls"), thinks="always"),
        ModelRules(pattern="gpt-5-chat*", refuses={"reasoning_effort": _UNRECOGNIZED}),
        _thinker(
            "gpt-5.[45]*",
            *("none", *_LOW, "xhigh"),
            more=("stop",),
            thinks="asked",
            tools_and_thinking=_NO_TOOLS,
        ),
        _thinker("gpt-5.[6-9]*", "none", *_LOW, "xhigh", more=("stop",), tools_and_thinking=_NO_TOOLS),
        _thinker("gpt-5.*", "none", *_LOW, "xhigh", more=("stop",), thinks="asked"),
        _thinker("gpt-5*", "minimal", *_LOW, more=("stop",), thinks="always"),
        _thinker("gpt-6*", "none", *_LOW, "xhigh", more=("stop",), tools_and_thinking=_NO_TOOLS),
        ModelRules(pattern="*", refuses={"reasoning_effort": _UNRECOGNIZED}),
    ),
)

# OpenRouter

OPENROUTER: Final = ChatRules(
    models=(
        ModelRules(
            pattern="google/gemini-3*",
            thinks="always",
            details_back=Refusal("Provider returned error"),
            cannot_stop=Refusal("Reasoning is mandatory for this endpoint and cannot be disabled."),
        ),
        ModelRules(
            pattern="google/gemini-*",
            thinks="default",
            details_back=Refusal("Provider returned error"),
        ),
        ModelRules(
            pattern="*r1*",
            thinks="always",
            cannot_stop=Refusal("Reasoning is mandatory for this endpoint and cannot be disabled."),
        ),
        ModelRules(pattern="*", thinks="asked"),
    ),
)

# Gemini, in OpenAI's API

_GEMINI_FIELDS: Final = _words(
    "audio extra_body logprobs top_logprobs user"
    " max_completion_tokens max_tokens messages modalities model n "
    "parallel_tool_calls reasoning_effort response_format stop stream stream_options "
    "temperature tool_choice tools top_p"
)
_UNKNOWN_NAME: Final = Refusal(
    'Invalid JSON payload received. Unknown name "{name}"{path}: Cannot find field.',
    code="INVALID_ARGUMENT",
)
_NO_JSON: Final = Refusal("Function calling with a response mime type: 'application/json' is unsupported")
_BUDGET: Final = Refusal("Budget 0 is invalid. This model only works in thinking mode.")

GEMINI: Final = ChatRules(
    fields=_GEMINI_FIELDS,
    unknown_field=_UNKNOWN_NAME,
    message_fields=_messages(
        "name", assistant="tool_calls function_call refusal audio extra_content", tool="tool_call_id"
    ),
    unknown_message_field=_UNKNOWN_NAME,
    pairs=(
        (
            ("reasoning_effort", "thinking_config"),
            Refusal("Expected one of either `reasoning_effort` or custom `thinking_config`; found both."),
        ),
    ),
    max_stops=5,
    too_many_stops=Refusal("Request contains too many stop sequences: the maximum is 5."),
    missing_signature=Refusal(
        "Function call is missing a thought_signature in functionCall parts. This is required for tools to"
        " work correctly, and missing thought_signature may lead to degraded model performance. Additional"
        " data, function call `{name}`."
    ),
    foreign_signature=Refusal("Corrupted thought signature."),
    models=(
        ModelRules(pattern="*gemini-3*", thinks="always", signed_calls=True, cannot_stop=_BUDGET),
        ModelRules(
            pattern="*gemini-2.5-pro*", thinks="always", cannot_stop=_BUDGET, tools_with_json=_NO_JSON
        ),
        ModelRules(pattern="*gemini-2.5*", thinks="default", tools_with_json=_NO_JSON),
    ),
)

# Cerebras

_WRONG_FORMAT: Final = Refusal(
    "{path}property '{name}' is unsupported", code="wrong_api_format", param="validation_error"
)

CEREBRAS: Final = ChatRules(
    fields=_words(
        "clear_thinking disable_reasoning frequency_penalty logit_bias logprobs "
        "max_completion_tokens max_tokens messages min_completion_tokens min_tokens model n "
        "parallel_tool_calls prediction presence_penalty reasoning_effort reasoning_format "
        "response_format seed service_tier stop stream stream_options temperature tool_choice tools "
        "top_logprobs top_p user"
    ),
    unknown_field=_WRONG_FORMAT,
    message_fields=_messages("name", assistant="tool_calls reasoning refusal", tool="tool_call_id"),
    unknown_message_field=_WRONG_FORMAT,
    roles=frozenset({"system", "user", "assistant", "tool"}),
    unknown_role=Refusal(
        "{path}role '{name}' is unsupported", code="wrong_api_format", param="validation_error"
    ),
    schemas=SchemaRules(
        words=frozenset({"minItems"}),
        bad_word=Refusal(
            "Invalid fields for schema with types ['array']: {{'minItems'}}",
            code="wrong_api_format",
            param="response_format",
        ),
    ),
    models=(
        ModelRules(
            pattern="gpt-oss*",
            thinks="always",
            allowed={
                "reasoning_effort": Allowed(
                    _LOW,
                    Refusal("reasoning_effort: must be one of low, medium, high", param="reasoning_effort"),
                )
            },
        ),
        ModelRules(pattern="qwen-3-*-instruct*", refuses={"reasoning_effort": _WRONG_FORMAT}),
        ModelRules(
            pattern="qwen*",
            thinks="default",
            allowed={
                "reasoning_effort": Allowed(
                    (*_LOW, "none"), Refusal("reasoning_effort: unsupported value", param="reasoning_effort")
                )
            },
        ),
        ModelRules(pattern="zai*", thinks="default"),
        ModelRules(
            pattern="*", refuses={"reasoning_effort": _WRONG_FORMAT, "reasoning_format": _WRONG_FORMAT}
        ),
    ),
)

# Groq

_PROPERTY: Final = Refusal("property '{name}' is unsupported")
_NOT_WITH_MODEL: Final = Refusal("'{name}' is not supported with this model", param="{name}")
_GROQ_EFFORT: Final = Refusal(
    "`{name}` must be one of the values of this model, not `{value}`", param="{name}"
)

GROQ: Final = ChatRules(
    fields=_words(
        "citation_options compound_custom disable_tool_validation documents exclude_domains "
        "frequency_penalty function_call functions include_domains include_reasoning logit_bias "
        "logprobs max_completion_tokens max_tokens messages metadata model n parallel_tool_calls "
        "presence_penalty reasoning_effort reasoning_format response_format search_settings seed "
        "service_tier stop stream stream_options temperature tool_choice tools top_logprobs top_p "
        "user"
    ),
    unknown_field=_PROPERTY,
    message_fields=_messages("", assistant="tool_calls reasoning function_call", tool="tool_call_id"),
    unknown_message_field=Refusal(
        "'{path}' : for 'role:{value}' the following must be satisfied[('{path}' : property '{name}' is"
        " unsupported)]"
    ),
    refuses=_each(("logprobs", "top_logprobs", "logit_bias"), _NOT_WITH_MODEL),
    allowed={"n": Allowed((1,), Refusal("'n' : number must be at most 1", param="n"))},
    pairs=(
        (
            ("reasoning_format", "include_reasoning"),
            Refusal("cannot specify both `include_reasoning` and `reasoning_format`"),
        ),
    ),
    max_stops=4,
    too_many_stops=Refusal("'stop' : maximum number of items is 4", param="stop"),
    max_tools=128,
    too_many_tools=Refusal("'tools' : maximum number of items is 128", param="tools"),
    tool_name=_NAME,
    bad_tool_name=Refusal("'{path}' : string does not match the pattern '^[a-zA-Z0-9_-]{{1,64}}$'"),
    models=(
        ModelRules(
            pattern="*gpt-oss*", thinks="always", allowed={"reasoning_effort": Allowed(_LOW, _GROQ_EFFORT)}
        ),
        ModelRules(
            pattern="*qwen3*",
            thinks="default",
            allowed={"reasoning_effort": Allowed(("none", "default"), _GROQ_EFFORT)},
        ),
        ModelRules(
            pattern="*",
            refuses=_each(("reasoning_effort", "reasoning_format", "include_reasoning"), _NOT_WITH_MODEL),
        ),
    ),
)

# Mistral

_EXTRA: Final = Refusal("Extra inputs are not permitted", 422, detail_type="extra_forbidden")
_MISTRAL_EFFORT: Final = Refusal("reasoning_effort is not supported by this model", code="1800")

MISTRAL: Final = ChatRules(
    fields=_words(
        "frequency_penalty guardrails max_tokens messages metadata model n parallel_tool_calls "
        "prediction presence_penalty prompt_cache_key prompt_mode random_seed reasoning_effort "
        "response_format safe_prompt stop stream temperature tool_choice tools top_p"
    ),
    unknown_field=_EXTRA,
    message_fields=_messages("", assistant="tool_calls prefix", tool="tool_call_id name"),
    unknown_message_field=_EXTRA,
    function_fields=frozenset({"name", "description", "parameters", "strict"}),
    roles=frozenset({"system", "user", "assistant", "tool"}),
    unknown_role=Refusal(
        "Input tag '{name}' found using 'role' does not match any of the expected tags",
        422,
        detail_type="union_tag_invalid",
    ),
    call_id=r"[a-zA-Z0-9]{9}",
    bad_call_id=Refusal(
        "Tool call id was {name} but must be a-z, A-Z, 0-9, with a length of 9.",
        code="3280",
    ),
    after_tool=frozenset({"assistant", "tool"}),
    bad_order=Refusal("Unexpected role '{name}' after role 'tool'", code="3230"),
    last_roles=frozenset({"user", "tool"}),
    bad_last=Refusal(
        "Expected last role User or Tool (or Assistant with prefix True) for serving but got {name}",
        code="3230",
    ),
    tool_choices=_CHOICES | {"any"},
    models=(
        ModelRules(pattern="magistral*", thinks="always", refuses={"reasoning_effort": _MISTRAL_EFFORT}),
        ModelRules(
            pattern="mistral-[sm]*",
            thinks="asked",
            allowed={"reasoning_effort": Allowed(("high", "none"), _MISTRAL_EFFORT)},
        ),
        ModelRules(pattern="*", refuses={"reasoning_effort": _MISTRAL_EFFORT}),
    ),
)

# DeepSeek

DEEPSEEK: Final = ChatRules(
    roles=frozenset({"system", "user", "assistant", "tool"}),
    unknown_role=Refusal(
        "Failed to deserialize the JSON body into the target type: {path}role: unknown variant `{name}`,"
        " expected one of `system`, `user`, `assistant`, `tool`"
    ),
    thinking_tool_choices=_FREE_CHOICES,
    bad_thinking_tool_choice=Refusal("Thinking mode does not support this tool_choice"),
    reasoning_back="loop",
    missing_reasoning=Refusal("The `reasoning_content` in the thinking mode must be passed back to the API."),
    result_parts=Refusal(
        "Failed to deserialize the JSON body into the target type: {path}content: invalid type: sequence,"
        " expected a string"
    ),
    models=(
        ModelRules(
            pattern="*",
            thinks="default",
            allowed={
                "reasoning_effort": Allowed(
                    ("low", "high", "max"),
                    Refusal(
                        "Failed to deserialize the JSON body into the target type: reasoning_effort: unknown"
                        " variant `{value}`, expected one of `low`, `high`, `max`"
                    ),
                )
            },
            no_images=Refusal(
                "Failed to deserialize the JSON body into the target type: {path}: unknown variant"
                " `image_url`, expected `text`"
            ),
        ),
    ),
)

# xAI

_NOT_SUPPORTED: Final = Refusal("Argument not supported: {name}", code="invalid-argument")
_NO_EFFORT: Final = Refusal(
    "Model {model} does not support parameter reasoningEffort.", code="invalid-argument"
)
_XAI_EFFORT: Final = Refusal("Invalid reasoning effort: {value}", code="invalid-argument")

XAI: Final = ChatRules(
    refuses=_each((*_PENALTIES, "stop", "search_parameters"), _NOT_SUPPORTED),
    schemas=SchemaRules(
        words=frozenset({"additionalProperties"}),
        bad_word=Refusal("Invalid schema: additionalProperties is not supported", code="invalid-argument"),
    ),
    models=(
        ModelRules(pattern="grok-4.20-non*", refuses={"reasoning_effort": _NO_EFFORT}),
        ModelRules(pattern="grok-4.20*", thinks="always", refuses={"reasoning_effort": _NO_EFFORT}),
        ModelRules(pattern="grok-build*", thinks="always", refuses={"reasoning_effort": _NO_EFFORT}),
        ModelRules(
            pattern="grok-4.3*",
            thinks="default",
            allowed={"reasoning_effort": Allowed(("none", *_LOW), _XAI_EFFORT)},
        ),
        ModelRules(
            pattern="grok-*", thinks="always", allowed={"reasoning_effort": Allowed(_LOW, _XAI_EFFORT)}
        ),
    ),
)

# Moonshot

_INVALID: Final = Refusal("invalid {name}: only 1 is allowed for this model")
_NO_SUCH: Final = Refusal("invalid request: {name} is not supported for this model")
_FLAVORED: Final = Refusal(
    "Invalid request: tools.function.parameters is not a valid moonshot flavored json schema,"
    " details: <{path}>"
)
_KIMI: Final = {"temperature": Allowed((1,), _INVALID)}
_CANNOT: Final = Refusal("invalid thinking: this model does not support disabling thinking")

MOONSHOT: Final = ChatRules(
    refuses=_each(("top_p", "n", *_PENALTIES), _NO_SUCH),
    pairs=(
        (("thinking", "reasoning_effort"), Refusal("cannot specify both `thinking` and `reasoning_effort`")),
    ),
    thinking_tool_choices=_FREE_CHOICES,
    bad_thinking_tool_choice=Refusal("tool_choice '{name}' is incompatible with thinking enabled"),
    reasoning_back="calls",
    missing_reasoning=Refusal(
        "thinking is enabled but reasoning_content is missing in assistant tool call message at index {path}"
    ),
    image_urls=("data:", "ms://"),
    bad_image_url=Refusal("unsupported image url: {name}"),
    empty_text=Refusal("Invalid request: text content is empty"),
    schemas=SchemaRules(
        not_object=_FLAVORED,
        untyped=_FLAVORED,
        tuple_items=_FLAVORED,
        type_beside_any_of=_FLAVORED,
    ),
    models=(
        ModelRules(
            pattern="kimi-k3*",
            thinks="always",
            cannot_stop=_CANNOT,
            allowed={
                **_KIMI,
                "reasoning_effort": Allowed(("low", "high", "max"), _INVALID),
            },
        ),
        ModelRules(pattern="kimi-*code*", thinks="always", cannot_stop=_CANNOT, allowed=_KIMI),
        ModelRules(
            pattern="kimi-k2.[5-9]*",
            thinks="default",
            allowed={
                **_KIMI,
                "reasoning_effort": Allowed((*_LOW, "max"), _INVALID),
            },
        ),
        ModelRules(pattern="*thinking*", thinks="always"),
    ),
)

STRICT: Final[Mapping[str, ChatRules]] = {
    "openai": OPENAI,
    "openrouter": OPENROUTER,
    "gemini": GEMINI,
    "cerebras": CEREBRAS,
    "groq": GROQ,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
    "xai": XAI,
    "moonshot": MOONSHOT,
}
"""The rows, by the names of the shapes. Anthropic's rules are those of its own API."""
