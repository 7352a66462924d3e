from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults
from trunkline.dialects.custom_tools import as_function
from trunkline.dialects.reasoning import SAMPLING, ReasoningProfile
from trunkline.dialects.responses import ResponsesBack, ResponsesQuirks, unsent_knobs
from trunkline.dialects.responses.parse import ResponsesRequest
from trunkline.dialects.vendor_state import Maker
from trunkline.errors import CallerError
from trunkline.model import (
    CanonicalRequest,
    ChatRequest,
    CompletionRequest,
    Format,
    Message,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolChoice,
    WebSearch,
)

HI = Message(role="user", parts=(Text(text="Hi"),))
SAID = [{"role": "user", "content": "Hi"}]
EMPTY = {"type": "object", "properties": {}}
F = Tool(name="f", parameters={"type": "object"})
WIRE_F = {"type": "function", "name": "f", "parameters": EMPTY, "strict": False}
ENCRYPTED = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"
SEARCH = WebSearch(
    field="tools[0].type",
    kind="web_search_20250305",
    context_size="low",
    location={"city": "Rome"},
    allowed_domains=("a.example",),
    max_uses=3,
)
WIRE_SEARCH = {
    "type": "web_search",
    "search_context_size": "low",
    "user_location": {"type": "approximate", "city": "Rome"},
    "filters": {"allowed_domains": ["a.example"]},
}
PROFILES = (
    ReasoningProfile(pattern="deep-0*"),
    ReasoningProfile(pattern="deep-1*", efforts=("none", "low"), refuses_thinking=SAMPLING),
    ReasoningProfile(
        pattern="deep*",
        efforts=("low", "high"),
        more_efforts=("max",),
        refuses=SAMPLING,
        calls_thinking=False,
    ),
)
VENDOR = ResponsesQuirks(
    profiles=PROFILES, plain_models=("plain*",), searching_models=("up*",), custom_tools=True
)


def render(
    request: CanonicalRequest,
    quirks: ResponsesQuirks = VENDOR,
    model: str = "up",
    stream: bool = False,
    defaults: RequestDefaults = NO_DEFAULTS,
    **more: Any,
) -> dict[str, Any]:
    back = ResponsesBack("Acme", quirks=quirks, maker=Maker("acme"), **more)
    body: dict[str, Any] = msgspec.json.decode(back.render(request, model, stream, defaults))
    assert body.pop("model") == model
    return body


def chat(**fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(HI,), **fields)


