"""The values that configure a mock: scripts, faults, rules, models, and the scenario file that holds them.

This module has only values and their decoding from JSON or YAML. :mod:`trunkline_mock.faults` implements
the faults, and the shapes translate a script into a vendor's wire format. Every struct rejects unknown
fields: otherwise a misspelt field in a scenario would be ignored, and a test would check nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from trunkline_mock.awkward import AWKWARD

FaultKind: TypeAlias = Literal[
    "refuse",
    "reset_before",
    "stall_before",
    "status",
    "redirect",
    "html_error",
    "empty_body",
    "bad_head",
    "big_head",
    "early_hints",
    "http_1_0",
    "error_in_200",
    "error_midstream",
    "reset_after",
    "close_after",
    "stall_after",
    "cut_line",
    "bad_json",
    "bad_utf8",
    "bad_chunk",
    "no_done",
    "missing_done_marker",
    "comments_only",
    "long_record",
    "huge",
    "wrong_length",
    "short_length",
    "extra_bytes",
    "gzip",
    "bad_gzip",
    "trickle",
    "split_every_byte",
]
"""Names of the faults; ``docs/mock.md`` describes each of them."""

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

MEGABYTE: Final = 1024 * 1024


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault and its parameters. A parameter that the kind does not use is ignored.

    Raises:
        ValueError: ``kind`` is not one of :data:`FAULT_KINDS`.
    """

    kind: FaultKind
    after: int = 1
    """The number of content chunks that are sent in full before the fault (faults of streams)."""
    status: int | None = None
    """The HTTP status of ``status``, ``redirect`` and ``html_error``, or the code inside an error record."""
    message: str | None = None
    """The error's message, instead of the vendor's usual one."""
    code: str | int | None = None
    """The error's ``code``, instead of the vendor's usual one."""
    retry_after: float | str | None = None
    """``Retry-After`` of an error: seconds, or a string (an HTTP date, nonsense) that is sent unchanged."""
    size: int | None = None
    """Size in bytes of ``huge`` (default 200 MB), ``long_record`` (64 MB) and ``big_head`` (1 MB)."""
    delay_s: float = 0.005
    """Seconds between the bytes of ``trickle`` and between the comments of ``comments_only``."""
    location: str | None = None
    """The ``Location`` of ``redirect``; by default a path on the same server."""

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; there are: {', '.join(FAULT_KINDS)}")


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool call that the mock model makes."""

    name: str
    arguments: dict[str, Any] | str = {}
    """An object, or a string that is sent unchanged (to play a model that writes broken JSON)."""
    id: str | None = None
    """The id. By default one in the vendor's format is derived from the request."""


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Token counts. A count that is ``None`` is the number of whitespace-separated words."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    reasoning: int | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer: its content, its chunks, its timing and its fault.

    The default answer repeats the last user message, or is the smallest JSON value that the request's schema
    allows. It obeys the request's token limit and stop sequences. A scripted ``text`` is sent unchanged
    whatever the request's limits are, unless ``obey_limits`` is set.
    """

    text: str | tuple[str, ...] | None = None
    """The answer's text; a sequence sets the chunks. ``None``: the default answer, or no text if there are
    tool calls."""
    thinking: str | tuple[str, ...] | None = None
    """The thinking before the text; a sequence sets the chunks."""
    tool_calls: tuple[ToolCall, ...] = ()
    call_tools: int = 0
    """How many of the request's tools to call, the first ones, with the smallest valid arguments. Nothing is
    called if the conversation already ends in a tool's result."""
    finish_reason: str | None = None
    """One of OpenAI's values (``stop``, ``length``, ``tool_calls`` …); ``None``: as fits the answer."""
    usage: Usage | None = Usage()
    """Token counts of the answer; ``None``: the answer carries no usage."""
    chunk_size: int | None = None
    """Characters of a streamed chunk; ``None``: each chunk is one word."""
    repeat: int = 1
    """How many times the text is repeated (for long streams)."""
    obey_limits: bool | None = None
    """Whether the request's token limit and stop sequences apply; ``None``: to the default answer only."""
    delay_first_s: float = 0.0
    """Seconds before the first byte of the response."""
    delay_chunk_s: float = 0.0
    """Seconds before each further chunk; 0 sends one chunk per iteration of the event loop."""
    early_head: bool = False
    """Send the response head before ``delay_first_s`` instead of after it."""
    comments: int = 1
    """Heartbeats before the first chunk, if the vendor sends any (OpenRouter comments, Anthropic pings)."""
    dimensions: int = 8
    """Length of an embedding if the request does not set one."""
    cost: float | None = None
    """``usage.cost`` of OpenRouter in USD; ``None``: calculated from the model's prices."""
    model: str | None = None
    """The model's name in the answer; ``None``: the vendor's name of the requested model."""
    headers: dict[str, str] = {}
    """Additional response headers."""
    status: int = 200
    """The HTTP status that goes with ``body``."""
    body: Any = None
    """A complete response body instead of a generated one: a string is sent unchanged, anything else as
    JSON."""
    awkward: str | None = None
    """An awkward shape of the answer, one of :data:`trunkline_mock.AWKWARD`; answers of other APIs than the
    shape's stay as they are."""
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if self.awkward is not None and self.awkward not in AWKWARD:
            raise ValueError(f"unknown awkward shape {self.awkward!r}; there are: {', '.join(AWKWARD)}")
        if self.repeat < 1 or (self.chunk_size is not None and self.chunk_size < 1):
            raise ValueError("repeat and chunk_size are at least 1")


