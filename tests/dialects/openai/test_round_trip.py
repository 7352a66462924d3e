"""Whatever OpenAI's API can express survives rendering and parsing, and writing and reading."""

from __future__ import annotations

import string
from itertools import pairwise

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.dialects.base import NO_DEFAULTS
from trunkline.dialects.fit.schemas import complete
from trunkline.dialects.openai import CHAT, OpenAIBack, Quirks
from trunkline.dialects.turns import normalize_turns
from trunkline.events import (
    Answer,
    Finished,
    FinishReason,
    Metered,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import (
    Audio,
    ChatRequest,
    Document,
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
    Usage,
)

BACK = OpenAIBack(Quirks(history_reasoning_field="reasoning", takes_cache_control=True))

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)
some = st.text(min_size=1, max_size=12)
base64 = st.text(string.ascii_letters + "+/", max_size=8)
floats = st.none() | st.floats(-2, 2)
counts = st.none() | st.integers(0, 2**31)
flags = st.none() | st.booleans()
schemas = st.dictionaries(
    some, st.none() | st.integers(-5, 5) | some | st.lists(some, max_size=2), max_size=3
)
objects = schemas.map(lambda value: msgspec.json.encode(value).decode())

texts = st.builds(Text, text=some)
media: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text=some, cache=st.just(True)),
    st.builds(Image, data=base64, media_type=st.sampled_from(["image/png", "image/webp"])),
    st.builds(Image, url=st.just("https://example.com/a.png"), detail=st.none() | st.just("low")),
    st.builds(Audio, data=base64, format=st.just("wav")),
    st.builds(Document, data=base64, media_type=st.just("application/pdf"), name=some),
    st.builds(Document, file_id=some, name=st.none() | some),
)


@st.composite
def prompts(draw: st.DrawFn) -> Message:
    role = draw(st.sampled_from(["system", "user"]))
    parts: list[Part] = [draw(texts)]  # a message of nothing is no turn
    extra = draw(st.lists(media, max_size=3))
    if extra:
        parts = draw(st.permutations([*parts, *extra]))
    return Message(role=role, parts=tuple(parts), name=draw(st.none() | names))  # type: ignore[arg-type]


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """Messages of both sides; every tool call is answered at once."""
    messages: list[Message] = []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(draw(prompts()))
        thinking = draw(st.lists(st.builds(Thinking, text=some), max_size=1))
        spoken = draw(st.lists(texts, max_size=1))
        ids = [f"call_{turn}_{number}" for number in range(draw(st.integers(0, 2)))]
        called = [ToolCall(id=name, name=draw(names), arguments=draw(objects)) for name in ids]
        messages.append(Message(role="assistant", parts=(*thinking, *spoken, *called)))
        for name in draw(st.permutations(ids)):
            result = ToolResult(id=name, parts=tuple(draw(st.lists(texts, max_size=1))))
            messages.append(Message(role="tool", parts=(result,)))
    return messages


def _normal(messages: list[Message]) -> tuple[Message, ...]:
    """The normal form, in which OpenAI's API has no field for the name of a result's tool."""
    return tuple(
        msgspec.structs.replace(
            message, parts=tuple(msgspec.structs.replace(part, name=None) for part in message.parts)
        )
        if message.role == "tool"
        else message
        for message in normalize_turns(tuple(messages), BACK.quirks.turns)
    )