PLAIN = {"input": SAID, "store": False, "include": [ENCRYPTED]}
RENDERED: dict[str, tuple[CanonicalRequest, dict[str, Any]]] = {
    "chat": (chat(), {}),
    "a templated prompt": (CompletionRequest(model="m", prompts=("Hi",), templated=True), {}),
    "sampling": (
        chat(sampling=Sampling(temperature=0, top_p=0.5, max_tokens=20, seed=7, stop=("a",), top_k=3)),
        {"temperature": 0.0, "top_p": 0.5, "max_output_tokens": 20},
    ),
    "log probabilities": (
        chat(sampling=Sampling(logprobs=True, top_logprobs=2)),
        {"include": [ENCRYPTED, LOGPROBS], "top_logprobs": 2},
    ),
    "tools": (
        chat(tools=(F,), tool_choice=ToolChoice(mode="tool", name="f"), parallel_tool_calls=False),
        {
            "tools": [WIRE_F],
            "tool_choice": {"type": "function", "name": "f"},
            "parallel_tool_calls": False,
        },
    ),
    "a strict tool": (
        chat(tools=(Tool(name="f", description="F", parameters=EMPTY, strict=True),)),
        {"tools": [WIRE_F | {"description": "F", "strict": True}]},
    ),
    "a tool without parameters": (chat(tools=(Tool(name="f"),)), {"tools": [WIRE_F]}),
    "a choice by word": (
        chat(tools=(F,), tool_choice=ToolChoice(mode="required")),
        {"tools": [WIRE_F], "tool_choice": "required"},
    ),
    "a choice of no tools": (chat(tool_choice=ToolChoice(mode="auto")), {}),
    "a custom tool": (
        chat(
            tools=(as_function("p", "Edits", {"type": "grammar", "syntax": "regex", "definition": "x"}),),
            tool_choice=ToolChoice(mode="tool", name="p"),
        ),
        {
            "tools": [
                {
                    "type": "custom",
                    "name": "p",
                    "description": "Edits",
                    "format": {"type": "grammar", "syntax": "regex", "definition": "x"},
                }
            ],
            "tool_choice": {"type": "custom", "name": "p"},
        },
    ),
    "a custom tool for any text": (
        chat(tools=(as_function("p", None, None),)),
        {"tools": [{"type": "custom", "name": "p"}]},
    ),
    "a search": (chat(web_search=SEARCH), {"tools": [WIRE_SEARCH], "max_tool_calls": 3}),
    "a search that is forced, and a tool": (
        chat(web_search=SEARCH, tools=(F,), tool_choice=ToolChoice(mode="tool", name="web_search")),
        {
            "tools": [WIRE_F, WIRE_SEARCH],
            "tool_choice": {"type": "web_search"},
            "max_tool_calls": 3,
        },
    ),
    "any JSON": (chat(format=Format()), {"text": {"format": {"type": "json_object"}}}),
    "JSON of a schema": (
        chat(format=Format(schema=EMPTY, name="s", strict=True, description="D")),
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "s",
                    "schema": EMPTY,
                    "description": "D",
                    "strict": True,
                }
            }
        },
    ),
    "JSON of a schema without a name": (
        chat(format=Format(schema=EMPTY), extras={"verbosity": "low"}),
        {
            "text": {
                "format": {"type": "json_schema", "name": "answer", "schema": EMPTY, "strict": False},
                "verbosity": "low",
            }
        },
    ),
    "thinking": (
        chat(reasoning=Reasoning(effort="low")),
        {"reasoning": {"effort": "low", "summary": "auto"}},
    ),
    "thinking that is not to be seen": (
        chat(reasoning=Reasoning(effort="low", exclude=True)),
        {"reasoning": {"effort": "low"}},
    ),
    "no thinking": (chat(reasoning=Reasoning(effort="none")), {"reasoning": {"effort": "none"}}),
    "thinking without a level": (chat(reasoning=Reasoning()), {"reasoning": {"summary": "auto"}}),
    "a long user": (chat(user="u" * 99), {"user": "u" * 64}),
    "fields that a chat client has as well": (
        chat(extras={"metadata": {"a": "b"}, "store": True, "service_tier": "flex", "keep_alive": "5m"}),
        {"metadata": {"a": "b"}, "store": True, "service_tier": "flex"},
    ),
    "a Responses client's own fields": (
        ResponsesRequest(
            model="m",
            messages=(HI,),
            reasoning=Reasoning(effort="low"),
            summary="detailed",
            metadata={"a": "b"},
            verbosity="low",
            truncation="auto",
            prompt_cache_key="k",
            max_tool_calls=2,
        ),
        {
            "reasoning": {"effort": "low", "summary": "detailed"},
            "metadata": {"a": "b"},
            "text": {"verbosity": "low"},
            "truncation": "auto",
            "prompt_cache_key": "k",
            "max_tool_calls": 2,
        },
    ),
}


@pytest.mark.parametrize(("request_", "fields"), RENDERED.values(), ids=RENDERED)
def test_a_request(request_: CanonicalRequest, fields: dict[str, Any]) -> None:
    assert render(request_) == PLAIN | fields
    assert render(request_, stream=True) == PLAIN | fields | {"stream": True}


