"""Requests of Responses clients: bytes → what routing needs, and bytes → canonical.

A request that refers to a stored response is refused with an explanation, unless the caller can look the
response up. One that refers to what an upstream holds (prompts, conversations) can pass through to it, and is
refused where it would have to be translated. A field that no upstream has (``truncation``, ``verbosity``) is
accepted and has no effect; ``fields`` lists the others that are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.field_names import FieldNames, decode_fields, names_of
from trunkline.dialects.request_errors import decode, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.client_tools import OfferedTool
from trunkline.dialects.responses.errors import unsupported
from trunkline.dialects.responses.fields import (
    HARMLESS,
    ITEM_REFERENCE,
    STATE_FIELDS,
    models_named_in,
    state_fields,
    unknown_parameter,
    unsupported_state,
)
from trunkline.dialects.responses.parse_items import parse_input
from trunkline.dialects.responses.parse_tools import QualifiedName, parse_tools
from trunkline.dialects.responses.tools_within import TOOLS_WITHIN, tools_within
from trunkline.dialects.unknown_fields import RequestDecoder
from trunkline.model import ChatRequest, Format, Reasoning, Sampling

_SUMMARY: Final = msgspec.json.Decoder(schema.Summary)
_REQUEST: Final = RequestDecoder(schema.Request, HARMLESS, unknown_parameter)
_encode: Final = msgspec.json.Encoder().encode
_NAMES: Final = FieldNames(
    {*names_of(schema.Request, schema.Summary), *STATE_FIELDS, "provider", "route", "store"}, HARMLESS
)
_REFERENCE: Final = f'"{ITEM_REFERENCE}"'.encode()


class ResponsesRequest(ChatRequest, frozen=True, kw_only=True):
    """A chat, and the other fields of a Responses request. They mean nothing to upstreams of other dialects,
    but the answer repeats them."""

    instructions: str | None = None
    """These are also the first of ``messages``."""
    previous_response_id: str | None = None
    """The stored response that ``messages`` continue."""
    conversation_id: str | None = None
    """The stored conversation that they continue."""
    store: bool | None = None
    """The client wants the response stored; OpenAI's default is yes."""
    is_stored: bool = False
    """The response will be stored."""
    qualified_names: Mapping[str, QualifiedName] = {}
    """The names of tools in a namespace, by the names that upstreams get for them."""
    client_tools: Mapping[str, OfferedTool] = {}
    """The tools other than functions that the client runs, by the names that upstreams get for them."""
    include: tuple[str, ...] = ()
    truncation: str | None = None
    metadata: dict[str, str] | None = None
    summary: str | None = None
    """The client wants a summary of the reasoning."""
    verbosity: str | None = None
    max_tool_calls: int | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


def summarize(body: bytes) -> RequestSummary:
    """Return what routing needs of a request.

    Raises:
        CallerError: The body is not JSON, a top-level field has the wrong type, or the request cannot be
            served by any upstream.
    """
    try:
        named = decode_fields(body)
    except UNREADABLE:
        named = {}  # the error is raised below, with the field's path
    if named and (not _NAMES.known.issuperset(named) or len(body) != len(_encode(named))):
        usual = _NAMES.usual(body)
        if usual is not body:
            return msgspec.structs.replace(summarize(usual), body=usual)
    fields = decode(_SUMMARY, body)
    _check(fields)
    state: tuple[str, ...] = ()
    if (
        fields.previous_response_id
        or fields.background
        or fields.conversation
        or fields.prompt
        or fields.multi_agent
        or fields.access_programs
        or fields.moderation
        or fields.models
        or fields.plugins
        or fields.preset
    ):
        state = state_fields(fields)
    others: tuple[str, ...] = ()
    if fields.models or fields.plugins or fields.preset:
        others = models_named_in(fields)
    if _REFERENCE in body:
        state = (*state, ITEM_REFERENCE)
    return RequestSummary(
        model=fields.model,
        stream=fields.stream is True,
        max_tokens=fields.max_output_tokens,
        user=fields.user,
        state=state,
        other_models=others,
    )


def _check(fields: schema.Summary) -> None:
    if fields.background and not fields.stream:
        raise unsupported(
            "A response in the background", "background", "nobody could fetch it here: have it streamed"
        )
    inputs = (fields.input, fields.previous_response_id, fields.conversation, fields.prompt)
    if all(each is None for each in inputs):
        raise missing("input")


def _check_translatable(fields: schema.Summary, stored: bool) -> None:
    """Refuse what refers to something that only its own upstream has."""
    for name in state_fields(fields):
        if not (stored and name == "previous_response_id"):
            raise unsupported_state(name)


def parse(
    body: bytes, stored: bool = False, reasoning_items: Sequence[tuple[int, bytes]] = ()
) -> ResponsesRequest:
    """Return a request in canonical form.

    Args:
        body: The request's bytes.
        stored: The caller can look up ``previous_response_id``, and puts the items before it in front of
            ``messages``; otherwise the field is refused.
        reasoning_items: Further items of the input, with their positions.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it.
    """
    left_out: tuple[str, ...] = ()
    try:
        fields = _REQUEST.decode(body)
    except (ValueError, RecursionError):
        fields, left_out = _REQUEST.decode_slowly(body)
    _check_translatable(fields, stored)
    _check(fields)
    if isinstance(fields.input, list):
        for position, item in reasoning_items:
            fields.input.insert(position, msgspec.Raw(item))
    include = tuple(fields.include or ())
    found: Sequence[msgspec.Raw] = ()
    if isinstance(fields.input, list) and any(needle in body for needle in TOOLS_WITHIN):
        found = tools_within(fields.input)
    toolbox = parse_tools(fields.tools or (), fields.tool_choice, found)
    logprobs = True if schema.LOGPROBS in include else None
    reasoning = fields.reasoning or schema.ReasoningIn()
    text = fields.text or schema.TextIn()
    return ResponsesRequest(
        model=fields.model or "",
        messages=parse_input(fields.input or "", fields.instructions, stored),
        sampling=Sampling(
            temperature=fields.temperature,
            top_p=fields.top_p,
            max_tokens=fields.max_output_tokens,
            logprobs=logprobs,
            top_logprobs=fields.top_logprobs if logprobs else None,
        ),
        tools=toolbox.tools,
        tool_choice=toolbox.choice,
        parallel_tool_calls=fields.parallel_tool_calls,
        format=_format(text.format),
        reasoning=None if reasoning.effort is None else Reasoning(effort=reasoning.effort),
        stream=fields.stream is True,
        include_usage=True,
        user=fields.user,
        instructions=fields.instructions,
        previous_response_id=fields.previous_response_id,
        store=fields.store,
        qualified_names=toolbox.qualified_names,
        client_tools=toolbox.client_tools,
        web_search=toolbox.web_search,
        is_stored=stored and fields.store is not False,
        include=include,
        truncation=fields.truncation,
        metadata=fields.metadata,
        summary=reasoning.summary or reasoning.generate_summary,
        verbosity=text.verbosity,
        max_tool_calls=fields.max_tool_calls,
        prompt_cache_key=fields.prompt_cache_key,
        safety_identifier=fields.safety_identifier,
        left_out=left_out,
    )


def _format(format: schema.FormatIn | None) -> Format | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return Format()
    if format.name is None:
        raise missing("text.format.name")
    if format.schema is None:
        raise missing("text.format.schema")
    return Format(
        schema=format.schema, name=format.name, strict=format.strict, description=format.description
    )
