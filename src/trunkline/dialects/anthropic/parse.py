"""Requests of Anthropic clients: bytes → what routing needs, and bytes → canonical.

The structs of ``wire`` do the checking: an unknown field is no error, and a wrong one is named by its path.
What a field means is said once, in :func:`parse` and in ``blocks`` and ``thinking``.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from trunkline.dialects.anthropic import request_schema as schema
from trunkline.dialects.anthropic.parse_content import FOREIGN, read_message, read_system, unsupported
from trunkline.dialects.anthropic.reasoning import read_reasoning
from trunkline.dialects.base import RequestSummary
from trunkline.errors import INVALID_JSON, CallerError
from trunkline.model import ChatRequest, Format, Sampling, Tool, ToolChoice

_T = TypeVar("_T")

_peek: Final = msgspec.json.Decoder(schema.Peeked)
_messages: Final = msgspec.json.Decoder(schema.Messages)

_WHERE: Final = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING: Final = re.compile(r"missing required field `(.*?)`")
_VALUE: Final = re.compile(r"^Invalid value '(.*?)'")


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (ValueError, RecursionError) as error:
        what = f"is not JSON: {error}" if body.strip() else "is empty"
        raise CallerError(f"The request body {what}", INVALID_JSON) from None


def _invalid(text: str) -> CallerError:
    """msgspec's complaint as an error whose ``param`` is the path of the field."""
    where = _WHERE.search(text)
    path = where.group(1) if where else ""
    lacking = _MISSING.search(text)
    if lacking:
        return _missing(f"{path}.{lacking.group(1)}".lstrip("."))
    problem = _WHERE.sub("", text)
    value = _VALUE.search(problem)
    if value and value.group(1) in FOREIGN:
        return unsupported(f"A block of type '{value.group(1)}'", path)
    if not path:
        return CallerError(f"The request body is not a JSON object of the right form: {problem}")
    return CallerError(f"Invalid '{path}': {problem}", param=path)


def _missing(at: str) -> CallerError:
    return CallerError(f"Missing required parameter: '{at}'", param=at)


def summarize(body: bytes) -> RequestSummary:
    """What routing needs of a request.

    Raises:
        CallerError: not JSON, or a top-level field is missing or of the wrong type.
    """
    return _seen(_decode(_peek, body))


def _seen(seen: schema.Common) -> RequestSummary:
    return RequestSummary(
        model=seen.model or None,
        stream=seen.stream is True,
        max_tokens=seen.max_tokens,
        user=_user(seen),
    )


def _user(seen: schema.Common) -> str | None:
    return seen.metadata.user_id if seen.metadata is not None else None


def parse(body: bytes) -> ChatRequest:
    """A request in canonical form.

    Raises:
        CallerError: with ``param`` naming the field that is missing, wrong, or not to be carried elsewhere.
    """
    seen = _decode(_messages, body)
    if seen.mcp_servers:
        raise unsupported("A list of MCP servers", "mcp_servers")
    turns = [turn for i, said in enumerate(seen.messages) for turn in read_message(said, f"messages[{i}]")]
    stream = seen.stream is True
    return ChatRequest(
        model=seen.model or "",
        messages=(*read_system(seen.system), *turns),
        sampling=Sampling(
            temperature=seen.temperature,
            top_p=seen.top_p,
            top_k=seen.top_k,
            max_tokens=seen.max_tokens,
            stop=tuple(seen.stop_sequences or ()),
        ),
        tools=tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(seen.tools or ())),
        tool_choice=_tool_choice(seen),
        parallel_tool_calls=_parallel(seen),
        format=_format(seen),
        reasoning=read_reasoning(seen.thinking, seen.output_config),
        stream=stream,
        include_usage=stream,
        user=_user(seen),
    )


def _tool(tool: schema.ToolIn, at: str) -> Tool:
    if tool.type not in (None, "custom"):
        raise unsupported(f"A tool of type '{tool.type}'", f"{at}.type")
    if tool.input_schema is None:
        raise _missing(f"{at}.input_schema")
    return Tool(
        name=tool.name, description=tool.description, parameters=tool.input_schema, strict=tool.strict
    )


def _tool_choice(seen: schema.Messages) -> ToolChoice | None:
    match seen.tool_choice:
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


def _parallel(seen: schema.Messages) -> bool | None:
    """False where several calls at once are forbidden; that they are allowed goes without saying."""
    choice = seen.tool_choice
    if choice is None or isinstance(choice, schema.NoChoice):
        return None
    return False if choice.disable_parallel_tool_use else None


def _format(seen: schema.Messages) -> Format | None:
    """The answer's schema; ``output_format`` is its name in the beta."""
    config = seen.output_config
    asked = seen.output_format if config is None or config.format is None else config.format
    return None if asked is None else Format(schema=asked.schema)
