from __future__ import annotations

from typing import Any

import msgspec
import pytest

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults, RequestSummary
from trunkline.dialects.openai import OpenAIBack, Quirks
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

BACK = OpenAIBack(Quirks(name="Acme"))
HI = Message(role="user", parts=(Text(text="Hi"),))
EMPTY = {"type": "object", "properties": {}}
F = Tool(name="f", parameters={"type": "object"})
EXTRA = Sampling(top_k=4, min_p=0.1, repetition_penalty=1.1, max_tokens=9)


def render(
    request: CanonicalRequest,
    quirks: Quirks | None = None,
    stream: bool = False,
    defaults: RequestDefaults = NO_DEFAULTS,
) -> Any:
    back = OpenAIBack(quirks) if quirks else BACK
    return msgspec.json.decode(back.render(request, "up", stream, defaults))


def chat(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=messages or (HI,), **fields)


RENDERED: dict[str, tuple[CanonicalRequest, dict[str, Any]]] = {
    "chat": (chat(), {"messages": [{"role": "user", "content": "Hi"}]}),
    "chat, sampling": (
        chat(sampling=Sampling(temperature=0, n=2, stop=("a",), seed=1, logprobs=True, top_logprobs=2)),
        {"temperature": 0.0, "n": 2, "stop": ["a"], "seed": 1, "logprobs": True, "top_logprobs": 2},
    ),
    "chat, sampling fields of other servers": (
        chat(sampling=EXTRA),
        {"top_k": 4, "min_p": 0.1, "repetition_penalty": 1.1, "max_tokens": 9},
    ),
    "chat, tools": (
        chat(tools=(F,), tool_choice=ToolChoice(mode="tool", name="f"), parallel_tool_calls=False),
        {
            "tools": [{"type": "function", "function": {"name": "f", "parameters": EMPTY}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": False,
        },
    ),
    "chat, a choice of no tools": (chat(tool_choice=ToolChoice(mode="auto")), {}),
    "chat, object": (chat(format=Format()), {"response_format": {"type": "json_object"}}),
    "chat, schema": (
        chat(format=Format(schema={"type": "object"}, strict=True)),
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
            }
        },
    ),
    "chat, effort": (chat(reasoning=Reasoning(effort="max", max_tokens=7)), {"reasoning_effort": "max"}),
    "chat, user": (chat(user="u"), {"user": "u"}),
    "chat, long user": (chat(user="u" * 65), {"user": "u" * 64}),
    "completion": (
        CompletionRequest(model="m", prompts=("p",), suffix="s", echo=True, user="u"),
        {"prompt": "p", "suffix": "s", "user": "u"},
    ),
    "completions": (
        CompletionRequest(
            model="m",
            prompts=("p", "q"),
            format=Format(),
            sampling=Sampling(logprobs=True, top_logprobs=3, max_tokens=5),
        ),
        {"prompt": ["p", "q"], "logprobs": 3, "max_tokens": 5, "response_format": {"type": "json_object"}},
    ),
    "embedding": (
        EmbeddingRequest(model="m", inputs=("a",), base64=True, dimensions=3, user="u"),
        {"input": "a", "dimensions": 3, "user": "u"},
    ),
    "embeddings": (EmbeddingRequest(model="m", inputs=("a", "b")), {"input": ["a", "b"]}),
}


@pytest.mark.parametrize("case", RENDERED)
def test_rendered_bodies(case: str) -> None:
    request, expected = RENDERED[case]
    if isinstance(request, ChatRequest):
        expected = {"messages": [{"role": "user", "content": "Hi"}]} | expected
    assert render(request) == {"model": "up"} | expected


