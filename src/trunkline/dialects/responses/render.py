"""Canonical chats → bodies for upstreams that are asked in the Responses API.

Nothing is stored there (``store: false``): clients of other dialects know no responses, and would not expect
that the vendor keeps them. So reasoning that has to come back comes encrypted. Content that the API has no
field for is refused with a clear 400. A knob that the vendor does not have is left out (``unsent_knobs`` says
which), and so is what a thinking model refuses, by its reasoning profile.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from trunkline.dialects.base import RequestDefaults
from trunkline.dialects.custom_tools import own_description
from trunkline.dialects.fit.schemas import complete
from trunkline.dialects.reasoning import find_profile, nearest_effort
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.responses.quirks import ResponsesQuirks
from trunkline.dialects.responses.render_items import custom_names, render_items
from trunkline.dialects.responses.request_schema import LOGPROBS
from trunkline.dialects.vendor_state import Maker
from trunkline.dialects.web_search import forces_search, refuse_web_search
from trunkline.errors import UNSUPPORTED, CallerError
from trunkline.model import ChatRequest, Effort, Sampling, Tool, ToolChoice, WebSearch

Body = dict[str, Any]

ENCRYPTED: Final = "reasoning.encrypted_content"
"""The ``include`` that has reasoning come back encrypted."""
SHARED_FIELDS: Final = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "verbosity",
    }
)
"""Fields without a canonical place that OpenAI's chat API has as well. They come among a request's extras."""
KNOBS: Final = (
    "top_k",
    "min_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)
"""Knobs that OpenAI's Responses API has not and some servers have."""
_MAX_USER: Final = 64
"""Characters of ``user`` that OpenAI takes."""
_OWN_NAMES: Final = {
    "max_completion_tokens": "max_output_tokens",
    "max_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning",
    "response_format": "text",
}
"""What settings may call a field, and the name that it has here."""

encode: Final = msgspec.json.Encoder().encode


def render(
    request: ChatRequest,
    model: str,
    stream: bool,
    defaults: RequestDefaults,
    *,
    who: str,
    quirks: ResponsesQuirks,
    maker: Maker,
    takes_routing: bool = False,
    summarizes: bool = True,
) -> bytes:
    """Return the body that asks ``model`` for ``request``; only reasoning of ``maker`` is in it.

    Args:
        request: The chat.
        model: The model's name at the upstream.
        stream: The answer is to be streamed.
        defaults: What settings fill in or drop.
        who: The upstream's name in error texts.
        quirks: What the upstream takes.
        maker: Whose reasoning it takes back.
        takes_routing: It takes OpenRouter's ``provider`` object.
        summarizes: It gives summaries of its reasoning.

    Raises:
        CallerError: The request holds content that the API has no field for.
    """
    sampling = request.sampling
    if sampling.n > 1:
        raise CallerError(f"{who} gives one answer a request: n must be 1", UNSUPPORTED, param="n")
    tools = [_tool(tool, quirks) for tool in request.tools]
    items = render_items(request.messages, quirks, maker, custom_names(tools))
    body: Body = {"model": model, "input": items, "store": False}
    thinks = not _is_plain(model, quirks)
    include = [ENCRYPTED] if thinks else []
    body |= _sampling(sampling, quirks, include)
    if request.web_search is not None:
        if searches(request.web_search, model, quirks):
            tools.append(_search(request.web_search))
            _put(body, "max_tool_calls", request.web_search.max_uses)
        else:
            refuse_web_search(request.web_search, who)
    if tools:
        body["tools"] = tools
        _put(body, "tool_choice", _tool_choice(request, tools))
        _put(body, "parallel_tool_calls", request.parallel_tool_calls)
    _put(body, "text", _text(request))
    _put(body, "user", None if request.user is None else request.user[:_MAX_USER])
    _put_own_fields(body, request)
    reasoning = _adapt(body, request, model, quirks, include, summarizes)
    if thinks:
        _put(body, "reasoning", reasoning)
    if include:
        body["include"] = include
    if stream:
        body["stream"] = True
    _apply_defaults(body, defaults)
    if defaults.routing and takes_routing:
        body["provider"] = dict(defaults.routing)
    return encode(body)


def searches(search: WebSearch, model: str, quirks: ResponsesQuirks) -> bool:
    """Return whether ``model`` has a search that can do what is asked."""
    has_search = any(fnmatchcase(model.lower(), pattern) for pattern in quirks.searching_models)
    return has_search and not search.blocked_domains


