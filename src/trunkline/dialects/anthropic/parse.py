"""Requests of Anthropic clients: bytes → what routing needs, and bytes → canonical.

The structs of ``request_schema`` do the checking: another field is no error if ``fields`` calls it harmless,
and a wrong one is reported with its path. What a field means is decided in :func:`parse`, ``parse_content``
and ``reasoning`` only.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.dialects.anthropic.client_tools import client_tool
from trunkline.dialects.anthropic.fields import (
    HARMLESS,
    check_state,
    models_named_in,
    not_permitted,
    state_fields,
)
from trunkline.dialects.anthropic.parse_content import SERVER_BLOCKS, parse_message, parse_system
from trunkline.dialects.anthropic.reasoning import parse_reasoning
from trunkline.dialects.anthropic.web_search import SEARCH_PREFIX, parse_search
from trunkline.dialects.base import RequestSummary
from trunkline.dialects.field_names import FieldNames, decode_fields, names_of
from trunkline.dialects.request_errors import decode, invalid, missing, unsupported
from trunkline.dialects.unknown_fields import RequestDecoder
from trunkline.errors import CallerError
from trunkline.model import ChatRequest, Format, Sampling, Tool, ToolChoice

_SUMMARY: Final = msgspec.json.Decoder(schema.Summary)
_SUMMARY_MESSAGES: Final = msgspec.json.Decoder(schema.SummaryMessages)
_encode: Final = msgspec.json.Encoder().encode
_NAMES: Final = FieldNames(
    {*names_of(schema.Messages, schema.SummaryMessages), "provider", "route"}, HARMLESS
)
_MESSAGES_NAME: Final = len(b',"messages":')
_SHORTEST_MESSAGES: Final = len(b'[{"role":"user"}]')
_LIST: Final = ord("[")
_MESSAGES: Final = RequestDecoder(schema.Messages, HARMLESS, not_permitted)

_INVALID_VALUE: Final = re.compile(r"^Invalid '.*?': Invalid value '(.*?)'")


class MessagesRequest(ChatRequest, frozen=True, kw_only=True):
    """A chat whose answer tells more than other clients want to know."""

    reports_edits: bool = False
    """The client asked for edits of its context; the answer tells that none was applied."""
    message_id: str | None = None
    """The id of the answer, where the upstream's own is not to be used."""


def summarize(body: bytes) -> RequestSummary:
    """Return what routing needs of a request.

    Raises:
        CallerError: The body is not JSON, or a top-level field is missing or has the wrong type.
    """
    try:
        named = decode_fields(body)
        messages = named.pop("messages")  # most of the body, which is looked through once
        rest = _encode(named)
        if len(rest) + len(messages) + _MESSAGES_NAME != len(body) or not _NAMES.known.issuperset(named):
            usual = _NAMES.usual(body)
            if usual is not body:
                return msgspec.structs.replace(summarize(usual), body=usual)
        if len(messages) < _SHORTEST_MESSAGES or memoryview(messages)[0] != _LIST:
            fields = _with_messages(body)
        else:
            fields = _SUMMARY.decode(rest)
    except (KeyError, ValueError, RecursionError):
        fields = _with_messages(body)  # raises the error, with the field's path
    state: tuple[str, ...] = ()
    if (
        fields.thread
        or fields.context_management
        or fields.container
        or fields.compaction
        or fields.fallbacks
        or fields.fallback_credit_token
        or fields.billing_policy
        or fields.inference_geo
        or fields.mcp_servers
    ):
        state = state_fields(fields)
    others: tuple[str, ...] = ()
    if fields.fallbacks or fields.models or fields.plugins or fields.preset:
        others = models_named_in(fields)
    return RequestSummary(
        model=fields.model or None,
        stream=fields.stream is True,
        max_tokens=fields.max_tokens,
        user=_user(fields),
        state=state,
        other_models=others,
    )


def _with_messages(body: bytes) -> schema.Summary:
    """The fields of a request whose messages are few, or wrong.

    Raises:
        CallerError: The body is not JSON, or a top-level field is missing or has the wrong type.
    """
    fields = decode(_SUMMARY_MESSAGES, body)
    if not fields.messages and not fields.thread:
        raise invalid("messages", "Expected `array` of length >= 1")
    return fields


