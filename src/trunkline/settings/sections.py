"""The nested sections of ``trunkline.yaml``: providers, routes, defaults for models, the server.

The models are typed and frozen, and a key that they do not have is an error. Secrets are SecretStr. These
models only validate: :mod:`trunkline.settings.resolve` completes providers, and routing uses routes.

The docstrings of these classes are descriptions in docs/trunkline.schema.json.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    WithJsonSchema,
    model_validator,
)

from trunkline.settings import values

_TEXT_OR_LIST = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, mode="validation"
)

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A duration in seconds."""

BaseUrl = Annotated[str, AfterValidator(values.base_url)]
"""An http(s) address without credentials and without a trailing slash."""

Key = Annotated[SecretStr, AfterValidator(lambda key: SecretStr(values.key_text(key.get_secret_value())))]
"""A secret that is sent in a header."""

Keys = Annotated[tuple[Key, ...], BeforeValidator(values.one_or_more), _TEXT_OR_LIST]
"""One secret or several."""

ProviderName = Annotated[str, AfterValidator(values.provider_name)]


class Section(BaseModel):
    """Base of all sections: frozen, without unknown keys, and without values in error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Timeouts(Section):
    """Time limits of one attempt, in seconds: of a provider, of models or of a route. What is not said here
    is what the wider place says: the model pattern, then the provider, then the settings CONNECT_TIMEOUT_S,
    FIRST_BYTE_TIMEOUT_S and so on."""

    connect: Seconds | None = Field(default=None, description="Until the connection stands, TLS included.")
    first_byte: Seconds | None = Field(
        default=None,
        description="From the request's end to the answer's first byte. Without answer, also of an answer "
        "that is not streamed.",
    )
    answer: Seconds | None = Field(
        default=None, description="In place of first_byte for an answer that is not streamed."
    )
    idle: Seconds | None = Field(default=None, description="Silence between two bytes of an answer.")
    total: Seconds | None = Field(default=None, description="For a whole attempt.")


RouteStrategy = Literal[
    "priority",
    "weighted",
    "round_robin",
    "random",
    "least_busy",
    "lowest_latency",
    "cost",
    "sticky",
    "predicted_wait",
]

FleetStrategy = Literal[
    "auto",
    "priority",
    "round_robin",
    "random",
    "least_busy",
    "lowest_latency",
    "sticky",
    "predicted_wait",
]


class ProviderConfig(Section):
    """One provider: where it is, what it speaks, how to reach it."""

    type: str | None = Field(
        default=None,
        description="What it speaks: openai-compatible, ollama, openrouter, … Default: the provider's name.",
    )
    url: BaseUrl | None = Field(
        default=None, description="Base address of its API, such as http://vllm:8000/v1."
    )
    urls: tuple[BaseUrl, ...] = Field(
        default=(), description="Several servers that are one provider (a fleet)."
    )
    api_key: Keys = Field(default=(), description="Its key, or a list of keys.")
    local: bool | None = Field(
        default=None,
        description="Runs on our own machines (price 0). Default: Ollama and loopback addresses are.",
    )
    local_only: bool = Field(
        default=False, description="Its requests never fall over to a provider that is not local."
    )
    headers: dict[str, SecretStr] = Field(default={}, description="Headers to add to every request to it.")
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust, instead of the system's."
    )
    proxy: SecretStr | None = Field(
        default=None, description="HTTP proxy to reach it through, http://[user:pass@]host:port."
    )
    timeouts: Timeouts = Field(default=Timeouts(), description="Its time limits.")
    max_concurrent: int | None = Field(
        default=None, ge=1, description="Most requests at once to each of its servers."
    )
    strategy: FleetStrategy = Field(
        default="auto",
        description="How one of its servers or keys is chosen. auto: predicted_wait for Ollama servers, "
        "priority for several keys of one address, else round_robin.",
    )
    python: Annotated[str, AfterValidator(values.python_path)] | None = Field(
        default=None, description="Class of a Python provider, package.module:ClassName."
    )
    options: dict[str, Any] = Field(default={}, description="Keyword arguments for a Python provider.")
    drop: tuple[str, ...] = Field(default=(), description="Request fields never to send to it.")
    vendor: str | None = Field(
        default=None,
        description="Whose API an openai-compatible server has (groq, mistral, deepseek, …): requests are "
        "made to fit what that vendor refuses. Default: the vendor whose address it is, if it is known.",
    )
    speaks: tuple[Literal["anthropic", "responses"], ...] | None = Field(
        default=None,
        description="APIs that it has besides its own, and is asked in as requests come: anthropic "
        "(/v1/messages), responses. Default: what is known of its type.",
    )
    api: Literal["chat", "responses", "auto"] | None = Field(
        default=None,
        description="In which of OpenAI's APIs its models are asked: chat (/chat/completions), responses, or "
        "auto, which asks in the Responses API for what the chat API cannot do. Default: what is known of "
        "its vendor (auto for OpenAI), else chat.",
    )
    models: tuple[str, ...] = Field(
        default=(), description="Its models, where it has no endpoint that lists them."
    )

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.url and self.urls:
            raise ValueError("has both url and urls; keep one of them")
        if self.python and (self.url or self.urls or self.type):
            raise ValueError(
                "has python and also type or url; a Python provider takes its settings from options"
            )
        if self.vendor and (self.type or "openai-compatible") != "openai-compatible":
            raise ValueError("has a vendor, which is for type openai-compatible")
        if self.api and (self.python or self.type in ("ollama", "anthropic")):
            raise ValueError("has an api, which is for types that have OpenAI's")
        if self.options and not self.python:
            raise ValueError("has options but no python; options are for Python providers")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """All base addresses, from ``url`` or ``urls``."""
        return self.urls or ((self.url,) if self.url else ())


class Target(Section):
    """One place that a route may send a request to."""

    provider: ProviderName = Field(description="Name of the provider.")
    model: str = Field(min_length=1, description="The model's name there.")
    weight: int = Field(default=1, ge=1, description="Share of first choices under the weighted strategy.")
    priority: int = Field(
        default=0, ge=0, description="Order after a failure, and the tier under priority; lower first."
    )


class Route(Section):
    """A model name of our own and the targets that serve it."""

    strategy: RouteStrategy = Field(default="priority", description="How a target is chosen.")
    targets: tuple[Target, ...] = Field(min_length=1, description="Where requests may go.")
    local_only: bool = Field(default=False, description="Never use a target that is not local.")
    cache: bool | None = Field(
        default=None, description="Answer from the cache; default: what cache.enabled says."
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), description="Time limits of each attempt, before those of models and providers."
    )


Capability = Literal["completion", "tools", "vision", "thinking", "embedding", "insert", "image", "audio"]


class ModelDefaults(Section):
    """What to fill in for the models that match a pattern, for clients that cannot say it."""

    options: dict[str, Any] = Field(default={}, description="Ollama options, such as num_ctx.")
    keep_alive: Annotated[Any, WithJsonSchema({"type": ["string", "number"]})] = Field(
        default=None, description="How long Ollama keeps the model loaded: 30m, or seconds."
    )
    max_concurrent: int | None = Field(
        default=None, ge=1, description="Most requests at once for each model, at each server."
    )
    timeouts: Timeouts = Field(
        default=Timeouts(), description="Time limits of each attempt, before those of the provider."
    )

    capabilities: tuple[Capability, ...] = Field(
        default=(),
        description="What these models can do, as clients are told it. Default: what is known of them. "
        "Ollama's servers say it themselves.",
    )
    context_length: int | None = Field(
        default=None, ge=1, description="How many tokens these models read, as clients are told it."
    )

    @model_validator(mode="after")
    def _check_keep_alive(self) -> Self:
        if isinstance(self.keep_alive, bool) or not isinstance(self.keep_alive, str | int | float | None):
            raise ValueError("has a keep_alive that is no duration; write 30m or a number of seconds")
        return self


class KeyPolicy(Section):
    """What holds for one key, by its name."""

    local_only: bool = Field(default=False, description="Never use a provider that is not local.")
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="Whose requests go first when they have to wait."
    )
    models: tuple[str, ...] = Field(default=(), description="Patterns of the models it may use; none: all.")
    providers: tuple[str, ...] = Field(default=(), description="Providers it may use; none: all.")
    data_collection: Literal["allow", "deny"] | None = Field(
        default=None, description="OpenRouter's provider.data_collection for its requests."
    )
    zdr: bool | None = Field(default=None, description="OpenRouter's provider.zdr for its requests.")


class LimitRule(Section):
    """How much may be asked in a time, by one key, team or model; without any of them, by all together."""

    key: str | None = Field(default=None, description="Name or id of a key; * is every key by itself.")
    team: str | None = Field(default=None, description="Name or id of a team; * is every team by itself.")
    model: str | None = Field(
        default=None, description="Pattern of models, such as openai/*; all that match share the limit."
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Requests in a minute.")
    requests_per_day: int | None = Field(default=None, ge=1, description="Requests in a day.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="Tokens in a minute.")
    tokens_per_day: int | None = Field(default=None, ge=1, description="Tokens in a day.")
    concurrent: int | None = Field(default=None, ge=1, description="Requests under way at once.")

    @model_validator(mode="after")
    def _check_amounts(self) -> Self:
        if not any((self.requests_per_minute, self.requests_per_day, self.tokens_per_minute,
                    self.tokens_per_day, self.concurrent)):  # fmt: skip
            raise ValueError(
                "limits nothing; give requests_per_minute, requests_per_day, tokens_per_minute, "
                "tokens_per_day or concurrent"
            )
        if sum(each is not None for each in (self.key, self.team, self.model)) > 1:
            raise ValueError("names more than one of key, team and model; write one limit for each")
        return self


class BudgetRule(Section):
    """What one key, team or provider may spend in a period; without any of them, all together."""

    key: str | None = Field(default=None, description="Name or id of a key; * is every key by itself.")
    team: str | None = Field(default=None, description="Name or id of a team; * is every team by itself.")
    provider: str | None = Field(default=None, description="Name of a provider.")
    usd: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="Money, in US dollars."
    )
    tokens: int | None = Field(default=None, ge=1, description="Or tokens.")
    per: Literal["day", "week", "month", "total"] = Field(
        default="month", description="Period, in UTC; weeks begin on Monday."
    )
    hard: bool = Field(default=True, description="Refuse what would go beyond it; false only warns.")
    warn_at: float = Field(
        default=0.8, gt=0, le=1, description="Share of the budget at which a warning goes out."
    )
    webhook: BaseUrl | None = Field(default=None, description="Where warnings are posted to, as JSON.")

    @model_validator(mode="after")
    def _check_amount(self) -> Self:
        if (self.usd is None) == (self.tokens is None):
            raise ValueError("needs either usd or tokens")
        if sum(each is not None for each in (self.key, self.team, self.provider)) > 1:
            raise ValueError("names more than one of key, team and provider; write one budget for each")
        return self


class Price(Section):
    """What a model costs, in US dollars per million tokens. `input` is the price of every prompt token and
    `output` that of every completion token, unless that kind of token has a price of its own here."""

    input: float = Field(ge=0, allow_inf_nan=False, description="Prompt tokens.")
    output: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Completion tokens.")
    cached_input: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Prompt tokens that were in the vendor's cache."
    )
    cache_write: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Prompt tokens written to that cache."
    )
    reasoning: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Completion tokens spent on reasoning."
    )
    request: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="Dollars for each request.")


class CacheRule(Section):
    """The cache of answers: the same request again gets the same answer, from memory or Redis."""

    enabled: bool = Field(
        default=False, description="Use it without being asked; else for requests with x-trunkline-cache: on."
    )
    ttl_s: Seconds = Field(default=300, description="Seconds for which an answer is kept.")
    max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="Most bytes of answers in memory; the oldest go first."
    )
    shared: bool = Field(default=False, description="One key's answers may be given to another.")


class ResponsesRule(Section):
    """What the gateway stores between requests: responses, conversations and message threads."""

    store: bool = Field(default=True, description="Store them, unless a request says store: false.")
    ttl_s: Seconds = Field(default=30 * 86400, description="Seconds for which one is stored.")
    max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="Most bytes of them in memory; the oldest go first."
    )
    max_disk_bytes: int = Field(
        default=512 * 1024 * 1024,
        ge=0,
        description="Most bytes of them in LEDGER_DIR; the oldest go first. 0: memory only.",
    )
    max_key_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1, description="Most bytes for one key, in memory and on disk."
    )


class Tls(Section):
    """The certificate that the gateway serves HTTPS with."""

    cert: FilePath = Field(description="PEM file of the certificate chain.")
    key: FilePath = Field(description="PEM file of its private key.")


class Server(Section):
    """The listening side."""

    tls: Tls | None = Field(default=None, description="Serve HTTPS.")
    trusted_proxies: tuple[Annotated[str, AfterValidator(values.network)], ...] = Field(
        default=(), description="Addresses or networks whose X-Forwarded-For and -Proto are believed."
    )
