"""Requests of OpenAI clients: bytes → canonical.

The structs of ``wire`` do the checking: every field of the current schema is accepted, an unknown one is no
error, and a wrong one is named by its path. What a field means is said once, in the ``parse`` functions.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.openai import request_schema as schema
from trunkline.dialects.openai.parse_messages import read_message, unsupported
from trunkline.dialects.request_errors import decode, missing
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
)

_CHAT_PEEK: Final = msgspec.json.Decoder(schema.ChatPeek)
_COMPLETION_PEEK: Final = msgspec.json.Decoder(schema.CompletionPeek)
_EMBEDDING_PEEK: Final = msgspec.json.Decoder(schema.EmbeddingPeek)
_CHAT: Final = msgspec.json.Decoder(schema.Chat)
_COMPLETION: Final = msgspec.json.Decoder(schema.Completion)
_EMBEDDING: Final = msgspec.json.Decoder(schema.Embedding)


def peek_chat(body: bytes) -> RequestSummary:
    """What routing needs of a chat request.

    Raises:
        CallerError: not JSON, or a top-level field of the wrong type.
    """
    seen = decode(_CHAT_PEEK, body)
    bounds = [each for each in (seen.max_tokens, seen.max_completion_tokens) if each is not None]
    return _peek(
        seen, None if not bounds or min(bounds) < 0 else max(bounds)
    )  # which holds is the upstream's


def peek_completion(body: bytes) -> RequestSummary:
    """What routing needs of a legacy completion request."""
    seen = decode(_COMPLETION_PEEK, body)
    summary = _peek(seen, seen.max_tokens)
    answers = _prompts(seen.prompt) * max(summary.n, seen.best_of or 1)
    return summary if answers == summary.n else msgspec.structs.replace(summary, n=answers)


def _prompts(prompt: msgspec.Raw) -> int:
    """How many prompts there are, each of which gets its own answers; a list of numbers is one, in tokens."""
    if not bytes(prompt).startswith(b"["):
        return 1
    prompts = msgspec.json.decode(prompt, type=list[msgspec.Raw])
    return len(prompts) if prompts and bytes(prompts[0]).startswith((b'"', b"[")) else 1


def peek_embedding(body: bytes) -> RequestSummary:
    """What routing needs of an embedding request."""
    seen = decode(_EMBEDDING_PEEK, body)
    return RequestSummary(model=seen.model, stream=False, user=seen.user)


def _chat_bound(seen: schema.ChatPeek | schema.Chat) -> int | None:
    return seen.max_tokens if seen.max_completion_tokens is None else seen.max_completion_tokens


def _peek(seen: schema.Common, max_tokens: int | None) -> RequestSummary:
    """The common fields; a negative bound is llama.cpp's and LM Studio's word for none."""
    options = seen.stream_options
    return RequestSummary(
        model=seen.model,
        stream=seen.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=None if max_tokens is None or max_tokens < 0 else max_tokens,
        n=seen.n or 1,
        user=seen.user,
    )


def _sampling(seen: schema.Common, summary: RequestSummary, **more: Any) -> Sampling:
    stop = seen.stop
    return Sampling(
        temperature=seen.temperature,
        top_p=seen.top_p,
        top_k=seen.top_k,
        min_p=seen.min_p,
        max_tokens=summary.max_tokens,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        seed=seen.seed,
        presence_penalty=seen.presence_penalty,
        frequency_penalty=seen.frequency_penalty,
        repetition_penalty=seen.repetition_penalty,
        n=summary.n,
        **more,
    )


def parse_chat(body: bytes) -> ChatRequest:
    """A chat request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = decode(_CHAT, body)
    if "audio" in (seen.modalities or ()):
        raise unsupported("A wish for a spoken answer", "modalities")
    summary = _peek(seen, _chat_bound(seen))
    return ChatRequest(
        model=seen.model or "",
        messages=tuple(read_message(message, f"messages[{i}]") for i, message in enumerate(seen.messages)),
        sampling=_sampling(seen, summary, logprobs=seen.logprobs, top_logprobs=seen.top_logprobs),
        tools=_tools(seen),
        tool_choice=_tool_choice(seen),
        parallel_tool_calls=seen.parallel_tool_calls,
        format=_format(seen.response_format),
        reasoning=_reasoning(seen),
        stream=summary.stream,
        include_usage=summary.include_usage,
        user=seen.user,
    )