def _user(fields: schema.Common) -> str | None:
    return fields.metadata.user_id if fields.metadata is not None else None


def parse(body: bytes) -> ChatRequest:
    """Return a request in canonical form.

    Raises:
        CallerError: A field is missing or wrong, or cannot be carried to other dialects; ``param`` names it.
    """
    left_out: tuple[str, ...] = ()
    try:
        fields = _MESSAGES.decode(body)
    except (ValueError, RecursionError):
        try:
            fields, left_out = _MESSAGES.decode_slowly(body)
        except CallerError as error:
            raise _for_server_block(error) from None
    state = state_fields(fields)
    reports_edits = bool(state) and check_state(fields, state)
    if fields.mcp_servers:
        raise unsupported("A list of MCP servers", "mcp_servers")
    turns = [turn for i, each in enumerate(fields.messages) for turn in parse_message(each, f"messages[{i}]")]
    stream = fields.stream is True
    tools = fields.tools or ()
    chat = ChatRequest(
        model=fields.model or "",
        messages=(*parse_system(fields.system), *turns),
        sampling=Sampling(
            temperature=fields.temperature,
            top_p=fields.top_p,
            top_k=fields.top_k,
            max_tokens=fields.max_tokens,
            stop=tuple(fields.stop_sequences or ()),
        ),
        tools=tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools) if not _is_search(tool)),
        web_search=next(
            (parse_search(tool, f"tools[{i}]") for i, tool in enumerate(tools) if _is_search(tool)), None
        ),
        tool_choice=_tool_choice(fields),
        parallel_tool_calls=_parallel(fields),
        format=_format(fields),
        reasoning=parse_reasoning(fields.thinking, fields.output_config),
        stream=stream,
        include_usage=stream,
        user=_user(fields),
        left_out=left_out,
    )
    return as_messages_request(chat, reports_edits=True) if reports_edits else chat


def as_messages_request(chat: ChatRequest, **more: Any) -> MessagesRequest:
    """Return ``chat`` with more fields; those that it had are kept."""
    return MessagesRequest(**{name: getattr(chat, name) for name in chat.__struct_fields__} | more)


def _for_server_block(error: CallerError) -> CallerError:
    """The error for a block that is only valid on Anthropic's own servers; other errors as they are."""
    value = _INVALID_VALUE.search(error.message)
    if value is None or value.group(1) not in SERVER_BLOCKS:
        return error
    return unsupported(f"A block of type '{value.group(1)}'", error.param or "")


def _is_search(tool: schema.ToolIn) -> bool:
    return (tool.type or "").startswith(SEARCH_PREFIX)


def _tool(tool: schema.ToolIn, path: str) -> Tool:
    if tool.type not in (None, "custom"):
        known = client_tool(tool.type, tool.name or tool.type)
        if known is None:
            raise unsupported(f"A tool of type '{tool.type}'", f"{path}.type")
        return known
    if tool.name is None:
        raise missing(f"{path}.name")
    if tool.input_schema is None:
        raise missing(f"{path}.input_schema")
    return Tool(
        name=tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict
    )


def _tool_choice(fields: schema.Messages) -> ToolChoice | None:
    match fields.tool_choice:
        case None:
            return None
        case schema.AutoChoice():
            return ToolChoice(mode="auto")
        case schema.AnyChoice():
            return ToolChoice(mode="required")
        case schema.NoChoice():
            return ToolChoice(mode="none")
        case schema.NamedChoice(name=name):
            return ToolChoice(mode="tool", name=name)


def _parallel(fields: schema.Messages) -> bool | None:
    """False where several calls at once are forbidden, else None: that they are allowed is the default."""
    choice = fields.tool_choice
    if choice is None or isinstance(choice, schema.NoChoice):
        return None
    return False if choice.disable_parallel_tool_use else None


def _format(fields: schema.Messages) -> Format | None:
    """The answer's schema. ``output_format`` is the field's name in the beta."""
    config = fields.output_config
    wanted = fields.output_format if config is None or config.format is None else config.format
    return None if wanted is None else Format(schema=wanted.schema)
