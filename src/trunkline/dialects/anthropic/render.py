"""Canonical requests → bodies for Anthropic's Messages API.

Content that the API has no field for is refused with a clear 400. Settings that it lacks (seed, penalties,
log probabilities, ``strict`` for models that do not know it) are left out. What it would refuse although the
meaning is plain is changed into a form that it takes: sampling fields for models that take none, temperatures
above 1, empty texts, ids with other characters, stop sequences of blanks, sampling fields together with
thinking, thinking together with a forced tool, users named by their e-mail addresses, a JSON mode without a
schema. What differs by vendor data is left to the fit step.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final

import msgspec

from trunkline.dialects.anthropic.reasoning import (
    render_reasoning,
    takes_sampling,
    takes_strict,
    thinking_tokens,
)
from trunkline.dialects.anthropic.web_search import SEARCH_NAME, search_tool
from trunkline.dialects.base import RequestDefaults
from trunkline.dialects.cache_control import write_cache_control
from trunkline.dialects.fit.schemas import modernize
from trunkline.dialects.json_mode import INSTRUCTION, needs_json
from trunkline.dialects.turns import normalize_turns
from trunkline.dialects.vendor_state import Maker
from trunkline.dialects.web_search import forces_search
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import (
    Audio,
    ChatRequest,
    Document,
    Image,
    Message,
    Part,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

Body = dict[str, Any]

DEFAULT_MAX_TOKENS: Final = 8192
"""The bound on an answer where neither the request nor a setting has one: the API insists on a bound, and
every model that it serves today allows this one. The tokens for thinking are added to it."""

_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_OPAQUE_NAME: Final = re.compile(r"(?=.*[A-Za-z])[\w.:|-]{1,256}", re.ASCII)
_IMAGE_TYPES: Final = {
    "/9j/": "image/jpeg",
    "iVBOR": "image/png",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
"""Beginning of an image in base64 → its type: the API refuses an image that is of another type than named."""

THINKING_BLOCKS: Final = frozenset({"thinking", "redacted_thinking"})
NOBODY: Final = Maker()

encode: Final = msgspec.json.Encoder().encode


def messages(
    request: ChatRequest, model: str, stream: bool, defaults: RequestDefaults, maker: Maker = NOBODY
) -> bytes:
    """Return the body that asks ``model`` for ``request``; only state of ``maker`` is in it.

    Raises:
        CallerError: The request asks for several answers; or it holds audio, a file by id, an image in a
            system prompt, or nothing besides the system prompt."""
    if request.sampling.n > 1:
        raise CallerError("Anthropic gives one answer a request: n must be 1", UNSUPPORTED, param="n")
    bound = request.sampling.max_tokens if request.sampling.max_tokens is not None else defaults.max_tokens
    turns = _turns(request.messages, maker)
    thinking = render_reasoning(request.reasoning, model, bound)
    kind = thinking.get("thinking", {}).get("type")
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "tool")
    thinks = kind == "adaptive" or (kind == "enabled" and _began_with_thinking(turns))
    if (forced or not thinks) and kind != "disabled":  # the API takes no thinking with a forced tool
        thinking, thinks = {}, False
    if bound is None:
        bound = DEFAULT_MAX_TOKENS + thinking_tokens(request.reasoning if thinks else None)
    body: Body = {"model": model, "max_tokens": bound}
    system = _system(request.messages)
    if needs_json(request):
        system = _with_instruction(system)
    if system:
        body["system"] = system
    if not turns:
        raise CallerError(
            "Anthropic takes no request that only has a system prompt: say something as the user, too",
            UNSUPPORTED,
            param="messages",
        )
    body |= {"messages": turns} | thinking
    if takes_sampling(model):
        body |= _sampling(request.sampling, defaults, thinks)
    stop = [word for word in request.sampling.stop if word.strip()]
    if stop:
        body["stop_sequences"] = stop
    body |= _tools(request, is_strict=takes_strict(model))
    if request.format is not None and request.format.schema is not None:
        wanted = {"type": "json_schema", "schema": request.format.schema}
        body["output_config"] = body.get("output_config", {}) | {"format": wanted}
    if request.user:
        body["metadata"] = {"user_id": _opaque(request.user)}
    if stream:
        body["stream"] = True
    body = dict(defaults.fields) | body
    for name in defaults.drop:
        body.pop(name, None)
    return encode(body)


def _opaque(user: str) -> str:
    """A user as the API takes them: by a name that does not identify a person, as an address or a number
    does."""
    if _OPAQUE_NAME.fullmatch(user):
        return user
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()


def _began_with_thinking(turns: list[Body]) -> bool:
    """Whether the assistant's turn that tool results continue began with thinking. Where a budget is given,
    the API insists on that, and other dialects' clients do not send thinking back."""
    if not turns or not _has_tool_results(turns[-1]):
        return True
    before = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), None)
    return before is None or isinstance(before, str) or before[0]["type"] in THINKING_BLOCKS


