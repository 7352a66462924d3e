from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.dialects.tool_arguments import is_object
from trunkline.dialects.turns import ACKNOWLEDGEMENT, MISSING_RESULT, TurnRules, normalize_turns
from trunkline.model import Image, Message, Part, Role, Text, Thinking, ToolCall, ToolResult

FIRST = TurnRules(system="first")


def say(role: Role, *parts: Part | str) -> Message:
    return Message(role=role, parts=tuple(Text(text=p) if isinstance(p, str) else p for p in parts))


def call(*ids: str, arguments: str = "{}") -> Message:
    return say("assistant", *(ToolCall(id=each, name="f", arguments=arguments) for each in ids))


def result(id: str, text: str = "4") -> Message:
    return say("tool", ToolResult(id=id, name="f", parts=(Text(text=text),)))


def orphan(name: str, text: str) -> str:
    return f"Result of an earlier call of the tool {name}:\n\n{text}"


HI, NOTE, BYE = say("user", "Hi"), say("user", "(note)"), say("user", "Bye")
LOST = say("tool", ToolResult(id="a", name="f", parts=(Text(text=MISSING_RESULT),), is_error=True))


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([HI, call("a"), result("a")], [HI, call("a"), result("a")], id="in order"),
        pytest.param(
            [HI, call("a"), NOTE, result("a")], [HI, call("a"), result("a"), NOTE], id="a note between"
        ),
        pytest.param(
            [HI, call("a"), say("assistant", "hm"), say("system", "s"), result("a"), BYE],
            [HI, call("a"), result("a"), say("assistant", "hm"), say("system", "s"), BYE],
            id="an assistant's and a system text between",
        ),
        pytest.param(
            [HI, call("a"), NOTE, call("b"), result("b"), BYE, result("a")],
            [HI, call("a"), result("a"), NOTE, call("b"), result("b"), BYE],
            id="results after other turns",
        ),
        pytest.param(
            [HI, call("a"), call("b"), result("b"), result("a")],
            [HI, call("a", "b"), result("b"), result("a")],
            id="parallel calls in two messages",
        ),
        pytest.param(
            [HI, result("a"), call("a")], [HI, call("a"), result("a")], id="a result before its call"
        ),
        pytest.param([HI, call("a"), BYE], [HI, call("a"), LOST, BYE], id="no result"),
        pytest.param([HI, call("a")], [HI, call("a"), LOST], id="no result at the end"),
        pytest.param(
            [HI, call("a", "b"), result("b")],
            [HI, call("a", "b"), result("b"), LOST],
            id="one result of two",
        ),
        pytest.param(
            [HI, say("assistant", "Yes"), result("z"), BYE],
            [HI, say("assistant", "Yes"), say("user", orphan("f", "4")), BYE],
            id="a result without a call",
        ),
        pytest.param(
            [HI, call("a"), result("a", "1"), result("a", "2")],
            [HI, call("a"), result("a", "1"), say("user", orphan("f", "2"))],
            id="two results of one call",
        ),
        pytest.param(
            [say("tool", ToolResult(id="z", parts=(Image(url="http://x"),), is_error=True))],
            [say("user", orphan("(unknown)", "Error"), Image(url="http://x"))],
            id="an image without a call",
        ),
        pytest.param(
            [HI, say("assistant"), BYE], [say("user", "Hi\n\nBye")], id="an empty turn of the assistant's"
        ),
        pytest.param(
            [HI, say("assistant", "a"), say("user", " "), say("assistant", "b"), BYE],
            [HI, say("assistant", "a\n\nb"), BYE],
            id="an empty turn of the user's",
        ),
        pytest.param([HI, say("assistant", "\n")], [HI], id="an empty last turn"),
        pytest.param(
            [say("user", ""), say("assistant", "a"), say("user", "")],
            [say("user", ""), say("assistant", "a"), say("user", "")],
            id="empty turns that somebody has to take",
        ),
        pytest.param([say("system", "")], [say("system", "")], id="nothing else"),
        pytest.param(
            [HI, say("assistant", Thinking(text="hm")), BYE],
            [HI, say("assistant", Thinking(text="hm")), BYE],
            id="thinking is something",
        ),
    ],
)
def test_order(messages: list[Message], expected: list[Message]) -> None:
    assert list(normalize_turns(tuple(messages))) == expected
    assert list(normalize_turns(tuple(expected))) == expected


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"city": "Ro', '{"arguments":"{\\"city\\": \\"Ro"}'),
        ("null", "{}"),
        (' {"a": 1}', '{"a": 1}'),
        ('"{\\"a\\": 1}"', '{"a": 1}'),
    ],
)
def test_arguments(arguments: str, sent: str) -> None:
    made = normalize_turns((HI, call("a", arguments=arguments), result("a")))[1].parts[0]
    assert isinstance(made, ToolCall)
    assert made.arguments == sent


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([say("system", "a"), HI], [say("system", "a"), HI]),
        ([say("system", "a"), say("system", "b", "c"), HI], [say("system", "a\n\nbc"), HI]),
        ([HI, say("system", "a")], [say("system", "a"), HI]),
        (
            [say("system", Text(text="a", cache=True)), HI, say("system", "b")],
            [say("system", Text(text="a", cache=True), "b"), HI],
        ),
        ([HI, BYE], [HI, BYE]),
    ],
)
def test_system_texts_in_front(messages: list[Message], expected: list[Message]) -> None:
    assert list(normalize_turns(tuple(messages), FIRST)) == expected


