"""Canonical requests → bodies for Ollama's /api/chat, /api/generate and /api/embed.

Content that Ollama has no field for is refused with a clear 400. Settings that it lacks
(``parallel_tool_calls``, ``user``, names on messages) are left out. A forced tool choice is approximated:
``none`` offers no tools, a named tool is the only one offered, and ``required`` is sent as ``auto``, because
Ollama cannot force a call. The text of a tool result that is an error begins with that word.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.dialects.base import RequestDefaults
from trunkline.dialects.media import BY_VALUE_ONLY
from trunkline.dialects.ollama.request_schema import EXTRAS, SAMPLING, THINK
from trunkline.dialects.turns import normalize_turns
from trunkline.dialects.web_search import refuse_web_search
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    ChatRequest,
    CompletionRequest,
    Document,
    EmbeddingRequest,
    Format,
    Image,
    Message,
    Operation,
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

encode = msgspec.json.Encoder().encode


def chat(request: ChatRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
    """Return the body of /api/chat.

    Raises:
        CallerError: The request asks for several answers, or holds an image by URL, audio, or a document
            that is not text; or it asks for a search of the web.
    """
    refuse_web_search(request.web_search, "Ollama")
    messages = normalize_turns(request.messages)
    body: Body = {
        "model": model,
        "messages": [wire for index, message in enumerate(messages) for wire in _message(message, index)],
        "stream": stream,
    }
    if tools := _offered(request.tools, request.tool_choice):
        body["tools"] = [_tool(tool) for tool in tools]
    _put_answer_fields(body, request.format, request.reasoning, request.sampling, request.extras)
    return _finish("chat", body, request.sampling, request.extras, defaults)


def generate(request: CompletionRequest, model: str, stream: bool, defaults: RequestDefaults) -> bytes:
    """Return the body of /api/generate.

    Raises:
        CallerError: The request has several prompts or answers, an image by URL, or ``echo`` with logprobs.
    """
    if len(request.prompts) > 1:
        raise CallerError("Ollama takes one prompt a request", UNSUPPORTED, param="prompt")
    if request.echo and request.sampling.logprobs:
        raise CallerError("Ollama gives no logprobs for an echoed prompt", UNSUPPORTED, param="echo")
    body: Body = {"model": model, "stream": stream}
    if request.prompts:
        body["prompt"] = request.prompts[0]
    if request.suffix is not None:
        body["suffix"] = request.suffix
    if request.system is not None:
        body["system"] = request.system
    if request.images:
        body["images"] = [_image(image, "images") for image in request.images]
    _put_answer_fields(body, request.format, request.reasoning, request.sampling, request.extras)
    return _finish("completions", body, request.sampling, request.extras, defaults)


def embed(request: EmbeddingRequest, model: str, defaults: RequestDefaults) -> bytes:
    """Return the body of /api/embed."""
    body: Body = {"model": model, "input": request.inputs}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return _finish("embeddings", body, None, request.extras, defaults)


def default_options(defaults: RequestDefaults) -> dict[str, Any]:
    """Return the options that are used where a request leaves them open; ``defaults.options`` come first."""
    named = {"temperature": defaults.temperature, "num_predict": defaults.max_tokens}
    return {key: value for key, value in named.items() if value is not None} | dict(defaults.options)


def _finish(
    operation: Operation,
    body: Body,
    sampling: Sampling | None,
    extras: dict[str, Any],
    defaults: RequestDefaults,
) -> bytes:
    options: dict[str, Any] = dict(defaults.options) if sampling is None else default_options(defaults)
    options |= _own_options(extras)
    if sampling is not None:
        for option, field in SAMPLING.items():
            value = getattr(sampling, field)
            if value is not None and value != ():
                options[option] = value
    if options:
        body["options"] = options
    for field in EXTRAS[operation]:
        if extras.get(field) is not None:
            body[field] = extras[field]
    body = {**defaults.fields, **body}
    for field in defaults.drop:
        body.pop(field, None)
    return encode(body)


def _own_options(extras: dict[str, Any]) -> dict[str, Any]:
    """Options of the request that only Ollama has, without a ``num_predict`` that leaves the length open."""
    options = extras.get("options") or {}
    if not isinstance(options, dict):
        raise CallerError("options must be an object", param="options")
    return {key: value for key, value in options.items() if key != "num_predict" or is_bound(value)}


def is_bound(num_predict: Any) -> bool:
    """Return whether ``num_predict`` limits an answer: zero and negative numbers do not."""
    return isinstance(num_predict, int | float) and num_predict > 0


def _put_answer_fields(
    body: Body,
    format: Format | None,
    reasoning: Reasoning | None,
    sampling: Sampling,
    extras: dict[str, Any],
) -> None:
    if sampling.n > 1:
        raise CallerError("Ollama gives one answer a request: n must be 1", UNSUPPORTED, param="n")
    if format is not None:
        body["format"] = "json" if format.schema is None else format.schema
    if "think" in extras:  # a plain true, for which there is no effort
        body["think"] = extras["think"]
    elif reasoning is not None and reasoning.effort is not None:
        body["think"] = THINK[reasoning.effort]
    if sampling.logprobs:
        body["logprobs"] = True
        if sampling.top_logprobs is not None:
            body["top_logprobs"] = sampling.top_logprobs


def _message(message: Message, index: int) -> Iterator[Body]:
    """One canonical turn as Ollama's messages: each tool result is a message of its own."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    for result in results:
        yield _result(result, index)
    if results and len(results) == len(message.parts):
        return
    text: list[str] = []
    thinking: list[str] = []
    images: list[str] = []
    calls: list[Body] = []
    for part in message.parts:
        match part:
            case Text():
                text.append(part.text)
            case Thinking():
                thinking.append(part.text)
            case Image():
                images.append(_image(part, f"messages[{index}].content"))
            case ToolCall():
                calls.append(_call(part, len(calls)))
            case Document(text=str(document)):
                text.append(f"{document}\n\n")
            case Document():
                raise _no_document(index)
            case Audio():
                raise CallerError("Ollama takes no audio", UNSUPPORTED, param=f"messages[{index}].content")
            case ToolResult():
                pass
    body: Body = {"role": message.role, "content": "".join(text)}
    if thinking:
        body["thinking"] = "".join(thinking)
    if images:
        body["images"] = images
    if calls:
        body["tool_calls"] = calls
    yield body