def _has_tool_results(turn: Body) -> bool:
    content = turn["content"]
    return not isinstance(content, str) and content[0]["type"] == "tool_result"


def _sampling(sampling: Sampling, defaults: RequestDefaults, thinks: bool) -> Body:
    body: Body = {}
    temperature = sampling.temperature if sampling.temperature is not None else defaults.temperature
    if temperature is not None and not thinks:
        body["temperature"] = min(temperature, 1.0)
    neutral = sampling.top_p == 1 and "temperature" in body  # newer models refuse the two together
    if sampling.top_p is not None and not neutral and (not thinks or sampling.top_p >= 0.95):
        body["top_p"] = sampling.top_p
    if sampling.top_k is not None and sampling.top_k >= 0 and not thinks:  # elsewhere, below 0 means all
        body["top_k"] = sampling.top_k
    return body


def _tools(request: ChatRequest, *, is_strict: bool) -> Body:
    tools = [_tool(tool, is_strict=is_strict) for tool in request.tools]
    if request.web_search is not None:
        tools.append(search_tool(request.web_search))
    if not tools:
        return {}
    body: Body = {"tools": tools}
    choice = request.tool_choice
    one_at_a_time = request.parallel_tool_calls is False
    if choice is None and not one_at_a_time:
        return body
    mode = "auto" if choice is None else choice.mode
    wire: Body = {"type": {"required": "any"}.get(mode, mode)}
    if choice is not None and mode == "tool":
        wire["name"] = SEARCH_NAME if forces_search(request) else choice.name
    if one_at_a_time and mode != "none":
        wire["disable_parallel_tool_use"] = True
    return body | {"tool_choice": wire}


def _tool(tool: Tool, *, is_strict: bool) -> Body:
    wire: Body = {"name": tool.name}
    if tool.strict and is_strict:
        wire["strict"] = True
    if tool.description is not None:
        wire["description"] = tool.description
    wire["input_schema"] = modernize({"type": "object", "properties": {}} | (tool.parameters or {}))
    return wire


def _with_instruction(system: str | list[Body]) -> str | list[Body]:
    """The system prompt, and that the answer must be JSON: the API has no other way to say so."""
    if isinstance(system, str):
        return f"{system}\n\n{INSTRUCTION}"
    return [*system, {"type": "text", "text": INSTRUCTION}] if system else INSTRUCTION


def _system(messages: tuple[Message, ...]) -> str | list[Body]:
    """All system messages, wherever they stand; as plain text where it is one piece."""
    parts: list[Text] = []
    for index, message in enumerate(messages):
        if message.role != "system":
            continue
        for part in message.parts:
            if not isinstance(part, Text):
                raise _misplaced(part, "a system prompt", index)
            if part.text.strip():
                parts.append(part)
    if len(parts) == 1 and not parts[0].cache:
        return parts[0].text
    return [_text(part) for part in parts]


