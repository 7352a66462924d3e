"""Canonical requests → bodies for OpenAI-compatible upstreams.

Content that the API has no field for is refused with a clear 400. Fields that a vendor does not know are left
out, and a body for a thinking model is adapted to its reasoning profile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trunkline.dialects.base import RequestDefaults
from trunkline.dialects.cache_control import write_cache_control
from trunkline.dialects.fit.schemas import complete
from trunkline.dialects.media import BY_VALUE_ONLY, is_remote
from trunkline.dialects.openai.fit import file_name
from trunkline.dialects.openai.quirks import Quirks
from trunkline.dialects.openai.reasoning import adapt
from trunkline.dialects.openai.thoughts import call_fields, thinking_fields
from trunkline.dialects.openai.web_search import put_web_search
from trunkline.dialects.turns import ACKNOWLEDGEMENT, normalize_turns
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    Document,
    EmbeddingRequest,
    Format,
    Image,
    Message,
    Part,
    Reasoning,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

Body = dict[str, Any]

MAX_USER: Final = 64
"""Characters of ``user`` that OpenAI takes; other dialects' clients may send more (Claude Code does)."""
INCLUDE_USAGE: Final = {"include_usage": True}
"""The ``stream_options`` that ask for usage in a stream."""

NOBODY: Final = Maker()
_UNSEEN: Final = "[An image, which this model cannot see]"
_SILENCE: Final = {"role": "assistant", "content": ""}

encode: Final = msgspec.json.Encoder().encode


def render(
    request: CanonicalRequest,
    model: str,
    stream: bool,
    defaults: RequestDefaults,
    quirks: Quirks,
    maker: Maker = NOBODY,
) -> bytes:
    """Return the body that asks ``model`` for ``request``; only state of ``maker`` is in it.

    Raises:
        CallerError: The request holds content that OpenAI's API has no field for.
    """
    body: Body
    if quirks.thoughts.missing_signature is not None:
        quirks = msgspec.structs.replace(quirks, thoughts=quirks.thoughts.of_model(model))
    match request:
        case ChatRequest():
            body = _chat(request, quirks, maker)
            if request.web_search is not None:
                put_web_search(body, request, model, quirks)
        case CompletionRequest(templated=True):
            body = _chat(request.as_chat(), quirks, maker)
        case CompletionRequest():
            body = _completion(request, quirks)
        case EmbeddingRequest():
            body = _embedding(request)
    head: Body = {"model": model}
    body = head | body
    if stream:
        body["stream"] = True
        if quirks.usage_on_request:
            body["stream_options"] = INCLUDE_USAGE
    for name, value in default_fields(body, defaults, quirks):
        body.setdefault(name, value)
    if "messages" in body:
        adapt(body, model, quirks.profiles)
    for name in defaults.drop:
        body.pop(name, None)
    if defaults.routing and quirks.takes_routing:
        body["provider"] = dict(defaults.routing)
    return encode(body)


def default_fields(
    body: Mapping[str, Any], defaults: RequestDefaults, quirks: Quirks
) -> list[tuple[str, Any]]:
    """Return the fields that settings fill in, by the names that this kind of body has for them."""
    fields = dict(defaults.fields)
    if "messages" in body:
        fields |= {"temperature": defaults.temperature, quirks.max_tokens_field: defaults.max_tokens}
    elif "prompt" in body:
        fields |= {"temperature": defaults.temperature, "max_tokens": defaults.max_tokens}
    return [(name, value) for name, value in fields.items() if value is not None]


def _chat(request: ChatRequest, quirks: Quirks, maker: Maker) -> Body:
    messages = normalize_turns(request.messages, quirks.turns)
    body: Body = {"messages": _messages(messages, quirks, maker)}
    body |= _sampling(request.sampling, quirks)
    _put(body, "logprobs", request.sampling.logprobs)
    _put(body, "top_logprobs", request.sampling.top_logprobs)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        _put(body, "tool_choice", _tool_choice(request.tool_choice))
        _put(body, "parallel_tool_calls", request.parallel_tool_calls)
    _put(body, "response_format", _format(request.format))
    body |= _reasoning(request.reasoning, quirks)
    _put(body, "user", None if request.user is None else request.user[:MAX_USER])
    return body