def _no_document(index: int) -> CallerError:
    text = "Ollama takes no documents that are not text"
    return CallerError(text, UNSUPPORTED, param=f"messages[{index}].content")


def _result(result: ToolResult, index: int) -> Body:
    images = [_image(part, f"messages[{index}].content") for part in result.parts if isinstance(part, Image)]
    if any(isinstance(part, Document) for part in result.parts):
        raise _no_document(index)
    body: Body = {"role": "tool", "content": result.text, "tool_call_id": result.id}
    if result.name:
        body["tool_name"] = result.name
    if images:
        body["images"] = images
    return body


def _call(call: ToolCall, number: int) -> Body:
    function = {"index": number, "name": call.name, "arguments": msgspec.Raw(call.arguments.encode())}
    return {"id": call.id, "function": function}


def _image(image: Image, param: str) -> str:
    if image.data is None:
        raise CallerError(f"Ollama {BY_VALUE_ONLY}", UNSUPPORTED, param=param)
    return image.data


def _offered(tools: tuple[Tool, ...], choice: ToolChoice | None) -> tuple[Tool, ...]:
    if choice is None or choice.mode in ("auto", "required"):
        return tools
    if choice.mode == "none":
        return ()
    named = tuple(tool for tool in tools if tool.name == choice.name)
    if not named:
        raise CallerError(
            f"tool_choice names a tool that is not in tools: {choice.name!r}", param="tool_choice"
        )
    return named


def _tool(tool: Tool) -> Body:
    function: Body = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}
