"""Whatever Anthropic's API can express survives rendering and parsing, and writing and reading."""

from __future__ import annotations

import string
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline.dialects.anthropic import MESSAGES, AnthropicBack
from trunkline.dialects.base import NO_DEFAULTS
from trunkline.events import (
    Answer,
    Finished,
    FinishReason,
    Metered,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from trunkline.model import (
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

BACK = AnthropicBack()

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=8)
some = st.text(min_size=1, max_size=12)
signatures = some.filter(str.strip)
words = some.filter(str.strip)
base64 = st.text(string.ascii_letters + "+/", max_size=8)
schemas = st.dictionaries(
    some, st.none() | st.integers(-5, 5) | some | st.lists(some, max_size=2), max_size=3
).map(lambda schema: {"type": "object"} | schema)
texts = st.builds(Text, text=words, cache=st.booleans())
ended = st.builds(Text, text=words.map(str.rstrip), cache=st.booleans())
"""What a conversation may end in: the API takes no answer's beginning that ends in blanks."""
images: st.SearchStrategy[Image] = st.one_of(
    st.builds(Image, data=base64.map("iVBOR".__add__), media_type=st.just("image/png")),
    st.builds(Image, data=base64.map("UklGR".__add__), media_type=st.just("image/webp")),
    st.builds(Image, url=st.just("https://example.com/a.png")),
)
parts: st.SearchStrategy[Part] = st.one_of(
    texts,
    images,
    st.builds(Document, data=base64, media_type=st.just("application/pdf"), name=st.none() | some),
    st.builds(Document, data=st.just("SGk="), media_type=st.just("text/plain"), name=st.none() | some),
    st.builds(Document, url=st.just("https://example.com/a.pdf"), name=st.none() | some),
)
contents = st.one_of(
    st.builds(Text, text=words).map(lambda text: (text,)),
    st.lists(st.one_of(images, st.builds(Text, text=words, cache=st.just(True))), max_size=3).map(tuple),
)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """Messages of both sides in turn; every tool call is answered at once."""
    system = draw(st.lists(texts, max_size=2))
    messages = [Message(role="system", parts=tuple(system))] if system else []
    for turn in range(draw(st.integers(1, 3))):
        messages.append(Message(role="user", parts=tuple(draw(st.lists(parts, min_size=1, max_size=3)))))
        thinking = draw(st.lists(st.builds(Thinking, text=some, signature=signatures), max_size=1))
        spoken = draw(st.lists(ended, min_size=1, max_size=2))
        ids = [f"toolu_{turn}_{number}" for number in range(draw(st.integers(0, 2)))]
        called = [ToolCall(id=name, name=draw(names), arguments='{"x":[1.0]}') for name in ids]
        messages.append(Message(role="assistant", parts=(*thinking, *spoken, *called)))
        for call in called:
            result = ToolResult(id=call.id, parts=draw(contents), is_error=draw(st.booleans()))
            messages.append(Message(role="tool", parts=(result,)))
    return messages


EMPTY = {"type": "object", "properties": {}}
tools = st.builds(Tool, name=names, description=st.none() | some, parameters=schemas.map(EMPTY.__or__))
choices = st.one_of(
    st.builds(ToolChoice, mode=st.sampled_from(["auto", "required"])),
    st.builds(ToolChoice, mode=st.just("tool"), name=names),
)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 0.99),
    top_k=st.none() | st.integers(0, 500),
    max_tokens=st.integers(0, 2**31),
    stop=st.lists(words, max_size=2).map(tuple),
)


