"""The columns of a vendor's row: how a server with OpenAI's API differs from OpenAI's own.

Every field of a row is a quirk that a scenario may replace (``quirks:``). That is the way to play a server
that has no row.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from trunkline_mock.script import MockModel


class DefaultError(NamedTuple):
    """The ``type``, ``code`` and ``message`` of a status, unless a script sets others."""

    type: str
    code: str | None
    message: str


class Vendor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One vendor or server."""

    name: str
    roots: tuple[str, ...] = ("/v1",)
    """The path prefixes that are served. Clients are configured with the first."""
    models: tuple[MockModel, ...] = ()
    id_prefix: str = "chatcmpl-"
    reasoning: Literal["reasoning", "reasoning_content", "content"] | None = None
    """The field that carries thinking (``content``: chunks of the content, as Mistral sends them); ``None``:
    thinking is hidden and only counted."""
    opens_reasoning: bool = False
    """Whether a stream with thinking begins with an empty piece of it."""
    reasoning_details: bool = False
    tool_index: Literal["counted", "zero", "absent"] = "counted"
    tool_deltas: Literal["pieces", "whole"] = "pieces"
    """Whether the arguments of a streamed tool call come in pieces or in one delta with its name."""
    arguments: Literal["string", "object"] = "string"
    call_id: Literal["call", "short", "function"] = "call"
    """The ids of calls: ``call_…``, nine letters and digits (Mistral), or ``functions.name:0`` (Moonshot)."""
    signs_calls: bool = False
    """Whether the first call carries Gemini's ``thought_signature``."""
    details_signers: tuple[str, ...] = ()
    """The models (``*`` and ``?`` match) whose first call is signed among ``reasoning_details``."""
    calls_finish: Literal["tool_calls", "stop"] = "tool_calls"
    """The finish reason with which a stream of calls ends."""
    usage: Literal["asked", "always", "never"] = "asked"
    """When a stream carries usage (``asked``: if ``stream_options`` asks for it)."""
    usage_place: Literal["own", "last", "choice"] = "own"
    """Whether usage comes in its own chunk without choices, in the last chunk with a finish reason, or within
    the choice there."""
    x_groq: bool = False
    """Whether that chunk repeats the usage in ``x_groq``."""
    cache_hit_tokens: bool = False
    """Whether usage has DeepSeek's ``prompt_cache_hit_tokens``."""
    counts_reasoning: bool = True
    """Whether ``completion_tokens`` include those of the thinking."""
    comment: str = ""
    """The text of the heartbeat comments before the first chunk; empty for none."""
    native_finish_reason: bool = False
    provider: str = ""
    """The value of the field ``provider``; empty if there is no such field."""
    cost: bool = False
    time_info: bool = False
    extra_nulls: bool = False
    """Whether there are OpenAI's own fields ``service_tier``, ``refusal`` and ``usage: null``."""
    errors: dict[int, DefaultError] = {}
    error_form: Literal["nested", "flat", "list", "text"] = "nested"
    """An error's body: ``{"error": {…}}``, the object itself, a list with such a body (Gemini), or
    ``{"code", "error": "text"}`` (xAI)."""
    error_code: Literal["string", "int", "object"] = "string"
    """The value of an error's ``code``: a string, the status (``int``), or the status with the field
    ``"object": "error"`` beside it (``object``)."""
    midstream: Literal["error", "chunk", "status_code"] = "error"
    """An error in a stream: its own event, a chunk with the finish reason ``error``, or one with a status."""
    unknown_model: int = 404
    embeddings: bool = True
    rejects: tuple[str, ...] = ()
    """Request fields that are refused with a 400."""
    max_temperature: float = 2.0
    limit_headers: Literal["", "openai", "cerebras"] = ""
    id_header: str = ""
    """The response header with an id of the request or the answer; empty for none."""
    health: bool = False
    responses: Literal["", "nested", "flat"] = ""
    """Whether there is a Responses API, and the format of its error event: OpenAI documents a flat one and
    sends one with its error envelope inside."""
    messages: bool = False
    """Whether there is Anthropic's Messages API as well."""
    least_output_tokens: int = 1
    """The minimum of ``max_output_tokens`` in the Responses API."""