def _turns(messages: tuple[Message, ...], maker: Maker) -> list[Body]:
    """The conversation. Successive turns of one role become one, with a user's tool results first."""
    turns: list[Body] = []
    for index, message in enumerate(normalize_turns(messages)):
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts if (block := _block(part, role, index, maker)) is not None]
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        content: list[Body] = turn["content"]
        content.sort(key=lambda block: block["type"] != "tool_result")
        if turn is turns[-1] and turn["role"] == "assistant" and content[-1]["type"] == "text":
            content[-1]["text"] = content[-1]["text"].rstrip()  # the API refuses blanks at the end
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            turn["content"] = content[0]["text"]
    return turns


def _block(part: Part, role: str, index: int, maker: Maker) -> Body | None:
    """One part as a block; None for empty text, and for thinking that the vendor has not signed."""
    match part:
        case Text():
            return _text(part) if part.text.strip() else None
        case Image() if role == "user":
            return _image(part)
        case Document() if role == "user":
            return _document(part, index)
        case ToolResult() if role == "user":
            return _result(part, index)
        case Thinking() if role == "assistant":
            return _thinking(part, maker)
        case ToolCall() if role == "assistant":
            return _call(part)
        case _:
            raise _misplaced(part, f"a message of role '{role}'", index)


def _thinking(part: Thinking, maker: Maker) -> Body | None:
    own = maker.open(part.signature, "signature", "redacted")
    if own is None:
        return None
    if own.form == "redacted":
        return {"type": "redacted_thinking", "data": own.data}
    return {"type": "thinking", "thinking": part.text, "signature": own.data}


def _misplaced(part: Part, where: str, index: int) -> CallerError:
    kind = "Audio" if isinstance(part, Audio) else type(part).__name__
    return CallerError(
        f"{kind} cannot stand in {where} of Anthropic's API", UNSUPPORTED, param=f"messages[{index}].content"
    )


def _text(part: Text) -> Body:
    wire: Body = {"type": "text", "text": part.text}
    return wire | write_cache_control(part)


def _image(image: Image) -> Body:
    if image.url is not None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    data = image.data or ""
    named = image.media_type or "image/png"
    kind = next((kind for beginning, kind in _IMAGE_TYPES.items() if data.startswith(beginning)), named)
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _document(document: Document, index: int) -> Body:
    wire: Body = {"type": "document", "source": _source(document, f"messages[{index}].content")}
    return wire | ({"title": document.name} if document.name else {})


def _source(document: Document, param: str) -> Body:
    if document.url is not None:
        return {"type": "url", "url": document.url}
    if document.data is None:
        raise CallerError(
            "A file by its id is known only to the vendor that it was uploaded to; send its data",
            UNSUPPORTED,
            param=param,
        )
    kind = document.media_type or "application/pdf"
    if kind == "application/pdf":
        return {"type": "base64", "media_type": kind, "data": document.data}
    if not kind.startswith("text/"):
        raise CallerError(
            f"Anthropic takes documents as PDF or text, not as {kind}", UNSUPPORTED, param=param
        )
    try:
        text = base64.b64decode(document.data, validate=True).decode()
    except ValueError:
        raise CallerError("The document is not base64 of UTF-8 text", param=param) from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _call(call: ToolCall) -> Body:
    value = msgspec.Raw(call.arguments.encode())
    return {"type": "tool_use", "id": _valid_id(call.id), "name": call.name, "input": value}


def _result_part(part: Text | Image | Document, index: int) -> Body:
    match part:
        case Text():
            return _text(part)
        case Image():
            return _image(part)
        case Document():
            return _document(part, index)


def _result(result: ToolResult, index: int) -> Body:
    wire: Body = {"type": "tool_result", "tool_use_id": _valid_id(result.id)}
    parts = [part for part in result.parts if not isinstance(part, Text) or part.text.strip()]
    if parts and all(isinstance(part, Text) and not part.cache for part in parts):
        wire["content"] = "".join(part.text for part in parts if isinstance(part, Text))
    elif parts:
        wire["content"] = [_result_part(part, index) for part in parts]
    return wire | ({"is_error": True} if result.is_error else {})


def _valid_id(id: str | None) -> str:
    """A call's id, with only the characters that the API takes."""
    return _NOT_IN_IDS.sub("_", id or "")
