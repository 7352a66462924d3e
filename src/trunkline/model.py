"""The canonical request: what any client can ask of any upstream.

These are the values that dialects parse into and render from: frozen structs without JSON and without a
vendor's field names. ``None`` always means that the client left a field open, so that an upstream uses its
own default.
"""

from __future__ import annotations

import base64
from typing import Any, Final, Literal, TypeAlias

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the canonical values: immutable, built by keyword."""


Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Operation: TypeAlias = Literal["chat", "completions", "embeddings", "other"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Text(Value, frozen=True):
    """A piece of text in a message."""

    text: str
    cache: bool = False
    """The prompt up to here may be cached (Anthropic's ``cache_control``)."""
    cache_ttl: str | None = None
    """How long, where the request says it: ``5m`` or ``1h``."""


class Image(Value, frozen=True):
    """An image, by value or by address: exactly one of ``data`` and ``url`` is set."""

    data: str | None = None
    """Base64 of the image's bytes, without a ``data:`` prefix."""
    media_type: str | None = None
    url: str | None = None
    detail: str | None = None


class Audio(Value, frozen=True):
    """A sound clip by value, base64."""

    data: str
    format: str


class Document(Value, frozen=True):
    """A file (PDF and the like): by value, by address, or by the id of a file that a vendor stores."""

    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str | None:
        """The whole document as text, its name first, for dialects that take no documents; None if it is not
        text."""
        if self.data is None or not (self.media_type or "").startswith("text/"):
            return None
        try:
            text = base64.b64decode(self.data, validate=True).decode()
        except ValueError:
            return None
        return f"{self.name}\n\n{text}" if self.name else text


class Thinking(Value, frozen=True):
    """Reasoning that a model gave in an earlier turn."""

    text: str
    signature: str | None = None
    """What its maker wants back with it (see ``dialects.vendor_state``)."""


class ToolCall(Value, frozen=True):
    """A model's call of a tool."""

    id: str | None
    """None if the client's dialect lost it; see :func:`trunkline.dialects.tool_matching.match_tool_calls`."""
    name: str
    arguments: str
    """JSON text of an object."""
    state: str | None = None
    """What its maker wants back with it, sealed (see ``dialects.vendor_state``)."""


class ToolResult(Value, frozen=True):
    """The result of a tool call."""

    id: str | None
    parts: tuple[Text | Image | Document, ...]
    name: str | None = None
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text parts, joined. The text of an error begins with ``Error``, for dialects that have no field
        for that."""
        text = "".join(part.text for part in self.parts if isinstance(part, Text))
        if not self.is_error or text[:5].lower() == "error":
            return text
        return f"Error: {text}" if text else "Error"


Part: TypeAlias = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult


class Message(Value, frozen=True):
    """One turn. Tool results are messages of their own, of role ``tool``."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """The message's text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class Tool(Value, frozen=True):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None
    custom: bool = False
    """The client knows it as a custom tool, whose input is the one string among ``parameters``."""
    grammar: dict[str, Any] | None = None
    """The form of a custom tool's input, where it is not free text, as the Responses API has it."""


class ToolChoice(Value, frozen=True):
    """``auto``, ``none``, ``required``, or ``tool`` with a name."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


class WebSearch(Value, frozen=True):
    """The model may search the web, by a tool that its vendor runs."""

    field: str
    """Where the request asks for it (``tools[0].type``)."""
    kind: str
    """What the client's dialect calls it. Both name it in the error of an upstream that has none."""
    optional: bool = False
    """The answer makes sense without it: it is one of several tools."""
    tool_name: str = "web_search"
    context_size: str | None = None
    location: dict[str, str] | None = None
    """``city``, ``region``, ``country`` and ``timezone`` of the user, as far as they are known."""
    allowed_domains: tuple[str, ...] = ()
    blocked_domains: tuple[str, ...] = ()
    max_uses: int | None = None


class Format(Value, frozen=True):
    """The form that the answer must have: any JSON object, or one that fits a schema."""

    schema: dict[str, Any] | None = None
    """JSON Schema; None asks for any JSON object."""
    name: str | None = None
    strict: bool | None = None
    description: str | None = None


class Reasoning(Value, frozen=True):
    """How much the model should think, where it can."""

    effort: Effort | None = None
    max_tokens: int | None = None
    exclude: bool | None = None
    any_level: bool = False
    """The request asks for thinking and names no level. ``effort`` is for upstreams that must be told one."""


class Sampling(Value, frozen=True):
    """Settings of the sampler, under their usual names."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    """The bound on the tokens of one answer."""
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int = 1
    """The number of answers to give."""


class ChatRequest(Value, frozen=True):
    """Asks for the next turn of a conversation."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    web_search: WebSearch | None = None
    format: Format | None = None
    reasoning: Reasoning | None = None
    stream: bool = False
    include_usage: bool = False
    """A streaming OpenAI client asked for the usage chunk."""
    user: str | None = None
    extras: dict[str, Any] = {}
    """Fields that only some back dialects know, by their wire name (Ollama's ``keep_alive``, ``options``)."""
    left_out: tuple[str, ...] = ()
    """Fields of the client's request that only its own dialect has. An answer without them is still right."""


class CompletionRequest(Value, frozen=True):
    """Asks for the continuation of a prompt, or for the text between it and a suffix."""

    model: str
    prompts: tuple[str, ...]
    suffix: str | None = None
    system: str | None = None
    images: tuple[Image, ...] = ()
    templated: bool = False
    """The model's chat template is to be applied to the prompt, as Ollama does: it is a chat of one turn."""
    echo: bool = False
    sampling: Sampling = Sampling()
    format: Format | None = None
    reasoning: Reasoning | None = None
    stream: bool = False
    include_usage: bool = False
    user: str | None = None
    extras: dict[str, Any] = {}
    left_out: tuple[str, ...] = ()
    """As in :class:`ChatRequest`."""

    def as_chat(self) -> ChatRequest:
        """Return the chat of one turn that a templated prompt stands for."""
        system = (Message(role="system", parts=(Text(text=self.system),)),) if self.system else ()
        user = Message(role="user", parts=(Text(text="".join(self.prompts)), *self.images))
        return ChatRequest(
            model=self.model,
            messages=(*system, user),
            sampling=self.sampling,
            format=self.format,
            reasoning=self.reasoning,
            stream=self.stream,
            include_usage=self.include_usage,
            user=self.user,
            extras=self.extras,
        )


class EmbeddingRequest(Value, frozen=True):
    """Asks for one vector per input."""

    model: str
    inputs: tuple[str, ...]
    dimensions: int | None = None
    base64: bool = False
    """The client wants vectors as base64 of little-endian floats (OpenAI's ``encoding_format``)."""
    user: str | None = None
    extras: dict[str, Any] = {}
    left_out: tuple[str, ...] = ()
    """As in :class:`ChatRequest`."""


CanonicalRequest: TypeAlias = ChatRequest | CompletionRequest | EmbeddingRequest


MOST_TOKENS: Final = 1_000_000_000
"""No answer has more tokens than this. A larger count is wrong, and would not fit where usage is added up."""
MOST_COST: Final = 1_000_000.0
"""The same in US dollars."""


class Usage(Value, frozen=True):
    """Tokens of one answer, as the upstream counted them. They are clipped to 0 … ``MOST_TOKENS``."""

    prompt_tokens: int = 0
    """All of the prompt, cached tokens included."""
    completion_tokens: int = 0
    """All of the answer, reasoning included."""
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    """USD, when the upstream itself reported it."""

    def __post_init__(self) -> None:
        bits = self.prompt_tokens | self.completion_tokens | (self.cached_tokens or 0)
        bits |= (self.cache_write_tokens or 0) | (self.reasoning_tokens or 0)
        if not 0 <= bits <= MOST_TOKENS:  # bits of a negative count, or of one above the bound, show here
            self._clip()
        if self.cost is not None and not 0 <= self.cost <= MOST_COST:
            msgspec.structs.force_setattr(self, "cost", MOST_COST if self.cost > 0 else 0.0)

    def _clip(self) -> None:
        for name in _COUNTS:
            count = getattr(self, name)
            if count is not None and not 0 <= count <= MOST_TOKENS:
                msgspec.structs.force_setattr(self, name, MOST_TOKENS if count > 0 else 0)

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens


_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "cost")