@st.composite
def requests(draw: st.DrawFn) -> ChatRequest:
    offered = tuple(draw(st.lists(tools, max_size=2)))
    choice = draw(st.none() | choices) if offered else None
    stream = draw(st.booleans())
    return ChatRequest(
        model="claude-opus-4-6",
        messages=tuple(draw(turns())),
        sampling=draw(samplings),
        tools=offered,
        tool_choice=choice,
        parallel_tool_calls=draw(st.sampled_from([None, False])) if choice else None,
        format=draw(st.none() | st.builds(Format, schema=schemas)),
        reasoning=draw(st.none() | st.just(Reasoning(effort="none"))),
        stream=stream,
        include_usage=stream,
        user=draw(st.none() | st.from_regex(r"[a-z][a-z0-9_.-]{0,20}", fullmatch=True)),
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(requests())
def test_requests_survive(request: ChatRequest) -> None:
    assert MESSAGES.parse(BACK.render(request, "claude-opus-4-6", request.stream, NO_DEFAULTS)) == request


@settings(deadline=None)
@given(
    effort=st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
    budget=st.integers(1024, 60000),
    hidden=st.sampled_from([None, True]),
)
def test_reasoning_survives(effort: str, budget: int, hidden: bool | None) -> None:
    for name, reasoning in [
        ("claude-opus-4-6", Reasoning(effort=effort, exclude=hidden)),  # type: ignore[arg-type]
        ("claude-opus-4-1", Reasoning(max_tokens=budget, exclude=hidden)),
    ]:
        request = ChatRequest(
            model=name, messages=(Message(role="user", parts=(Text(text="Hi"),)),), reasoning=reasoning
        )
        back = MESSAGES.parse(BACK.render(request, name, False, NO_DEFAULTS)).reasoning
        assert back is not None
        assert (back.max_tokens, back.exclude) == (reasoning.max_tokens, reasoning.exclude)
        assert back.effort == reasoning.effort or reasoning.effort is None


@st.composite
def events(draw: st.DrawFn) -> list[StreamEvent]:
    """The events of an answer, its calls' deltas mixed as upstreams may send them."""
    word = st.text(max_size=5)
    content: list[StreamEvent] = draw(
        st.lists(st.one_of(st.builds(TextDelta, text=word), st.builds(ThinkingDelta, text=word)), max_size=5)
    )
    sequences: list[list[StreamEvent]] = []
    for index in range(draw(st.integers(0, 3))):
        pieces = draw(st.sampled_from([["{}"], ['{"x"', ":", "1}"], ["", '{"x":[', "]}"]]))
        begin = ToolCallDelta(index, f"toolu_{index}", draw(names), draw(st.sampled_from(["", " "])))
        sequences.append([begin, *(ToolCallDelta(index, arguments=piece) for piece in pieces)])
    order = draw(st.permutations([number for number, events in enumerate(sequences) for _ in events]))
    called = [sequences[number].pop(0) for number in order]
    numbers: dict[int, int] = {}
    for at, event in enumerate(called):  # calls count in the order of their beginnings
        assert isinstance(event, ToolCallDelta)
        ours = numbers.setdefault(event.index, len(numbers))
        called[at] = ToolCallDelta(ours, event.id, event.name, event.arguments)
    reasons: list[FinishReason] = ["tool_calls"] if sequences else ["stop", "length", "content_filter"]
    reason = draw(st.sampled_from(reasons))
    sequence = draw(st.none() | some) if reason == "stop" else None
    read, written = draw(st.integers(0, 2**30)), draw(st.integers(0, 2**30))
    usage = Usage(
        prompt_tokens=draw(st.integers(0, 2**40)) + read + written,
        completion_tokens=draw(st.integers(0, 2**40)),
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=draw(st.none() | st.integers(0, 2**30)),
    )
    finished = Finished(reason, stop_sequence=sequence)
    return [Started(draw(some), draw(some)), *content, *called, finished, Metered(usage)]


def fold(found: list[StreamEvent]) -> object:
    answer = Answer(found)
    choice = answer.choices[0]
    calls = [
        (number, call.id, call.name, call.arguments.strip()) for number, call in sorted(choice.calls.items())
    ]
    parts = ("".join(choice.text), "".join(choice.thinking), calls, choice.reason, choice.stop_sequence)
    return answer.id, answer.model, parts, answer.usage


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(found=events(), cuts=st.lists(st.integers(0, 4000)), stream=st.booleans(), split=st.booleans())
def test_answers_survive(found: list[StreamEvent], cuts: list[int], stream: bool, split: bool) -> None:
    request = ChatRequest(model="m", messages=(), stream=stream, reasoning=Reasoning())
    writer = MESSAGES.writer(request, "m", "x-")
    fed = b"".join(writer.feed([event]) for event in found) if split else writer.feed(found)
    data = fed + writer.finish()
    reader = BACK.reader(request, stream)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    read = [event for at, to in pairwise(places) for event in reader.feed(data[at:to])]
    read += reader.close()
    assert (reader.complete, reader.error) == (True, None)
    assert fold(read) == fold(found)
