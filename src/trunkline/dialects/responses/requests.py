"""Requests of Responses clients: bytes → what routing needs, and bytes → canonical.

The gateway keeps no responses: what refers to a kept one is refused in words that say so, unless whoever
asks can look it up. Tools that OpenAI's own servers would run are refused as well. A knob that no upstream
has (``truncation``, ``verbosity``) is taken and does nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.base import Peek
from trunkline.dialects.responses import wire
from trunkline.dialects.responses.checks import decode, missing, unsupported
from trunkline.dialects.responses.items import read_input
from trunkline.model import ChatRequest, Format, Reasoning, Sampling, Tool, ToolChoice

_PEEK: Final = msgspec.json.Decoder(wire.Common)
_ASKED: Final = msgspec.json.Decoder(wire.Asked)
_TYPED: Final = msgspec.json.Decoder(wire.Typed)
_FUNCTION: Final = msgspec.json.Decoder(wire.FunctionTool)


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
    include: tuple[str, ...] = ()
    truncation: str | None = None
    metadata: dict[str, str] | None = None
    summary: str | None = None
    """Reasoning is wanted as a summary."""
    verbosity: str | None = None
    max_tool_calls: int | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None


def peek(body: bytes) -> Peek:
    """What routing needs of a request.

    Raises:
        CallerError: not JSON, a top-level field of the wrong type, or a wish that nobody here can fulfil.
    """
    seen = decode(_PEEK, body)
    _check(seen)
    return Peek(
        model=seen.model,
        stream=seen.stream is True,
        max_tokens=seen.max_output_tokens,
        user=seen.user,
    )


def _check(seen: wire.Common) -> None:
    if seen.background:
        raise unsupported("A response in the background", "background")
    if seen.conversation is not None:
        raise unsupported("A stored conversation", "conversation")
    if seen.prompt is not None:
        raise unsupported("A stored prompt", "prompt")
    if seen.input is None:
        raise missing("input")


def parse(body: bytes, stored: bool = False) -> ResponsesRequest:
    """A request in canonical form.

    Args:
        body: the request's bytes.
        stored: ``previous_response_id`` can be looked up by the caller, who puts what went before in front
            of ``messages``; otherwise it is refused.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = decode(_ASKED, body)
    _check(seen)
    if seen.previous_response_id is not None and not stored:
        raise unsupported(
            "A previous response",
            "previous_response_id",
            "this gateway keeps no responses: send the whole conversation as input",
        )
    include = tuple(seen.include or ())
    logprobs = True if wire.LOGPROBS in include else None
    asked = seen.reasoning or wire.ReasoningIn()
    text = seen.text or wire.TextIn()
    return ResponsesRequest(
        model=seen.model or "",
        messages=read_input(seen.input or "", seen.instructions),
        sampling=Sampling(
            temperature=seen.temperature,
            top_p=seen.top_p,
            max_tokens=seen.max_output_tokens,
            logprobs=logprobs,
            top_logprobs=seen.top_logprobs if logprobs else None,
        ),
        tools=_tools(seen),
        tool_choice=_tool_choice(seen.tool_choice),
        parallel_tool_calls=seen.parallel_tool_calls,
        format=_format(text.format),
        reasoning=None if asked.effort is None else Reasoning(effort=asked.effort),
        stream=seen.stream is True,
        include_usage=True,
        user=seen.user,
        instructions=seen.instructions,
        previous_response_id=seen.previous_response_id,
        store=seen.store,
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


def _tools(seen: wire.Asked) -> tuple[Tool, ...]:
    """The functions that the model may call; of those, the ones that ``tool_choice`` allows."""
    tools = [_tool(raw, f"tools[{index}]") for index, raw in enumerate(seen.tools or ())]
    choice = seen.tool_choice
    if isinstance(choice, wire.Choice) and choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools or () if tool.type == "function"}
        tools = [tool for tool in tools if tool.name in allowed]
    return tuple(tools)


def _tool(raw: msgspec.Raw, at: str) -> Tool:
    typed = decode(_TYPED, raw, at)
    if typed.type is None:
        raise missing(f"{at}.type")
    if typed.type != "function":
        raise unsupported(f"A tool of type '{typed.type}'", f"{at}.type", "only functions are")
    spec = decode(_FUNCTION, raw, at)
    return Tool(name=spec.name, description=spec.description, parameters=spec.parameters, strict=spec.strict)


def _tool_choice(seen: str | wire.Choice | None) -> ToolChoice | None:
    match seen:
        case None:
            return None
        case wire.Choice(type="function"):
            if seen.name is None:
                raise missing("tool_choice.name")
            return ToolChoice(mode="tool", name=seen.name)
        case wire.Choice(type="allowed_tools"):
            if seen.mode is None or seen.tools is None:
                raise missing("tool_choice.mode" if seen.mode is None else "tool_choice.tools")
            return ToolChoice(mode=seen.mode)
        case wire.Choice():
            raise unsupported(f"A tool choice of type '{seen.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)  # type: ignore[arg-type]


def _format(seen: wire.FormatIn | None) -> Format | None:
    if seen is None or seen.type == "text":
        return None
    if seen.type == "json_object":
        return Format()
    if seen.name is None:
        raise missing("text.format.name")
    if seen.schema is None:
        raise missing("text.format.schema")
    return Format(schema=seen.schema, name=seen.name, strict=seen.strict, description=seen.description)