def _completion(request: CompletionRequest, quirks: Quirks) -> Body:
    if request.images or request.system:
        raise CallerError(f"{quirks.name}'s completions endpoint takes text prompts only", UNSUPPORTED)
    body: Body = {"prompt": request.prompts[0] if len(request.prompts) == 1 else list(request.prompts)}
    _put(body, "suffix", request.suffix)
    body |= _sampling(request.sampling, quirks)
    if quirks.max_tokens_field in body:
        body["max_tokens"] = body.pop(quirks.max_tokens_field)
    _put(body, "logprobs", request.sampling.top_logprobs)
    _put(body, "response_format", _format(request.format))
    _put(body, "user", request.user)
    return body


def _embedding(request: EmbeddingRequest) -> Body:
    body: Body = {"input": request.inputs[0] if len(request.inputs) == 1 else list(request.inputs)}
    _put(body, "dimensions", request.dimensions)
    _put(body, "user", request.user)
    return body


def _sampling(sampling: Sampling, quirks: Quirks) -> Body:
    body: Body = {}
    _put(body, "temperature", sampling.temperature)
    _put(body, "top_p", sampling.top_p)
    _put(body, quirks.max_tokens_field, sampling.max_tokens)
    _put(body, "seed", sampling.seed)
    _put(body, "presence_penalty", sampling.presence_penalty)
    _put(body, "frequency_penalty", sampling.frequency_penalty)
    for name in sorted(quirks.extra_sampling):
        _put(body, name, getattr(sampling, name))
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if sampling.n > 1:
        body["n"] = sampling.n
    return body


def _reasoning(reasoning: Reasoning | None, quirks: Quirks) -> Body:
    if reasoning is None or quirks.reasoning == "none":
        return {}
    if quirks.reasoning == "effort":
        return {} if reasoning.effort is None else {"reasoning_effort": reasoning.effort}
    wire: Body = {}
    if reasoning.max_tokens is not None:
        wire["max_tokens"] = reasoning.max_tokens
    else:
        _put(wire, "effort", "xhigh" if reasoning.effort == "max" else reasoning.effort)
    _put(wire, "exclude", reasoning.exclude)
    return {"reasoning": wire} if wire else {}


def _messages(messages: Sequence[Message], quirks: Quirks, maker: Maker) -> list[Body]:
    """All turns. A tool's message holds text only, so that images and files which tools returned go into a
    message of the user. It comes after all results, since nothing may stand between them."""
    wires: list[Body] = []
    images: list[Body] = []
    for message in messages:
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    attached = _attached(part, quirks)
                    wires.append(_tool_result(part, has_more=bool(attached)))
                    images += attached
            continue
        wire = _message(message, quirks, maker)
        if message.role == "assistant" and wire == _SILENCE:  # its thinking has no field here
            continue
        if images and message.role == "user":
            content = wire["content"]
            wire["content"] = images + ([_text(content)] if isinstance(content, str) else content)
        elif images:
            wires += _from_tools(images, quirks)
        images = []
        wires.append(wire)
    if images:
        wires += _from_tools(images, quirks)
    if quirks.prefix_field is not None and wires and wires[-1]["role"] == "assistant":
        wires[-1] = wires[-1] | {quirks.prefix_field: True}
    return wires or [_SILENCE]


def _from_tools(images: list[Body], quirks: Quirks) -> list[Body]:
    """What tools returned besides text, as a turn of the user behind their results."""
    turn: list[Body] = [{"role": "user", "content": images}]
    if not quirks.turns.user_after_tool:
        turn.insert(0, {"role": "assistant", "content": ACKNOWLEDGEMENT})
    return turn


