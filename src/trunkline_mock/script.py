"""What a mock upstream is told to do: scripts, faults, models, and the file that holds them.

Only values, and their decoding from JSON or YAML. Nothing here knows HTTP, a vendor's wire form or a
socket; what a fault does to an answer is :mod:`trunkline_mock.faults`, what a script means on the wire
is a shape's business. Every struct rejects unknown fields, so that a typing error in a scenario is an
error and not a test that tests nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

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
"""Names of the ways to misbehave; ``docs/mock.md`` says what each of them does."""

FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

MEGABYTE: Final = 1024 * 1024


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One way to misbehave, with its amounts. A field that a kind has no use for is ignored.

    Raises:
        ValueError: ``kind`` is not one of :data:`FAULT_KINDS`.
    """

    kind: FaultKind
    after: int = 1
    """Content chunks that are sent in full before it happens (the streaming kinds)."""
    status: int | None = None
    """HTTP status of ``status``, ``redirect`` and ``html_error``, or the code inside an error record."""
    message: str | None = None
    """Text of the error, instead of the vendor's usual words."""
    code: str | int | None = None
    """The error's ``code``, instead of the vendor's usual one."""
    retry_after: float | str | None = None
    """``Retry-After`` of an error: seconds, or a string (an HTTP date, nonsense) sent as it is."""
    size: int | None = None
    """Bytes of ``huge`` (200 MB), ``long_record`` (64 MB) and ``big_head`` (1 MB)."""
    delay_s: float = 0.005
    """Pause between the bytes of ``trickle`` and the comments of ``comments_only``."""
    location: str | None = None
    """Where ``redirect`` points; a path on the same server if not given."""

    def __post_init__(self) -> None:
        if self.kind not in FAULT_KINDS:
            raise ValueError(f"unknown fault {self.kind!r}; there are: {', '.join(FAULT_KINDS)}")


class ToolCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A call that the mock's model makes."""

    name: str
    arguments: dict[str, Any] | str = {}
    """An object, or a string to be sent as it is (to play a model that writes broken JSON)."""
    id: str | None = None
    """The id; if not given, one of the vendor's form is made from the request."""


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Token counts; what is ``None`` is counted in whitespace-separated words."""

    prompt: int | None = None
    completion: int | None = None
    cached: int = 0
    reasoning: int | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One answer: what is said, in which pieces, at which pace, and what goes wrong.

    The default answers helpfully: it repeats the last user message, or gives the smallest JSON that the
    request's schema allows, and obeys the request's token limit and stop sequences. Text that is given is
    sent as it is, whatever the request's limits, unless ``obey_limits`` is set.
    """

    text: str | tuple[str, ...] | None = None
    """The answer; a sequence gives the chunks. ``None``: the default answer (none next to tool calls)."""
    thinking: str | tuple[str, ...] | None = None
    """Thought before the answer; a sequence gives the chunks."""
    tool_calls: tuple[ToolCall, ...] = ()
    call_tools: int = 0
    """Call the first so many tools of the request with the smallest valid arguments, unless the
    conversation already ends in a tool's result."""
    finish_reason: str | None = None
    """In OpenAI's words (``stop``, ``length``, ``tool_calls`` …); ``None``: whatever is right."""
    usage: Usage | None = Usage()
    """``None``: the answer carries no usage."""
    chunk_size: int | None = None
    """Characters of a streamed chunk; ``None``: one word a chunk."""
    repeat: int = 1
    """Say the text so many times (long streams)."""
    obey_limits: bool | None = None
    """Apply the request's token limit and stop sequences; ``None``: to the default answer only."""
    delay_first_s: float = 0.0
    """Silence before the first byte of the answer."""
    delay_chunk_s: float = 0.0
    """Pause before each further chunk; 0 is one chunk per turn of the event loop."""
    early_head: bool = False
    """Send the response head before ``delay_first_s``, not after it."""
    comments: int = 1
    """Heartbeats before the first chunk, where the vendor has them (OpenRouter comments, Anthropic pings)."""
    dimensions: int = 8
    """Length of an embedding, when the request does not name one."""
    cost: float | None = None
    """``usage.cost`` of OpenRouter in USD; ``None``: from the model's prices."""
    model: str | None = None
    """The model's name in the answer; ``None``: the vendor's name for the model asked for."""
    headers: dict[str, str] = {}
    """Additional response headers."""
    status: int = 200
    """Status of ``body``."""
    body: Any = None
    """A whole answer of your own, instead of a composed one: a string as it is, else JSON."""
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if self.repeat < 1 or (self.chunk_size is not None and self.chunk_size < 1):
            raise ValueError("repeat and chunk_size are at least 1")


PLAIN: Final = Script()
"""The default answer."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a script is used: all that is given must match."""

    script: Script
    model: str | None = None
    """A shell-style pattern of the requested model, without case (``gpt-4*``)."""
    path: str | None = None
    """A shell-style pattern of the path; needed for a script to reach routes that are not inference."""
    method: str | None = None
    times: int | None = None
    """Use it so often, then pass over it; ``None``: always."""


class MockModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A model that the mock has."""

    name: str
    capabilities: tuple[str, ...] = ("completion", "tools", "vision", "thinking")
    """Of Ollama's ``completion tools insert vision embedding thinking``; the Ollama shape enforces them."""
    context_length: int = 8192
    size: int = 2_019_393_189
    """Bytes on disk."""
    family: str = "llama"
    parameter_size: str = "3.2B"
    quantization: str = "Q4_K_M"
    resident: bool = False
    """Loaded from the start (Ollama's ``/api/ps``)."""
    load_s: float = 0.0
    """Seconds that the first request to a model that is not resident waits (Ollama)."""
    remote_host: str = ""
    """Not empty: an Ollama cloud model, run on that host."""
    price_prompt: str = "0.0000025"
    """USD per token, as OpenRouter lists it."""
    price_completion: str = "0.00001"


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A script file: everything that can be said about a mock without code."""

    script: Script = PLAIN
    scripts: tuple[Script, ...] = ()
    """Answers of the first requests, one each, before ``rules`` and ``script``."""
    rules: tuple[Rule, ...] = ()
    models: tuple[str | MockModel, ...] | None = None
    """``None``: the shape's own list."""
    any_model: bool = False
    """Serve names that are not listed, instead of the vendor's "not found"."""
    list_magic: bool = False
    """Also list the magic names of ``docs/mock.md`` (they are served in any case)."""
    require_key: str | None = None
    """The only key accepted, in the vendor's header; ``None``: none is asked for."""
    quirks: dict[str, Any] = {}
    """Fields of the shape's vendor row to replace (OpenAI-like shapes)."""


def decode_script(text: bytes | str) -> Script:
    """Read a :class:`Script` from JSON.

    Raises:
        ValueError: not JSON, or not a script; the message names the field.
    """
    return msgspec.json.decode(text, type=Script)


def load_scenario(path: Path) -> Scenario:
    """Read a scenario from a ``.json`` file, or else YAML.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a scenario; the message names the file and the field.
    """
    raw = path.read_bytes()
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(raw, type=Scenario)
        return msgspec.yaml.decode(raw, type=Scenario)
    except msgspec.DecodeError as error:  # a ValidationError is one, too
        raise ValueError(f"{path}: {error}") from None


def as_models(models: Sequence[str | MockModel]) -> tuple[MockModel, ...]:
    """``models`` with plain names made into models that can do everything."""
    return tuple(MockModel(model) if isinstance(model, str) else model for model in models)