def _tools(seen: schema.Chat) -> tuple[Tool, ...]:
    """The functions that the model may call; of those, the ones that ``tool_choice`` allows."""
    specs = [_function(tool, f"tools[{i}]") for i, tool in enumerate(seen.tools or ())]
    choice = seen.tool_choice
    if isinstance(choice, schema.Choice) and choice.allowed_tools is not None:
        allowed = {tool.function.name for tool in choice.allowed_tools.tools if tool.function is not None}
        specs = [spec for spec in specs if spec.name in allowed]
    return tuple(
        Tool(name=spec.name, description=spec.description, parameters=spec.parameters, strict=spec.strict)
        for spec in specs or seen.functions or ()
    )


def _function(tool: schema.ToolIn, at: str) -> schema.FunctionSpec:
    if tool.type != "function":
        raise unsupported(f"A tool of type '{tool.type}'", f"{at}.type")
    if tool.function is None:
        raise missing(f"{at}.function")
    return tool.function


def _tool_choice(seen: schema.Chat) -> ToolChoice | None:
    match seen.tool_choice or seen.function_call:
        case None:
            return None
        case schema.Choice(function=schema.NamedFunction(name=name)) | schema.NamedFunction(name=name):
            return ToolChoice(mode="tool", name=name)
        case schema.Choice(allowed_tools=schema.AllowedTools(mode=mode)):
            return ToolChoice(mode=mode)
        case schema.Choice(type="function"):
            raise missing("tool_choice.function")
        case schema.Choice() as choice:
            raise unsupported(f"A tool choice of type '{choice.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)


def _format(seen: schema.ResponseFormat | None) -> Format | None:
    if seen is None or seen.type == "text":
        return None
    if seen.type == "json_object":
        return Format()
    if seen.json_schema is None or seen.json_schema.schema is None:
        raise missing("response_format.json_schema.schema")
    spec = seen.json_schema
    return Format(schema=spec.schema, name=spec.name, strict=spec.strict, description=spec.description)


def _reasoning(seen: schema.Chat) -> Reasoning | None:
    asked = seen.reasoning
    if asked is not None:
        effort = asked.effort or ("none" if asked.enabled is False else None)
        if effort is None and asked.max_tokens is None and asked.enabled:
            effort = "medium"
        return Reasoning(effort=effort, max_tokens=asked.max_tokens, exclude=asked.exclude)
    return None if seen.reasoning_effort is None else Reasoning(effort=seen.reasoning_effort)


def parse_completion(body: bytes) -> CompletionRequest:
    """A legacy completion request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field; token-id prompts are refused, because
            their meaning is one tokenizer's.
    """
    seen = decode(_COMPLETION, body)
    summary = _peek(seen, seen.max_tokens)
    return CompletionRequest(
        model=seen.model or "",
        prompts=_texts(seen.prompt or "", "prompt"),
        suffix=seen.suffix,
        echo=seen.echo is True,
        sampling=_sampling(
            seen,
            summary,
            logprobs=None if seen.logprobs is None else True,
            top_logprobs=seen.logprobs,
        ),
        stream=summary.stream,
        include_usage=summary.include_usage,
        user=seen.user,
    )


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """An embedding request in canonical form.

    Raises:
        CallerError: with ``param`` naming the missing or wrong field.
    """
    seen = decode(_EMBEDDING, body)
    return EmbeddingRequest(
        model=seen.model or "",
        inputs=_texts(seen.input, "input"),
        dimensions=seen.dimensions,
        base64=seen.encoding_format == "base64",
        user=seen.user,
    )


def _texts(value: str | list[str | int | list[int]], at: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        raise CallerError(
            f"Invalid '{at}': token ids mean nothing to this model's provider; send text",
            UNSUPPORTED,
            param=at,
        )
    return texts
