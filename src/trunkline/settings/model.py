"""Every setting of the gateway, in one frozen object.

:func:`trunkline.settings.load_settings` makes it. ``Settings(port=0)`` makes one directly and reads no
environment and no file. It is passed to the code that needs it, and nothing is cached. In the environment a
setting's name is upper-case. The sections at the end can be set in ``trunkline.yaml`` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from trunkline.settings import values
from trunkline.settings.sections import (
    BaseUrl,
    BudgetRule,
    CacheRule,
    Key,
    KeyPolicy,
    LimitRule,
    ModelDefaults,
    Price,
    ProviderConfig,
    ProviderName,
    ResponsesRule,
    Route,
    Seconds,
    Server,
)

_LIST = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, mode="validation"
)
KeyList = Annotated[tuple[Key, ...], BeforeValidator(values.split_list), _LIST]
"""Keys as CSV, as a JSON list in text, or as a list."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(values.split_list), _LIST]
"""Patterns of models' names with ``*`` and ``?``, as CSV or as a list."""

Origins = Annotated[
    tuple[Annotated[str, AfterValidator(values.origin)], ...], BeforeValidator(values.split_list), _LIST
]

HostNames = Annotated[
    tuple[Annotated[str, AfterValidator(values.host_name)], ...], BeforeValidator(values.split_list), _LIST
]

OllamaAddress = Annotated[str, AfterValidator(values.ollama_fleet)]

DatabaseUrl = Annotated[
    SecretStr, AfterValidator(lambda url: SecretStr(values.database_url(url.get_secret_value())))
]
RedisUrl = Annotated[
    SecretStr, AfterValidator(lambda url: SecretStr(values.redis_url(url.get_secret_value())))
]

BUILT_IN_PROVIDERS = ("openrouter", "cerebras", "openai", "anthropic", "ollama", "custom")
"""Names of the providers that need no section in the file."""

DEFAULT_OLLAMA_URL = f"http://localhost:{values.OLLAMA_PORT}"
"""The address of Ollama if no setting names another."""

FILE_ONLY = frozenset(
    {
        "providers",
        "routes",
        "aliases",
        "models",
        "keys",
        "limits",
        "budgets",
        "prices",
        "cache",
        "responses",
        "server",
    }
)
"""Settings that are sections of the file and cannot be set in the environment."""


class OllamaSettings(NamedTuple):
    """The settings of Ollama together, with its addresses resolved."""

    enabled: bool
    urls: tuple[str, ...]
    """The addresses of the fleet; one unless the setting is a comma list."""
    explicit: bool
    """Whether a setting names the address. Otherwise it is the default one."""
    default_model: str
    timeout: float | None
    """The longest silence of the server, in seconds, where a setting bounds every silence."""
    load_timeout: float
    """Further seconds to the first byte of a model that the server must load first."""
    health_check_interval: float
    """Seconds between two health checks."""
    auto_health_check: bool
    max_retries: int
    temperature: float | None
    max_tokens: int | None
    streaming: bool

    @property
    def base_url(self) -> str:
        """The first address."""
        return self.urls[0]


