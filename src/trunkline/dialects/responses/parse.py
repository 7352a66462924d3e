"""Requests of Responses clients: bytes → what routing needs, and bytes → canonical.

The gateway keeps no responses: what refers to a kept one is refused in words that say so, unless whoever
asks can look it up. What refers to things that an upstream keeps (prompts, conversations) can pass through
to it, and is refused where it would have to be translated. A knob that no upstream has (``truncation``,
``verbosity``) is taken and does nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.request_errors import decode, missing
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.parse_items import read_input
from trunkline.dialects.responses.parse_tools import Place, read_tools
from trunkline.dialects.responses.refusals import unsupported
from trunkline.model import ChatRequest, Format, Reasoning, Sampling

_PEEK: Final = msgspec.json.Decoder(schema.Common)
_ASKED: Final = msgspec.json.Decoder(schema.Asked)


class ResponsesRequest(ChatRequest, frozen=True, kw_only=True):
    """A chat, and what else a Responses client said: nothing for upstreams, but its answer repeats it."""

    instructions: str | None = None
    """Also the first of ``messages``."""
    previous_response_id: str | None = None
    """The kept response that ``messages`` go on from."""
    store: bool | None = None
    """The response is to be kept; OpenAI's default is yes."""
    kept: bool = False
    """It will be."""
    spaces: Mapping[str, Place] = {}
    """Where tools that lie in a namespace do, by the name that upstreams know them by."""
    include: tuple[str, ...] = ()
    truncation: str | None = None
    metadata: dict[str, str] | None = None
    summary: str | None = None
    """Reasoning is wanted as a summary."""
    verbosity: str | None = None
    max_tool_calls: int | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


def summarize(body: bytes) -> RequestSummary:
    """What routing needs of a request.

    Raises:
        CallerError: not JSON, a top-level field of the wrong type, or a wish that nobody here can fulfil.
    """
    seen = decode(_PEEK, body)
    _check(seen)
    return RequestSummary(
        model=seen.model,
        stream=seen.stream is True,
        max_tokens=seen.max_output_tokens,
        user=seen.user,
    )


def _check(seen: schema.Common) -> None:
    if seen.background and not seen.stream:
        raise unsupported(
            "A response in the background", "background", "nobody could fetch it here: have it streamed"
        )
    told = (seen.input, seen.previous_response_id, seen.conversation, seen.prompt)
    if all(each is None for each in told):
        raise missing("input")


def _check_translatable(seen: schema.Common) -> None:
    """What refers to something that only its own upstream has, and understands."""
    if seen.background:
        raise unsupported("A response in the background", "background")
    if seen.conversation is not None:
        raise unsupported("A stored conversation", "conversation")
    if seen.prompt is not None:
        raise unsupported("A stored prompt", "prompt")


def parse(body: bytes, stored: bool = False, thoughts: Sequence[tuple[int, bytes]] = ()) -> ResponsesRequest:
    """A request in canonical form.

    Args:
        body: the request's bytes.
        stored: ``previous_response_id`` can be looked up by the caller, who puts what went before in front
            of ``messages``; otherwise it is refused.
        thoughts: items that stand in the input as well, at these places.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = decode(_ASKED, body)
    _check_translatable(seen)
    _check(seen)
    if seen.previous_response_id is not None and not stored:
        raise unsupported(
            "A previous response",
            "previous_response_id",
            "this gateway keeps no responses: send the whole conversation as input",
        )
    if isinstance(seen.input, list):
        for at, item in thoughts:
            seen.input.insert(at, msgspec.Raw(item))
    include = tuple(seen.include or ())
    toolbox = read_tools(seen.tools or (), seen.tool_choice)
    logprobs = True if schema.LOGPROBS in include else None
    asked = seen.reasoning or schema.ReasoningIn()
    text = seen.text or schema.TextIn()
    return ResponsesRequest(
        model=seen.model or "",
        messages=read_input(seen.input or "", seen.instructions, stored),
        sampling=Sampling(
            temperature=seen.temperature,
            top_p=seen.top_p,
            max_tokens=seen.max_output_tokens,
            logprobs=logprobs,
            top_logprobs=seen.top_logprobs if logprobs else None,
        ),
        tools=toolbox.tools,
        tool_choice=toolbox.choice,
        parallel_tool_calls=seen.parallel_tool_calls,
        format=_format(text.format),
        reasoning=None if asked.effort is None else Reasoning(effort=asked.effort),
        stream=seen.stream is True,
        include_usage=True,
        user=seen.user,
        instructions=seen.instructions,
        previous_response_id=seen.previous_response_id,
        store=seen.store,
        spaces=toolbox.spaces,
        kept=stored and seen.store is not False,
        include=include,
        truncation=seen.truncation,
        metadata=seen.metadata,
        summary=asked.summary or asked.generate_summary,
        verbosity=text.verbosity,
        max_tool_calls=seen.max_tool_calls,
        prompt_cache_key=seen.prompt_cache_key,
        safety_identifier=seen.safety_identifier,
    )


def _format(seen: schema.FormatIn | None) -> Format | None:
    if seen is None or seen.type == "text":
        return None
    if seen.type == "json_object":
        return Format()
    if seen.name is None:
        raise missing("text.format.name")
    if seen.schema is None:
        raise missing("text.format.schema")
    return Format(schema=seen.schema, name=seen.name, strict=seen.strict, description=seen.description)