DEFAULT_SCRIPT: Final = Script()
"""The script of the default answer."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script and the requests that it is used for: every condition that is set must match."""

    script: Script
    model: str | None = None
    """A shell-style pattern for the requested model, ignoring case (``gpt-4*``)."""
    path: str | None = None
    """A shell-style pattern for the path. Only a rule with a path applies to routes other than inference."""
    method: str | None = None
    times: int | None = None
    """How many times the rule is used before it is skipped; ``None``: no limit."""


class MockModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that the mock has."""

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools", "vision", "thinking")
    """A subset of Ollama's ``completion tools insert vision embedding thinking``. The Ollama shape enforces
    them."""
    context_length: int = 8192
    size: int = 2_019_393_189
    """Size on disk in bytes."""
    family: str = "llama"
    parameter_size: str = "3.2B"
    quantization: str = "Q4_K_M"
    resident: bool = False
    """Whether it is loaded from the start (Ollama's ``/api/ps``)."""
    load_s: float = 0.0
    """Seconds that loading takes: the first request to a model that is not resident waits for it (Ollama)."""
    remote_host: str = ""
    """The host that runs an Ollama cloud model; empty for a local model."""
    price_prompt: str = "0.0000025"
    """USD per token, in the notation of OpenRouter's listing."""
    price_completion: str = "0.00001"


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The content of a script file: the complete configuration of a mock."""

    script: Script = DEFAULT_SCRIPT
    scripts: tuple[Script, ...] = ()
    """Scripts of the first requests, one each. They come before ``rules`` and ``script``."""
    rules: tuple[Rule, ...] = ()
    models: tuple[str | MockModel, ...] | None = None
    """The models that the mock has; ``None``: the shape's own list."""
    any_model: bool = False
    """Serve model names that are not listed, instead of answering with the vendor's "not found"."""
    list_magic: bool = False
    """Also list the scripted model names ("magic names"); they are served in any case."""
    require_key: str | None = None
    """The only API key that is accepted, in the vendor's header; ``None``: no key is required."""
    strict: bool = False
    """Refuse what the vendor is known to refuse beyond its API's reference (``docs/mock.md``)."""
    quirks: dict[str, Any] = {}
    """Fields of the shape's vendor row to replace (shapes that are compatible with OpenAI)."""


def decode_script(text: bytes | str) -> Script:
    """Decode a :class:`Script` from JSON.

    Raises:
        ValueError: It is not JSON, or not a script; the message names the field.
    """
    return msgspec.json.decode(text, type=Script)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a file: JSON if its suffix is ``.json``, else YAML.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a scenario; the message names the file and the field.
    """
    raw = path.read_bytes()
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(raw, type=Scenario)
        return msgspec.yaml.decode(raw, type=Scenario)
    except msgspec.DecodeError as error:  # the base class of ValidationError
        raise ValueError(f"{path}: {error}") from None


def as_models(models: Sequence[str | MockModel]) -> tuple[MockModel, ...]:
    """``models``, with every plain name replaced by a model of that name with the default capabilities."""
    return tuple(MockModel(model) if isinstance(model, str) else model for model in models)