def test_system_texts_stay_where_a_vendor_takes_them_anywhere() -> None:
    messages = (say("system", "a"), HI, say("system", "b"), BYE)
    assert normalize_turns(messages) == messages


def test_the_assistant_speaks_between_a_result_and_the_user() -> None:
    rules = TurnRules(user_after_tool=False)
    messages = (HI, call("a"), result("a"), NOTE, BYE)
    assert normalize_turns(messages, rules) == (
        *messages[:3],
        say("assistant", ACKNOWLEDGEMENT),
        *messages[3:],
    )


ids = st.sampled_from(["a", "b", None])
words = st.sampled_from(["", " ", "one", "two"])
results = st.builds(
    ToolResult, id=ids, name=st.none() | st.just("f"), parts=st.tuples(st.builds(Text, text=words))
)
calls = st.builds(
    ToolCall,
    id=ids,
    name=st.just("f"),
    arguments=st.sampled_from(["{}", "", "null", '{"a', "[1]", '{"a":1}']),
)
conversations = st.lists(
    st.one_of(
        st.builds(say, st.sampled_from(["system", "user", "assistant"]), words),
        st.lists(st.builds(Text, text=words) | calls, max_size=3).map(lambda parts: say("assistant", *parts)),
        results.map(lambda result: say("tool", result)),
    ),
    max_size=9,
).map(tuple)
rules = st.builds(TurnRules, system=st.sampled_from(["anywhere", "first"]), user_after_tool=st.booleans())


def texts(messages: tuple[Message, ...]) -> str:
    parts = [part for message in messages for part in message.parts]
    return "\n".join(part.text for part in parts if isinstance(part, Text | ToolResult))


@given(conversations, rules)
def test_any_conversation_is_brought_into_order(messages: tuple[Message, ...], rules: TurnRules) -> None:
    found = normalize_turns(messages, rules)
    assert normalize_turns(found, rules) == found
    for word in ("one", "two"):
        assert texts(found).count(word) == texts(messages).count(word)
    waiting: list[str | None] = []
    before = None
    for index, message in enumerate(found):
        if message.role == "tool":
            (result,) = message.parts
            assert isinstance(result, ToolResult)
            waiting.remove(result.id)
        else:
            assert not waiting
            waiting = [part.id for part in message.parts if isinstance(part, ToolCall)]
            assert len(set(waiting)) == len(waiting)
            assert not (before == "tool" and message.role == "user" and not rules.user_after_tool)
        for part in message.parts:
            assert not isinstance(part, ToolCall) or is_object(part.arguments)
        assert not (rules.system == "first" and index and message.role == "system")
        before = message.role
    assert not waiting
    assert found or not messages