def _rest(body: dict[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in body if name not in ("model", "messages", "prompt", "input")}


PLAIN = Quirks(max_tokens_field="max_completion_tokens", extra_sampling=frozenset())
OBJECT = Quirks(reasoning="object")


@pytest.mark.parametrize(
    ("quirks", "canonical", "expected"),
    [
        (PLAIN, chat(sampling=EXTRA), {"max_completion_tokens": 9}),
        (PLAIN, CompletionRequest(model="m", prompts=("p",), sampling=EXTRA), {"max_tokens": 9}),
        (Quirks(extra_sampling=frozenset({"top_k"})), chat(sampling=EXTRA), {"top_k": 4, "max_tokens": 9}),
        (Quirks(reasoning="none"), chat(reasoning=Reasoning(effort="low")), {}),
        (Quirks(), chat(reasoning=Reasoning(max_tokens=5)), {}),
        (OBJECT, chat(reasoning=Reasoning(effort="max")), {"reasoning": {"effort": "xhigh"}}),
        (
            OBJECT,
            chat(reasoning=Reasoning(effort="low", max_tokens=7, exclude=True)),
            {"reasoning": {"max_tokens": 7, "exclude": True}},
        ),
        (OBJECT, chat(reasoning=Reasoning()), {}),
    ],
)
def test_quirks(quirks: Quirks, canonical: CanonicalRequest, expected: dict[str, Any]) -> None:
    assert _rest(render(canonical, quirks)) == expected


@pytest.mark.parametrize("on_request", [True, False])
def test_a_stream_asks_for_usage_where_it_must_be_asked_for(on_request: bool) -> None:
    body = render(chat(), Quirks(usage_on_request=on_request), stream=True)
    assert body["stream"] is True
    assert body.get("stream_options") == ({"include_usage": True} if on_request else None)


def test_earlier_reasoning_goes_back_where_it_is_taken() -> None:
    assistant = Message(role="assistant", parts=(Thinking(text="H"), Thinking(text="m"), Text(text="Hello")))
    assert render(chat(assistant))["messages"] == [{"role": "assistant", "content": "Hello"}]
    messages = render(chat(assistant), Quirks(history_reasoning_field="reasoning"))["messages"]
    assert messages == [{"role": "assistant", "content": "Hello", "reasoning": "Hm"}]


def test_lost_tool_ids_are_matched_again() -> None:
    """Two calls of one tool, without ids, each with its own result."""
    call = ToolCall(id=None, name="f", arguments="{}")
    result = Message(role="tool", parts=(ToolResult(id=None, name="f", parts=(Text(text="4"),)),))
    messages = render(chat(HI, Message(role="assistant", parts=(call, call)), result, result))["messages"]
    made = [each["id"] for each in messages[1]["tool_calls"]]
    assert len(set(made)) == 2
    assert [each["tool_call_id"] for each in messages[2:]] == made
    assert messages[1]["content"] is None


@pytest.mark.parametrize(
    ("text", "content"),
    [("No such city", "Error: No such city"), ("Error 404", "Error 404"), ("", "Error")],
)
def test_a_result_that_is_an_error_says_so(text: str, content: str) -> None:
    result = ToolResult(id="a", parts=(Text(text=text),), is_error=True)
    call = Message(role="assistant", parts=(ToolCall(id="a", name="f", arguments="{}"),))
    messages = render(chat(HI, call, Message(role="tool", parts=(result,))))["messages"]
    assert messages[2]["content"] == content


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((), [{"role": "user", "content": []}]),
        ((HI,), [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]),
        (
            (Message(role="user", parts=(Text(text="a"), Image(url="http://x/y"))),),
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "a"},
                        {"type": "image_url", "image_url": {"url": "http://x/y"}},
                    ],
                }
            ],
        ),
        (
            (Message(role="assistant", parts=(Text(text="a"),)), HI),
            [
                {"role": "user", "content": []},
                {"role": "assistant", "content": "a"},
                {"role": "user", "content": "Hi"},
            ],
        ),
    ],
    ids=["nothing", "words", "parts", "an answer"],
)
def test_images_that_tools_returned_follow_all_results(
    after: tuple[Message, ...], expected: list[dict[str, Any]]
) -> None:
    calls = tuple(ToolCall(id=each, name=f"see_{each}", arguments="{}") for each in "abc")
    results = (
        ToolResult(id="a", parts=(Text(text="A cat"), Image(data="AA=="))),
        ToolResult(id="b", parts=(Text(text="4"),)),
        ToolResult(id="c", parts=(Image(url="http://x/y"),)),
    )
    turns = [Message(role="tool", parts=(result,)) for result in results]
    messages = render(chat(HI, Message(role="assistant", parts=calls), *turns, *after))["messages"]
    assert messages[2:5] == [
        {"role": "tool", "tool_call_id": "a", "content": "A cat"},
        {"role": "tool", "tool_call_id": "b", "content": "4"},
        {"role": "tool", "tool_call_id": "c", "content": "See the images that follow."},
    ]
    shown = messages[5]["content"][:4]
    del messages[5]["content"][:4]
    assert messages[5:] == expected
    assert shown == [
        {"type": "text", "text": "Returned by the tool see_a:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "text", "text": "Returned by the tool see_c:"},
        {"type": "image_url", "image_url": {"url": "http://x/y"}},
    ]


PARTS: list[tuple[Part, dict[str, Any]]] = [
    (Image(url="http://x/y"), {"type": "image_url", "image_url": {"url": "http://x/y"}}),
    (
        Image(data="AA==", detail="low"),
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
    ),
    (Audio(data="AA", format="mp3"), {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}}),
    (Document(file_id="f1"), {"type": "file", "file": {"file_id": "f1"}}),
    (
        Document(data="SGk=", media_type="text/plain", name="A"),
        {"type": "text", "text": "A\n\nHi"},
    ),
    (
        Document(data="AA", name="a.pdf"),
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
    ),
    (
        Document(data="AA"),
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA"}},
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_parts(part: Part, expected: dict[str, Any]) -> None:
    assert render(chat(Message(role="user", parts=(part,))))["messages"][0]["content"] == [expected]


def test_cache_breakpoints_go_where_they_are_known() -> None:
    request = chat(Message(role="user", parts=(Text(text="a", cache=True, cache_ttl="1h"),)))
    part = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert render(request)["messages"][0]["content"] == "a"
    assert render(request, quirks=Quirks(takes_cache_control=True))["messages"][0]["content"] == [part]


@pytest.mark.parametrize(
    "canonical",
    [
        chat(Message(role="user", parts=(Document(url="http://x/y"),))),
        chat(Message(role="user", parts=(Thinking(text="Hm"),))),
        chat(Message(role="user", parts=(ToolCall(id="a", name="f", arguments="{}"),))),
        chat(Message(role="assistant", parts=(Image(url="http://x/y"),))),
        CompletionRequest(model="m", prompts=("p",), images=(Image(data="AA"),)),
        CompletionRequest(model="m", prompts=("p",), system="s"),
    ],
)
def test_content_without_a_field_is_refused(canonical: CanonicalRequest) -> None:
    with pytest.raises(CallerError) as caught:
        render(canonical)
    assert (caught.value.kind, caught.value.status) == (UNSUPPORTED, 400)


DEFAULTS = RequestDefaults(
    temperature=0.5, max_tokens=7, fields={"keep_alive": "5m"}, drop=frozenset({"user"})
)


@pytest.mark.parametrize(
    ("canonical", "expected"),
    [
        (chat(user="u"), {"temperature": 0.5, "max_completion_tokens": 7, "keep_alive": "5m"}),
        (
            chat(sampling=Sampling(temperature=0, max_tokens=3)),
            {"temperature": 0.0, "max_completion_tokens": 3, "keep_alive": "5m"},
        ),
        (
            CompletionRequest(model="m", prompts=("p",), sampling=Sampling(max_tokens=3)),
            {"temperature": 0.5, "max_tokens": 3, "keep_alive": "5m"},
        ),
        (
            CompletionRequest(model="m", prompts=("p",)),
            {"temperature": 0.5, "max_tokens": 7, "keep_alive": "5m"},
        ),
        (EmbeddingRequest(model="m", inputs=("a",), user="u"), {"keep_alive": "5m"}),
    ],
)
def test_defaults_go_where_the_request_is_open(canonical: CanonicalRequest, expected: dict[str, Any]) -> None:
    """Whether it is rendered, or was such a body already and passes through."""
    assert _rest(render(canonical, PLAIN, defaults=DEFAULTS)) == expected
    body = OpenAIBack(PLAIN).render(canonical, "m", False, NO_DEFAULTS)
    summary = RequestSummary(model="m", stream=False)
    assert _rest(msgspec.json.decode(OpenAIBack(PLAIN).patch(body, summary, "up", DEFAULTS))) == expected