def _put(body: Body, name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


def _is_plain(model: str, quirks: ResponsesQuirks) -> bool:
    name = model.lower().removeprefix("ft:")
    return any(fnmatchcase(name, pattern) for pattern in quirks.plain_models)


def unsent_knobs(sampling: Sampling, quirks: ResponsesQuirks) -> tuple[str, ...]:
    """Return the names of the knobs that a request sets and this vendor's Responses API has not."""
    return tuple(
        name for name in KNOBS if name not in quirks.knobs and getattr(sampling, name) not in (None, (), 0)
    )


def _sampling(sampling: Sampling, quirks: ResponsesQuirks, include: list[str]) -> Body:
    body: Body = {}
    _put(body, "max_output_tokens", sampling.max_tokens)
    for name in ("temperature", "top_p", *sorted(quirks.knobs)):
        _put(body, name, getattr(sampling, name))
    if sampling.logprobs:
        include.append(LOGPROBS)
        _put(body, "top_logprobs", sampling.top_logprobs)
    return body


def _put_own_fields(body: Body, request: ChatRequest) -> None:
    """Fields that only OpenAI's dialects have: a chat client's among the extras, or those of a client of this
    dialect."""
    extras = {name: value for name, value in request.extras.items() if name in SHARED_FIELDS}
    if isinstance(request, ResponsesRequest):
        own = ("metadata", "prompt_cache_key", "safety_identifier", "truncation", "verbosity")
        extras = {name: getattr(request, name) for name in own}
        _put(body, "max_tool_calls", request.max_tool_calls)
    if extras.get("verbosity") is not None:
        body["text"] = body.get("text", {}) | {"verbosity": extras["verbosity"]}
    for name, value in extras.items():
        if name != "verbosity":
            _put(body, name, value)


def _adapt(
    body: Body,
    request: ChatRequest,
    model: str,
    quirks: ResponsesQuirks,
    include: list[str],
    summarizes: bool,
) -> Body | None:
    """Leave out what the model refuses, and return how much it is to think and to tell of that."""
    reasoning = request.reasoning
    effort: Effort | None = None if reasoning is None else reasoning.effort
    wants_summary = reasoning is not None and effort != "none" and not reasoning.exclude
    is_told = True
    profile = find_profile(model, quirks.profiles)
    if profile is not None:
        known = (*profile.efforts, *profile.more_efforts)
        is_told = bool(known)
        effort = nearest_effort(effort, known) if effort is not None and known else None
        for name in profile.refused(effort):
            body.pop(name, None)
            if name == "logprobs" and LOGPROBS in include:
                include.remove(LOGPROBS)
    wire: Body = {}
    _put(wire, "effort", effort)
    if is_told and wants_summary and summarizes:
        wire["summary"] = (isinstance(request, ResponsesRequest) and request.summary) or "auto"
    return wire or None


def _apply_defaults(body: Body, defaults: RequestDefaults) -> None:
    fields = {"temperature": defaults.temperature, "max_output_tokens": defaults.max_tokens}
    for name, value in (dict(defaults.fields) | fields).items():
        if value is not None:
            body.setdefault(name, value)
    for name in defaults.drop:
        field, _, member = name.partition(".")
        field = _OWN_NAMES.get(field, field)
        if not member:
            body.pop(field, None)
        elif isinstance(body.get(field), dict):
            body[field] = {key: value for key, value in body[field].items() if key != member}


def _tool(tool: Tool, quirks: ResponsesQuirks) -> Body:
    """A tool. Functions are strict by default in this API, and nowhere else."""
    if tool.custom and quirks.custom_tools:
        custom: Body = {"type": "custom", "name": tool.name}
        _put(custom, "description", own_description(tool))
        _put(custom, "format", tool.grammar)
        return custom
    function: Body = {"type": "function", "name": tool.name}
    _put(function, "description", tool.description)
    function["parameters"] = complete(tool.parameters or {})
    function["strict"] = tool.strict is True
    return function


def _search(search: WebSearch) -> Body:
    tool: Body = {"type": "web_search"}
    _put(tool, "search_context_size", search.context_size)
    if search.location is not None:
        tool["user_location"] = {"type": "approximate"} | search.location
    if search.allowed_domains:
        tool["filters"] = {"allowed_domains": list(search.allowed_domains)}
    return tool


def _tool_choice(request: ChatRequest, tools: list[Body]) -> str | Body | None:
    choice: ToolChoice | None = request.tool_choice
    if choice is None:
        return None
    if choice.mode != "tool":
        return choice.mode
    if forces_search(request) and tools[-1]["type"] == "web_search":
        return {"type": "web_search"}
    kind = next((tool["type"] for tool in tools if tool.get("name") == choice.name), "function")
    return {"type": kind, "name": choice.name}


def _text(request: ChatRequest) -> Body | None:
    wanted = request.format
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"format": {"type": "json_object"}}
    wire: Body = {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema}
    _put(wire, "description", wanted.description)
    wire["strict"] = wanted.strict is True
    return {"format": wire}