class Settings(BaseSettings):
    """All settings. Attributes are the environment's names in lower case."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Listening
    host: str | None = Field(
        default=None, description="Address to listen on. Default: 0.0.0.0 with keys required, else 127.0.0.1."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    as_ollama: bool = Field(default=False, description="Listen on Ollama's port 11434 as well.")
    workers: int = Field(default=1, ge=1, description="Processes. More than one needs REDIS_URL.")
    fast_http: bool = Field(default=True, description="Serve the data plane below ASGI; false is plain ASGI.")
    max_body_bytes: int = Field(default=64 * 1024 * 1024, ge=1, description="Largest request body, in bytes.")
    shutdown_delay_s: float = Field(
        default=0,
        ge=0,
        allow_inf_nan=False,
        description="Seconds that the gateway still accepts requests after SIGTERM, while it says not ready.",
    )
    shutdown_timeout_s: Seconds = Field(
        default=30, description="Seconds that running requests get to end after that."
    )
    cors_allowed_origins: Origins = Field(
        default=(), description="Web origins that browsers may call from; none by default, * for all."
    )
    allowed_hosts: HostNames = Field(
        default=(),
        description="Names that may stand in Host where no key is asked for, besides this machine's own, as "
        "CSV or JSON list: ai.example.com, *.example.com, or * for all.",
    )
    metrics_public: bool = Field(default=False, description="Serve /metrics without a key.")

    # Access
    require_auth: bool = Field(default=True, description="Ask every request for a key.")
    development_mode: bool = Field(
        default=False, description="This machine only (loopback), and no key asked while none is configured."
    )
    allow_open_network: bool = Field(
        default=False,
        description="Allow a network address without keys, or outside this machine in development mode.",
    )
    allow_key_in_path: bool = Field(
        default=False, description="Take a key from the path: /key/gw_…/api/chat."
    )
    allowed_api_keys: KeyList = Field(default=(), description="Keys that may come in, as CSV or JSON list.")
    allowed_api_keys_raw: KeyList = Field(default=(), description="More such keys; the older name.")

    # Logs
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(values.log_level)
    ] = Field(default="INFO", description="Least level to log.")
    log_format: Annotated[Literal["json", "console"], BeforeValidator(values.lowered)] = Field(
        default="json", description="json for machines, console for people."
    )

    # Choosing a provider
    preferred_provider: Annotated[ProviderName, BeforeValidator(values.lowered)] = Field(
        default="openrouter",
        description="Where a bare model name is looked up first; auto is the first that is healthy.",
    )
    enable_fallback: bool = Field(
        default=True, description="Try another provider of the same model when one fails."
    )
    max_retries: int = Field(
        default=2, ge=0, description="Retries at the same upstream, before the first byte."
    )
    retry_deadline_s: Seconds = Field(
        default=30, description="Seconds from a request's arrival after which no upstream is asked again."
    )
    breaker_failures: int = Field(
        default=5, ge=0, description="Failures in a row after which what has failed rests; 0: never."
    )
    breaker_recovery_s: Seconds = Field(
        default=10, description="Seconds until one request tries again what rests."
    )
    queue_limit: int = Field(
        default=1000, ge=0, description="Most requests that wait for room at a full upstream."
    )
    queue_timeout_s: Seconds = Field(default=30, description="Seconds that a request waits for room.")
    models_filter: Path | None = Field(
        default=None, description="File of rules that say which models may be used."
    )
    model_refresh_interval_s: Seconds = Field(
        default=60, description="Seconds between two looks at the providers' models."
    )

    # Time limits of one attempt, and signs of life for clients that wait
    connect_timeout_s: Seconds = Field(
        default=10, description="Seconds until a connection to an upstream stands, TLS included."
    )
    first_byte_timeout_s: Seconds = Field(
        default=300, description="Seconds until the first byte of a streamed answer."
    )
    answer_timeout_s: Seconds = Field(
        default=600, description="Seconds until the first byte of an answer that is not streamed."
    )
    stream_idle_timeout_s: Seconds = Field(
        default=120, description="Longest silence within an answer, in seconds."
    )
    total_timeout_s: Seconds | None = Field(
        default=None, description="Seconds for a whole attempt. Default: no limit."
    )
    lookup_timeout_s: Seconds = Field(
        default=30,
        description="Seconds for what asks no model: a provider's list of models, a check of its health.",
    )
    request_timeout_s: Seconds | None = Field(
        default=None,
        description="Longest silence of an upstream, in seconds, in place of each of the limits above that "
        "is not set: to connect, to the first byte, between bytes.",
    )
    stream_keepalive_s: float = Field(
        default=15,
        ge=0,
        allow_inf_nan=False,
        description="Seconds without a byte after which a client that streams is sent a sign of life; "
        "0: never.",
    )

    # Cloud providers
    openrouter_api_key: Key | None = Field(default=None, description="OpenRouter's key.")
    openrouter_base_url: BaseUrl = Field(
        default="https://openrouter.ai/api/v1", description="OpenRouter's API."
    )
    cerebras_api_key: Key | None = Field(default=None, description="Cerebras's key.")
    cerebras_base_url: BaseUrl = Field(default="https://api.cerebras.ai/v1", description="Cerebras's API.")
    openai_api_key: Key | None = Field(default=None, description="OpenAI's key.")
    openai_base_url: BaseUrl = Field(default="https://api.openai.com/v1", description="OpenAI's API.")
    anthropic_api_key: Key | None = Field(default=None, description="Anthropic's key.")
    anthropic_base_url: BaseUrl = Field(default="https://api.anthropic.com", description="Anthropic's API.")

    # Ollama
    ollama_enabled: bool = Field(default=True, description="Use Ollama.")
    ollama_base_url: OllamaAddress | None = Field(
        default=None, description="Ollama's address; a comma list is a fleet."
    )
    ollama_api_url: OllamaAddress | None = Field(
        default=None, description="The same, where OLLAMA_BASE_URL is not set."
    )
    ollama_host: OllamaAddress | None = Field(
        default=None, description="The same, where neither of the two is set."
    )
    ollama_default_model: str = Field(
        default="llama2", min_length=1, description="Model of a request that names none."
    )
    ollama_timeout: Seconds | None = Field(
        default_factory=lambda data: data.get("request_timeout_s"),
        description="Longest silence of Ollama, in seconds. Default: REQUEST_TIMEOUT_S.",
    )
    ollama_load_timeout: Seconds = Field(
        default=300,
        description="Further seconds to the first byte of a model that Ollama must load first.",
    )
    ollama_max_retries: int = Field(
        default=3,
        ge=0,
        description="Retries at the same Ollama server, before the first byte; replaces MAX_RETRIES there.",
    )
    ollama_temperature: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Temperature where a request names none. Default: the model's.",
    )
    ollama_max_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Limit on new tokens where a request names none. Default: the model's.",
    )
    ollama_streaming: bool = Field(
        default=True, description="Stream from Ollama; false fetches answers whole."
    )
    ollama_manage: str = Field(
        default="all",
        min_length=1,
        description="Where models are pulled and made: all servers, room (the emptiest), or a host:port.",
    )
    ollama_auto_pull: Patterns = Field(
        default=(),
        description="Patterns of models that are pulled when a request asks for one that no server has.",
    )
    ollama_health_check_interval: Seconds = Field(
        default=60, description="Seconds between two health checks."
    )
    ollama_auto_health_check: bool = Field(
        default=True,
        description="Check Ollama's health in the background; false: only MODEL_REFRESH_INTERVAL_S, if set.",
    )

    # Images by URL
    fetch_image_urls: bool = Field(
        default=False, description="Fetch http(s) images for models that take only data."
    )
    image_max_bytes: int = Field(
        default=20 * 1024 * 1024, ge=1, description="Largest image to fetch, in bytes."
    )
    images_max_count: int = Field(default=20, ge=1, description="Most images to fetch for one request.")
    images_max_bytes: int = Field(
        default=40_000_000, ge=1, description="Most bytes of all images of one request."
    )

    # Stores
    database_url: DatabaseUrl = Field(
        default=SecretStr("sqlite:///trunkline.db"),
        description="Store of keys and usage: sqlite:///file or postgresql://…",
    )
    redis_url: RedisUrl | None = Field(
        default=None, description="Redis or Valkey, which several workers or nodes need."
    )

    redis_loss: Annotated[Literal["local", "closed"], BeforeValidator(values.lowered)] = Field(
        default="local",
        description="Without Redis: local lets each node have REDIS_LOCAL_SHARE of every limit and budget; "
        "closed refuses what is limited.",
    )
    redis_local_share: float = Field(
        default=0.1, gt=0, le=1, description="That share, of what one node may let in by itself."
    )
    redis_prefix: str = Field(
        default="trunkline", min_length=1, description="Beginning of all names in Redis."
    )

    # Usage, prompts and traces
    ledger_dir: Path = Field(
        default=Path("trunkline-ledger"),
        description="Folder where usage is kept until the database has it.",
    )
    ledger_retention_days: int = Field(
        default=90, ge=0, description="Days for which single requests are kept; 0: for ever. Sums stay."
    )
    store_prompts: bool = Field(default=False, description="Keep the bodies of requests in the database.")
    budget_max_tokens: int = Field(
        default=4096,
        ge=1,
        description="Bound on the answer of a request without one, while a hard budget holds; sent upstream.",
    )
    otel_endpoint: BaseUrl | None = Field(
        default=None, description="OTLP/HTTP address for traces; needs trunkline[otel]."
    )

    # Sections of the file
    providers: dict[ProviderName, ProviderConfig] = Field(default={}, description="Providers by name.")
    routes: dict[str, Route] = Field(default={}, description="Model names of our own and where they lead.")
    aliases: dict[str, str] = Field(default={}, description="Other names for models.")
    models: dict[str, ModelDefaults] = Field(
        default={}, description="Defaults by model pattern, such as ollama/*."
    )
    keys: dict[str, KeyPolicy] = Field(default={}, description="What holds for single keys, by name.")
    limits: tuple[LimitRule, ...] = Field(default=(), description="How much may be asked in a time.")
    budgets: tuple[BudgetRule, ...] = Field(default=(), description="How much may be spent in a period.")
    prices: dict[str, Price] = Field(
        default={}, description="Prices by model pattern; they win over published ones."
    )
    cache: CacheRule = Field(default=CacheRule(), description="The cache of answers.")
    responses: ResponsesRule = Field(
        default=ResponsesRule(), description="Responses that are kept for later turns."
    )
    server: Server = Field(default=Server(), description="TLS and proxies in front of the gateway.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Use only the constructor's arguments, so that ``Settings()`` reads no environment and no file."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        problems = [text for _, text in self.combination_problems()]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def combination_problems(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Each problem of valid settings that do not fit together: where it stands, and a line about it."""
        yield from self._unknown_providers()
        for name, provider in self.providers.items():
            for text in _provider_problems(name, provider):
                yield ("providers", name), f"providers.{name}: {text}"
        if self.workers > 1 and self.redis_url is None:
            text = f"{self.workers} workers must share limits and budgets; set REDIS_URL, or WORKERS=1"
            yield ("workers",), f"WORKERS: {text}"

    def _unknown_providers(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Each setting that names a provider which is neither built in nor in the file."""
        known = {*BUILT_IN_PROVIDERS, *self.providers}
        references: list[tuple[tuple[str, ...], str]] = []
        if self.preferred_provider != "auto":
            references.append((("preferred_provider",), self.preferred_provider))
        for route, rule in self.routes.items():
            for number, target in enumerate(rule.targets):
                references.append((("routes", route, "targets", str(number), "provider"), target.provider))
        for place, name in references:
            if name not in known:
                shown = place[0].upper() if len(place) == 1 else ".".join(place)
                yield place, f"{shown}: {name!r} is no provider; {values.suggest(name, known, 'known')}"

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports to listen on: PORT, and Ollama's port if AS_OLLAMA is set."""
        return tuple(dict.fromkeys((self.port, values.OLLAMA_PORT) if self.as_ollama else (self.port,)))

    @property
    def api_keys(self) -> tuple[SecretStr, ...]:
        """The keys of ALLOWED_API_KEYS and ALLOWED_API_KEYS_RAW, each once."""
        return tuple(dict.fromkeys((*self.allowed_api_keys, *self.allowed_api_keys_raw)))

    @property
    def ollama_settings(self) -> OllamaSettings:
        """The settings of Ollama together."""
        address = self.ollama_base_url or self.ollama_api_url or self.ollama_host
        return OllamaSettings(
            enabled=self.ollama_enabled,
            urls=tuple((address or DEFAULT_OLLAMA_URL).split(",")),
            explicit=address is not None,
            default_model=self.ollama_default_model,
            timeout=self.ollama_timeout,
            load_timeout=self.ollama_load_timeout,
            health_check_interval=self.ollama_health_check_interval,
            auto_health_check=self.ollama_auto_health_check,
            max_retries=self.ollama_max_retries,
            temperature=self.ollama_temperature,
            max_tokens=self.ollama_max_tokens,
            streaming=self.ollama_streaming,
        )


def _provider_problems(name: str, provider: ProviderConfig) -> Iterator[str]:
    """What a provider of the file lacks: a type, an address, or one that an Ollama server can have."""
    if (provider.type or name) == "ollama":
        for address in provider.addresses:
            try:
                values.ollama_url(address)
            except ValueError as error:
                yield f"{address!r} {error}"
    if name in BUILT_IN_PROVIDERS or provider.python:
        return
    if provider.type is None:
        meant = get_close_matches(name, BUILT_IN_PROVIDERS, n=1, cutoff=0.75)
        remedy = "write type: openai-compatible and its url, or python: module:Class"
        if meant:
            remedy = f"did you mean {meant[0]!r}? If not, {remedy}"
        yield f"has no type; {remedy}"
    elif provider.type == "openai-compatible" and not provider.addresses:
        yield "has no address; write url: http://host:port/v1"