tools = st.builds(
    Tool, name=names, description=st.none() | some, parameters=st.none() | schemas.map(complete), strict=flags
)
choices = st.one_of(
    st.none(),
    st.builds(ToolChoice, mode=st.sampled_from(["auto", "none", "required"])),
    st.builds(ToolChoice, mode=st.just("tool"), name=names),
)
formats = st.one_of(
    st.none(),
    st.just(Format()),
    st.builds(Format, schema=schemas, name=some, strict=flags, description=st.none() | some),
)
samplings = st.builds(
    Sampling,
    temperature=floats,
    top_p=floats,
    top_k=counts,
    min_p=floats,
    max_tokens=counts,
    stop=st.lists(some, max_size=2).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63),
    presence_penalty=floats,
    frequency_penalty=floats,
    repetition_penalty=floats,
    logprobs=flags,
    top_logprobs=counts,
    n=st.integers(1, 4),
)
efforts = st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"])


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    offered = tuple(draw(st.lists(tools, max_size=2)))
    stream = draw(st.booleans())
    return ChatRequest(
        model="up",
        messages=_normal(draw(turns())),
        sampling=draw(samplings),
        tools=offered,
        tool_choice=draw(choices) if offered else None,
        parallel_tool_calls=draw(flags) if offered else None,
        format=draw(formats),
        reasoning=draw(st.none() | st.builds(Reasoning, effort=efforts)),
        stream=stream,
        include_usage=stream,
        user=draw(st.none() | some),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(requests())
def test_requests_survive(request: ChatRequest) -> None:
    assert CHAT.parse(BACK.render(request, "up", request.stream, NO_DEFAULTS)) == request


@st.composite
def one_choice(draw: st.DrawFn, choice: int) -> list[StreamEvent]:
    """The events of one choice, its tool calls after its words and in order, as upstreams send them."""
    word = st.text(max_size=5)
    events: list[StreamEvent] = draw(
        st.lists(
            st.one_of(
                st.builds(TextDelta, text=word, choice=st.just(choice)),
                st.builds(ThinkingDelta, text=word, choice=st.just(choice)),
                st.builds(RefusalDelta, text=word, choice=st.just(choice)),
            ),
            max_size=5,
        )
    )
    count = draw(st.integers(0, 2))
    for index in range(count):
        events.append(ToolCallDelta(index, f"call_{choice}_{index}", draw(names), "{", choice))
        events += [ToolCallDelta(index, arguments=piece, choice=choice) for piece in draw(st.lists(word))]
    reasons: list[FinishReason] = ["tool_calls"] if count else ["stop", "length", "content_filter"]
    return [*events, Finished(draw(st.sampled_from(reasons)), choice)]


usages = st.builds(
    Usage,
    prompt_tokens=st.integers(0, 2**40),
    completion_tokens=st.integers(0, 2**40),
    cached_tokens=counts,
    cache_write_tokens=counts,
    reasoning_tokens=counts,
    cost=st.none() | st.floats(0, 100),
)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamEvent]:
    sequences = [draw(one_choice(choice)) for choice in range(draw(st.integers(1, 3)))]
    order = draw(st.permutations([number for number, events in enumerate(sequences) for _ in events]))
    mixed = [sequences[number].pop(0) for number in order]
    return [Started(draw(some), draw(some), draw(st.integers(1, 2**40))), *mixed, Metered(draw(usages))]


def fold(events: list[StreamEvent]) -> object:
    answer = Answer(events)
    choices = {
        index: (
            "".join(choice.text),
            "".join(choice.thinking),
            "".join(choice.refusal),
            [(number, call.id, call.name, call.arguments) for number, call in sorted(choice.calls.items())],
            choice.reason,
        )
        for index, choice in sorted(answer.choices.items())
    }
    return answer.id, answer.model, answer.created, choices, answer.usage


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(events=streams(), cuts=st.lists(st.integers(0, 4000)), stream=st.booleans())
def test_answers_survive(events: list[StreamEvent], cuts: list[int], stream: bool) -> None:
    choices = len(Answer(events).choices)
    sampling = Sampling(n=max(1, choices))
    request = ChatRequest(model="m", messages=(), stream=stream, include_usage=True, sampling=sampling)
    writer = CHAT.writer(request, "m", "chatcmpl-")
    data = writer.feed(events) + writer.finish()
    reader = BACK.reader(request, stream)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    read = [event for at, to in pairwise(places) for event in reader.feed(data[at:to])]
    read += reader.close()
    assert (reader.complete, reader.error) == (True, None)
    assert fold(read) == fold(events)