def test_a_server_without_custom_tools_gets_functions() -> None:
    tool = as_function("p", "Edits", {"type": "grammar", "definition": "x"})
    (sent,) = render(chat(tools=(tool,)), ResponsesQuirks())["tools"]
    assert (sent["type"], sent["parameters"]) == ("function", tool.parameters)
    assert sent["description"] == "Edits\n\nThe input must follow this grammar:\nx"


@pytest.mark.parametrize(
    ("model", "fields", "sent"),
    [
        ("deep-0", {"reasoning": Reasoning(effort="high")}, {}),
        ("deep-1", {"sampling": Sampling(temperature=0)}, {"temperature": 0.0}),
        (
            "deep-1",
            {"sampling": Sampling(temperature=0, logprobs=True), "reasoning": Reasoning(effort="max")},
            {"reasoning": {"effort": "low", "summary": "auto"}},
        ),
        ("deep-2", {"sampling": Sampling(temperature=0, logprobs=True, top_logprobs=2)}, {}),
        (
            "deep-2",
            {"reasoning": Reasoning(effort="max")},
            {"reasoning": {"effort": "max", "summary": "auto"}},
        ),
        ("ft:deep-2:x", {"reasoning": Reasoning(effort="none")}, {"reasoning": {"effort": "low"}}),
        ("deep-2", {"reasoning": Reasoning(max_tokens=9)}, {"reasoning": {"summary": "auto"}}),
    ],
)
def test_a_request_for_a_thinking_model(model: str, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    assert render(chat(**fields), model=model) == PLAIN | sent


def test_a_model_that_does_not_think_is_told_nothing_of_it() -> None:
    body = render(chat(reasoning=Reasoning(effort="low")), model="plain-1")
    assert body == {"input": SAID, "store": False}


@pytest.mark.parametrize(
    ("defaults", "fields"),
    [
        (RequestDefaults(temperature=0.5, max_tokens=30), {"temperature": 0.5, "max_output_tokens": 20}),
        (RequestDefaults(fields={"service_tier": "flex"}), {"service_tier": "flex"}),
        (RequestDefaults(drop=frozenset({"max_tokens"})), {"max_output_tokens": ...}),
        (RequestDefaults(drop=frozenset({"reasoning_effort"})), {"reasoning": ...}),
        (RequestDefaults(drop=frozenset({"reasoning.summary"})), {"reasoning": {"effort": "low"}}),
        (RequestDefaults(drop=frozenset({"include"})), {"include": ...}),
        (RequestDefaults(routing={"zdr": True}), {"provider": {"zdr": True}}),
    ],
)
def test_what_settings_say(defaults: RequestDefaults, fields: dict[str, Any]) -> None:
    request = chat(sampling=Sampling(max_tokens=20), reasoning=Reasoning(effort="low"))
    own = {"max_output_tokens": 20, "reasoning": {"effort": "low", "summary": "auto"}}
    expected = {name: value for name, value in (PLAIN | own | fields).items() if value is not ...}
    assert render(request, defaults=defaults, takes_routing=True) == expected


def test_routing_is_for_those_who_take_it() -> None:
    assert render(chat(), defaults=RequestDefaults(routing={"zdr": True})) == PLAIN


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling": Sampling(n=2)}, "n must be 1"),
        ({"web_search": msgspec.structs.replace(SEARCH, blocked_domains=("b",))}, "'web_search_20250305'"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CallerError, match=message):
        render(chat(**fields))


def test_a_search_that_may_be_left_out() -> None:
    optional = msgspec.structs.replace(SEARCH, optional=True)
    assert render(chat(web_search=optional, tools=(F,)), model="other") == PLAIN | {"tools": [WIRE_F]}


def test_knobs_that_are_not_sent_are_named() -> None:
    sampling = Sampling(seed=7, top_k=4, presence_penalty=0.5, frequency_penalty=0)
    quirks = ResponsesQuirks(knobs=frozenset({"top_k"}))
    assert unsent_knobs(sampling, quirks) == ("seed", "presence_penalty")
    assert render(chat(sampling=sampling), quirks) == PLAIN | {"top_k": 4}