def _message(message: Message, quirks: Quirks, maker: Maker) -> Body:
    wire: Body = {"role": message.role}
    if message.role == "assistant":
        wire |= _assistant(message, quirks, maker)
    elif all(
        isinstance(part, Text) and not (part.cache and quirks.takes_cache_control) for part in message.parts
    ):
        wire["content"] = message.text
    else:
        wire["content"] = [_content(part, quirks) for part in message.parts]
    _put(wire, "name", message.name)
    return wire


def _assistant(message: Message, quirks: Quirks, maker: Maker) -> Body:
    calls: list[Body] = []
    for part in message.parts:
        match part:
            case ToolCall():
                calls.append(_tool_call(part) | call_fields(part, not calls, quirks.thoughts, maker))
            case Text() | Thinking():
                pass
            case _:
                raise _misplaced(part, "an assistant's message")
    text = message.text
    wire: Body = {"content": text if text or not calls else None}
    wire |= thinking_fields(message.parts, quirks.thoughts, maker)
    thinking = "".join(part.text for part in message.parts if isinstance(part, Thinking))
    if thinking and quirks.history_reasoning_field:
        wire[quirks.history_reasoning_field] = thinking
    if calls:
        wire["tool_calls"] = calls
    return wire


def _put(body: Body, name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


def _content(part: Part, quirks: Quirks) -> Body:
    match part:
        case Text():
            return _text(part.text) | (write_cache_control(part) if quirks.takes_cache_control else {})
        case Image():
            if not quirks.takes_images:
                raise CallerError(f"{quirks.name} has no models that take images", UNSUPPORTED)
            if not quirks.takes_image_addresses and is_remote(part.url):
                raise CallerError(f"{quirks.name} {BY_VALUE_ONLY}", UNSUPPORTED)
            return _image(part)
        case Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case Document(text=str(text)):
            return _text(text)
        case Document():
            return {"type": "file", "file": _file(part)}
        case _:
            raise _misplaced(part, "a user's message")


def _image(part: Image) -> Body:
    url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
    return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}


def _misplaced(part: Part, where: str) -> CallerError:
    return CallerError(f"{type(part).__name__} cannot stand in {where} of OpenAI's chat API", UNSUPPORTED)


def _file(part: Document) -> Body:
    if part.url is not None:
        raise CallerError("A document by URL cannot be sent in OpenAI's chat API; send its data", UNSUPPORTED)
    file: Body = {}
    _put(file, "file_id", part.file_id)
    kind = part.media_type or "application/pdf"
    _put(file, "filename", part.name or (None if part.data is None else file_name(kind)))
    if part.data is not None:
        file["file_data"] = f"data:{kind};base64,{part.data}"
    return file


def _tool_call(call: ToolCall) -> Body:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _tool_result(result: ToolResult, *, has_more: bool) -> Body:
    kind = "images" if all(isinstance(part, Text | Image) for part in result.parts) else "files"
    text = result.text or (f"See the {kind} that follow." if has_more else "")
    return {"role": "tool", "tool_call_id": result.id, "content": text}


def _attached(result: ToolResult, quirks: Quirks) -> list[Body]:
    """A tool's images and files, after a text that says which tool they are from."""
    images = [
        _text(_UNSEEN) if isinstance(part, Image) and not quirks.takes_images else _content(part, quirks)
        for part in result.parts
        if not isinstance(part, Text)
    ]
    return [_text(f"Returned by the tool {result.name or 'call'}:"), *images] if images else []


def _text(text: str) -> Body:
    return {"type": "text", "text": text}


def _tool(tool: Tool) -> Body:
    function: Body = {"name": tool.name}
    _put(function, "description", tool.description)
    if tool.parameters is not None:
        function["parameters"] = complete(tool.parameters)
    _put(function, "strict", tool.strict)
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice | None) -> str | Body | None:
    if choice is None:
        return None
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode


def _format(format: Format | None) -> Body | None:
    if format is None:
        return None
    if format.schema is None:
        return {"type": "json_object"}
    schema: Body = {"name": format.name or "answer", "schema": format.schema}
    _put(schema, "strict", format.strict)
    _put(schema, "description", format.description)
    return {"type": "json_schema", "json_schema": schema}
