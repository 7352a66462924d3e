"""Requests of OpenAI clients: bytes → canonical.

The structs of ``request_schema`` do the checking: every field of the current schema is accepted, another one
if ``fields`` calls it harmless, and a wrong one is reported with its path. What a field means is decided in
the ``parse`` functions only.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trunkline.dialects.base import RequestSummary
from trunkline.dialects.custom_tools import as_function
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.field_names import FieldNames, decode_fields, named_models, names_of
from trunkline.dialects.openai import parse_form
from trunkline.dialects.openai import request_schema as schema
from trunkline.dialects.openai.fields import HARMLESS, models_named_in, state_fields, unrecognized
from trunkline.dialects.openai.parse_messages import parse_message
from trunkline.dialects.request_errors import decode, missing, unsupported
from trunkline.dialects.unknown_fields import RequestDecoder
from trunkline.errors import INVALID_JSON, UNSUPPORTED, CallerError
from trunkline.model import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    Format,
    Reasoning,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)

_CHAT_SUMMARY: Final = msgspec.json.Decoder(schema.ChatSummary)
_CHAT_MESSAGES: Final = msgspec.json.Decoder(schema.ChatMessages)
_COMPLETION_SUMMARY: Final = msgspec.json.Decoder(schema.CompletionSummary)
_EMBEDDING_SUMMARY: Final = msgspec.json.Decoder(schema.EmbeddingSummary)
_RELAYED_SUMMARY: Final = msgspec.json.Decoder(schema.RelayedSummary)
_encode: Final = msgspec.json.Encoder().encode
_NAMES: Final = FieldNames(
    names_of(schema.Chat, schema.ChatMessages, schema.Completion, schema.CompletionSummary)
    | {"provider", "route", "store"},
    HARMLESS,
)
_OTHER_NAMES: Final = FieldNames(names_of(schema.Embedding, schema.RelayedSummary), HARMLESS)
_MESSAGES_NAME: Final = len(b',"messages":')
_SHORTEST_MESSAGES: Final = len(b'[{"role":"user"}]')
_LIST: Final = ord("[")
_CHAT: Final = RequestDecoder(schema.Chat, HARMLESS, unrecognized)
_COMPLETION: Final = RequestDecoder(schema.Completion, HARMLESS, unrecognized)
_EMBEDDING: Final = msgspec.json.Decoder(schema.Embedding)


def summarize_chat(body: bytes) -> RequestSummary:
    """Return what routing needs of a chat request. Of two bounds on the answer, the larger one is taken:
    which of them holds is the upstream's choice.

    Raises:
        CallerError: The body is not JSON, or a top-level field has the wrong type.
    """
    fields: schema.ChatSummary
    try:
        named = decode_fields(body)
        messages = named.pop("messages")  # most of the body, which is looked through once
        rest = _encode(named)
        if len(rest) + len(messages) + _MESSAGES_NAME != len(body) or not _NAMES.known.issuperset(named):
            usual = _NAMES.usual(body)
            if usual is not body:
                return msgspec.structs.replace(summarize_chat(usual), body=usual)
        if len(messages) < _SHORTEST_MESSAGES or memoryview(messages)[0] != _LIST:
            fields = decode(_CHAT_MESSAGES, body)
        else:
            fields = _CHAT_SUMMARY.decode(rest)
    except (KeyError, ValueError, RecursionError):
        fields = decode(_CHAT_MESSAGES, body)  # raises the error, with the field's path
    bound, other = fields.max_tokens, fields.max_completion_tokens
    if bound is None or other is None:
        bound = other if bound is None else bound
    else:
        bound = max(bound, other) if min(bound, other) >= 0 else None
    if fields.n_predict is not None or fields.num_predict is not None:
        bound = _largest(bound, fields.n_predict, fields.num_predict)
    others: tuple[str, ...] = ()
    if fields.models or fields.plugins or fields.preset or fields.fallbacks:
        others = models_named_in(fields)
    return _summary(fields, bound, others)


def _largest(*bounds: Any) -> int | None:
    """The largest of some bounds, which servers read under several names; None if one of them is no bound."""
    found = [each for each in bounds if each is not None]
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 0 for each in found):
        return None
    return max(found, default=None)


def summarize_completion(body: bytes) -> RequestSummary:
    """Return what routing needs of a legacy completion request."""
    body, usual = _usual(body, _NAMES)
    fields = decode(_COMPLETION_SUMMARY, body)
    bound = fields.max_tokens
    if fields.n_predict is not None or fields.num_predict is not None:
        bound = _largest(bound, fields.n_predict, fields.num_predict)
    summary = _summary(fields, bound, models_named_in(fields), usual)
    answers = _count_prompts(fields.prompt) * max(summary.n, fields.best_of or 1)
    return summary if answers == summary.n else msgspec.structs.replace(summary, n=answers)


def _usual(body: bytes, names: FieldNames) -> tuple[bytes, bytes | None]:
    """The body with one field of each name; and once more if that is another one than the client's.

    Raises:
        CallerError: 400, a name is spelled in another way.
    """
    try:
        usual = names.usual(body)
    except UNREADABLE:
        return body, None  # whoever decodes it next says what is wrong
    return usual, None if usual is body else usual


def _count_prompts(prompt: msgspec.Raw) -> int:
    """The number of prompts, each of which gets its own answers. A list of numbers is one prompt, in
    tokens."""
    if not bytes(prompt).startswith(b"["):
        return 1
    prompts = msgspec.json.decode(prompt, type=list[msgspec.Raw])
    return len(prompts) if prompts and bytes(prompts[0]).startswith((b'"', b"[")) else 1


def summarize_embedding(body: bytes) -> RequestSummary:
    """Return what routing needs of an embedding request."""
    body, usual = _usual(body, _OTHER_NAMES)
    fields = decode(_EMBEDDING_SUMMARY, body)
    return RequestSummary(model=fields.model, stream=False, user=fields.user, body=usual)


def summarize_relayed(body: bytes) -> RequestSummary:
    """Return what routing needs of a request that is relayed: JSON, a form, or nothing at all.

    Raises:
        CallerError: The body is none of these, or names its model by something that is no text.
    """
    if parse_form.is_form(body):
        return RequestSummary(model=parse_form.read_model(body), stream=False)
    if not body.strip():
        return RequestSummary(model=None, stream=False)
    body, usual = _usual(body, _OTHER_NAMES)
    try:
        fields = _RELAYED_SUMMARY.decode(body)
    except (ValueError, RecursionError) as error:
        raise CallerError(f"The request body is not a JSON object: {error}", INVALID_JSON) from None
    others = named_models(fields.models)
    return RequestSummary(model=fields.model, stream=False, user=fields.user, other_models=others, body=usual)


def _chat_bound(fields: schema.Chat) -> int | None:
    return fields.max_tokens if fields.max_completion_tokens is None else fields.max_completion_tokens


def _summary(
    fields: schema.Common,
    max_tokens: int | None,
    others: tuple[str, ...] = (),
    usual: bytes | None = None,
) -> RequestSummary:
    """The common fields. llama.cpp's and LM Studio's clients write a negative bound where they want none."""
    options = fields.stream_options
    state: tuple[str, ...] = ()
    if fields.models or fields.plugins or fields.preset:
        state = state_fields(fields)
    return RequestSummary(
        model=fields.model,
        stream=fields.stream is True,
        include_usage=options is not None and options.include_usage is True,
        max_tokens=None if max_tokens is None or max_tokens < 0 else max_tokens,
        n=fields.n or 1,
        user=fields.user,
        state=state,
        other_models=others,
        body=usual,
    )


def _sampling(fields: schema.Common, summary: RequestSummary, **more: Any) -> Sampling:
    stop = fields.stop
    return Sampling(
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=fields.top_k,
        min_p=fields.min_p,
        max_tokens=summary.max_tokens,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        seed=fields.seed,
        presence_penalty=fields.presence_penalty,
        frequency_penalty=fields.frequency_penalty,
        repetition_penalty=fields.repetition_penalty,
        n=summary.n,
        **more,
    )


def parse_chat(body: bytes) -> ChatRequest:
    """Return a chat request in canonical form.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it.
    """
    left_out: tuple[str, ...] = ()
    try:
        fields = _CHAT.decode(body)
    except (ValueError, RecursionError):
        fields, left_out = _CHAT.decode_slowly(body)
    if "audio" in (fields.modalities or ()):
        raise unsupported("A request for a spoken answer", "modalities")
    summary = _summary(fields, _chat_bound(fields))
    if summary.state:
        raise unrecognized(summary.state[0])
    return ChatRequest(
        model=fields.model or "",
        messages=tuple(parse_message(each, f"messages[{i}]") for i, each in enumerate(fields.messages)),
        sampling=_sampling(fields, summary, logprobs=fields.logprobs, top_logprobs=fields.top_logprobs),
        tools=_tools(fields),
        tool_choice=_tool_choice(fields),
        parallel_tool_calls=fields.parallel_tool_calls,
        web_search=_web_search(fields.web_search_options),
        format=_format(fields.response_format),
        reasoning=_reasoning(fields),
        stream=summary.stream,
        include_usage=summary.include_usage,
        user=fields.user,
        left_out=left_out,
    )


def _tools(fields: schema.Chat) -> tuple[Tool, ...]:
    """The functions that the model may call; only those that ``tool_choice`` allows, if it names some."""
    tools = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(fields.tools or ())]
    choice = fields.tool_choice
    if isinstance(choice, schema.Choice) and choice.allowed_tools is not None:
        named = [tool.function or tool.custom for tool in choice.allowed_tools.tools]
        allowed = {each.name for each in named if each is not None}
        tools = [tool for tool in tools if tool.name in allowed]
    return tuple(tools or map(_function, fields.functions or ()))


def _function(spec: schema.FunctionSpec) -> Tool:
    return Tool(name=spec.name, description=spec.description, parameters=spec.parameters, strict=spec.strict)


def _tool(tool: schema.ToolIn, path: str) -> Tool:
    if tool.type == "custom":
        if tool.custom is None:
            raise missing(f"{path}.custom")
        return as_function(tool.custom.name, tool.custom.description, tool.custom.format)
    if tool.type != "function":
        raise unsupported(f"A tool of type '{tool.type}'", f"{path}.type")
    if tool.function is None:
        raise missing(f"{path}.function")
    return _function(tool.function)


def _web_search(options: schema.WebSearchOptions | None) -> WebSearch | None:
    if options is None:
        return None
    location = options.user_location
    place = msgspec.structs.asdict(location.approximate) if location and location.approximate else {}
    return WebSearch(
        field="web_search_options",
        kind="web_search_options",
        context_size=options.search_context_size,
        location={name: value for name, value in place.items() if value} or None,
    )


def _tool_choice(fields: schema.Chat) -> ToolChoice | None:
    match fields.tool_choice or fields.function_call:
        case None:
            return None
        case (
            schema.Choice(function=schema.NamedFunction(name=name))
            | schema.Choice(custom=schema.NamedFunction(name=name))
            | schema.NamedFunction(name=name)
        ):
            return ToolChoice(mode="tool", name=name)
        case schema.Choice(allowed_tools=schema.AllowedTools(mode=mode)):
            return ToolChoice(mode=mode)
        case schema.Choice(type="function"):
            raise missing("tool_choice.function")
        case schema.Choice() as choice:
            raise unsupported(f"A tool choice of type '{choice.type}'", "tool_choice.type")
        case word:
            return ToolChoice(mode=word)


def _format(format: schema.ResponseFormat | None) -> Format | None:
    if format is None or format.type == "text":
        return None
    if format.type == "json_object":
        return Format()
    if format.json_schema is None or format.json_schema.schema is None:
        raise missing("response_format.json_schema.schema")
    spec = format.json_schema
    return Format(schema=spec.schema, name=spec.name, strict=spec.strict, description=spec.description)


def _reasoning(fields: schema.Chat) -> Reasoning | None:
    reasoning = fields.reasoning
    if reasoning is not None:
        effort = reasoning.effort or ("none" if reasoning.enabled is False else None)
        if effort is None and reasoning.max_tokens is None and reasoning.enabled:
            effort = "medium"
        return Reasoning(effort=effort, max_tokens=reasoning.max_tokens, exclude=reasoning.exclude)
    return None if fields.reasoning_effort is None else Reasoning(effort=fields.reasoning_effort)


def parse_completion(body: bytes) -> CompletionRequest:
    """Return a legacy completion request in canonical form.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it. Prompts of token ids are refused,
            because they mean something to one tokenizer only."""
    left_out: tuple[str, ...] = ()
    try:
        fields = _COMPLETION.decode(body)
    except (ValueError, RecursionError):
        fields, left_out = _COMPLETION.decode_slowly(body)
    summary = _summary(fields, fields.max_tokens)
    if summary.state:
        raise unrecognized(summary.state[0])
    return CompletionRequest(
        model=fields.model or "",
        prompts=_texts(fields.prompt or "", "prompt"),
        suffix=fields.suffix,
        echo=fields.echo is True,
        sampling=_sampling(
            fields,
            summary,
            logprobs=None if fields.logprobs is None else True,
            top_logprobs=fields.logprobs,
        ),
        stream=summary.stream,
        include_usage=summary.include_usage,
        user=fields.user,
        left_out=left_out,
    )


def parse_embedding(body: bytes) -> EmbeddingRequest:
    """Return an embedding request in canonical form.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it.
    """
    fields = decode(_EMBEDDING, body)
    return EmbeddingRequest(
        model=fields.model or "",
        inputs=_texts(fields.input, "input"),
        dimensions=fields.dimensions,
        base64=fields.encoding_format == "base64",
        user=fields.user,
    )


def _texts(value: str | list[str | int | list[int]], path: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    texts = tuple(item for item in value if isinstance(item, str))
    if len(texts) != len(value):
        raise CallerError(
            f"Invalid '{path}': token ids mean nothing to this model's provider; send text",
            UNSUPPORTED,
            param=path,
        )
    return texts
