"""Whatever Ollama's API can express survives rendering and parsing, and writing and reading."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.feeding import bytewise, linewise
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.dialects.ollama import CHAT, OllamaBack
from trunkline.dialects.turns import normalize_turns
from trunkline.events import (
    Answer,
    Finished,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    Timed,
    ToolCallDelta,
)
from trunkline.model import (
    ChatRequest,
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
    ToolResult,
    Usage,
)

BACK = OllamaBack()
Split = Callable[[bytes], Sequence[bytes]]

names = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
texts = st.text(min_size=1, max_size=30)
objects = st.dictionaries(
    texts,
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.lists(texts, max_size=2),
    max_size=3,
)
maybe_float = st.none() | st.floats(0, 2, allow_nan=False)
maybe_count = st.none() | st.integers(1, 10_000)
images = st.binary(max_size=20).map(
    lambda tail: Image(data=base64.b64encode(b"\xff\xd8\xff" + tail).decode(), media_type="image/jpeg")
)
spoken = texts.map(lambda text: (Text(text=text),))


@st.composite
def user_turns(draw: st.DrawFn) -> Message:
    parts: tuple[Part, ...] = (*draw(st.just(()) | spoken), *draw(st.lists(images, max_size=2)))
    return Message(role=draw(st.sampled_from(["system", "user"])), parts=parts)


@st.composite
def tool_turns(draw: st.DrawFn) -> list[Message]:
    """An assistant's turn with calls, and its results in any order."""
    calls_made = draw(st.lists(st.tuples(names, objects), max_size=3))
    seed = draw(st.uuids())
    calls = [
        ToolCall(id=f"call_{seed}_{number}", name=name, arguments=msgspec.json.encode(arguments).decode())
        for number, (name, arguments) in enumerate(calls_made)
    ]
    thinking = draw(st.just(()) | texts.map(lambda text: (Thinking(text=text),)))
    parts: tuple[Part, ...] = (*thinking, *draw(st.just(()) | spoken), *calls)
    results = [
        Message(role="tool", parts=(ToolResult(id=call.id, name=call.name, parts=draw(spoken)),))
        for call in calls
    ]
    return [Message(role="assistant", parts=parts), *draw(st.permutations(results))]


samplings = st.builds(
    Sampling,
    temperature=maybe_float,
    top_p=maybe_float,
    min_p=maybe_float,
    presence_penalty=maybe_float,
    frequency_penalty=maybe_float,
    repetition_penalty=maybe_float,
    top_k=maybe_count,
    max_tokens=maybe_count,
    seed=maybe_count,
    stop=st.lists(texts, max_size=2).map(tuple),
)
tools = st.builds(Tool, name=names, description=st.none() | texts, parameters=objects.filter(bool))
extras = st.fixed_dictionaries(
    {},
    optional={
        "keep_alive": st.integers(-1, 100) | st.sampled_from(["5m", "0s", "1h30m"]),
        "truncate": st.booleans(),
        "shift": st.booleans(),
        "options": st.dictionaries(st.sampled_from(["num_ctx", "num_gpu"]), st.integers(1, 9), min_size=1),
    },
)


def _text_first(message: Message) -> Message:
    """A message of Ollama's has its images beside its text, and no order among them."""
    if message.role != "user":
        return message
    parts = sorted(message.parts, key=lambda part: not isinstance(part, Text))
    return msgspec.structs.replace(message, parts=tuple(parts))


@st.composite
def chats(draw: st.DrawFn) -> ChatRequest:
    turns: list[list[Message]] = draw(
        st.lists(user_turns().map(lambda turn: [turn]) | tool_turns(), min_size=1, max_size=4)
    )
    schema = objects.filter(bool).map(lambda schema: Format(schema=schema))
    efforts = st.sampled_from(["none", "low", "medium", "high", "max"])
    return ChatRequest(
        model=draw(texts),
        messages=tuple(map(_text_first, normalize_turns(tuple(each for turn in turns for each in turn)))),
        sampling=draw(samplings),
        tools=tuple(draw(st.lists(tools, max_size=2))),
        format=draw(st.none() | st.just(Format()) | schema),
        reasoning=draw(st.none() | efforts.map(lambda effort: Reasoning(effort=effort))),  # type: ignore[arg-type]
        stream=draw(st.booleans()),
        extras=draw(extras),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(chats())
def test_requests(request: ChatRequest) -> None:
    body = BACK.render(request, request.model, request.stream, NO_DEFAULTS)
    assert CHAT.parse(body) == request
    summary = CHAT.summarize(body)
    assert (summary.model, summary.stream, summary.max_tokens) == (
        request.model,
        request.stream,
        request.sampling.max_tokens,
    )
    assert BACK.patch(body, summary, request.model, NO_DEFAULTS) is body
    assert CHAT.parse(BACK.patch(body, summary, "other", NO_DEFAULTS)) == msgspec.structs.replace(
        request, model="other"
    )


deltas = st.one_of(texts.map(TextDelta), texts.map(ThinkingDelta))
calls = st.lists(st.tuples(names, objects), max_size=3).map(
    lambda made: [
        ToolCallDelta(number, f"call_{number}", name, msgspec.json.encode(arguments).decode())
        for number, (name, arguments) in enumerate(made)
    ]
)


def _summary(answer: Answer) -> dict[str, Any]:
    choice = answer.choices[0]
    return {
        "model": answer.model,
        "text": "".join(choice.text),
        "thinking": "".join(choice.thinking),
        "calls": [
            (call.id, call.name, msgspec.json.decode(call.arguments))
            for _, call in sorted(choice.calls.items())
        ],
        "reason": choice.reason,
        "usage": answer.usage,
        "timed": answer.timed,
    }


@given(
    stream=st.booleans(),
    split=st.sampled_from([lambda data: [data], bytewise, linewise]),
    content=st.lists(deltas, max_size=5),
    called=calls,
    length=st.booleans(),
)
def test_answers(
    stream: bool, split: Split, content: list[StreamEvent], called: list[StreamEvent], length: bool
) -> None:
    request = ChatRequest(model="m", messages=(), stream=stream)
    reason = Finished("length" if length else "tool_calls" if called else "stop")
    usage = Metered(Usage(prompt_tokens=3, completion_tokens=4))
    events: list[StreamEvent] = [Started(None, "m"), *content, *called, reason, usage, Timed(4, 1, 2, 3)]
    writer, reader, inspector = (
        CHAT.writer(request, "m", ""),
        BACK.reader(request, stream),
        BACK.inspector(
            "chat", CHAT.summarize(b'{"messages":[{}],"stream":%b}' % (b"true" if stream else b"false"))
        ),
    )
    data = b"".join(writer.feed([event]) for event in events) + writer.finish()
    read = [event for piece in split(data) for event in reader.feed(piece)] + list(reader.close())
    assert reader.complete
    assert reader.error is None
    assert _summary(Answer(read)) == _summary(Answer(events))
    assert b"".join(map(inspector.feed, split(data))) + inspector.close() == data
    assert inspector.complete
    assert inspector.usage == usage.usage
